"""Whether there is evidence enough, and how many more customers or days would settle the rest."""

import math

from training.evaluation.grade import LEAST_RARE, LEAST_ROWS, Skill


def evidence_warnings(rows: int, rare: int, found: Skill, history_days: float) -> list[str]:
    """Say what the holdout is too small for.

    Parameters
    ----------
    rows, rare : int
        Holdout customers, and those of the rarer outcome.
    found : Skill
        Over the baseline.
    history_days : float
        How long it took for so many customers to come; 0 where there are no dates.
    """
    warnings = []
    if rows < LEAST_ROWS or rare < LEAST_RARE:
        more = max(LEAST_ROWS - rows, math.ceil(LEAST_RARE / max(rare, 1) * rows) - rows)
        warnings.append(
            f"low evidence: {rows:,} holdout customers, {rare:,} of the rarer outcome; {max(LEAST_ROWS - rows, 0):,} "
            f"more customers and {max(LEAST_RARE - rare, 0):,} more of the rarer outcome would settle the grade"
            + _in_days(more, rows, history_days)
        )
    if found.low <= 0 < found.value:
        half = found.value - found.low
        more = math.ceil(rows * (half / found.value) ** 2) - rows + 1
        warnings.append(
            f"low evidence: whether it beats its baseline is open (skill {found.value:.3f}, 90 % interval "
            f"{found.low:.3f} to {found.high:.3f}); about {more:,} more customers would settle it, were it as good as "
            "it seems" + _in_days(more, rows, history_days)
        )
    return warnings


def _in_days(customers: int, rows: int, history_days: float) -> str:
    """How long so many more customers take to come, at the rate at which they came."""
    if not history_days or not rows:
        return ""
    return f"; at the rate at which customers came, that is about {math.ceil(customers / rows * history_days):,} days"
