"""Customer lifetime value from an orders model (BG/NBD, MBG/NBD, Pareto/NBD) and Gamma-Gamma."""

from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from models.base import Array, State, column
from models.clv.ahead import Ahead
from models.clv.answer import answer
from models.clv.base import TINY, ClvOfOrders, in_chunks, log_ratios
from models.clv.drift import Drift
from models.clv.errors import InvalidHistory
from models.clv.histories import Histories
from models.clv.intervals import Bounds
from models.clv.kinds import keep_orders, keep_spend, read_orders, read_spend
from models.clv.ladder import fit_orders, fit_spend
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.orders.tails import Tail
from models.clv.past import Past
from models.clv.preflight import findings_in
from models.clv.spend.spread import spend_shapes

CHUNK = 524_288  # customers scored at a time: what is computed of them besides the answer takes no more memory
COLUMNS = ("frequency", "recency_days", "T_days", "monetary_value")
FACTORS = ("probability_active", "orders_if_active", "expected_order_value")


class ClvBgNbd(ClvOfOrders):
    """Orders by BG/NBD, spend by Gamma-Gamma, value as discounted margin over the horizon.

    Parameters
    ----------
    horizon_days, annual_discount_rate, margin_rate, annual_cost_to_serve
        See `models.clv.value.Terms`.
    penalty : float
        See `models.clv.ladder.fit_orders`; 0 is maximum likelihood where the histories bear it.
    """

    learns_from_past: ClassVar[bool] = True
    wished: ClassVar[type[OrderModel]] = BgNbd
    """The orders model that is fitted where the histories bear it."""
    drift_: Drift = Drift()

    def __init__(
        self,
        horizon_days: float = 365.0,
        annual_discount_rate: float = 0.1,
        margin_rate: float = 1.0,
        annual_cost_to_serve: float = 0.0,
        penalty: float = 0.0,
    ) -> None:
        self.horizon_days = horizon_days
        self.annual_discount_rate = annual_discount_rate
        self.margin_rate = margin_rate
        self.annual_cost_to_serve = annual_cost_to_serve
        self.penalty = penalty

    def fit(self, rows: pd.DataFrame, target: Array | None = None, past: Past | None = None) -> Self:
        """Fit both distributions to the customers' histories; see `Model.fit`. Takes no target.

        Parameters
        ----------
        rows, target
            See `Model.fit`.
        past : Past, optional
            Rows at earlier prediction times and what followed: how far customers depart from their histories.
        """
        del target
        frequency, value = column(rows, "frequency"), repeat_value(rows)
        return self._learn(tuple(map(str, rows.columns)), Histories.of(rows), frequency, value, past)

    def fit_counted(self, patterns: pd.DataFrame, past: Past | None = None) -> Self:
        """Fit as `fit` does to what an engine counted, without a row a customer in memory.

        Parameters
        ----------
        patterns : pandas.DataFrame
            Distinct `frequency`, `recency_days`, `T_days` and `monetary_value`; the number of `customers` with each.
        past : Past, optional
            See `fit`.
        """
        customers = patterns["customers"].to_numpy(dtype=np.intp)
        frequency, value = (
            np.repeat(values, customers) for values in (column(patterns, "frequency"), repeat_value(patterns))
        )
        return self._learn(COLUMNS, Histories.counted(patterns), frequency, value, past)

    def _learn(
        self, columns: tuple[str, ...], histories: Histories, frequency: Array, value: Array, past: Past | None
    ) -> Self:
        """Fit to all customers' histories and spend, in whatever order they come."""
        self.terms  # noqa: B018 - refuses terms that make no sense before anything is fitted
        self.columns_ = columns
        histories = histories.patterns()
        buyers = np.flatnonzero(frequency > 0)
        buyers = buyers[np.lexsort((value[buyers], frequency[buyers]))]
        frequency, value = frequency[buyers], value[buyers]
        self.orders_, order_warnings = fit_orders(self.wished, histories, self.penalty)
        self.spend_, spend_warnings = fit_spend(frequency, value)
        self.drift_ = self._drift(past)
        self.warnings_ = (
            *findings_in(histories, frequency, value, self.orders_, self.spend_), *order_warnings, *spend_warnings
        )  # fmt: skip
        ahead = Ahead.of(self.orders_, histories)
        chance, if_active = self._of_orders(ahead)
        of_all = (chance, chance * if_active, chance * ahead.discounted_if_active(self.terms))
        active, orders, discounted = (max(float(np.average(each, weights=histories.weight)), TINY) for each in of_all)
        self.average_ = {
            "probability_active": active,
            "orders_if_active": orders / active,  # so that the two make the orders of an average customer
            "expected_order_value": self._average_order_value(histories.customers, frequency, value),
            "discounted_orders_if_active": discounted / active,
        }
        return self

    def _drift(self, past: Past | None) -> Drift:
        """How far customers departed from their histories after the latest earlier prediction time."""
        if past is None:
            return Drift()
        then = past.latest()
        histories, spend = Histories.of(then.rows), repeat_value(then.rows)
        ahead = Ahead.of(self.orders_, histories)
        order_value = self.spend_.expected_order_value(histories.frequency, spend)
        return Drift.estimate(
            lambda rate: ahead.tail(then.window_days, rate),
            then.order_days,
            then.order_value / np.maximum(order_value, TINY),
            *spend_shapes(self.spend_, histories.frequency),
        )

    def _average_order_value(self, customers: float, frequency: Array, value: Array) -> float:
        """Mean over all customers: those with a spend of their own, and the others."""
        own = self.spend_.expected_order_value(frequency, value)
        of_others = self.spend_.expected_order_value(np.zeros(1), np.zeros(1))[0]
        return float((own.sum() + (customers - len(own)) * of_others) / customers)

    def _of_orders(self, ahead: Ahead) -> tuple[Array, Array]:
        return ahead.active, ahead.orders_if_active(self.horizon_days)

    def _factors(self, rows: pd.DataFrame) -> pd.DataFrame:
        histories = Histories.of(rows)
        value = self.spend_.expected_order_value(histories.frequency, repeat_value(rows))
        factors = (*self._of_orders(Ahead.of(self.orders_, histories)), value)
        return pd.DataFrame(dict(zip(FACTORS, factors, strict=True)))

    def point(self, rows: pd.DataFrame) -> Array:
        """Value each customer without intervals: the column `clv` of `score`, shape (n,)."""
        self._check_columns(rows)
        histories = Histories.of(rows)
        ahead = Ahead.of(self.orders_, histories)
        order_value = self.spend_.expected_order_value(histories.frequency, repeat_value(rows))
        return self.terms.value(ahead.active, ahead.active * ahead.discounted_if_active(self.terms), order_value)

    def score(self, rows: pd.DataFrame, margin_rates: Array | None = None) -> pd.DataFrame:
        """Value each customer; see `ClvOfOrders.score`."""
        self._check_columns(rows)
        return pd.concat([self._scored(*part) for part in in_chunks(rows, margin_rates, CHUNK)], ignore_index=True)

    def _scored(self, rows: pd.DataFrame, margin_rates: Array | None) -> pd.DataFrame:
        histories = Histories.of(rows)
        ahead = Ahead.of(self.orders_, histories)
        return answer(
            histories,
            self.terms,
            self.average_,
            probability_active=ahead.active,
            expected_orders=ahead.active * ahead.orders_if_active(self.horizon_days),
            discounted_orders=ahead.active * ahead.discounted_if_active(self.terms),
            order_value=self.spend_.expected_order_value(histories.frequency, repeat_value(rows)),
            bounds=ahead.bounds(self.spend_, self.horizon_days, self.drift_, with_cost=self.terms.cost_to_serve > 0),
            waits=ahead.waits(),
            margin_rates=margin_rates,
        )

    def order_tail(self, rows: pd.DataFrame) -> Tail:
        """The predictive distribution of orders."""
        return Ahead.of(self.orders_, Histories.of(rows)).tail(self.horizon_days, self.drift_.rate)

    def bounds(self, rows: pd.DataFrame) -> Bounds:
        """Predictive intervals of orders, and of their value in expected order values."""
        return Ahead.of(self.orders_, Histories.of(rows)).bounds(self.spend_, self.horizon_days, self.drift_)

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Log ratio of each factor of the value to the average customer's: they add up to the log ratio of values."""
        return log_ratios(self.reason_values(rows), self.average_)

    def reason_values(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The factors of the value themselves: alive, orders if alive, value of an order."""
        self._check_columns(rows)
        return self._factors(rows)

    def state(self) -> State:
        """The parameters of both distributions, the terms and the averages as JSON."""
        return State(
            {
                "settings": self.get_params(),
                "columns": list(self.columns_),
                "orders": keep_orders(self.orders_),
                "spend": keep_spend(self.spend_),
                "average": self.average_,
                "drift": self.drift_.state(),
                "warnings": list(self.warnings_),
            }
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        kept: Any = state.parameters
        model = cls(**kept["settings"])
        model.columns_ = tuple(kept["columns"])
        model.orders_ = read_orders(kept["orders"])
        model.spend_ = read_spend(kept["spend"])
        model.average_, model.drift_ = kept["average"], Drift(**kept.get("drift", {}))
        model.warnings_ = tuple(kept["warnings"])
        return model

    def fitted_parameters(self) -> dict[str, float]:
        """The parameters of both distributions, time in days, named as in the literature."""
        return {**self.orders_.parameters, **self.spend_.parameters}


class ClvMbgNbd(ClvBgNbd):
    """Orders by MBG/NBD: one-time buyers may have left too."""

    wished = MbgNbd


class ClvParetoNbd(ClvBgNbd):
    """Orders by Pareto/NBD: customers may leave at any moment."""

    wished = ParetoNbd


def repeat_value(rows: pd.DataFrame) -> Array:
    """Mean value of the repeat order days of each row; 0 without one.

    Raises
    ------
    InvalidHistory
        If one is negative.
    """
    value = np.nan_to_num(column(rows, "monetary_value"), nan=0.0)
    negative = value < 0
    if negative.any():
        raise InvalidHistory("monetary_value >= 0", int(negative.sum()), f"monetary_value {value[negative][0]}")
    return value


def spend_days(rows: pd.DataFrame) -> tuple[Array, Array]:
    """Order days with the first among them, and their mean value; none where nothing was spent."""
    repeats = column(rows, "frequency")
    spent = repeats * repeat_value(rows) + np.nan_to_num(column(rows, "first_day_value"))
    spends = spent > 0
    return np.where(spends, repeats + 1, 0.0), np.where(spends, spent / (repeats + 1), 0.0)
