"""What the families of lifetime value share: terms on which they value, and reasons against an average customer."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from models.base import Array, Model
from models.clv.value import Terms

TINY = 1e-12


class ClvModel(Model):
    """Base of the families of lifetime value.

    Attributes
    ----------
    horizon_days, annual_discount_rate, margin_rate, annual_cost_to_serve : float
        Settings of each of them; see `models.clv.value.Terms`.
    """

    horizon_days: float
    annual_discount_rate: float
    margin_rate: float
    annual_cost_to_serve: float

    @property
    def terms(self) -> Terms:
        """On what terms orders are valued."""
        return Terms(self.horizon_days, self.annual_discount_rate, self.margin_rate, self.annual_cost_to_serve)


class ClvOfOrders(ClvModel):
    """Base of the families that forecast orders, whose margin may be a customer's own."""

    @abstractmethod
    def score(self, rows: pd.DataFrame, margin_rates: Array | None = None) -> pd.DataFrame:
        """Value each customer; see `Model.score`.

        Parameters
        ----------
        rows
            See `Model.score`.
        margin_rates : ndarray of shape (n_rows,), optional
            Margin rate of each customer, see `models.clv.margins`; without it, that of the terms.

        Returns
        -------
        pandas.DataFrame
            `models.clv.answer.COLUMNS`.
        """


def in_chunks(rows: pd.DataFrame, margin_rates: Array | None, size: int) -> Iterator[tuple[pd.DataFrame, Array | None]]:
    """Rows and their margin rates so many at a time; one part without rows where there are none."""
    for start in range(0, max(len(rows), 1), size):
        some = slice(start, start + size)
        yield rows.iloc[some], None if margin_rates is None else margin_rates[some]


def log_ratios(factors: pd.DataFrame, average: Mapping[str, float]) -> pd.DataFrame:
    """Log ratio of each factor of a value to the average customer's: they add up to the log ratio of values."""
    names = list(map(str, factors))
    return pd.DataFrame(
        {name: np.log(np.maximum(factors[name].to_numpy(), TINY) / max(average[name], TINY)) for name in names}
    )
