"""What of a customer's orders is margin: the customer's own rate, as far as its orders tell, else everyone's.

The own rate is what the customer's orders so far earned over what they were worth, net of returns. It is shrunk to
everyone's by the credibility of that value, ``z = value / (value + k)``, after [1]_: k is the variance of the rate
within a customer's orders, at one unit of value, over the variance of the rates between customers. Both are estimated
from the orders of all customers (see `training.rows.own_margins`), so that k is in currency: the value of orders at
which a customer's own rate counts as much as everyone's.

References
----------
.. [1] Buehlmann, H. and Straub, E. (1970). Glaubwuerdigkeit fuer Schadensaetze. Bulletin of the Swiss Association of
   Actuaries 70, 111-133.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from features.margins import CategoryMargins, margined_order_value, net_margin_value
from features.spec import Feature
from models.base import Array, Model, column
from models.clv.base import ClvOfOrders
from models.clv.decomposition import TINY

RATE = "margin_rate"


@dataclass(frozen=True)
class Margins:
    """How a customer's margin rate is told from the customer's orders.

    Parameters
    ----------
    rate : float
        Everyone's.
    credence : float or None
        k: the value of orders at which a customer's own rate counts as much as everyone's; None where customers do not
        differ, or not enough is known to say.
    categories : CategoryMargins or None
        Rates by category; None: orders say their own `margin_value`.
    """

    rate: float
    credence: float | None
    categories: CategoryMargins | None = None

    @property
    def features(self) -> tuple[Feature, Feature]:
        """What it takes: the value of orders of known margin, and that margin."""
        return self.categories.features() if self.categories else (margined_order_value, net_margin_value)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of `features`."""
        return tuple(feature.name for feature in self.features)

    def rates(self, rows: pd.DataFrame) -> Array:
        """Margin rate of each customer, shape (n,), from 0 to 1: who lost money on orders counts as earning nothing.

        Parameters
        ----------
        rows : pandas.DataFrame
            At least `columns`; null, or no value net of returns, is nothing known.
        """
        value, margin = (np.nan_to_num(column(rows, name), nan=0.0) for name in self.columns)
        everyones = np.full(len(rows), self.rate)
        if self.credence is None:
            return everyones
        known = value > 0
        own = np.divide(margin, value, out=everyones.copy(), where=known)
        trust = np.divide(value, value + self.credence, out=np.zeros(len(rows)), where=known)
        return np.asarray(self.rate + trust * (np.clip(own, 0.0, 1.0) - self.rate))

    def log_ratios(self, rows: pd.DataFrame) -> Array:
        """Log ratio of each customer's rate to everyone's, shape (n,)."""
        return np.asarray(np.log(np.maximum(self.rates(rows), TINY) / self.rate))

    def state(self) -> dict[str, Any]:
        """As JSON."""
        categories = self.categories.text if self.categories else None
        return {"rate": self.rate, "credence": self.credence, "categories": categories}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """From JSON."""
        text = state["categories"]
        return cls(state["rate"], state["credence"], CategoryMargins.read(text) if text else None)


def at_own_margin(model: Model, rows: pd.DataFrame, rates: Array) -> pd.DataFrame:
    """Value customers at margin rates of their own instead of the model's one for everyone.

    Parameters
    ----------
    model : Model
        Fitted.
    rows : pandas.DataFrame of n rows
        As it scores them.
    rates : ndarray of shape (n,)
        Margin rate of each customer.

    Raises
    ------
    TypeError
        If the family does not forecast orders.
    """
    if not isinstance(model, ClvOfOrders):
        raise TypeError(f"no margin of orders in {type(model).__name__}")
    return model.score(rows, rates)
