"""Turning a classifier's raw score into a probability that means what it says."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, logit
from sklearn.isotonic import isotonic_regression

from models.base import Array, plain
from models.optimise import minimise

CLIP = 1e-6
FOLDS = 5
LEAST_RARE = {"platt": 0, "beta": 50, "isotonic": 500}
"""Rows of the rarer outcome from which a kind is tried: one with more freedom learns few rows by heart."""
BIN_ROWS, MOST_BINS = 50, 100


class Calibration(ABC):
    """A rising function from the log-odds of the raw score to those of the calibrated probability."""

    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, log_odds: Array, target: Array) -> Self:
        """Fit by log loss on rows the classifier has not learned from.

        Parameters
        ----------
        log_odds : ndarray of shape (n,)
            Raw scores.
        target : ndarray of shape (n,)
            Share of the outcome in [0, 1].
        """

    @abstractmethod
    def log_odds(self, raw: Array) -> Array:
        """Calibrated log-odds."""

    @abstractmethod
    def parameters(self) -> dict[str, float]:
        """What was learned, as a reader knows it."""

    def apply(self, log_odds: Array) -> Array:
        """Calibrated probability in [0, 1]."""
        return np.asarray(expit(self.log_odds(log_odds)), dtype=np.float64)

    def scale(self, raw: Array, base: Array) -> Array:
        """What contributions to the raw log-odds are multiplied by, so that they add up to the calibrated log-odds.

        The slope of the straight line from an average row's score, `base`, to the row's own: the same for all rows
        where the calibration is a line, and never negative, so that no contribution changes its direction.
        """
        gap = raw - base
        near = np.abs(gap) < CLIP
        step = np.where(near, CLIP, gap)
        return np.asarray((self.log_odds(base + step) - self.log_odds(base)) / step, dtype=np.float64)

    def state(self) -> dict[str, Any]:
        """It as plain JSON values."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Platt(Calibration):
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

    kind: ClassVar[str] = "platt"
    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, log_odds: Array, target: Array) -> Self:
        """Fit slope and intercept; see `Calibration.fit`."""
        terms = np.column_stack([log_odds, np.ones(len(log_odds))])
        slope, intercept = _least_log_loss(terms, target, (1.0, 0.0), [(0.05, 20.0), (-20.0, 20.0)])
        return cls(float(slope), float(intercept))

    def log_odds(self, raw: Array) -> Array:
        """The line."""
        return np.asarray(self.slope * raw + self.intercept, dtype=np.float64)

    def scale(self, raw: Array, base: Array) -> Array:
        """The slope."""
        del base
        return np.full(len(raw), self.slope)

    def parameters(self) -> dict[str, float]:
        """Slope and intercept."""
        return {"calibration_slope": self.slope, "calibration_intercept": self.intercept}


@dataclass(frozen=True)
class Beta(Calibration):
    """Log-odds = a log(s) - b log(1 - s) + c of a raw probability s: either end may be stretched apart.

    Parameters
    ----------
    a, b, c : float
        1, 1 and 0 leave the score as it is; a and b are above 0.

    References
    ----------
    Kull, M., Silva Filho, T. and Flach, P. (2017). Beta calibration: a well-founded and easily implemented improvement
    on logistic calibration for binary classifiers. AISTATS, equation (1).
    """

    kind: ClassVar[str] = "beta"
    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    @classmethod
    def fit(cls, log_odds: Array, target: Array) -> Self:
        """Fit a, b and c; see `Calibration.fit`."""
        terms = np.column_stack([log_expit(log_odds), -log_expit(-log_odds), np.ones(len(log_odds))])
        bounds = [(0.01, 20.0), (0.01, 20.0), (-20.0, 20.0)]
        a, b, c = _least_log_loss(terms, target, (1.0, 1.0, 0.0), bounds)
        return cls(float(a), float(b), float(c))

    def log_odds(self, raw: Array) -> Array:
        """The curve."""
        return np.asarray(self.a * log_expit(raw) - self.b * log_expit(-raw) + self.c, dtype=np.float64)

    def parameters(self) -> dict[str, float]:
        """The three."""
        return {"calibration_a": self.a, "calibration_b": self.b, "calibration_c": self.c}


@dataclass(frozen=True)
class Isotonic(Calibration):
    """Any rising curve: observed rates of equally filled groups, pooled until they rise, with lines between them.

    Parameters
    ----------
    points, values : tuple of float
        Raw and calibrated log-odds of each pooled group, at its mean; level beyond the first and the last.

    References
    ----------
    Oron, A. and Flournoy, N. (2017). Centered Isotonic Regression. Statistics in Biopharmaceutical Research 9(3),
    section 3: a pooled group is one point, so that the curve has no steps on which customers would be tied.
    """

    kind: ClassVar[str] = "isotonic"
    points: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def fit(cls, log_odds: Array, target: Array) -> Self:
        """Pool groups of at least 50 rows; see `Calibration.fit`."""
        order = np.argsort(log_odds, kind="stable")
        count = int(np.clip(len(order) // BIN_ROWS, 1, MOST_BINS))
        groups = np.array_split(order, count)
        rows = np.array([len(group) for group in groups], dtype=np.float64)
        overall = float(target.mean())
        rate = np.array([(target[group].sum() + overall) / (len(group) + 1) for group in groups])
        rising = isotonic_regression(rate, sample_weight=rows)
        pool = np.cumsum(np.concatenate([[0], np.diff(rising) > 0]))
        raw = np.array([log_odds[group].mean() for group in groups])
        points = np.bincount(pool, weights=raw * rows) / np.bincount(pool, weights=rows)
        values = logit(np.clip(rising[np.unique(pool, return_index=True)[1]], CLIP, 1 - CLIP))
        return cls(tuple(plain(points)), tuple(plain(values)))

    def log_odds(self, raw: Array) -> Array:
        """The broken line."""
        return np.asarray(np.interp(raw, self.points, self.values), dtype=np.float64)

    def parameters(self) -> dict[str, float]:
        """How many groups were left."""
        return {"calibration_points": float(len(self.points))}


KINDS: Mapping[str, type[Calibration]] = {kind.kind: kind for kind in (Platt, Beta, Isotonic)}


@dataclass(frozen=True)
class Chosen:
    """The calibration that did best on rows it was not fitted to.

    Parameters
    ----------
    calibration : Calibration
        Fitted to all rows.
    losses : mapping of str to float
        Out-of-fold log loss of each kind tried; empty where there was only one.
    """

    calibration: Calibration
    losses: Mapping[str, float]


def choose_calibration(log_odds: Array, target: Array, customers: npt.NDArray[Any]) -> Chosen:
    """Choose among Platt, beta and isotonic by log loss out of fold.

    Parameters
    ----------
    log_odds : ndarray of shape (n,)
        Raw scores of rows the classifier has not learned from.
    target : ndarray of shape (n,)
        Share of the outcome in [0, 1].
    customers : ndarray of shape (n,)
        Whose rows they are: those of one customer are in one fold.

    Returns
    -------
    Chosen
        With few rows of the rarer outcome fewer kinds are tried: Platt always, beta from 50, isotonic from 500.
    """
    rare = min(float(target.sum()), float((1 - target).sum()))
    tried = [kind for name, kind in KINDS.items() if rare >= LEAST_RARE[name]]
    if len(tried) == 1:
        return Chosen(tried[0].fit(log_odds, target), {})
    codes, who = np.unique(customers, return_inverse=True)
    fold = (np.random.default_rng(0).permutation(len(codes)) % FOLDS)[who]
    losses = {kind.kind: _out_of_fold(kind, log_odds, target, fold) for kind in tried}
    best = min(losses, key=lambda name: losses[name])
    return Chosen(KINDS[best].fit(log_odds, target), losses)


def read_calibration(state: Mapping[str, Any]) -> Calibration:
    """Make a calibration again from its state."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in state.items()}
    kind = str(values.pop("kind"))
    return KINDS[kind](**values)


def _out_of_fold(kind: type[Calibration], raw: Array, target: Array, fold: npt.NDArray[np.int64]) -> float:
    """Mean log loss of each fold under the calibration of the others."""
    found = np.empty(len(raw))
    for number in np.unique(fold):
        here = fold == number
        found[here] = kind.fit(raw[~here], target[~here]).log_odds(raw[here])
    return float(np.mean(np.logaddexp(0, found) - target * found))


def _least_log_loss(terms: Array, target: Array, start: tuple[float, ...], bounds: list[tuple[float, float]]) -> Array:
    """Weights of terms whose sum, as log-odds, has the least log loss, with Platt's smoothed targets."""
    happened, did_not = float(target.sum()), float((1 - target).sum())
    smoothed = target * (happened + 1) / (happened + 2) + (1 - target) / (did_not + 2)

    def loss(weights: Array) -> tuple[float, Array]:
        z = terms @ weights
        error = expit(z) - smoothed
        return float(np.mean(np.logaddexp(0, z) - smoothed * z)), error @ terms / len(z)

    return minimise(loss, start, bounds)


def log_odds(probability: Array) -> Array:
    """Log-odds of a probability, finite at 0 and 1."""
    return logit(np.clip(probability, CLIP, 1 - CLIP))
