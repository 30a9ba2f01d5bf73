"""Logistic regression for churn, on features brought to one scale."""

from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from models.base import Array, Model, State, plain
from models.churn.target import check_target
from models.encoding import Encoder

MOST_LEVELS = 20


class ChurnLogistic(Model):
    """A weighted sum of features on the log scale: the model one can read.

    Every number x enters as sign(x) log(1 + |x|), centred and scaled; a missing one enters as the centre, with an
    indicator of its own, so that silence has its own weight. A name enters as one indicator a level.

    Parameters
    ----------
    C : float
        Inverse strength of the ridge penalty, as in scikit-learn.
    maximum_iterations : int
        Upper bound of the optimiser's steps.
    """

    output: ClassVar[str] = "probability_churned"

    def __init__(self, C: float = 1.0, maximum_iterations: int = 2000) -> None:  # noqa: N803 - scikit-learn's name
        self.C = C
        self.maximum_iterations = maximum_iterations

    def fit(self, rows: pd.DataFrame, target: Array | None = None) -> Self:
        """Fit weights to the probability that each row churned; see `Model.fit`."""
        target = check_target(target)
        self.columns_ = tuple(map(str, rows.columns))
        self.encoder_ = Encoder.fit(rows)
        matrix = self.encoder_.transform(rows)
        numbers = _compress(matrix)
        present = ~np.isnan(numbers)
        self.center_ = np.array([_mean(numbers[present[:, i], i]) for i in range(numbers.shape[1])])
        self.scale_ = np.array([_spread(numbers[present[:, i], i]) for i in range(numbers.shape[1])])
        design = self._design(matrix)
        both = np.concatenate([design, design])
        outcome = np.concatenate([np.ones(len(rows)), np.zeros(len(rows))])
        weight = np.concatenate([target, 1 - target])  # a row that churned with probability 0.7 counts 0.7 and 0.3
        classifier = LogisticRegression(C=self.C, max_iter=self.maximum_iterations)
        classifier.fit(both[weight > 0], outcome[weight > 0], sample_weight=weight[weight > 0])
        self.weights_ = classifier.coef_[0].astype(np.float64)
        self.intercept_ = float(classifier.intercept_[0])
        self.average_ = design.mean(axis=0)
        return self

    def _design(self, matrix: Array) -> Array:
        """Numbers, then missing indicators, then level indicators; shape (n_rows, n_terms)."""
        texts = set(self.encoder_.text_columns)
        numbers = [i for i in range(matrix.shape[1]) if i not in texts]
        missing = np.isnan(matrix)
        scaled = (_compress(matrix) - self.center_) / self.scale_
        scaled[missing] = 0.0
        parts = [scaled[:, numbers], missing[:, numbers].astype(np.float64)]
        parts += [(matrix[:, [i]] == np.arange(self._levels(i))).astype(np.float64) for i in sorted(texts)]
        return np.concatenate(parts, axis=1)

    def _levels(self, position: int) -> int:
        return min(len(self.encoder_.levels[self.columns_[position]]), MOST_LEVELS)

    def _owners(self) -> list[str]:
        """The column that each term of the design belongs to."""
        texts = set(self.encoder_.text_columns)
        numbers = [name for i, name in enumerate(self.columns_) if i not in texts]
        levels = [self.columns_[i] for i in sorted(texts) for _ in range(self._levels(i))]
        return [*numbers, *numbers, *levels]

    def _log_odds(self, rows: pd.DataFrame) -> Array:
        terms = self._design(self.encoder_.transform(rows))
        total = np.full(len(rows), self.intercept_)
        for i, weight in enumerate(self.weights_):  # term by term: a matrix product may round a lone row differently
            total += weight * terms[:, i]
        return total

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The probability of the outcome; see `Model.score`."""
        self._check_columns(rows)
        return pd.DataFrame({self.output: expit(self._log_odds(rows))})

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Contribution of each feature to the log-odds of churn, against the average training row."""
        self._check_columns(rows)
        terms = self._design(self.encoder_.transform(rows))
        shares = dict.fromkeys(self.columns_, np.zeros(len(rows)))
        for i, owner in enumerate(self._owners()):
            shares[owner] = shares[owner] + self.weights_[i] * (terms[:, i] - self.average_[i])
        return pd.DataFrame(shares)

    def state(self) -> State:
        """Everything as JSON."""
        return State(
            {
                "settings": self.get_params(),
                "encoder": self.encoder_.state(),
                "center": plain(self.center_),
                "scale": plain(self.scale_),
                "weights": plain(self.weights_),
                "intercept": self.intercept_,
                "average": plain(self.average_),
            }
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        kept: Any = state.parameters
        model = cls(**kept["settings"])
        model.encoder_ = Encoder.from_state(kept["encoder"])
        model.columns_ = model.encoder_.columns
        model.center_ = np.array(kept["center"])
        model.scale_ = np.array(kept["scale"])
        model.weights_ = np.array(kept["weights"])
        model.intercept_ = kept["intercept"]
        model.average_ = np.array(kept["average"])
        return model


def _compress(matrix: Array) -> Array:
    return np.sign(matrix) * np.log1p(np.abs(matrix))


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else 0.0


def _spread(values: Array) -> float:
    spread = float(values.std()) if len(values) else 0.0
    return spread if spread > 1e-9 else 1.0
