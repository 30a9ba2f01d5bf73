"""Maximum likelihood in log-parameters, and what the curvature at the maximum says about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.base import Array
from models.errors import ParameterOutOfRange
from models.optimise import minimise

LOG_BOUND = 12.0  # every fit ends within exp(+-12) of 1 in scaled units, so that no forecast can be infinite
NEAR_BOUND = 1e-3
STEP = 1e-4
NEWTON_STEPS, LEVEL = 12, 1e-9
CHUNK = 8_192  # customers that a likelihood is computed of at a time: their numbers fit the processor's cache
WIDEST = 1.5  # a parameter known to a factor of exp(1.96 * 1.5) = 19 only is not determined

Likelihood = Callable[[Array], tuple[float, Array]]
"""From log-parameters, shape (k,), to the mean log-likelihood a customer and its gradient."""


@dataclass(frozen=True)
class Maximum:
    """Where the likelihood is highest, and how sharply.

    Parameters
    ----------
    logs : ndarray of shape (k,)
        The log-parameters.
    covariance : ndarray of shape (k, k) or None
        Of the log-parameters: the inverse of the curvature of the unpenalised likelihood, with directions that the
        data leave wider than `WIDEST` cut down to it; None where the curvature is not finite.
    determined : bool
        Whether the maximum lies inside the bounds and the likelihood falls off in every direction: its flattest
        direction leaves no parameter unknown by more than a factor of ``exp(1.96 * WIDEST)``.
    """

    logs: Array
    covariance: Array | None
    determined: bool


def maximise(
    likelihood: Likelihood,
    start: Sequence[float] | Array,
    customers: float,
    penalty: float = 0.0,
    bounds: Sequence[tuple[float, float]] | None = None,
) -> Maximum:
    """Find the parameters of highest likelihood.

    Parameters
    ----------
    likelihood : callable
        Mean log-likelihood a customer and its gradient.
    start : sequence of float
        Parameters to begin from.
    customers : float
        How many the mean is over.
    penalty : float
        Weight of the sum of squared parameters against the mean log-likelihood.
    bounds : sequence of tuple of float, optional
        Of the log-parameters; +-12 unless given.

    Raises
    ------
    ParameterOutOfRange
        If the penalty is negative.
    """
    if not penalty >= 0:
        raise ParameterOutOfRange("penalty", penalty, "0 or more")
    bounds = list(bounds or [(-LOG_BOUND, LOG_BOUND)] * len(start))

    def loss(logs: Array) -> tuple[float, Array]:
        value, slope = likelihood(logs)
        squares = np.exp(2 * logs)
        return -value + penalty * float(squares.sum()), -slope + 2 * penalty * squares

    logs = minimise(loss, np.log(start), bounds)
    at_bound = any(min(x - low, high - x) < NEAR_BOUND for x, (low, high) in zip(logs, bounds, strict=True))
    covariance, widest = spread(curvature(likelihood, logs) * customers)
    return Maximum(logs, covariance, not at_bound and widest <= WIDEST)


def mean(share: Array, values: Array) -> float:
    """Mean with weights that add up to 1; not by BLAS, whose threads wait for each other ten times as long."""
    return float(np.einsum("i,i->", share, values))


def polish(likelihood: Likelihood, near: Maximum, near_customers: float, customers: float) -> Maximum | None:
    """Go from the maximum over some customers to that over all, by Newton steps with the curvature over some.

    Parameters
    ----------
    likelihood : callable
        Over all customers.
    near : Maximum
        Over some of them, determined.
    near_customers, customers : float
        How many those are, and all.

    Returns
    -------
    Maximum or None
        None if the steps do not arrive.
    """
    if near.covariance is None:
        return None
    logs, inverse = near.logs, near.covariance * near_customers
    for _ in range(NEWTON_STEPS):
        slope = likelihood(logs)[1]
        if np.max(np.abs(slope)) < LEVEL:
            return Maximum(logs, inverse / customers, determined=True)
        logs = logs + inverse @ slope
        if not np.all(np.abs(logs - near.logs) < 1):
            return None
    return None


def curvature(likelihood: Likelihood, logs: Array) -> Array:
    """Matrix of second derivatives of minus the likelihood, from central differences of its gradient."""
    steps = STEP * np.eye(len(logs))
    slopes = [likelihood(logs - step)[1] - likelihood(logs + step)[1] for step in steps]
    matrix = np.array(slopes) / (2 * STEP)
    return np.asarray((matrix + matrix.T) / 2)


def spread(information: Array) -> tuple[Array | None, float]:
    """Invert the curvature.

    Parameters
    ----------
    information : ndarray of shape (k, k)
        Curvature of the log-likelihood of all customers.

    Returns
    -------
    covariance : ndarray of shape (k, k) or None
        With no direction wider than `WIDEST`; None where the curvature is not finite.
    widest : float
        Standard deviation in the least determined direction; infinite where the likelihood is flat or rises.
    """
    if not np.isfinite(information).all():
        return None, np.inf
    values, directions = np.linalg.eigh(information)
    covariance = (directions / np.maximum(values, WIDEST**-2)) @ directions.T
    return np.asarray(covariance), float(values[0] ** -0.5) if values[0] > 0 else np.inf
