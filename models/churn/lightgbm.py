"""Gradient-boosted trees for churn, on LightGBM's native booster."""

from typing import Any, ClassVar, Self

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array, Model, State
from models.churn.calibration import choose_calibration, read_calibration
from models.churn.target import check_target
from models.encoding import Encoder, names_for_trees
from models.folds import deal

FOLDS = 5
FOLDED_ROWS = 200_000
"""From so many rows one fold is unseen, and not each in turn: a fifth of them is enough to stop and calibrate on."""
MANY_ROWS = 50_000
FEW_ROWS = 1_000


class ChurnLightGBM(Model):
    """Many small trees, stopped and calibrated on customers they have not seen.

    The customers are dealt into five folds; each of five boosters learns from four of them and stops on the fifth. What
    the folds were told unseen calibrates the mean of the boosters, so that nobody is set aside for it.

    The trees are small and strongly regularised by default because purchase logs hold a few strong signals and much
    noise; deep trees fit the noise. No class weights and no resampling: both spoil probabilities.

    Parameters
    ----------
    maximum_trees : int
        Upper bound of the number of trees of each booster.
    learning_rate, num_leaves, max_bin, feature_fraction, lambda_l2
        As in LightGBM.
    minimum_leaf_rows : int, optional
        Fewest rows in a leaf; by default 1/200 of the rows, between 20 and 500.
    patience : int
        Trees without a gain on the unseen fold after which to stop.
    random_state : int
        Seed of the folds and of feature sampling.

    References
    ----------
    Breiman, L. (1996). Stacked regressions. Machine Learning 24, section 2: what is learned on top of models is learned
    from what they say of rows they have not seen.
    """

    output: ClassVar[str] = "probability_churned"

    def __init__(
        self,
        maximum_trees: int = 500,
        learning_rate: float = 0.05,
        num_leaves: int = 5,
        max_bin: int = 63,
        feature_fraction: float = 0.5,
        lambda_l2: float = 10.0,
        minimum_leaf_rows: int | None = None,
        patience: int = 30,
        random_state: int = 0,
    ) -> None:
        self.maximum_trees = maximum_trees
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.max_bin = max_bin
        self.feature_fraction = feature_fraction
        self.lambda_l2 = lambda_l2
        self.minimum_leaf_rows = minimum_leaf_rows
        self.patience = patience
        self.random_state = random_state

    def fit(self, rows: pd.DataFrame, target: Array | None = None) -> Self:
        """Fit trees to the probability that each row churned; see `Model.fit`."""
        target = check_target(target)
        self.columns_ = tuple(map(str, rows.columns))
        self.encoder_ = Encoder.fit(rows)
        people = pd.factorize(rows.index)[0].astype(np.int64)
        fold = deal(people, target, FOLDS, self.random_state)
        matrix = self.encoder_.transform(rows)
        settings = self._settings(len(rows))
        data = lightgbm.Dataset(
            matrix,
            target,
            params=settings,
            feature_name=names_for_trees(self.columns_),
            categorical_feature=self.encoder_.text_columns,
        ).construct()
        self.boosters_: list[lightgbm.Booster] = []
        log_odds = np.full(len(rows), np.nan)
        for number in range(FOLDS if len(rows) < FOLDED_ROWS else 1):
            unseen = fold == number
            if unseen.any():
                booster = self._grow(data, settings, unseen)
                log_odds[unseen] = _predict(booster, matrix[unseen])
                self.boosters_.append(booster)
        told = ~np.isnan(log_odds)
        chosen = choose_calibration(log_odds[told], target[told], people[told])
        self.calibration_, self.calibration_losses_ = chosen.calibration, dict(chosen.losses)
        return self

    def _grow(
        self, data: lightgbm.Dataset, settings: dict[str, Any], unseen: npt.NDArray[np.bool_]
    ) -> lightgbm.Booster:
        """Trees of all rows but some, as many as do those good."""
        booster = lightgbm.train(
            settings,
            data.subset(np.flatnonzero(~unseen).tolist()),
            self.maximum_trees,
            valid_sets=[data.subset(np.flatnonzero(unseen).tolist())],
            callbacks=[lightgbm.log_evaluation(0), lightgbm.early_stopping(self.patience, verbose=False)],
        )
        return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))

    def _settings(self, rows: int) -> dict[str, Any]:
        leaf_rows = self.minimum_leaf_rows or int(np.clip(rows // 200, 20, 500))
        return {
            "objective": "cross_entropy",  # takes the probability of an outcome, not only 0 and 1
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "max_bin": self.max_bin,
            "feature_fraction": self.feature_fraction,
            "lambda_l2": self.lambda_l2,
            "min_data_in_leaf": leaf_rows,
            "seed": self.random_state,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1 if rows < MANY_ROWS else 0,  # the trees are the same; on few rows threads only wait
            "verbosity": -1,
        }

    def _log_odds(self, matrix: Array) -> Array:
        """The mean of the boosters, before calibration."""
        return np.asarray(np.mean([_predict(booster, matrix) for booster in self.boosters_], axis=0))

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The calibrated probability of the outcome; see `Model.score`."""
        self._check_columns(rows)
        return pd.DataFrame({self.output: self.calibration_.apply(self._log_odds(self.encoder_.transform(rows)))})

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Contribution of each feature to the calibrated log-odds of churn, against the average row.

        Trees share out the raw log-odds; the shares are scaled to what the calibration makes of their sum.

        References
        ----------
        Lundberg, S. M. et al. (2020). From local explanations to global understanding with explainable AI for trees.
        Nature Machine Intelligence 2, algorithm 2 (TreeSHAP), as LightGBM computes it.
        """
        self._check_columns(rows)
        if rows.empty:  # of which LightGBM cannot explain any
            return pd.DataFrame(columns=list(self.columns_), dtype=np.float64)
        matrix = self.encoder_.transform(rows)
        shares = np.mean([_contributions(booster, matrix) for booster in self.boosters_], axis=0)
        scale = self.calibration_.scale(self._log_odds(matrix), shares[:, -1])
        return pd.DataFrame(shares[:, :-1] * scale[:, None], columns=list(self.columns_))

    def state(self) -> State:
        """Encoder and calibration as JSON, trees as LightGBM's text."""
        parameters = {
            "settings": self.get_params(),
            "encoder": self.encoder_.state(),
            "calibration": self.calibration_.state(),
            "calibration_losses": self.calibration_losses_,
            "boosters": len(self.boosters_),
        }
        return State(parameters, {_file(i): each.model_to_string() for i, each in enumerate(self.boosters_)})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        model = cls(**state.parameters["settings"])
        model.encoder_ = Encoder.from_state(state.parameters["encoder"])
        model.columns_ = model.encoder_.columns
        model.calibration_ = read_calibration(state.parameters["calibration"])
        model.calibration_losses_ = dict(state.parameters["calibration_losses"])
        files = [_file(i) for i in range(state.parameters["boosters"])]
        model.boosters_ = [lightgbm.Booster(model_str=state.texts[file]) for file in files]
        return model

    def fitted_parameters(self) -> dict[str, float]:
        """Number of trees, the calibration, and the out-of-fold log loss of each kind of it that was tried."""
        losses = {f"calibration_loss_{kind}": loss for kind, loss in self.calibration_losses_.items()}
        trees = sum(booster.num_trees() for booster in self.boosters_)
        return {"trees": float(trees), **self.calibration_.parameters(), **losses}


def _file(number: int) -> str:
    return f"booster_{number}.txt"


def _predict(booster: lightgbm.Booster, matrix: Array) -> Array:
    threads = 1 if len(matrix) < FEW_ROWS else 0  # starting threads costs more than a few rows take
    return np.asarray(booster.predict(matrix, raw_score=True, num_threads=threads), dtype=np.float64)


def _contributions(booster: lightgbm.Booster, matrix: Array) -> Array:
    threads = 1 if len(matrix) < FEW_ROWS // 10 else 0
    return np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=threads), dtype=np.float64)
