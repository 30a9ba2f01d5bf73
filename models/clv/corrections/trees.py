"""Gradient-boosted trees for what customers do in a window: orders, their value, and whether there is any."""

from dataclasses import dataclass
from typing import Any, Self

import lightgbm
import numpy as np

from models.base import Array
from models.encoding import names_for_trees

FEW_ROWS = 1_000


@dataclass(frozen=True)
class Growth:
    """How trees are grown, as in LightGBM, whatever they predict.

    Parameters
    ----------
    trees : int
        Their number.
    learning_rate, num_leaves, max_bin, feature_fraction, bagging_fraction, lambda_l2
        As in LightGBM.
    random_state : int
        Seed of the sampling of features and rows.
    """

    trees: int
    learning_rate: float
    num_leaves: int
    max_bin: int
    feature_fraction: float
    bagging_fraction: float
    lambda_l2: float
    random_state: int

    def settings(self, objective: str, rows: int) -> dict[str, Any]:
        """LightGBM's parameters for so many rows."""
        return {
            "objective": objective,
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "max_bin": self.max_bin,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": self.lambda_l2,
            "min_data_in_leaf": int(np.clip(rows // 200, 20, 300)),
            "seed": self.random_state,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,  # the trees are the same; beside other work threads wait for each other many times longer
            "verbosity": -1,
        }


@dataclass(frozen=True)
class Lesson:
    """What trees learn from.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_columns)
        Features, names as codes.
    target : ndarray of shape (n_rows,)
        What to predict.
    offset : ndarray of shape (n_rows,), optional
        What is known already, on the raw scale: the trees learn what is to be added.
    weight : ndarray of shape (n_rows,), optional
        How much each row counts.
    """

    matrix: Array
    target: Array
    offset: Array | None = None
    weight: Array | None = None


@dataclass(frozen=True)
class Trees:
    """A fitted booster on a matrix of features, answering on its raw scale: a logarithm, or log-odds.

    Parameters
    ----------
    booster : lightgbm.Booster
        As LightGBM made it.
    """

    booster: lightgbm.Booster

    @classmethod
    def fit(cls, objective: str, lesson: Lesson, names: list[str], text_columns: list[int], growth: Growth) -> Self:
        """Grow trees.

        Parameters
        ----------
        objective : {"poisson", "gamma", "binary"}
            Loss; the raw scale of the first two is a logarithm, of the last log-odds.
        lesson : Lesson
            Rows to learn from; at least one.
        names : list of str
            Of the columns.
        text_columns : list of int
            Which of them hold codes.
        growth : Growth
            How.
        """
        data = lightgbm.Dataset(
            lesson.matrix,
            lesson.target,
            weight=lesson.weight,
            init_score=lesson.offset,
            feature_name=names_for_trees(names),
            categorical_feature=text_columns,
        )
        settings = growth.settings(objective, len(lesson.target))
        return cls(lightgbm.train(settings, data, growth.trees, callbacks=[lightgbm.log_evaluation(0)]))

    def predict(self, matrix: Array) -> Array:
        """The sum of the trees, without the offset, shape (n_rows,)."""
        threads = 1 if len(matrix) < FEW_ROWS else 0  # starting threads costs more than a few rows take
        return np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=threads), dtype=np.float64)

    def contributions(self, matrix: Array) -> Array:
        """Contribution of each column to the sum of the trees, shape (n_rows, n_columns).

        References
        ----------
        Lundberg, S. M. et al. (2020). From local explanations to global understanding with explainable AI for trees.
        Nature Machine Intelligence 2, algorithm 2 (TreeSHAP), as LightGBM computes it.
        """
        if not len(matrix):  # of which LightGBM cannot explain any
            return np.empty(matrix.shape)
        threads = 1 if len(matrix) < FEW_ROWS // 10 else 0
        found = self.booster.predict(matrix, pred_contrib=True, num_threads=threads)
        return np.asarray(found, dtype=np.float64)[:, :-1]

    def text(self) -> str:
        """The trees as LightGBM's text."""
        return str(self.booster.model_to_string())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the trees back."""
        return cls(lightgbm.Booster(model_str=text))
