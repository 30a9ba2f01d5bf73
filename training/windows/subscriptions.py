"""Proposing what churn shall mean where customers subscribe: how far ahead, and after what grace an end is final.

The grace follows from how long customers wait between the end of a subscription and the next, the horizon from how
long terms are. As with orders, every customer counts the same, however many terms there were.
"""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, ClassVar

import ibis
import numpy as np
import pandas as pd

from features.instants import DAY_US, to_us, write_instant
from features.profile import Profile
from features.snapshot import instants_as_whole
from features.usability.sufficiency import whole_windows
from models.base import Array
from training.errors import NoTerms
from training.rows.labels import future_ends
from training.windows.orders import COVERED, HORIZONS, LEAST_CUSTOMERS, LOST, quantile, share_within

GRACES = (0, 1, 3, 7, 14, 30, 60, 90, 180)
PERCENTS = (10, 25, 50, 75, 90, 95)


@dataclass(frozen=True)
class SubscriptionWindow:
    """A definition of contractual churn, with its reasons.

    Parameters
    ----------
    horizon_days, grace_days : int
        The label window, and the days after an end within which a new subscription is a renewal.
    reasons : dict of str to str
        Why, for each of them.
    renewal_quantiles, term_quantiles : dict of str to float
        Days between an end and the next subscription, and days of a term, that so many percent do not exceed.
    churned_share : float
        Share of the customers subscribed one horizon and grace before the end who left in it.
    """

    target: ClassVar[str] = "contractual"
    eligible: ClassVar[str] = "subscribed"

    horizon_days: int
    grace_days: int
    reasons: dict[str, str]
    renewal_quantiles: dict[str, float]
    term_quantiles: dict[str, float]
    churned_share: float

    def document(self) -> dict[str, Any]:
        """The suggestion as plain data."""
        return {"target": self.target, "eligible": self.eligible, **asdict(self)}

    def command(self, source: str) -> str:
        """How to train with it."""
        chosen = f"--horizon-days {self.horizon_days} --set grace_days={self.grace_days}"
        return f"patron train churn {source} --set target={self.target} {chosen}"


def suggest_subscription_window(profile: Profile) -> SubscriptionWindow:
    """Propose a horizon and a grace for subscriptions.

    Parameters
    ----------
    profile : Profile
        With `subscriptions`.

    Raises
    ------
    MissingTable
        Without subscriptions.
    NoTerms
        With too few customers whose terms have an end, or who came back after one.
    """
    terms, renewals = _terms(profile)
    for what, found in (("a term that ends", terms), ("a subscription after one that ended", renewals)):
        if len(found) and found["customers"].iloc[0] >= LEAST_CUSTOMERS:
            continue
        raise NoTerms(what, int(found["customers"].iloc[0]) if len(found) else 0, LEAST_CUSTOMERS)
    grace, why_grace = _grace(*_weighed(renewals))
    horizon, why_horizon = _horizon(*_weighed(terms), grace, (profile.known_until - profile.known_from).days)
    share, who = _left(profile, horizon, grace)
    return SubscriptionWindow(
        horizon,
        grace,
        {"horizon_days": f"{why_horizon}; {who}", "grace_days": why_grace},
        _quantiles(renewals),
        _quantiles(terms),
        round(share, 4),
    )


def _quantiles(found: pd.DataFrame) -> dict[str, float]:
    return {f"{percent}%": quantile(*_weighed(found), percent / 100) for percent in PERCENTS}


def _weighed(found: pd.DataFrame) -> tuple[Array, Array]:
    return found["days"].to_numpy(dtype=np.float64), found["weight"].to_numpy(dtype=np.float64)


def _terms(profile: Profile) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Days of terms, and days from an end to the next beginning, each with its weight and how many customers there are.

    A term is as long as was agreed on, or as it lasted. What begins more than a day before another ends stands beside
    it and renews nothing.
    """
    limit = to_us(profile.known_until)
    rows: Any = instants_as_whole(profile.table("subscriptions", "a suggestion"), profile.backend.name)
    rows = rows.filter(rows.started_at < limit)
    rows = rows.mutate(ended=(rows.ended_at < limit).ifelse(rows.ended_at, None))
    agreed = rows.term_ends_at if "term_ends_at" in rows.columns else ibis.null("int64")
    lasted = rows.mutate(days=_whole(ibis.coalesce(agreed, rows.ended) - rows.started_at))
    in_order: Any = {"group_by": "customer_id", "order_by": ["started_at", "subscription_id"]}
    reached = rows.mutate(until=rows.ended.max().over(ibis.cumulative_window(**in_order)))
    before = reached.until.lag().over(ibis.window(**in_order))
    waited = reached.mutate(wait=reached.started_at - before)
    waited = waited.filter(waited.wait > -DAY_US).mutate(days=_whole(waited.wait).clip(lower=0))
    return _weights(profile, lasted.drop_null("days")), _weights(profile, waited.drop_null("days"))


def _whole(microseconds: Any) -> Any:
    """Days begun."""
    return (microseconds.cast("float64") / DAY_US).ceil().cast("int64")


def _weights(profile: Profile, rows: Any) -> pd.DataFrame:
    """How much of all customers each number of days stands for, a customer's all together counting 1."""
    own = rows.group_by("customer_id").aggregate(count=rows.count())
    weighed = rows.join(own, "customer_id").select("days", "customer_id", weight=1 / own["count"].cast("float64"))
    counted = weighed.group_by("days").aggregate(weight=weighed.weight.sum())
    found: pd.DataFrame = profile.backend.to_pyarrow(counted.order_by("days")).to_pandas()
    return found.assign(customers=round(found["weight"].sum()))


def _grace(waits: Array, weights: Array) -> tuple[int, str]:
    """The shortest after which few renewals come."""
    grace = next((days for days in GRACES if 1 - share_within(waits, weights, days) <= LOST), GRACES[-1])
    at_once, later = share_within(waits, weights, 0), 1 - share_within(waits, weights, grace)
    return grace, (
        f"{at_once:.0%} of those who subscribe again do so at once, and {later:.0%} later than {grace} days after the "
        "end, who would be taken for lost; each customer counts the same"
    )


def _horizon(lengths: Array, weights: Array, grace: int, history: int) -> tuple[int, str]:
    """The shortest in which nearly every running term comes up for renewal, unless the history is too short for it."""
    covering = next((days for days in HORIZONS if share_within(lengths, weights, days) >= COVERED), HORIZONS[-1])
    within, half = share_within(lengths, weights, covering), quantile(lengths, weights, 0.5)
    said = (
        f"{within:.0%} of the terms are not longer than {covering} days (half of them {half:.0f} or shorter), so that "
        "whoever is subscribed has to decide in them"
    )
    learnable = [days for days in HORIZONS if whole_windows(days) + grace <= history] or [HORIZONS[0]]
    if covering <= learnable[-1]:
        return covering, said
    longest = learnable[-1]
    within = share_within(lengths, weights, longest)
    windows = f"label windows of at most {longest} days, which cover {within:.0%}"
    return longest, f"{said}; but {history:,} days of history hold {windows}"


def _left(profile: Profile, horizon: int, grace: int) -> tuple[float, str]:
    """Share of those subscribed who left in the last whole label window."""
    start = profile.known_until - timedelta(days=horizon + grace)
    rows: Any = instants_as_whole(profile.tables["subscriptions"], profile.backend.name)
    at = to_us(start)
    running = rows.filter(rows.started_at < at, rows.ended_at.fill_null(at) >= at)
    there = int(profile.backend.to_pyarrow(running.customer_id.nunique()).as_py())
    left = len(future_ends(profile, [start], horizon, 0, grace, profile.known_until))
    share = left / there if there else 0.0
    subscribed = f"{there:,} customers subscribed on {write_instant(start)}"
    return share, f"{left:,} of {subscribed} left in the {horizon} days after"
