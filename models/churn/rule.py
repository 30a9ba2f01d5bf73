"""The rule every classifier must beat: what one column alone tells."""

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array, Model, State, plain
from models.churn.calibration import log_odds
from models.churn.target import check_target
from models.encoding import Encoder

Groups = npt.NDArray[np.int64]


class ChurnRule(Model):
    """Rate of the outcome among customers who are alike in one column.

    The column is how long ago the last order was (an unknown one counts as the longest ago). Where nothing is known of
    that, as in a table without dates, it is the column that alone tells most of the outcome; where none tells more than
    chance would, it is the rate of all: a column chosen for its noise would be beaten by anything.

    Parameters
    ----------
    bins : int
        Equally filled groups of its numbers; each name is a group of its own.
    """

    output: ClassVar[str] = "probability_churned"
    column: ClassVar[str] = "days_since_last_order"

    def __init__(self, bins: int = 20) -> None:
        self.bins = bins

    def fit(self, rows: pd.DataFrame, target: Array | None = None) -> Self:
        """Average the target in each group, shrunk a little to the overall rate; see `Model.fit`."""
        target = check_target(target)
        self.columns_ = tuple(map(str, rows.columns))
        self.overall_ = float(target.mean())
        is_known = self.column in self.columns_
        tried: dict[str, tuple[Encoder, Array, Array, float]] = {}
        if not is_known:
            rates = np.array([self.overall_])
            tried[""] = (Encoder((), {}), np.empty(0), rates, _cost(np.full(len(rows), self.overall_), target, 1))
        for name in [self.column] if is_known else self.columns_:
            encoder = Encoder.fit(rows[[name]])
            edges = self._edges(name, encoder, rows)
            group = _group(_codes(name, encoder, rows), edges)
            rates = self._rates(group, len(edges), target)
            tried[name] = (encoder, edges, rates, _cost(rates[group], target, len(rates)))
        self.chosen_ = min(tried, key=lambda name: tried[name][3])
        self.encoder_, self.edges_, self.rates_, _ = tried[self.chosen_]
        return self

    def _edges(self, name: str, encoder: Encoder, rows: pd.DataFrame) -> Array:
        """Where one group ends and the next begins: between names, or between equally filled groups of numbers."""
        if name in encoder.levels:
            return np.arange(1.0, len(encoder.levels[name]) + 1)
        values = _codes(name, encoder, rows)
        known = values[~np.isnan(values)]
        shares = np.linspace(0, 1, self.bins + 1)[1:-1]
        edges = np.unique(np.quantile(known, shares)) if len(known) else np.empty(0)
        distinct = np.unique(known)
        if len(edges) >= min(len(distinct) - 1, self.bins // 2):
            return edges
        return np.unique(np.quantile(distinct[1:], np.append(0.0, shares), method="nearest"))  # most have one value

    def _rates(self, group: Groups, edges: int, target: Array) -> Array:
        count = np.bincount(group, minlength=edges + 1)
        happened = np.bincount(group, weights=target, minlength=edges + 1)
        return np.asarray((happened + self.overall_) / (count + 1), dtype=np.float64)

    def _probability(self, rows: pd.DataFrame) -> Array:
        if not self.chosen_:
            return np.full(len(rows), self.overall_)
        return self.rates_[_group(_codes(self.chosen_, self.encoder_, rows), self.edges_)]

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rate of the row's group; see `Model.score`."""
        self._check_columns(rows)
        return pd.DataFrame({self.output: self._probability(rows)})

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """All of it is the one column."""
        self._check_columns(rows)
        gain = log_odds(self._probability(rows)) - log_odds(np.array([self.overall_]))
        zero = np.zeros(len(rows))
        return pd.DataFrame({name: gain if name == self.chosen_ else zero for name in self.columns_})

    def state(self) -> State:
        """Everything as JSON."""
        return State(
            {
                "settings": self.get_params(),
                "columns": list(self.columns_),
                "chosen": self.chosen_,
                "encoder": self.encoder_.state(),
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
        model.chosen_ = kept["chosen"]
        model.encoder_ = Encoder.from_state(kept["encoder"])
        model.edges_ = np.array(kept["edges"])
        model.rates_ = np.array(kept["rates"])
        model.overall_ = kept["overall"]
        return model


def _codes(name: str, encoder: Encoder, rows: pd.DataFrame) -> Array:
    return encoder.transform(rows[[name]])[:, 0]


def _group(codes: Array, edges: Array) -> Groups:
    """The group of each value; a missing one is in the last."""
    return np.asarray(np.searchsorted(edges, codes, side="right"), dtype=np.int64)


def _cost(rate: Array, target: Array, groups: int) -> float:
    """Log loss of all rows and what so many groups would gain from noise alone.

    References
    ----------
    Schwarz, G. (1978). Estimating the Dimension of a Model. The Annals of Statistics 6(2), section 1.
    """
    inside = np.clip(rate, 1e-6, 1 - 1e-6)
    loss = -np.sum(target * np.log(inside) + (1 - target) * np.log(1 - inside))
    return float(loss + groups / 2 * np.log(len(target)))
