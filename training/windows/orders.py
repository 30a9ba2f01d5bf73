"""Proposing what churn shall mean for a shop: whom to ask about, how far ahead, after how long a gap, and why.

The proposal follows from how long customers wait between orders. A gap counts for its customer, not for itself:
otherwise the few who order every week would set the window for everyone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.population import Population, count_population
from features.profile import Profile
from features.snapshot import KEYS, make_snapshot
from features.usability.sufficiency import LEAST_RARE, Cohort, count_cohorts, whole_windows
from models.base import Array
from training.errors import NoRhythm

HORIZONS = (7, 14, 30, 60, 90, 120, 180, 270, 365, 730)
GAPS = (14, 7, 3, 1)
COVERED = 0.9
"""Share of the waiting times that a horizon has to cover: who stays away longer has left rather than waited."""
LOST = 0.05
"""Share of the waiting times that a gap may hide."""
LEAST_CUSTOMERS = 50


@dataclass(frozen=True)
class Horizon:
    """What a horizon would mean.

    Parameters
    ----------
    days : int
        Its length.
    gaps_covered : float
        Share of the waiting times between orders, each customer counting the same, that are not longer.
    customers_covered : float
        Share of the customers who come back whose own mean waiting time is not longer.
    churned_share : float
        Share of the customers one horizon before the end who did not order in it.
    """

    days: int
    gaps_covered: float
    customers_covered: float
    churned_share: float


@dataclass(frozen=True)
class Suggestion:
    """A definition of churn, with its reasons.

    Parameters
    ----------
    eligible : str
        Whom to ask about; see `features.eligibility`.
    horizon_days, gap_days : int
        The label window.
    reasons : dict of str to str
        Why, for each of them.
    gap_quantiles : dict of str to float
        Days between orders that so many percent of the waiting times do not exceed.
    horizons : tuple of Horizon
        What every horizon would mean.
    population : Population or None
        Who the customers are at the end of the profile.
    """

    eligible: str
    horizon_days: int
    gap_days: int
    reasons: dict[str, str]
    gap_quantiles: dict[str, float]
    horizons: tuple[Horizon, ...]
    population: Population | None

    def document(self) -> dict[str, Any]:
        """The suggestion as plain data."""
        return asdict(self)

    def command(self, source: str) -> str:
        """How to train with it."""
        chosen = f"--horizon-days {self.horizon_days} --set gap_days={self.gap_days} --set eligible={self.eligible}"
        return f"patron train churn {source} {chosen}"


def suggest_window(profile: Profile) -> Suggestion:
    """Propose whom to ask about churn, how far ahead and after how long a gap.

    Parameters
    ----------
    profile : Profile
        With `orders`.

    Raises
    ------
    MissingTable
        Without orders.
    NoRhythm
        With too few customers who came back to tell how long they wait.
    """
    profile.table("orders", "a suggestion")
    own = _own_rhythms(profile)
    if len(own) < LEAST_CUSTOMERS:
        raise NoRhythm(len(own), LEAST_CUSTOMERS)
    gaps = _gaps(profile)
    waits, weights = gaps["days"].to_numpy(dtype=np.float64), gaps["weight"].to_numpy(dtype=np.float64)
    history = (profile.known_until - profile.known_from).days
    cohorts = count_cohorts(profile, set(HORIZONS))
    horizons = tuple(_horizon(days, waits, weights, own, cohorts[days]) for days in HORIZONS if days + 2 <= history)
    chosen, why = _choose(horizons, cohorts, history, float(np.median(own)))
    gap = next((days for days in GAPS if days <= chosen / 4 and share_within(waits, weights, days) <= LOST), 0)
    population = count_population(profile)
    eligible, who = _whom(population)
    return Suggestion(
        eligible,
        chosen,
        gap,
        {"eligible": who, "horizon_days": why, "gap_days": _gap_words(gap, waits, weights)},
        {f"{percent}%": quantile(waits, weights, percent / 100) for percent in (10, 25, 50, 75, 90, 95)},
        horizons,
        population,
    )


def _gaps(profile: Profile) -> pd.DataFrame:
    """How many days customers waited: the weight of each wait, a customer's all together counting 1."""
    days = make_snapshot(profile.tables, [profile.known_until], profile.backend.name).relation("order_days")
    waited = days.drop_null("gap_days").select(*KEYS, "gap_days")
    own = waited.group_by(KEYS).aggregate(count=waited.count())
    weighed = waited.join(own, KEYS).select("customer_id", "gap_days", weight=1 / own["count"].cast("float64"))
    counted = weighed.group_by("gap_days").aggregate(weight=weighed.weight.sum())
    found: pd.DataFrame = profile.backend.to_pyarrow(counted.order_by("gap_days")).to_pandas()
    return found.rename(columns={"gap_days": "days"})


def _own_rhythms(profile: Profile) -> Array:
    """Mean waiting time of every customer who came back, in days."""
    days = make_snapshot(profile.tables, [profile.known_until], profile.backend.name).relation("order_days")
    waited = days.drop_null("gap_days")
    own = waited.group_by(KEYS).aggregate(mean=waited.gap_days.mean())
    found: Any = profile.backend.to_pyarrow(own.select("mean")).column("mean")
    return np.sort(found.to_numpy(zero_copy_only=False))


def _horizon(days: int, waits: Array, weights: Array, own: Array, cohort: Cohort) -> Horizon:
    share = cohort.churned / cohort.customers if cohort.customers else 0.0
    covered = float(np.mean(own <= days))
    return Horizon(days, round(share_within(waits, weights, days), 4), round(covered, 4), round(share, 4))


def _choose(horizons: Sequence[Horizon], cohorts: Mapping[int, Cohort], history: int, rhythm: float) -> tuple[int, str]:
    """The shortest horizon that covers the waiting times, unless the history is too short to learn it."""
    covering = next((horizon for horizon in horizons if horizon.gaps_covered >= COVERED), horizons[-1])
    said = (
        f"{covering.gaps_covered:.0%} of the waiting times between orders are not longer than {covering.days} days, "
        f"each customer counting the same; half of those who come back do so every {rhythm:.0f} days or sooner, "
        f"{covering.customers_covered:.0%} of them within {covering.days} days"
    )
    learnable = [horizon for horizon in horizons if whole_windows(horizon.days) <= history]
    evident = [horizon for horizon in learnable if cohorts[horizon.days].rare >= LEAST_RARE] or learnable
    if not evident or covering in evident or covering.days < evident[0].days:
        return covering.days, said
    longest = max((horizon for horizon in evident if horizon.days <= covering.days), key=lambda h: h.days)
    return longest.days, (
        f"{said}; but {history:,} days of history with enough customers of either outcome hold label windows of at "
        f"most {longest.days} days, which cover {longest.gaps_covered:.0%}"
    )


def _whom(population: Population | None) -> tuple[str, str]:
    """Everyone who ordered, or those who have not left already where these are many."""
    counts = population.customers if population else {}
    gone, there = counts.get("lapsed", 0) + counts.get("former", 0), sum(counts.values()) - counts.get("prospect", 0)
    share = gone / there if there else 0.0
    words = f"{gone:,} of {there:,} customers ({share:.0%}) have been silent for 3 of their own rhythms or longer"
    if share > 1 / 2:
        return "active", f"{words}: they have left, and a model that tells them from the others tells nothing new"
    return "ordered", f"{words}: few enough to learn from everyone who ordered; they are marked in the scores"


def _gap_words(gap: int, waits: Array, weights: Array) -> str:
    if not gap:
        soon = share_within(waits, weights, GAPS[-1])
        return f"{soon:.0%} of the waiting times are a day or less: a gap would hide too many who come back"
    hidden = share_within(waits, weights, gap)
    return f"leaves {gap} day{'s' if gap > 1 else ''} to act and hides only {hidden:.0%} of the waiting times"


def share_within(waits: Array, weights: Array, days: float) -> float:
    """Weight of the waits that are not longer."""
    return float(weights[waits <= days].sum() / weights.sum())


def quantile(waits: Array, weights: Array, share: float) -> float:
    """The wait that such a share of the weight does not exceed."""
    reached = np.cumsum(weights) / weights.sum()
    return float(waits[np.searchsorted(reached, share - 1e-12)])
