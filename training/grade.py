"""The grade of a model, by a rule anyone can check against its metrics.

======  ================================================================================================
D       does not beat its baseline: the lower end of the 90 % interval of its skill is not above 0
C       beats its baseline
B       skill at least 0.05, and the level of its predictions can be trusted
A       skill at least 0.10, its level can be trusted strictly, and the holdout has evidence enough
======  ================================================================================================

Skill is the share of the baseline's loss that the model takes away, on the same holdout rows: 0 is no better than the
baseline, 1 is flawless. Evidence enough: at least 500 rows and 100 of the rarer outcome.
"""

from dataclasses import dataclass

import numpy as np

from models.base import Array

Z_90 = 1.6449
LEAST_ROWS, LEAST_RARE = 500, 100
SKILL_B, SKILL_A = 0.05, 0.10
RULE = {
    "A": "skill at least 0.10, level trusted strictly, at least 500 rows and 100 of the rarer outcome",
    "B": "skill at least 0.05 and the level of its predictions can be trusted",
    "C": "beats its baseline: the 90 % interval of its skill lies above 0",
    "D": "does not beat its baseline",
}


@dataclass(frozen=True)
class Skill:
    """Share of a rival's loss that a model takes away, with its 90 % interval.

    Parameters
    ----------
    value, low, high : float
        Estimate and interval; 0 is no better than the rival, 1 is flawless.
    """

    value: float
    low: float
    high: float


def skill(losses: Array, rival: Array, perfect_loss: float = 0.0) -> Skill:
    """Compare two models on the same rows.

    Parameters
    ----------
    losses, rival : ndarray of shape (n,)
        Loss of each row, of the model and of its rival.
    perfect_loss : float
        Mean loss of a flawless model.

    Returns
    -------
    Skill
        The interval is normal, from the standard error of the paired differences; rows are independent customers.
    """
    gain = rival - losses
    scale = float(rival.mean()) - perfect_loss
    if scale <= 0 or len(gain) < 2:
        return Skill(0.0, 0.0, 0.0)
    error = float(gain.std(ddof=1)) / float(np.sqrt(len(gain)))
    mean = float(gain.mean())
    return Skill(mean / scale, (mean - Z_90 * error) / scale, (mean + Z_90 * error) / scale)


def grade(found: Skill, *, calibrated: bool, strictly: bool, rows: int, rare: int) -> str:
    """Grade a model by the published rule.

    Parameters
    ----------
    found : Skill
        Against the baseline.
    calibrated, strictly : bool
        Whether its level can be trusted, and strictly so.
    rows, rare : int
        Holdout rows, and those of the rarer outcome.

    Examples
    --------
    >>> grade(Skill(0.2, 0.15, 0.25), calibrated=True, strictly=True, rows=1000, rare=300)
    'A'
    >>> grade(Skill(0.2, -0.1, 0.5), calibrated=True, strictly=True, rows=40, rare=10)
    'D'
    """
    if found.low <= 0:
        return "D"
    if found.value >= SKILL_A and strictly and rows >= LEAST_ROWS and rare >= LEAST_RARE:
        return "A"
    return "B" if found.value >= SKILL_B and calibrated else "C"
