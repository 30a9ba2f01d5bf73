"""What the families of lifetime value share: terms on which they value, and reasons against an average customer."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from models.base import Model
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


def log_ratios(factors: pd.DataFrame, average: Mapping[str, float]) -> pd.DataFrame:
    """Log ratio of each factor of a value to the average customer's: they add up to the log ratio of values."""
    names = list(map(str, factors))
    return pd.DataFrame(
        {name: np.log(np.maximum(factors[name].to_numpy(), TINY) / max(average[name], TINY)) for name in names}
    )
