"""Customer lifetime value of subscriptions: how long they go on by the shifted beta-geometric, times margin.

The columns are those of every family of lifetime value, read for a contract: an *order* is a period paid at a renewal,
the value of an order is the price of a period. Orders besides the subscription are not in it.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from models.base import Array, State, plain
from models.clv.answer import answer
from models.clv.base import TINY, ClvModel, log_ratios
from models.clv.errors import NoRenewals
from models.clv.histories import Histories
from models.clv.intervals import Bounds, bounds
from models.clv.next_order import LEVELS as WAITS
from models.clv.next_order import WITHIN_DAYS
from models.clv.orders.tails import Rows, Tail
from models.clv.renewals.constant_churn import ConstantChurn
from models.clv.renewals.periods import Periods, of_plans
from models.clv.renewals.shifted_beta_geometric import Flags, Outcomes, ShiftedBetaGeometric, fit_to_subscribers
from models.clv.renewals.strata import Staying, Stratum, named_parameters, strata_of
from models.clv.renewals.subscribers import Subscribers
from models.clv.value import DAYS_A_YEAR
from models.errors import ParameterOutOfRange

FACTORS = ("probability_renewed", "periods_if_renewed", "period_price")
"""By which a subscription is explained."""
MEANING = (
    "of subscriptions: expected_orders are periods paid at renewals, expected_order_value is the price of a period, "
    "probability_active is the chance that a running subscription is renewed next; orders besides it are not in clv"
)
FEW_LEAVERS = 100
EVERYONE = slice(None)


class ContractualModel(ClvModel):
    """What the families of subscriptions share: everything but how long subscribers stay.

    Parameters
    ----------
    horizon_days, annual_discount_rate, margin_rate, annual_cost_to_serve
        See `models.clv.value.Terms`; the margin is that of the subscription.
    period_days : float or None
        From one renewal to the next, of every plan; None: as found for each, see `models.clv.renewals.periods`.
    """

    def __init__(
        self,
        horizon_days: float = 365.0,
        annual_discount_rate: float = 0.1,
        margin_rate: float = 1.0,
        annual_cost_to_serve: float = 0.0,
        period_days: float | None = None,
    ) -> None:
        self.horizon_days = horizon_days
        self.annual_discount_rate = annual_discount_rate
        self.margin_rate = margin_rate
        self.annual_cost_to_serve = annual_cost_to_serve
        self.period_days = period_days

    fits_plans: ClassVar[bool]
    """Whether plans that many have left are told apart."""
    periods_: Periods
    strata_: tuple[Stratum, ...]

    @abstractmethod
    def _fit_staying(self, renewals: Array, has_left: Flags) -> tuple[Staying, tuple[str, ...]]:
        """Learn how long subscribers stay from the renewals that each has made and whether they left at the next."""

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
        self.columns_ = tuple(map(str, rows.columns))
        self.periods_ = periods_of(rows, self.period_days)
        subscribers = Subscribers.of(rows, self.periods_)
        self.strata_, said = self._strata(subscribers)
        self.warnings_ = (MEANING, *self.periods_.words(), *said, *_little(subscribers))
        self.average_ = Forecast(self, subscribers).average
        return self

    def _strata(self, subscribers: Subscribers) -> tuple[tuple[Stratum, ...], tuple[str, ...]]:
        """Fit everyone of a period together, the largest group first, and plans of it that many have left."""
        left, made = ~subscribers.is_running, subscribers.renewals
        plan_of, plans = pd.factorize(subscribers.plans, sort=True)
        days, sizes = np.unique(subscribers.period_days, return_counts=True)
        fitted: list[Stratum] = []
        said: list[str] = []
        unknown: list[float] = []
        unsure: list[str] = []
        for period in days[np.argsort(-sizes, kind="stable")]:
            of_period = subscribers.period_days == period
            if not (left[of_period].any() or made[of_period].any()):
                unknown.append(float(period))
                continue
            leavers = np.bincount(plan_of[of_period & left], minlength=len(plans))
            several = self.fits_plans and len(np.unique(plan_of[of_period])) > 1
            told_apart = np.flatnonzero(leavers >= FEW_LEAVERS) if several else ()
            for plan, here in ((None, of_period), *((plans[code], plan_of == code) for code in told_apart)):
                staying, words = self._fit_staying(made[here], left[here])
                fitted.append(Stratum(plan, float(period), staying))
                said += words if plan is None else ()
                unsure += [plan] if plan is not None and words else []
        if unsure:
            said.append(
                f"low evidence: subscribers{of_plans(unsure)} alone do not determine how they differ in loyalty either"
            )
        if not fitted:
            raise NoRenewals(len(subscribers))
        for period in unknown:
            fitted.append(Stratum(None, period, fitted[0].staying))
            said.append(
                f"low evidence: nobody who is renewed every {period:g} days has come to a renewal; they are taken to "
                f"stay as many renewals as those who are renewed every {fitted[0].period_days:g} days"
            )
        which = strata_of(subscribers, fitted)
        strata = []
        for place, stratum in enumerate(fitted):
            here = subscribers.is_running & (which == place)
            price = float(subscribers.period_value[here].mean()) if here.any() else 0.0
            strata.append(replace(stratum, running=int(here.sum()), price=price))
        return tuple(strata), tuple(said)

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
        subscribers = Subscribers.of(rows, self.periods_)
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
        return Forecast(self, Subscribers.of(rows, self.periods_)).tail

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
            dict(zip(FACTORS, Forecast(self, Subscribers.of(rows, self.periods_)).factors, strict=True))
        )

    def state(self) -> State:
        """The parameters, the terms and the averages as JSON."""
        return State(
            {
                "settings": self.get_params(),
                "columns": list(self.columns_),
                "periods": {"usual": self.periods_.usual, "of_plan": dict(self.periods_.of_plan)},
                "strata": [_plain(stratum) for stratum in self.strata_],
                "average": self.average_,
                "warnings": list(self.warnings_),
            }
        )

    @classmethod
    @abstractmethod
    def _read_staying(cls, kept: Mapping[str, Any]) -> Staying:
        """Make the distribution again."""

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        kept: Any = state.parameters
        model = cls(**kept["settings"])
        model.columns_ = tuple(kept["columns"])
        model.periods_ = Periods(**kept["periods"])
        model.strata_ = tuple(
            Stratum(**{**each, "staying": cls._read_staying(each["staying"])}) for each in kept["strata"]
        )
        model.average_ = kept["average"]
        model.warnings_ = tuple(kept["warnings"])
        return model

    def fitted_parameters(self) -> dict[str, float]:
        """How long subscribers stay, named as in the literature."""
        return named_parameters(self.strata_)


class ClvContractual(ContractualModel):
    """Subscriptions by the shifted beta-geometric: the longer a subscriber has stayed, the more loyal."""

    fits_plans = True

    def _fit_staying(self, renewals: Array, has_left: Flags) -> tuple[Staying, tuple[str, ...]]:
        return fit_to_subscribers(renewals, has_left)

    @classmethod
    def _read_staying(cls, kept: Mapping[str, Any]) -> Staying:
        covariance = kept["log_covariance"]
        matrix = None if covariance is None else np.array(covariance, dtype=np.float64)
        return ShiftedBetaGeometric(**kept["parameters"], log_covariance=matrix)


class ClvContractualNaive(ContractualModel):
    """Subscriptions by one constant churn rate a renewal, whatever the plan: the forecast that must be beaten."""

    fits_plans = False

    def _fit_staying(self, renewals: Array, has_left: Flags) -> tuple[Staying, tuple[str, ...]]:
        return ConstantChurn.of(Outcomes.of_subscribers(renewals, has_left)), ()

    @classmethod
    def _read_staying(cls, kept: Mapping[str, Any]) -> Staying:
        return ConstantChurn(**kept["parameters"])


class Forecast:
    """What is expected of subscribers over a model's horizon.

    Parameters
    ----------
    model : ContractualModel
        Fitted, or at the point of it where `strata_` are.
    subscribers : Subscribers
        Of n customers.
    """

    def __init__(self, model: ContractualModel, subscribers: Subscribers) -> None:
        self.subscribers = subscribers
        self.due = np.where(subscribers.is_running, subscribers.due_within(model.horizon_days), 0.0)
        self._made = subscribers.renewals.astype(np.intp)
        most = int(self.due.max(initial=0.0))
        renewals = np.arange(int(self._made.max(initial=0)) + max(most, 1) + 1.0)
        curves = np.array([stratum.staying.survival(renewals) for stratum in model.strata_])
        self._survival = np.maximum(curves, 1e-300)
        self._of = strata_of(subscribers, model.strata_)
        self.active = np.where(subscribers.is_running, self._staying(1), 0.0)
        self.expected, self.discounted = np.zeros(len(subscribers)), np.zeros(len(subscribers))
        for coming in range(1, most + 1):
            paid = np.where(self.due >= coming, self._staying(coming), 0.0)
            days = subscribers.days_to_renewal + (coming - 1) * subscribers.period_days
            self.expected += paid
            self.discounted += paid * (1 + model.annual_discount_rate) ** (-days / DAYS_A_YEAR)

    def _staying(self, coming: int, rows: Rows | slice = EVERYONE) -> Array:
        """Probability of making so many renewals more, as far as any are due."""
        of, made = self._of[rows], self._made[rows]
        within = np.minimum(made + coming, self._survival.shape[1] - 1)
        return np.asarray(self._survival[of, within] / self._survival[of, made])

    @cached_property
    def factors(self) -> tuple[Array, Array, Array]:
        """`FACTORS` of each customer."""
        return self.active, self.expected / np.maximum(self.active, TINY), self.subscribers.period_value

    @property
    def average(self) -> dict[str, float]:
        """Factors that multiply to the mean value of the running subscriptions, whatever the mix of their plans."""
        price = self.subscribers.period_value
        renewed = _ratio(self.active, self.subscribers.is_running)
        periods, paid = _ratio(self.expected, self.active), _ratio(self.expected * price, self.expected)
        return {
            **dict(zip(FACTORS, (renewed, periods, paid), strict=True)),
            "probability_active": renewed,
            "discounted_orders_if_active": _ratio(self.discounted, self.active),
            "expected_order_value": _ratio(self.discounted * price, self.discounted),
        }

    def tail(self, rows: Rows, coming: int) -> Array:
        """Probability of at least so many paid periods in the horizon."""
        return np.where(self.due[rows] >= coming, self._staying(coming, rows), 0.0)


def periods_of(rows: pd.DataFrame, period_days: float | None) -> Periods:
    """Days from renewal to renewal: as set, or as found in the rows learned from.

    Raises
    ------
    ParameterOutOfRange
        If what was set makes no sense.
    """
    if period_days is None:
        return Periods.found(rows)
    if not 1 <= period_days <= 3_653:
        raise ParameterOutOfRange("period_days", period_days, "1 to 3653 days from renewal to renewal")
    return Periods(period_days)


def _ratio(of: Array, to: Array | Flags) -> float:
    """One sum over the other; 0 where there is nothing."""
    return float(of.sum() / to.sum()) if to.sum() > 0 else 0.0


def _plain(stratum: Stratum) -> dict[str, Any]:
    """As JSON."""
    covariance = getattr(stratum.staying, "log_covariance", None)
    staying = {
        "parameters": stratum.staying.parameters,
        "log_covariance": None if covariance is None else plain(covariance),
    }
    return {**vars(stratum), "staying": staying}


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
