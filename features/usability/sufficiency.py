"""Whether a profile holds enough for each task, and if not how much more is needed and what to change."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import ibis
import ibis.expr.types as ir

from features.finding import Finding
from features.instants import DAY_US, to_us
from features.profile import Profile
from features.snapshot import MICROSECONDS, day_of

Verdict = Literal["enough", "thin", "not enough"]

# what training demands; a test holds these equal to the places named
DEFAULT_HORIZON_DAYS = 90  # training.config.TrainConfig
LEAST_ROWS, LEAST_RARE = 500, 100  # training.evaluation.grade: evidence that settles a grade
LEAST_CHURN_ROWS = 20  # models.churn.target
LEAST_REPEAT_BUYERS = 1  # with fewer, order rates are a guess, and said to be one
LEAST_SEGMENT_CUSTOMERS = 30  # models.segments.rfm
LEAST_HISTORY_DAYS = 30  # training.rows.splits.training_times: history before the first whole label window

HORIZONS = (7, 14, 30, 60, 90, 180, 365, 730)
"""Horizons that are tried when the one asked for does not do."""
VERDICTS: dict[Verdict, str] = {
    "enough": "it can be trained and its grade settled",
    "thin": "it can be trained, but the evidence is low or must be completed by estimates",
    "not enough": "training would be refused",
}


@dataclass(frozen=True)
class Need:
    """One thing of which a task needs more than the profile holds.

    Parameters
    ----------
    what : str
        What is short.
    found, needed, more : int
        How much there is, how much is needed, and the difference.
    blocks : bool
        Whether training would be refused; otherwise the result is worth less.
    remedy : str
        What to change.
    """

    what: str
    found: int
    needed: int
    more: int
    blocks: bool
    remedy: str


@dataclass(frozen=True)
class Sufficiency:
    """Whether there is enough for a task.

    Parameters
    ----------
    task : {"churn", "clv", "segments"}
        The task.
    horizon_days : int
        How far ahead it would predict.
    verdict : {"enough", "thin", "not enough"}
        See `VERDICTS`.
    found : dict of str to int
        What there is to learn from and to evaluate on.
    needs : tuple of Need
        What is short; empty when there is enough.
    how : str
        What to add to the command, where the task is not about orders.
    """

    task: str
    horizon_days: int
    verdict: Verdict
    found: dict[str, int]
    needs: tuple[Need, ...]
    how: str = ""

    @property
    def title(self) -> str:
        """The task in words."""
        ahead = f" over {self.horizon_days} days" if self.horizon_days else ""
        return f"{self.task}{ahead}{f' ({self.how})' if self.how else ''}"

    def document(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)

    def findings(self) -> Iterator[Finding]:
        """What is short, as findings."""
        in_terms = "running" in self.found or "contractual" in self.how
        table = "labels" if "--label" in self.how else "subscriptions" if in_terms else "orders"
        for need in self.needs:
            yield Finding(
                "warning" if need.blocks else "advice",
                table,
                "",
                f"too little for {self.title}: {need.what}",
                0,
                0,
                f"{need.found:,}",
                f"at least {need.needed:,}",
                need.remedy,
                "enough",
            )


@dataclass(frozen=True)
class Cohort:
    """Who could be evaluated at the cutoff one horizon before the end of the profile.

    Parameters
    ----------
    horizon_days : int
        How far ahead.
    customers : int
        Known, and with a known order before the cutoff.
    active : int
        Those of them who ordered in the horizon after it; the others churned.
    repeat_buyers : int
        Those of them with orders on two days before it.
    """

    horizon_days: int
    customers: int = 0
    active: int = 0
    repeat_buyers: int = 0

    @property
    def churned(self) -> int:
        """Those who did not order in the horizon."""
        return self.customers - self.active

    @property
    def rare(self) -> int:
        """Customers of the rarer outcome."""
        return min(self.active, self.churned)


def judge_sufficiency(profile: Profile, horizon_days: int = DEFAULT_HORIZON_DAYS) -> list[Sufficiency]:
    """Say for each task whether the profile holds enough.

    Parameters
    ----------
    profile : Profile
        Valid or not.
    horizon_days : int
        How far ahead to predict.

    Returns
    -------
    list of Sufficiency
        For churn, clv and segments. The cutoff is one horizon before the profile's end, as training chooses it.
    """
    dated = any(summary.first for summary in profile.summaries if summary.table == "orders")
    if not (dated and profile.has("orders") and profile.has("customers")):
        need = Need("readable orders", 0, 1, 1, True, "Give the table of orders with its required columns.")
        judged = [Sufficiency(task, horizon_days, "not enough", {}, (need,)) for task in ("churn", "clv", "segments")]
        judged[1] = _of_subscriptions(profile, horizon_days) or judged[1]
        return judged
    cohorts = count_cohorts(profile, {horizon_days, *HORIZONS})
    cohort, history = cohorts[horizon_days], (profile.known_until - profile.known_from).days
    judge = _Judge(cohort, cohorts, history)
    asked = {"churn": judge.churn, "clv": judge.clv, "segments": judge.segments}
    return [_sufficiency(task, cohort, history, needs()) for task, needs in asked.items()]


def _of_subscriptions(profile: Profile, horizon_days: int) -> Sufficiency | None:
    """What there is for lifetime value where there are only subscriptions; None without them."""
    dated = any(summary.first for summary in profile.summaries if summary.table == "subscriptions")
    if not (dated and profile.has("customers") and profile.has("subscriptions", "ended_at")):
        return None
    cutoff = to_us(profile.known_until) - horizon_days * DAY_US
    terms, micros = profile.tables["subscriptions"], MICROSECONDS[profile.backend.name]
    begun = terms.filter(micros(terms.started_at) < cutoff)
    ended = (micros(begun.ended_at) < cutoff).fill_null(False)
    row = begun.aggregate(ended=begun.customer_id.nunique(where=ended), running=begun.customer_id.nunique(where=~ended))
    found: dict[str, int] = row.to_pyarrow().to_pylist()[0]
    words = ("customers with a subscription running at the cutoff", "customers with a subscription ended before it")
    needs = [
        Need(what, found[name], LEAST_RARE, LEAST_RARE - found[name], name == "running" and not found[name], remedy)
        for name, what, remedy in (
            ("running", words[0], "Add customers, or shorten the horizon."),
            ("ended", words[1], "Add a longer history of subscriptions, those that ended among them."),
        )
        if found[name] < LEAST_RARE
    ]
    history = (profile.known_until - profile.known_from).days
    return Sufficiency("clv", horizon_days, verdict_of(needs), {"history_days": history, **found}, tuple(needs))


def count_cohorts(profile: Profile, horizons: set[int]) -> Mapping[int, Cohort]:
    """Count who could be learned from and what they did, for several horizons, in one pass over the orders.

    Parameters
    ----------
    profile : Profile
        With `customers` and `orders`.
    horizons : set of int
        Days; the cutoff of each lies so far before the profile's end.
    """
    until = to_us(profile.known_until)
    cutoffs = {days: until - days * DAY_US for days in horizons}
    people = _people(profile, until, cutoffs)
    measures: dict[str, ir.Value] = {}
    for days, cutoff in cutoffs.items():
        first, last = people[f"first{days}"], people[f"last{days}"]
        eligible = first.notnull() & (people.arrived <= cutoff)
        measures[f"customers{days}"] = eligible.sum()
        measures[f"active{days}"] = (eligible & (people.latest >= cutoff)).sum()
        measures[f"repeat{days}"] = (eligible & (last > first)).sum()
    row = people.aggregate(**measures).to_pyarrow().to_pylist()[0]
    names = ("customers", "active", "repeat")
    return {days: Cohort(days, *(int(row[f"{name}{days}"] or 0) for name in names)) for days in horizons}


def _people(profile: Profile, until: int, cutoffs: Mapping[int, int]) -> ir.Table:
    """One row a customer: when it arrived, first and last order day known at each cutoff, and the latest order."""
    micros = MICROSECONDS[profile.backend.name]
    orders = profile.tables["orders"]
    placed = orders.filter(~orders.is_return.fill_null(False)) if "is_return" in orders.columns else orders
    at = micros(placed.event_time)
    arrived = micros(placed.ingested_at).fill_null(0) if "ingested_at" in placed.columns else ibis.literal(0)
    rows = placed.select("customer_id", at=at, arrived=arrived, day=day_of(at))
    measures: dict[str, ir.Value] = {"latest": rows["at"].max(where=rows.arrived <= until)}
    for days, cutoff in cutoffs.items():
        known = (rows["at"] < cutoff) & (rows.arrived <= cutoff)
        measures |= {f"first{days}": rows.day.min(where=known), f"last{days}": rows.day.max(where=known)}
    histories = rows.group_by("customer_id").aggregate(**measures)
    customers = profile.tables["customers"]
    known_from = micros(customers.ingested_at).fill_null(0) if "ingested_at" in customers.columns else ibis.literal(0)
    return customers.select("customer_id", arrived=known_from).left_join(histories, "customer_id")


def _sufficiency(task: str, cohort: Cohort, history: int, needs: list[Need]) -> Sufficiency:
    found = {"history_days": history, "customers": cohort.customers}
    if task == "churn":
        found |= {"churned": cohort.churned, "active": cohort.active}
    if task == "clv":
        found |= {"repeat_buyers": cohort.repeat_buyers, "ordered_again": cohort.active}
    return Sufficiency(task, cohort.horizon_days, verdict_of(needs), found, tuple(needs))


def verdict_of(needs: Sequence[Need]) -> Verdict:
    """What the needs come to."""
    return "not enough" if any(need.blocks for need in needs) else "thin" if needs else "enough"


def whole_windows(horizon_days: int) -> int:
    """Days of history from which a label window lies whole before the cutoff, and another after it."""
    return 2 * horizon_days + max(math.ceil(horizon_days / 2), LEAST_HISTORY_DAYS)


@dataclass(frozen=True)
class _Judge:
    """What each task asks of the cohort one horizon before the end of the profile."""

    cohort: Cohort
    cohorts: Mapping[int, Cohort]
    history: int

    def churn(self) -> list[Need]:
        found = self.cohort
        needs = self._history(whole_windows(found.horizon_days), "whole label windows before and after the cutoff")
        needs += self._customers(LEAST_CHURN_ROWS)
        needs += self._outcome("customers who did not order in the horizon", found.churned)
        needs += self._outcome("customers who ordered in the horizon", found.active)
        return needs

    def clv(self) -> list[Need]:
        found = self.cohort
        needs = self._history(2 * found.horizon_days, "history as long as the horizon")
        needs += self._customers(1)
        if found.repeat_buyers < LEAST_REPEAT_BUYERS:
            remedy = f"Give orders of more customers or a longer history{self._elsewhere()}."
            what = "customers with orders on two days before the cutoff"
            needs.append(Need(what, found.repeat_buyers, LEAST_REPEAT_BUYERS, LEAST_REPEAT_BUYERS, False, remedy))
        return needs + self._outcome("customers who ordered in the horizon", found.active, blocks_at_none=False)

    def segments(self) -> list[Need]:
        return self._history(0, "") + self._customers(LEAST_SEGMENT_CUSTOMERS)

    def _history(self, wanted: int, what: str) -> list[Need]:
        """Days before and after the cutoff: without a day before it training is refused."""
        least = self.cohort.horizon_days + 2
        if self.history < least:
            shorter = max(self.history - 2, 1)
            words = "days of history: the horizon after the cutoff and two days before it"
            return [self._days(words, least, shorter, blocks=True)]
        if self.history < wanted:
            shorter = next((n for n in range(self.cohort.horizon_days, 0, -1) if self._fits(n, wanted)), 1)
            return [self._days(f"days of history: {what}", wanted, shorter, blocks=False)]
        return []

    def _fits(self, horizon_days: int, wanted: int) -> bool:
        """Whether the history holds what a shorter horizon would want."""
        whole = wanted == whole_windows(self.cohort.horizon_days)
        return (whole_windows(horizon_days) if whole else 2 * horizon_days) <= self.history

    def _days(self, what: str, needed: int, shorter: int, *, blocks: bool) -> Need:
        more = needed - self.history
        remedy = f"Add {more:,} days of history, or shorten the horizon to {shorter} days."
        return Need(what, self.history, needed, more, blocks, remedy)

    def _customers(self, least: int) -> list[Need]:
        """Customers who had ordered before the cutoff: to train at all, and to settle the grade."""
        found = self.cohort.customers
        if found >= LEAST_ROWS:
            return []
        blocks = found < least
        needed = least if blocks else LEAST_ROWS
        remedy = f"Add {self._people(needed - found)}."
        return [Need("customers with an order before the cutoff", found, needed, needed - found, blocks, remedy)]

    def _outcome(self, what: str, found: int, *, blocks_at_none: bool = True) -> list[Need]:
        """Customers of an outcome: none is nothing to learn from, few leave the grade open."""
        if found >= LEAST_RARE or not self.cohort.customers:
            return []
        more = LEAST_RARE - found
        share = found / self.cohort.customers
        remedy = (
            f"At the share so far that takes {self._people(math.ceil(more / share))} in all{self._elsewhere()}."
            if found
            else f"Add customers of that outcome{self._elsewhere()}."
        )
        blocks = blocks_at_none and not found
        return [Need(what, found, 1 if blocks else LEAST_RARE, 1 if blocks else more, blocks, remedy)]

    def _people(self, more: int) -> str:
        """So many customers more, and how long that takes at the pace so far."""
        before = self.history - self.cohort.horizon_days
        words = f"{more:,} more customer{'s' if more > 1 else ''} with an order"
        if not self.cohort.customers or before < 1:
            return words
        return f"{words} (about {math.ceil(more * before / self.cohort.customers):,} days at the pace so far)"

    def _elsewhere(self) -> str:
        """The horizon nearest to the one asked for that has evidence enough, or else more of it."""
        here = self.cohort
        fitting = [c for c in self.cohorts.values() if c.horizon_days + 2 <= self.history and c != here]
        ample = [c for c in fitting if c.customers >= LEAST_ROWS and c.rare >= LEAST_RARE]
        better = ample or [c for c in fitting if c.rare > here.rare]
        if not better:
            return ""
        distance = {c: abs(math.log(c.horizon_days / here.horizon_days)) for c in better}
        best = min(better, key=distance.__getitem__) if ample else max(better, key=lambda c: c.rare)
        verb = "widen" if best.horizon_days > here.horizon_days else "shorten"
        counted = f"{best.active:,} who ordered, {best.churned:,} who did not"
        return f"; or {verb} the horizon to {best.horizon_days} days ({counted})"
