"""Gradient-boosted trees for churn, on LightGBM's native booster."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np
import pandas as pd

from models.base import Array, Model, State
from models.churn.calibration import Calibration, Platt, choose_calibration, read_calibration
from models.churn.target import check_target
from models.encoding import Encoder, names_for_trees

BOOSTER = "booster.txt"
MANY_ROWS = 50_000


class ChurnLightGBM(Model):
    """Many small trees, stopped and calibrated on customers they have not seen.

    The trees are small and strongly regularised by default because purchase logs hold a few strong signals and much
    noise; deep trees fit the noise. No class weights and no resampling: both spoil probabilities.

    Parameters
    ----------
    maximum_trees : int
        Upper bound of the number of trees.
    learning_rate, num_leaves, max_bin, feature_fraction, lambda_l2
        As in LightGBM.
    minimum_leaf_rows : int, optional
        Fewest rows in a leaf; by default 1/200 of the rows, between 20 and 500.
    patience : int
        Trees without a gain on the validation rows after which to stop.
    random_state : int
        Seed of feature sampling.
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

    def fit(
        self,
        rows: pd.DataFrame,
        target: Array | None = None,
        validation: tuple[pd.DataFrame, Array] | None = None,
    ) -> Self:
        """Fit trees to the probability that each row churned; see `Model.fit`."""
        target = check_target(target)
        self.calibration_: Calibration
        self.calibration_losses_: dict[str, float]
        self.columns_ = tuple(map(str, rows.columns))
        self.encoder_ = Encoder.fit(rows)
        data = self._dataset(rows, target)
        callbacks: list[Callable[..., Any]] = [lightgbm.log_evaluation(0)]
        valid_sets = None
        if validation is not None:
            valid_sets = [self._dataset(*validation, reference=data)]
            callbacks.append(lightgbm.early_stopping(self.patience, verbose=False))
        self.booster_ = lightgbm.train(
            self._settings(len(rows)), data, self.maximum_trees, valid_sets=valid_sets, callbacks=callbacks
        )
        self.trees_ = int(self.booster_.best_iteration) if validation is not None else self.booster_.num_trees()
        self.calibration_, self.calibration_losses_ = Platt(), {}
        if validation is not None:
            unseen, outcome = validation
            chosen = choose_calibration(self._log_odds(unseen), outcome, unseen.index.to_numpy())
            self.calibration_, self.calibration_losses_ = chosen.calibration, dict(chosen.losses)
        return self

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

    def _dataset(
        self, rows: pd.DataFrame, target: Array, reference: lightgbm.Dataset | None = None
    ) -> lightgbm.Dataset:
        return lightgbm.Dataset(
            self.encoder_.transform(rows),
            target,
            reference=reference,
            feature_name=names_for_trees(self.columns_),
            categorical_feature=self.encoder_.text_columns,
        )

    def _log_odds(self, rows: pd.DataFrame) -> Array:
        matrix = self.encoder_.transform(rows)
        threads = 1 if len(rows) < 1000 else 0  # starting threads costs more than a few rows take
        return np.asarray(
            self.booster_.predict(matrix, raw_score=True, num_iteration=self.trees_, num_threads=threads),
            dtype=np.float64,
        )

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The calibrated probability of the outcome; see `Model.score`."""
        self._check_columns(rows)
        return pd.DataFrame({self.output: self.calibration_.apply(self._log_odds(rows))})

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
        threads = 1 if len(rows) < 100 else 0
        matrix = self.encoder_.transform(rows)
        predicted: Any = self.booster_.predict(
            matrix, pred_contrib=True, num_iteration=self.trees_, num_threads=threads
        )
        scale = self.calibration_.scale(self._log_odds(rows), predicted[:, -1])
        return pd.DataFrame(predicted[:, :-1] * scale[:, None], columns=list(self.columns_))

    def state(self) -> State:
        """Encoder and calibration as JSON, trees as LightGBM's text."""
        parameters = {
            "settings": self.get_params(),
            "encoder": self.encoder_.state(),
            "calibration": self.calibration_.state(),
            "calibration_losses": self.calibration_losses_,
            "trees": self.trees_,
        }
        return State(parameters, {BOOSTER: self.booster_.model_to_string(num_iteration=self.trees_)})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        model = cls(**state.parameters["settings"])
        model.encoder_ = Encoder.from_state(state.parameters["encoder"])
        model.columns_ = model.encoder_.columns
        model.calibration_ = read_calibration(state.parameters["calibration"])
        model.calibration_losses_ = dict(state.parameters["calibration_losses"])
        model.trees_ = state.parameters["trees"]
        model.booster_ = lightgbm.Booster(model_str=state.texts[BOOSTER])
        return model

    def fitted_parameters(self) -> dict[str, float]:
        """Number of trees, the calibration, and the out-of-fold log loss of each kind of it that was tried."""
        losses = {f"calibration_loss_{kind}": loss for kind, loss in self.calibration_losses_.items()}
        return {"trees": float(self.trees_), **self.calibration_.parameters(), **losses}
