"""Uplift: what an action changes in a customer's outcome, learned from a randomised experiment by two meta-learners.

References
----------
Künzel, S. R., Sekhon, J. S., Bickel, P. J. and Yu, B. (2019). Metalearners for estimating heterogeneous treatment
effects using machine learning. PNAS 116(10), on the T-learner and the X-learner.
"""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from models.base import Array, State, check_columns
from models.contract import Contract
from models.encoding import Encoder
from models.errors import OneClassOnly, UnknownParameter
from models.persistence import CONTRACT, MANIFEST, STATE, read_verified, write_verified


class UpliftModel(BaseEstimator, ABC):  # type: ignore[misc]
    """Base of the learners: one small boosted regression an outcome, and what they make of it.

    Parameters
    ----------
    trees : int
        In each regression.
    learning_rate, num_leaves, lambda_l2
        As in LightGBM.
    random_state : int
        Seed.
    """

    parts: ClassVar[tuple[str, ...]]
    """Names of the regressions."""
    columns_: tuple[str, ...]

    def __init__(
        self,
        trees: int = 60,
        learning_rate: float = 0.05,
        num_leaves: int = 5,
        lambda_l2: float = 10.0,
        random_state: int = 0,
    ) -> None:
        self.trees = trees
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.lambda_l2 = lambda_l2
        self.random_state = random_state

    def fit(self, rows: pd.DataFrame, outcome: Array, treated: Array) -> Self:
        """Learn from an experiment.

        Parameters
        ----------
        rows : pandas.DataFrame, shape (n_rows, n_features)
            Features as known before the action.
        outcome : ndarray of shape (n_rows,)
            What followed: 0 or 1, or an amount.
        treated : ndarray of shape (n_rows,)
            1 where the action was done, 0 where it was held back, by lot.

        Returns
        -------
        UpliftModel
            Itself.

        Raises
        ------
        OneClassOnly
            If nobody was held back, or everybody.
        """
        share = float(np.mean(treated)) if len(treated) else 0.0
        if not 0 < share < 1:
            raise OneClassOnly("treated", len(treated), share)
        self.columns_ = tuple(map(str, rows.columns))
        self.encoder_ = Encoder.fit(rows)
        self.treated_share_ = share
        matrix, was = self.encoder_.transform(rows), treated > 0
        self.boosters_ = {
            "treated": self._regress(matrix[was], outcome[was]),
            "control": self._regress(matrix[~was], outcome[~was]),
        }
        self._learn_effects(matrix, outcome, was)
        return self

    @abstractmethod
    def _learn_effects(self, matrix: Array, outcome: Array, was: Any) -> None:
        """Put the regressions of `parts` in the place of those of both groups."""

    def _regress(self, matrix: Array, target: Array) -> lightgbm.Booster:
        settings = {
            "objective": "regression",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "lambda_l2": self.lambda_l2,
            "max_bin": 63,
            "feature_fraction": 0.5,
            "min_data_in_leaf": int(np.clip(len(target) // 50, 10, 500)),
            "seed": self.random_state,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(
            matrix,
            target,
            feature_name=list(self.columns_),
            categorical_feature=self.encoder_.text_columns,
        )
        return lightgbm.train(settings, data, self.trees)

    def score(self, rows: pd.DataFrame) -> Array:
        """Predicted uplift of each row, in units of the outcome.

        Raises
        ------
        WrongColumns
            If the columns are not exactly the model's, in its order.
        """
        check_columns(self.columns_, list(rows.columns))
        if rows.empty:
            return np.empty(0)
        matrix = self.encoder_.transform(rows)
        return self._effect({name: self._predict(name, matrix) for name in self.parts})

    def _predict(self, name: str, matrix: Array) -> Array:
        return np.asarray(self.boosters_[name].predict(matrix, num_threads=1), dtype=np.float64)

    @abstractmethod
    def _effect(self, predicted: dict[str, Array]) -> Array:
        """Uplift from what the regressions predict, by their names."""

    def state(self) -> State:
        """Encoder and settings as JSON, trees as LightGBM's text."""
        parameters = {
            "settings": self.get_params(),
            "encoder": self.encoder_.state(),
            "treated_share": self.treated_share_,
        }
        return State(parameters, {f"{name}.txt": self.boosters_[name].model_to_string() for name in self.parts})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        model = cls(**state.parameters["settings"])
        model.encoder_ = Encoder.from_state(state.parameters["encoder"])
        model.columns_ = model.encoder_.columns
        model.treated_share_ = state.parameters["treated_share"]
        model.boosters_ = {name: lightgbm.Booster(model_str=state.texts[f"{name}.txt"]) for name in cls.parts}
        return model


class TLearner(UpliftModel):
    """Two regressions of the outcome, of the treated and of the control; uplift is their difference."""

    parts = ("treated", "control")

    def _learn_effects(self, matrix: Array, outcome: Array, was: Any) -> None:
        """Nothing more: the outcomes of both groups are what it needs."""

    def _effect(self, predicted: dict[str, Array]) -> Array:
        return predicted["treated"] - predicted["control"]


class XLearner(UpliftModel):
    """Two regressions of the effect imputed from the other group's outcomes; made for groups of unlike size."""

    parts = ("effect_of_treated", "effect_of_control")

    def _learn_effects(self, matrix: Array, outcome: Array, was: Any) -> None:
        without, with_action = self._predict("control", matrix[was]), self._predict("treated", matrix[~was])
        self.boosters_ = {
            "effect_of_treated": self._regress(matrix[was], outcome[was] - without),
            "effect_of_control": self._regress(matrix[~was], with_action - outcome[~was]),
        }

    def _effect(self, predicted: dict[str, Array]) -> Array:
        share = self.treated_share_
        return share * predicted["effect_of_control"] + (1 - share) * predicted["effect_of_treated"]


LEARNERS: dict[str, type[UpliftModel]] = {"uplift_t": TLearner, "uplift_x": XLearner}
"""By family name."""
WRITTEN = (MANIFEST, CONTRACT, STATE, *(f"{part}.txt" for learner in LEARNERS.values() for part in learner.parts))
"""Every name that a learner is kept under."""


@dataclass(frozen=True)
class KeptUplift:
    """A fitted learner with its contract and what was found of it."""

    model: UpliftModel
    contract: Contract
    found: dict[str, Any]


def save_uplift(kept: KeptUplift, folder: Path) -> Path:
    """Write a learner into a folder, as `models.persistence.save` writes a model."""
    state = kept.model.state()
    parameters = {**state.parameters, "found": kept.found}
    files = {
        CONTRACT: kept.contract.model_dump_json(indent=1),
        STATE: json.dumps(parameters, indent=1, sort_keys=True, allow_nan=False),
        **state.texts,
    }
    return write_verified(files, folder)


def load_uplift(folder: Path) -> KeptUplift:
    """Read a learner back.

    Raises
    ------
    ModelDamaged
        If a file is missing, new or changed.
    UnknownParameter
        If there is no such learner.
    """
    texts = read_verified(folder)
    contract = Contract.model_validate_json(texts.pop(CONTRACT))
    parameters = json.loads(texts.pop(STATE))
    if contract.family not in LEARNERS:
        raise UnknownParameter("uplift", contract.family, LEARNERS)
    found = parameters.pop("found")
    return KeptUplift(LEARNERS[contract.family].from_state(State(parameters, texts)), contract, found)
