"""Which population a customer belongs to: prospects and former customers are populations of their own.

A running subscription makes a customer active. Otherwise the customer's own ordering rhythm decides, as
`features.lifecycle` defines it; of customers who never ordered, those whose subscription ended are former, and those
who never had one are prospects.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import ibis

from features.engine.builder import available, feature_rows
from features.instants import write_instant
from features.lifecycle import lifecycle_state
from features.profile import Profile
from features.spec import Feature, FeatureSet, feature
from features.subscriptions import days_since_last_subscription_end, has_active_subscription

POPULATIONS = {
    "prospect": "never ordered, never subscribed",
    "active": "subscribed, or ordering in rhythm",
    "at risk": "silent for more than 1.5 rhythms",
    "lapsed": "silent for 3 rhythms",
    "former": "silent for 6 rhythms, or never ordered and no longer subscribed",
}


def _by_rhythm(state: Any) -> Any:
    return state.isin(["new", "reactivated"]).ifelse("active", state)


@feature(
    source=(lifecycle_state, has_active_subscription, days_since_last_subscription_end), dtype="string", unit="name"
)
def population(state: Any, is_running: Any, ended: Any) -> Any:
    """Population by orders and subscriptions."""
    left = (state == "prospect") & ended.notnull()
    return ibis.cases((is_running, "active"), (left, "former"), else_=_by_rhythm(state))


@feature(source=(lifecycle_state,), dtype="string", unit="name")
def population_by_orders(state: Any) -> Any:
    """Population where nothing is known of subscriptions."""
    return _by_rhythm(state)


@feature(source=(has_active_subscription, days_since_last_subscription_end), dtype="string", unit="name")
def population_by_subscriptions(is_running: Any, ended: Any) -> Any:
    """Population where nothing is known of orders."""
    return ibis.cases((is_running, "active"), (ended.notnull(), "former"), else_="prospect")


@dataclass(frozen=True)
class Population:
    """How many customers each population has.

    Parameters
    ----------
    as_of : str
        At which instant.
    customers : dict of str to int
        Customers known by then, by population; every one counts once.
    """

    as_of: str
    customers: dict[str, int]

    def document(self) -> dict[str, Any]:
        """The counts as plain data."""
        return asdict(self)


def population_feature(profile: Profile) -> Feature | None:
    """The feature that tells a profile's populations apart; None where it has neither orders nor subscriptions."""
    several = (population, population_by_orders, population_by_subscriptions)
    given = available(profile, FeatureSet("populations", 1, several)).features.features
    return given[0] if given else None


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of every population, in the order of `POPULATIONS`."""
    return {name: int(counts.get(name, 0)) for name in POPULATIONS}


def count_population(profile: Profile) -> Population | None:
    """Count the customers of each population at the end of a profile, where its tables lie.

    Parameters
    ----------
    profile : Profile
        Valid or not.

    Returns
    -------
    Population or None
        None where nothing in the profile tells them apart.
    """
    dated = any(summary.first for summary in profile.summaries if summary.table in ("orders", "subscriptions"))
    chosen = population_feature(profile) if dated and profile.has("customers") else None
    if chosen is None:
        return None
    rows = feature_rows(profile, FeatureSet("population", 1, (chosen,)), [profile.known_until])
    counted = rows.group_by(chosen.name).aggregate(customers=rows.count())
    answer: Any = profile.backend.to_pyarrow(counted)
    counts = {row[chosen.name]: row["customers"] for row in answer.to_pylist()}
    return Population(write_instant(profile.known_until), in_order(counts))
