"""Turning a classifier's raw score into a probability that means what it says."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import expit, logit

from models.base import Array
from models.optimise import minimise

CLIP = 1e-6


@dataclass(frozen=True)
class Platt:
    """Probability = expit(slope * log-odds + intercept).

    Parameters
    ----------
    slope, intercept : float
        1 and 0 leave the score as it is.

    References
    ----------
    Platt, J. (1999). Probabilistic Outputs for Support Vector Machines. Advances in Large Margin Classifiers, eq. (1),
    here on the classifier's own log-odds, with the smoothed targets of section 2.2: without them a few rows of one
    outcome would make every customer certain.
    """

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, log_odds: Array, target: Array) -> Self:
        """Fit by log loss on rows the classifier has not learned from.

        Parameters
        ----------
        log_odds : ndarray of shape (n,)
            Raw scores.
        target : ndarray of shape (n,)
            Share of the outcome in [0, 1].
        """
        happened, did_not = float(target.sum()), float((1 - target).sum())
        smoothed = target * (happened + 1) / (happened + 2) + (1 - target) / (did_not + 2)

        def loss(parameters: Array) -> tuple[float, Array]:
            z = parameters[0] * log_odds + parameters[1]
            error = expit(z) - smoothed
            return float(np.mean(np.logaddexp(0, z) - smoothed * z)), np.array(
                [
                    np.mean(error * log_odds),
                    np.mean(error),
                ]
            )

        slope, intercept = minimise(loss, (1.0, 0.0), [(0.05, 20.0), (-20.0, 20.0)])
        return cls(float(slope), float(intercept))

    def apply(self, log_odds: Array) -> Array:
        """Calibrated probability in [0, 1]."""
        return np.asarray(expit(self.slope * log_odds + self.intercept), dtype=np.float64)


def log_odds(probability: Array) -> Array:
    """Log-odds of a probability, finite at 0 and 1."""
    return logit(np.clip(probability, CLIP, 1 - CLIP))
