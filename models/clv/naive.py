"""The forecast every lifetime value model must beat: go on as before."""

from typing import Any, Self

import numpy as np
import pandas as pd

from models.base import Array, State, column
from models.clv.answer import answer
from models.clv.base import ClvOfOrders
from models.clv.btyd import FACTORS, repeat_value
from models.clv.histories import Histories
from models.clv.intervals import bounds
from models.clv.next_order import days_to_next_order
from models.clv.orders.constant_rate import A_YEAR, HALF_AN_ORDER
from models.clv.orders.tails import poisson_tail


class ClvNaive(ClvOfOrders):
    """Each customer's own past order rate and order value, averaged half and half with everyone's, carried forward.

    The half that is everyone's keeps customers with one order from being forecast at zero, and no customer ever drops
    out: what a spreadsheet would say.

    Parameters
    ----------
    horizon_days, annual_discount_rate, margin_rate, annual_cost_to_serve
        See `models.clv.value.Terms`.
    """

    def __init__(
        self,
        horizon_days: float = 365.0,
        annual_discount_rate: float = 0.1,
        margin_rate: float = 1.0,
        annual_cost_to_serve: float = 0.0,
    ) -> None:
        self.horizon_days = horizon_days
        self.annual_discount_rate = annual_discount_rate
        self.margin_rate = margin_rate
        self.annual_cost_to_serve = annual_cost_to_serve

    def fit(self, rows: pd.DataFrame, target: Array | None = None) -> Self:
        """Take the averages over customers; see `Model.fit`. Takes no target."""
        del target
        self.terms  # noqa: B018 - refuses terms that make no sense before anything is fitted
        self.columns_ = tuple(map(str, rows.columns))
        x, age, spend = column(rows, "frequency"), column(rows, "T_days"), repeat_value(rows)
        came_back = x > 0
        told = []
        if came_back.any():
            self.rate_ = float(x.sum() / max(age.sum(), 1.0))
            self.value_ = float(spend[came_back].mean())
        else:
            self.rate_, self.value_ = HALF_AN_ORDER / (float(age.sum()) + A_YEAR), 0.0
            told.append(
                f"low evidence: no repeat buyer among {len(rows):,} customers; orders are forecast at the rate of half "
                "an order in all the days seen and one year more"
            )
        if not self.value_:
            told.append("low evidence: no repeat order has a value above 0; money is forecast at 0")
        self.warnings_ = tuple(told)
        return self

    @property
    def average_(self) -> dict[str, float]:
        """Factors of an average customer."""
        usual = self.terms.discounted_orders(lambda days: np.full(1, self.rate_ * days))
        return {
            "probability_active": 1.0,
            "discounted_orders_if_active": float(usual[0]),
            "expected_order_value": self.value_,
        }

    def _rate_and_value(self, rows: pd.DataFrame) -> tuple[Array, Array]:
        x, age, spend = column(rows, "frequency"), column(rows, "T_days"), repeat_value(rows)
        own_rate = np.where(age > 0, x / np.maximum(age, 1.0), self.rate_)
        own_value = np.where(x > 0, spend, self.value_)
        return (own_rate + self.rate_) / 2, (own_value + self.value_) / 2

    def score(self, rows: pd.DataFrame, margin_rates: Array | None = None) -> pd.DataFrame:
        """The columns of `ClvBgNbd`; `probability_active` is 1, because this forecast knows no dropout.

        The intervals are those of orders that come at a known rate with a known value.
        """
        self._check_columns(rows)
        rate, value = self._rate_and_value(rows)
        orders, active = rate * self.horizon_days, np.ones(len(rows))
        return answer(
            Histories.of(rows),
            self.terms,
            self.average_,
            probability_active=active,
            expected_orders=orders,
            discounted_orders=self.terms.discounted_orders(lambda days: rate * days),
            order_value=value,
            bounds=bounds(lambda some: poisson_tail(orders[some]), np.inf, np.full(len(rows), np.inf), active),
            margin_rates=margin_rates,
            waits=days_to_next_order(lambda some, days: np.exp(-rate[some] * days), len(rows)),
        )

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Log ratio of rate and value to everyone's."""
        self._check_columns(rows)
        rate, value = self._rate_and_value(rows)
        worth = np.log(value / self.value_) if self.value_ else np.zeros(len(rows))
        ratios = (np.zeros(len(rows)), np.log(rate / self.rate_), worth)
        return pd.DataFrame(dict(zip(FACTORS, ratios, strict=True)))

    def reason_values(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The factors of the value themselves."""
        self._check_columns(rows)
        rate, value = self._rate_and_value(rows)
        return pd.DataFrame(dict(zip(FACTORS, (np.ones(len(rows)), rate * self.horizon_days, value), strict=True)))

    def state(self) -> State:
        """Two averages and the terms as JSON."""
        return State(
            {
                "settings": self.get_params(),
                "columns": list(self.columns_),
                "rate": self.rate_,
                "value": self.value_,
                "warnings": list(self.warnings_),
            }
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        kept: Any = state.parameters
        model = cls(**kept["settings"])
        model.columns_ = tuple(kept["columns"])
        model.rate_, model.value_ = kept["rate"], kept["value"]
        model.warnings_ = tuple(kept["warnings"])
        return model

    def fitted_parameters(self) -> dict[str, float]:
        """Orders a day and value of an order, over all customers."""
        return {"rate": self.rate_, "value": self.value_}
