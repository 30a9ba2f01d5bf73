"""The grade of a model, by a rule anyone can check against its metrics.

======  ================================================================================================
D       does not beat its baseline: the lower end of the 90 % interval of its skill is not above 0
C       beats its baseline
B       skill at least 0.05, and the level of its predictions can be trusted
A       skill at least 0.10, its level can be trusted strictly, the holdout has evidence enough, and a classifier is
        stable: refitted at earlier cutoffs (at one at least; in every fold, where there are no dates) its skill is
        above 0 at each
======  ================================================================================================

Skill is the share of the baseline's loss that the model takes away, on the same holdout rows: 0 is no better than the
baseline, 1 is flawless. A classifier has named baselines, the rate of all and the rule of one column, and is held to
the better one on the holdout; what is clearly worse than logistic regression, which stands beside it in every run, is C
at best. Evidence enough: at least 500 rows and 100 of the rarer outcome.
"""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from models.base import Array
from models.families import Task
from training.evaluation.metrics import Z_90, standard_error

LEAST_ROWS, LEAST_RARE = 500, 100
SKILL_B, SKILL_A = 0.05, 0.10
RULE = {
    "A": "skill at least 0.10, level trusted strictly, at least 500 rows and 100 of the rarer outcome",
    "B": "skill at least 0.05, and the level of its predictions can be trusted",
    "C": "beats its baseline: the 90 % interval of its skill lies above 0",
    "D": "does not beat its baseline",
}
OF_CLASSIFIERS = {
    "A": "skill above 0 at every earlier cutoff (one at least) or in every fold",
    "B": "not clearly worse than logistic regression",
    "C": "its baseline is the better of the rate of all and the rule of one column",
}
"""What is asked of a classifier besides."""


def rule_of(letter: str, task: Task) -> str:
    """A grade's rule as it goes for a task."""
    more = OF_CLASSIFIERS.get(letter) if task in ("churn", "propensity") else None
    return f"{RULE[letter]}; {more}" if more else RULE[letter]


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

    def words(self) -> str:
        """As a share, with its interval."""
        return f"{self.value:.1%} (90 % interval {self.low:.1%} to {self.high:.1%})"


def skill(losses: Array, rival: Array, perfect_loss: float = 0.0, people: npt.NDArray[Any] | None = None) -> Skill:
    """Compare two models on the same rows.

    Parameters
    ----------
    losses, rival : ndarray of shape (n,)
        Loss of each row, of the model and of its rival.
    perfect_loss : float
        Mean loss of a flawless model.
    people : ndarray of shape (n,), optional
        Whose rows they are; every row another's by default.

    Returns
    -------
    Skill
        The interval is normal, from the standard error of the paired differences; people are independent.
    """
    gain = rival - losses
    scale = float(rival.mean()) - perfect_loss
    if scale <= 0 or len(gain) < 2:
        return Skill(0.0, 0.0, 0.0)
    error = standard_error(gain, people)
    mean = float(gain.mean())
    return Skill(mean / scale, (mean - Z_90 * error) / scale, (mean + Z_90 * error) / scale)


def grade(
    found: Skill,
    *,
    calibrated: bool,
    strictly: bool,
    rows: int,
    rare: int,
    stable: bool = True,
    outdone: bool = False,
) -> str:
    """Grade a model by the published rule.

    Parameters
    ----------
    found : Skill
        Against the baseline.
    calibrated, strictly : bool
        Whether its level can be trusted, and strictly so.
    rows, rare : int
        Holdout rows, and those of the rarer outcome.
    stable : bool
        Whether it has skill at every earlier cutoff, or that is not asked.
    outdone : bool
        Whether it is clearly worse than the simpler model that stands beside it.

    Examples
    --------
    >>> grade(Skill(0.2, 0.15, 0.25), calibrated=True, strictly=True, rows=1000, rare=300)
    'A'
    >>> grade(Skill(0.2, -0.1, 0.5), calibrated=True, strictly=True, rows=40, rare=10)
    'D'
    """
    if found.low <= 0:
        return "D"
    if outdone:
        return "C"
    if found.value >= SKILL_A and strictly and stable and rows >= LEAST_ROWS and rare >= LEAST_RARE:
        return "A"
    return "B" if found.value >= SKILL_B and calibrated else "C"
