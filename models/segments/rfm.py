"""Segments by rule (RFM): scores from 1 to 5 for days since the last order, frequency and value, and their names."""

from typing import Any, Self

import numpy as np
import pandas as pd

from models.base import Array, Model, State, plain
from models.errors import TooFewRows
from models.segments.base import REPEATS, RFM, SINCE, VALUE, deviations, known, log_rfm

LEAST_CUSTOMERS = 30
NAMES = (
    "Champions", "Loyal", "Promising", "New", "Needs attention",
    "At risk", "Hibernating", "Lost",
)  # fmt: skip


class SegmentsRFM(Model):
    """The marketer's rule: fifths of days since the last order, frequency and value.

    Learns only the fifths' borders; the names follow from the scores by a fixed table (`_segment`).
    """

    def fit(self, rows: pd.DataFrame, target: Array | None = None) -> Self:
        """Learn the borders of the fifths; see `Model.fit`. Takes no target.

        Raises
        ------
        TooFewRows
            With fewer than 30 customers.
        """
        del target
        if len(rows) < LEAST_CUSTOMERS:
            raise TooFewRows("customers", len(rows), LEAST_CUSTOMERS, "Give a profile with more customers.")
        self.columns_ = tuple(map(str, rows.columns))
        self.borders_ = {name: np.quantile(known(rows, name), [0.2, 0.4, 0.6, 0.8]) for name in RFM}
        points = log_rfm(rows)
        self.center_, spread = points.mean(axis=0), points.std(axis=0)
        self.scale_ = np.where(spread > 1e-9, spread, 1.0)
        return self

    def _scores(self, rows: pd.DataFrame) -> tuple[Array, Array]:
        """Score of days since the last order, and the mean of frequency and value scores; 5 is best."""
        fifth = {name: np.searchsorted(self.borders_[name], known(rows, name), side="left") for name in RFM}
        worth = 1 + (fifth[REPEATS] + fifth[VALUE]) / 2
        return 5.0 - fifth[SINCE].astype(np.float64), worth.astype(np.float64)

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """`segment_id`, in the order of `NAMES`, and `segment`; see `Model.score`."""
        self._check_columns(rows)
        lately, worth = self._scores(rows)
        ids = np.array([_segment(*scores) for scores in zip(lately, worth, strict=True)], dtype=np.int64)
        return pd.DataFrame({"segment_id": ids, "segment": pd.Series([NAMES[i] for i in ids], dtype="str")})

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """How far each row stands from the average customer, in standard deviations of the log scale."""
        self._check_columns(rows)
        return deviations(log_rfm(rows), self.center_, self.scale_)

    def state(self) -> State:
        """The borders as JSON."""
        return State(
            {
                "columns": list(self.columns_),
                "borders": {name: plain(border) for name, border in self.borders_.items()},
                "center": plain(self.center_),
                "scale": plain(self.scale_),
            }
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        kept: Any = state.parameters
        model = cls()
        model.columns_ = tuple(kept["columns"])
        model.borders_ = {name: np.array(border) for name, border in kept["borders"].items()}
        model.center_, model.scale_ = np.array(kept["center"]), np.array(kept["scale"])
        return model


def _segment(lately: float, worth: float) -> int:
    """Position in `NAMES` of a score of days since the last order and a mean frequency and value score, both 1 to 5."""
    if lately >= 4:
        return 0 if worth >= 4 else 1 if worth >= 3 else 2 if worth >= 2 else 3
    if lately >= 3:
        return 1 if worth >= 4 else 4
    return 5 if worth >= 3.5 else 6 if worth >= 2 else 7
