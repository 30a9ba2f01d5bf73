"""Whether there is enough to learn churn that is not about orders: a label known from elsewhere, or subscriptions."""

import ibis.expr.types as ir

from features.instants import DAY_US, to_us
from features.profile import Profile
from features.reading.conform import read_label
from features.snapshot import MICROSECONDS
from features.usability.sufficiency import LEAST_CHURN_ROWS, LEAST_RARE, LEAST_ROWS, Need, Sufficiency, verdict_of

LEAST_OUTCOMES = 20  # training.rows.usable: customers of either outcome


def judge_labels(profile: Profile) -> list[Sufficiency]:
    """Say for each label that a `profile.yaml` takes from elsewhere whether churn can be learned from it.

    Parameters
    ----------
    profile : Profile
        With `customers`; without labels there is nothing to say.
    """
    if profile.labels is None or not profile.has("customers"):
        return []
    known = profile.labels.semi_join(profile.tables["customers"], "customer_id")
    judged = []
    for name in (name for name in known.columns if name != "customer_id"):
        has = read_label(known[name])
        found = _counted(known, {"customers": has.count(), "churned": has.sum(), "active": (~has).sum()})
        words = (
            f"customers with a label {name}",
            f"customers whose {name} says yes",
            f"customers whose {name} says no",
        )
        judged.append(_judged(found, words, f"--label {name}", 0))
    return judged


def judge_subscribers(profile: Profile, horizon_days: int) -> list[Sufficiency]:
    """Say whether there is enough to learn which subscriptions end, where there are no orders to learn from.

    Parameters
    ----------
    profile : Profile
        Valid or not.
    horizon_days : int
        How far ahead to predict.
    """
    dated = {summary.table for summary in profile.summaries if summary.first}
    if not profile.has("subscriptions", "ended_at") or "subscriptions" not in dated or "orders" in dated:
        return []
    until = to_us(profile.known_until)
    cutoff, micros = until - horizon_days * DAY_US, MICROSECONDS[profile.backend.name]
    terms = profile.tables["subscriptions"]
    begun, ended = micros(terms.started_at), micros(terms.ended_at).fill_null(until)
    people = terms.filter(begun < until).group_by("customer_id")
    rows = people.aggregate(was=(begun < cutoff).any(), is_running=(ended >= until).any())
    known = rows.filter(rows.was)
    counts = {"customers": known.count(), "churned": (~known.is_running).sum(), "active": known.is_running.sum()}
    found = _counted(known, counts)
    words = (
        "customers with a subscription begun before the cutoff",
        "customers whose subscriptions have all ended",
        "customers with a running subscription",
    )
    return [_judged(found, words, "--set target=contractual", horizon_days)]


def _counted(rows: ir.Table, measures: dict[str, ir.Value]) -> dict[str, int]:
    row = rows.aggregate(**measures).to_pyarrow().to_pylist()[0]
    return {name: int(count or 0) for name, count in row.items()}


def _judged(found: dict[str, int], words: tuple[str, ...], how: str, horizon_days: int) -> Sufficiency:
    needs = []
    limits = ((LEAST_CHURN_ROWS, LEAST_ROWS), (LEAST_OUTCOMES, LEAST_RARE), (LEAST_OUTCOMES, LEAST_RARE))
    for (least, wanted), what, count in zip(limits, words, found.values(), strict=True):
        blocks = count < least
        needed = least if blocks else wanted
        if count < needed:
            remedy = f"Add {needed - count:,} more {what}."
            needs.append(Need(what, count, needed, needed - count, blocks, remedy))
    return Sufficiency("churn", horizon_days, verdict_of(needs), found, tuple(needs), how)
