"""Customer lifetime value of subscriptions: how long they go on by the shifted beta-geometric, times margin.

The columns are those of every family of lifetime value, read for a contract: an *order* is a period paid at a renewal,
the value of an order is the price of a period. Orders besides the subscription are not in it.
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from features.subscriptions import MONTH_DAYS
from models.base import Array, State, plain
from models.clv.answer import answer
from models.clv.base import TINY, ClvModel, log_ratios
from models.clv.histories import Histories
from models.clv.intervals import Bounds, bounds
from models.clv.next_order import LEVELS as WAITS
from models.clv.next_order import WITHIN_DAYS
from models.clv.orders.tails import Rows, Tail
from models.clv.renewals.constant_churn import ConstantChurn
from models.clv.renewals.shifted_beta_geometric import Outcomes, ShiftedBetaGeometric, fit_to_subscribers
from models.clv.renewals.subscribers import Subscribers
from models.clv.value import DAYS_A_YEAR
from models.errors import ParameterOutOfRange

FACTORS = ("probability_active", "periods_if_active", "expected_order_value")
MEANING = (
    "of subscriptions: expected_orders are periods paid at renewals, expected_order_value is the price of a period, "
    "probability_active is the chance that a running subscription is renewed next; orders besides it are not in clv"
)
FEW_LEAVERS = 100


class ContractualModel(ClvModel):
    """What the families of subscriptions share: everything but how long subscribers stay.

    Parameters
    ----------
    horizon_days, annual_discount_rate, margin_rate, annual_cost_to_serve
        See `models.clv.value.Terms`; the margin is that of the subscription.
    period_days : float
        From one renewal to the next; a month unless the contracts are for longer.
    """

    def __init__(
        self,
        horizon_days: float = 365.0,
        annual_discount_rate: float = 0.1,
        margin_rate: float = 1.0,
        annual_cost_to_serve: float = 0.0,
        period_days: float = MONTH_DAYS,
    ) -> None:
        self.horizon_days = horizon_days
        self.annual_discount_rate = annual_discount_rate
        self.margin_rate = margin_rate
        self.annual_cost_to_serve = annual_cost_to_serve
        self.period_days = period_days

    staying_: ShiftedBetaGeometric | ConstantChurn

    @abstractmethod
    def _fit_staying(self, subscribers: Subscribers) -> tuple[ShiftedBetaGeometric | ConstantChurn, tuple[str, ...]]:
        """Learn how long subscribers stay."""

    def fit(self, rows: pd.DataFrame, target: Array | None = None) -> Self:
        """Fit to everyone who has subscribed; see `Model.fit`. Takes no target.

        Raises
        ------
        ParameterOutOfRange
            If the terms or the period make no sense.
        NoRenewals
            If no subscription has come to a renewal.
        """
        del target
        self.terms  # noqa: B018 - refuses terms that make no sense before anything is fitted
        if not 1 <= self.period_days <= 3_653:
            raise ParameterOutOfRange("period_days", self.period_days, "1 to 3653 days from renewal to renewal")
        self.columns_ = tuple(map(str, rows.columns))
        subscribers = Subscribers.of(rows, self.period_days)
        self.staying_, said = self._fit_staying(subscribers)
        self.warnings_ = (MEANING, *said, *_little(subscribers))
        forecast = Forecast(self, subscribers)
        running = subscribers.is_running
        factors = {
            **dict(zip(FACTORS, forecast.factors, strict=True)),
            "discounted_orders_if_active": forecast.discounted / np.maximum(forecast.active, TINY),
        }
        self.average_ = {
            name: float(values[running].mean()) if running.any() else 0.0 for name, values in factors.items()
        }
        return self

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Value each customer's subscription; see `Model.score`.

        Returns
        -------
        pandas.DataFrame
            `models.clv.answer.COLUMNS`. Where nothing runs, everything expected is 0: that a former subscriber may come
            back is not forecast. `evidence` goes by the renewals made; the days to the next order are those to the
            next renewal.
        """
        self._check_columns(rows)
        subscribers = Subscribers.of(rows, self.period_days)
        forecast = Forecast(self, subscribers)
        zero = np.zeros(len(subscribers))
        wait = np.where(subscribers.is_running, subscribers.days_to_renewal, WITHIN_DAYS)
        return answer(
            Histories(subscribers.renewals, zero, subscribers.spell_days, zero + 1),
            self.terms,
            self.average_,
            probability_active=forecast.active,
            expected_orders=forecast.expected,
            discounted_orders=forecast.discounted,
            order_value=subscribers.period_value,
            bounds=self._bounds(rows, forecast.active),
            waits=dict.fromkeys(WAITS, wait),
        )

    def order_tail(self, rows: pd.DataFrame) -> Tail:
        """The predictive distribution of paid periods, exact."""
        return Forecast(self, Subscribers.of(rows, self.period_days)).tail

    def bounds(self, rows: pd.DataFrame) -> Bounds:
        """Predictive intervals of paid periods, and of their value in prices of a period: the price stays as it is."""
        return self._bounds(rows)

    def _bounds(self, rows: pd.DataFrame, alive: Array | None = None) -> Bounds:
        return bounds(lambda some: self.order_tail(rows.iloc[some]), np.inf, np.full(len(rows), np.inf), alive)

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Log ratio of each factor of the value to the average running subscription's."""
        return log_ratios(self.reason_values(rows), self.average_)

    def reason_values(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The factors of the value themselves: renewed next, paid periods if so, price of a period."""
        self._check_columns(rows)
        return pd.DataFrame(
            dict(zip(FACTORS, Forecast(self, Subscribers.of(rows, self.period_days)).factors, strict=True))
        )

    def state(self) -> State:
        """The parameters, the terms and the averages as JSON."""
        covariance = getattr(self.staying_, "log_covariance", None)
        return State(
            {
                "settings": self.get_params(),
                "columns": list(self.columns_),
                "staying": {
                    "parameters": self.staying_.parameters,
                    "log_covariance": None if covariance is None else plain(covariance),
                },
                "average": self.average_,
                "warnings": list(self.warnings_),
            }
        )

    @classmethod
    @abstractmethod
    def _read_staying(cls, kept: Mapping[str, Any]) -> ShiftedBetaGeometric | ConstantChurn:
        """Make the distribution again."""

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        kept: Any = state.parameters
        model = cls(**kept["settings"])
        model.columns_ = tuple(kept["columns"])
        model.staying_ = cls._read_staying(kept["staying"])
        model.average_ = kept["average"]
        model.warnings_ = tuple(kept["warnings"])
        return model

    def fitted_parameters(self) -> dict[str, float]:
        """How long subscribers stay, named as in the literature."""
        return self.staying_.parameters


class ClvContractual(ContractualModel):
    """Subscriptions by the shifted beta-geometric: the longer a subscriber has stayed, the more loyal."""

    def _fit_staying(self, subscribers: Subscribers) -> tuple[ShiftedBetaGeometric, tuple[str, ...]]:
        return fit_to_subscribers(subscribers.renewals, ~subscribers.is_running)

    @classmethod
    def _read_staying(cls, kept: Mapping[str, Any]) -> ShiftedBetaGeometric:
        covariance = kept["log_covariance"]
        matrix = None if covariance is None else np.array(covariance, dtype=np.float64)
        return ShiftedBetaGeometric(**kept["parameters"], log_covariance=matrix)


class ClvContractualNaive(ContractualModel):
    """Subscriptions by one constant churn rate for everyone: the forecast that must be beaten."""

    def _fit_staying(self, subscribers: Subscribers) -> tuple[ConstantChurn, tuple[str, ...]]:
        return ConstantChurn.of(Outcomes.of_subscribers(subscribers.renewals, ~subscribers.is_running)), ()

    @classmethod
    def _read_staying(cls, kept: Mapping[str, Any]) -> ConstantChurn:
        return ConstantChurn(**kept["parameters"])


class Forecast:
    """What is expected of subscribers over a model's horizon.

    Parameters
    ----------
    model : ContractualModel
        Fitted, or at the point of it where `staying_` is.
    subscribers : Subscribers
        Of n customers.
    """

    def __init__(self, model: ContractualModel, subscribers: Subscribers) -> None:
        self.subscribers = subscribers
        self.due = np.where(subscribers.is_running, subscribers.due_within(model.horizon_days), 0.0)
        self._made = subscribers.renewals.astype(np.intp)
        most = int(self.due.max(initial=0.0))
        last = int(self._made.max(initial=0)) + max(most, 1)
        self._survival = np.maximum(model.staying_.survival(np.arange(last + 1.0)), 1e-300)
        self.active = np.where(subscribers.is_running, self._staying(self._made, 1), 0.0)
        self.expected, self.discounted = np.zeros(len(subscribers)), np.zeros(len(subscribers))
        for coming in range(1, most + 1):
            paid = np.where(self.due >= coming, self._staying(self._made, coming), 0.0)
            days = subscribers.days_to_renewal + (coming - 1) * subscribers.period_days
            self.expected += paid
            self.discounted += paid * (1 + model.annual_discount_rate) ** (-days / DAYS_A_YEAR)

    def _staying(self, made: Any, coming: int) -> Array:
        """Probability of making so many renewals more."""
        return np.asarray(self._survival[made + coming] / self._survival[made])

    @cached_property
    def factors(self) -> tuple[Array, Array, Array]:
        """`FACTORS` of each customer."""
        return self.active, self.expected / np.maximum(self.active, TINY), self.subscribers.period_value

    def tail(self, rows: Rows, coming: int) -> Array:
        """Probability of at least so many paid periods in the horizon."""
        made = self._made[rows]
        reached = self.due[rows] >= coming
        within = np.minimum(made + coming, len(self._survival) - 1)
        return np.where(reached, self._survival[within] / self._survival[made], 0.0)


def _little(subscribers: Subscribers) -> tuple[str, ...]:
    """What a reader should know of the subscriptions learned from."""
    said = []
    left = int((~subscribers.is_running).sum())
    if left < FEW_LEAVERS:
        said.append(
            f"low evidence: only {left:,} of {len(subscribers):,} subscribers have left; how many will rests on them"
        )
    free = int((subscribers.is_running & ~(subscribers.monthly_value > 0)).sum())
    if free:
        said.append(f"{free:,} running subscriptions have no monthly_value above 0: they are worth nothing")
    return tuple(said)
