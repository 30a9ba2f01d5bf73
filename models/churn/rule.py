"""The rule every churn model must beat: how long ago the last order was."""

from typing import Any, Self

import numpy as np
import pandas as pd

from models.base import Array, Model, State, column, plain
from models.churn.calibration import log_odds
from models.churn.target import check_target

SINCE = "days_since_last_order"


class ChurnRule(Model):
    """Churn rate of the customers who last ordered about as long ago; an unknown last order counts as the longest ago.

    Parameters
    ----------
    bins : int
        Equally filled groups of days since the last order.
    """

    def __init__(self, bins: int = 20) -> None:
        self.bins = bins

    def fit(
        self,
        rows: pd.DataFrame,
        target: Array | None = None,
        validation: tuple[pd.DataFrame, Array] | None = None,
    ) -> Self:
        """Average the target in each group, shrunk a little to the overall rate; see `Model.fit`."""
        target = check_target(target)
        self.columns_ = tuple(map(str, rows.columns))
        since = column(rows, SINCE)
        known = since[~np.isnan(since)]
        shares = np.linspace(0, 1, self.bins + 1)[1:-1]
        self.edges_ = np.unique(np.quantile(known, shares)) if len(known) else np.empty(0)
        group = np.searchsorted(self.edges_, since, side="right")
        count = np.bincount(group, minlength=len(self.edges_) + 1)
        churned = np.bincount(group, weights=target, minlength=len(self.edges_) + 1)
        self.overall_ = float(target.mean())
        self.rates_ = (churned + self.overall_) / (count + 1)
        return self

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """`probability_churned`: the rate of the row's group; see `Model.score`."""
        self._check_columns(rows)
        group = np.searchsorted(self.edges_, column(rows, SINCE), side="right")
        return pd.DataFrame({"probability_churned": self.rates_[group]})

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """All of it is the days since the last order."""
        gain = log_odds(self.score(rows)["probability_churned"].to_numpy()) - log_odds(np.array([self.overall_]))
        zero = np.zeros(len(rows))
        return pd.DataFrame({name: gain if name == SINCE else zero for name in self.columns_})

    def state(self) -> State:
        """Everything as JSON."""
        return State(
            {
                "settings": self.get_params(),
                "columns": list(self.columns_),
                "edges": plain(self.edges_),
                "rates": plain(self.rates_),
                "overall": self.overall_,
            }
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        kept: Any = state.parameters
        model = cls(**kept["settings"])
        model.columns_ = tuple(kept["columns"])
        model.edges_ = np.array(kept["edges"])
        model.rates_ = np.array(kept["rates"])
        model.overall_ = kept["overall"]
        return model
