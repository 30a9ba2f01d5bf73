"""What winning customers cost against what they are worth: CAC, LTV to CAC and payback, by channel.

Lifetime value is what a customer has brought so far and is expected to bring: the customer's margin rate times the
value of all orders net of returns, or of all periods that subscriptions have paid, undiscounted, and `clv` of the
horizon. It is therefore at least what the horizon lets be seen.

Payback is the day on which the expected margin of an average new customer, from the first order or period on, has
passed the acquisition cost and what serving an active customer has cost by then. The interval of both comes from the
future alone: the chance in each customer and, as in `models.clv.equity`, that the level of the forecast is as wrong as
it was on the holdout.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from models.base import Model
from models.clv.base import ClvModel
from models.clv.btyd import ClvBgNbd
from models.clv.contractual import ContractualModel
from models.clv.equity import ALL, COST, NORMAL, level_reach
from models.clv.histories import Histories
from models.clv.hybrid import ClvHybrid
from models.clv.naive import ClvNaive
from models.clv.renewals.strata import Stratum
from models.clv.value import DAYS_A_YEAR

UNKNOWN = "channel unknown"
KNOWN = CHANNEL, SPENT = "acquisition_channel", "acquisition_cost"
SCORED = ("clv", "clv_standard_deviation", "margin_rate", COST)
"""What is taken of a customer's features, the channel where it is known, beside the value of what was bought so far;
and of the scores."""
LONGEST_DAYS, HALVINGS = 3_650.0, 20
GRID: tuple[float, ...] = (0.0, *np.geomspace(1.0, LONGEST_DAYS, 256).tolist())
"""Days at which it is looked at first whether a new customer has paid back."""


class Sums(NamedTuple):
    """Customers of a channel whose cost is known, with the sums of what they cost, brought and are worth, at least."""

    customers: int
    cost: float
    margin: float
    clv: float
    variance: float
    least: float


@dataclass(frozen=True)
class Acquisition:
    """Cost and worth of the customers won through a channel, a customer on average, in the profile's currency.

    Parameters
    ----------
    channel : str
        Of `acquisition_channel`, or `ALL`.
    customers : int
        With a known acquisition cost and a value.
    acquisition_cost : float
        CAC.
    lifetime_value, lifetime_value_low_90, lifetime_value_high_90 : float
        Margin so far and `clv`, with the 90 % interval of the mean.
    value_to_cost, value_to_cost_low_90, value_to_cost_high_90 : float or None
        LTV:CAC; None where nothing was spent.
    payback_days, payback_days_low_90, payback_days_high_90 : float or None
        Of an average new customer; None where it takes more than ten years, or never comes.
    """

    channel: str
    customers: int
    acquisition_cost: float
    lifetime_value: float
    lifetime_value_low_90: float
    lifetime_value_high_90: float
    value_to_cost: float | None
    value_to_cost_low_90: float | None
    value_to_cost_high_90: float | None
    payback_days: float | None
    payback_days_low_90: float | None
    payback_days_high_90: float | None


def acquisition_sums(rows: pd.DataFrame, bought: str) -> dict[str, Sums]:
    """Sum customers by channel.

    Parameters
    ----------
    rows : pandas.DataFrame
        `KNOWN` (the channel may be missing) and `SCORED`, one row a customer; who has no known cost or no value is
        left out.
    bought : str
        The column that holds the value of what a customer bought so far; null where it has no known price.
    """
    known = rows.dropna(subset=[SPENT, "clv"])
    channels = known[CHANNEL].fillna(UNKNOWN) if CHANNEL in known else pd.Series(UNKNOWN, known.index)
    return {
        str(channel): Sums(
            len(some),
            math.fsum(some[SPENT]),
            math.fsum(some["margin_rate"] * some[bought].fillna(0.0)),
            math.fsum(some["clv"]),
            math.fsum(some["clv_standard_deviation"] ** 2),
            math.fsum(some[COST]),
        )
        for channel, some in known.groupby(channels)
    }


def acquisition_of(
    sums: Mapping[str, Sums], model: Model, margin_rate: float, errors: Sequence[float]
) -> list[Acquisition]:
    """Hold cost against worth, of all customers together and then by channel, the largest first.

    Parameters
    ----------
    sums : mapping of str to Sums
        By channel.
    model : Model
        The champion, which knows what a new customer orders or pays.
    margin_rate : float
        Contribution as a share of order value, of customers not known yet.
    errors : sequence of float
        See `models.clv.equity.level_reach`.
    """
    if not sums:
        return []
    whole = Sums(*(sum(values) for values in zip(*sums.values(), strict=True)))
    known = {} if set(sums) == {UNKNOWN} else sums
    ordered = sorted(known.items(), key=lambda item: (-item[1].customers, item[0]))
    new = NewCustomer.of(model, margin_rate)
    return [_one(name, each, new, level_reach(errors, 90)) for name, each in [(ALL, whole), *ordered]]


def _one(channel: str, sums: Sums, new: "NewCustomer", together: float) -> Acquisition:
    cost = sums.cost / sums.customers
    value = (sums.margin + sums.clv) / sums.customers
    own = NORMAL[90] * math.sqrt(sums.variance)
    reaches = [math.hypot(own, sums.clv * math.expm1(sign * together)) / sums.customers for sign in (-1, 1)]
    least = (sums.margin + min(sums.least, sums.clv)) / sums.customers  # what was earned stays so
    low, high = max(value - reaches[0], least), value + reaches[1]
    ratio, ratio_low, ratio_high = (round(v / cost, 3) if cost > 0 else None for v in (value, low, high))
    levels = (1.0, math.exp(together), math.exp(-together))
    days, days_low, days_high = (payback_days(new, cost, level=level) for level in levels)
    return Acquisition(
        channel=channel,
        customers=sums.customers,
        acquisition_cost=round(cost, 2),
        lifetime_value=round(value, 2),
        lifetime_value_low_90=round(low, 2),
        lifetime_value_high_90=round(high, 2),
        value_to_cost=ratio,
        value_to_cost_low_90=ratio_low,
        value_to_cost_high_90=ratio_high,
        payback_days=days,
        payback_days_low_90=days_low,
        payback_days_high_90=days_high,
    )


def margin_of_new(model: Model, margin_rate: float) -> Callable[[float], float]:
    """From days since the first order or period to the margin expected of an average new customer by then, it included.

    Raises
    ------
    TypeError
        If the family is not of lifetime value.
    """
    if isinstance(model, ClvNaive):
        return lambda days: margin_rate * model.value_ * (1 + model.rate_ * days)
    if isinstance(model, ContractualModel):
        return _margin_of_subscribers(model.strata_, margin_rate)
    if not isinstance(model, ClvBgNbd | ClvHybrid):
        raise TypeError(f"no orders of a new customer from {type(model).__name__}")
    new = Histories.of_new()
    price = float(model.spend_.expected_order_value(np.zeros(1), np.zeros(1))[0])
    return lambda days: margin_rate * price * (1 + float(model.orders_.expected_orders(new, days)[0]))


def _margin_of_subscribers(strata: Sequence[Stratum], margin_rate: float) -> Callable[[float], float]:
    """See `margin_of_new`: plans are as common among new subscribers as among those whose subscription runs."""
    running = max(sum(stratum.running for stratum in strata), 1)
    ways = []
    for stratum in strata:
        renewals = np.arange(LONGEST_DAYS // stratum.period_days + 1)
        paid = np.cumsum(stratum.staying.survival(renewals))  # the first period for certain
        ways.append((stratum.running / running * stratum.price, stratum.period_days, paid))
    return lambda days: margin_rate * sum(price * float(paid[int(days // period)]) for price, period, paid in ways)


@dataclass(frozen=True)
class NewCustomer:
    """What an average new customer brings and costs.

    Parameters
    ----------
    margin_by : callable
        From days since the first order or period to the margin expected by then, see `margin_of_new`.
    annual_cost_to_serve : float
        In a year, while the customer stays.
    """

    margin_by: Callable[[float], float]
    annual_cost_to_serve: float = 0.0

    @classmethod
    def of(cls, model: Model, margin_rate: float) -> Self:
        """As a model of lifetime value expects; what was asked for a day once is remembered."""
        cost = model.annual_cost_to_serve if isinstance(model, ClvModel) else 0.0
        return cls(cache(margin_of_new(model, margin_rate)), cost)


def payback_days(new: NewCustomer, acquisition_cost: float, level: float = 1.0) -> float | None:
    """Days until the margin, so many times what is expected, has first passed all costs, to a tenth of a day.

    None where it does not within ten years: serving may cost more than customers bring.
    """

    def is_short(days: float) -> bool:
        return level * new.margin_by(days) < acquisition_cost + new.annual_cost_to_serve * days / DAYS_A_YEAR

    after = next((at for at, days in enumerate(GRID) if not is_short(days)), None)
    if after is None:
        return None
    low, high = GRID[max(after - 1, 0)], GRID[after]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_short(middle) else (low, middle)
    return round(high, 1)
