"""Pre-flight checks: what in the histories a forecast may stumble over, named in plain words."""

from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

from models.base import Array
from models.clv.corrections.consensus import Consensus
from models.clv.histories import Histories
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.spend.base import SpendModel, spenders
from models.clv.spend.gamma_gamma import GammaGamma

FEW_BUYERS, LOW_SHARE = 100, 0.05
HEAVY_SHARE, DEPENDENCE = 0.3, 0.3
EARLIEST, TRUNCATED = 0.1, 0.3
COHORTS, MISFIT, QUANTILES = 3, 0.3, 9
LEAST_TO_JUDGE = 100


class Concern(NamedTuple):
    """One thing a reader of the forecast should know.

    Parameters
    ----------
    name : str
        Of the check.
    words : str
        What was found and what it means.
    """

    name: str
    words: str


def findings_in(
    histories: Histories, frequency: Array, monetary_value: Array, orders: OrderModel | Consensus, spend: SpendModel
) -> tuple[str, ...]:
    """The words of all checks of histories and spend, and of how the fitted models describe them."""
    found = preflight(histories, frequency, monetary_value, spend)
    fitted = (cohort_mix(orders, histories), silent_once(orders, histories))
    return tuple(finding.words for finding in (*found, *fitted) if finding)


def preflight(histories: Histories, frequency: Array, monetary_value: Array, spend: SpendModel) -> tuple[Concern, ...]:
    """Check histories and spend; the horizon against the history is checked by the job, which knows the calendar.

    Parameters
    ----------
    histories : Histories
        Of all customers.
    frequency, monetary_value : ndarray of shape (n,)
        Repeat order days of n customers, in any order, and their mean value; 0 or NaN without one.
    spend : SpendModel
        That the forecast rests on.

    Returns
    -------
    tuple of Concern
        In the order of the checks: `repeat_share`, `heavy_tail`, `spend_frequency`, `left_truncation`.
    """
    buyers = histories.weight[histories.frequency > 0].sum()
    found = (
        _repeat_share(int(buyers), int(histories.customers)),
        *_spend(frequency, monetary_value, spend),
        _left_truncation(histories),
    )
    return tuple(finding for finding in found if finding)


def _repeat_share(buyers: int, customers: int) -> Concern | None:
    if not buyers or (buyers >= FEW_BUYERS and buyers >= LOW_SHARE * customers):
        return None  # without any, the ladder says so
    return Concern(
        "repeat_share",
        f"low evidence: only {buyers:,} of {customers:,} customers ordered again ({buyers / customers:.1%}); forecasts "
        "rest on them alone",
    )


def _spend(x: Array, monetary_value: Array, spend: SpendModel) -> tuple[Concern | None, Concern | None]:
    spends = spenders(x, monetary_value)
    x, z = x[spends], monetary_value[spends]
    if len(z) < LEAST_TO_JUDGE:
        return None, None
    tail = dependent = None
    top = -(-len(z) // 100)
    share = float(np.sort(x * z)[-top:].sum() / (x * z).sum())
    if share > HEAVY_SHARE:
        tail = Concern(
            "heavy_tail",
            f"low evidence: the {top:,} customers who spent most ({top / len(z):.1%}) hold {share:.0%} of all repeat "
            "spend; totals depend on whether they stay",
        )
    rank = float(spearmanr(x, z).statistic) if np.ptp(x) > 0 and np.ptp(z) > 0 else 0.0
    if abs(rank) > DEPENDENCE and isinstance(spend, GammaGamma):
        more = "more" if rank > 0 else "less"
        dependent = Concern(
            "spend_frequency",
            f"customers who order more often spend {more} an order (rank correlation {rank:.2f}), which Gamma-Gamma "
            "takes to be unrelated; values of the most frequent are the least certain",
        )
    return tail, dependent


def _left_truncation(histories: Histories) -> Concern | None:
    age, customers = histories.T_days, histories.customers
    span = float(np.ptp(age)) if len(age) else 0.0
    if customers < LEAST_TO_JUDGE or span <= 0:
        return None
    share = float(histories.weight[age >= age.max() - EARLIEST * span].sum()) / customers
    if share <= TRUNCATED:
        return None
    return Concern(
        "left_truncation",
        f"{share:.0%} of customers have their first order in the first tenth of the time seen: many may have been "
        "customers before, so their histories are too short. Give orders from further back",
    )


def cohort_mix(model: OrderModel | Consensus, histories: Histories) -> Concern | None:
    """Check whether customers who joined early and late order as one fitted model says.

    Parameters
    ----------
    model : OrderModel
        Fitted to all.
    histories : Histories
        Of all customers.

    Returns
    -------
    Concern or None
        `cohort_mix`, where a third of the customers by age is more than 30 % off in total, beyond chance.
    """
    if histories.customers < COHORTS * LEAST_TO_JUDGE or not histories.frequency.any():
        return None
    ages, which = np.unique(histories.T_days, return_inverse=True)
    x = histories.frequency
    sizes, sums, squares = (np.bincount(which, weights=histories.weight * part) for part in (np.ones_like(x), x, x * x))
    middles = (np.cumsum(sizes) - sizes / 2) / histories.customers  # who joined on one day stays together
    cohorts = np.floor(COHORTS * middles)
    for cohort, words in enumerate(("latest", "middle", "earliest")):
        those = cohorts == cohort
        if not those.any():
            continue
        customers = float(sizes[those].sum())
        placed = float(sums[those].sum()) / customers
        quantiles = np.linspace(0.05, 0.95, QUANTILES)
        typical = np.quantile(ages[those], quantiles, weights=sizes[those], method="inverted_cdf")
        expected = float(np.mean([model.expected_orders(Histories.of_new(), float(days))[0] for days in typical]))
        variance = max(float(squares[those].sum()) / customers - placed**2, 0.0)
        if abs(placed - expected) > max(MISFIT * expected, 4 * np.sqrt(variance / customers)):
            return Concern(
                "cohort_mix",
                f"the third of customers who joined {words} placed {placed:.2f} repeat orders each where one model "
                f"for all expects {expected:.2f}: cohorts differ, so forecasts of newer and older customers are less "
                "certain",
            )
    return None


def silent_once(model: OrderModel | Consensus, histories: Histories) -> Concern | None:
    """Check whether a fitted model takes customers of one order to be active however long they have been silent.

    BG/NBD does, which lets customers leave after repeat orders only. That nobody leaves at a constant rate is said
    where one is taken.

    Returns
    -------
    Concern or None
        `silent_once`, where there are such customers.
    """
    once = float(histories.weight[histories.frequency == 0].sum())
    if not once or not isinstance(model, BgNbd) or isinstance(model, MbgNbd):
        return None
    return Concern(
        "silent_once",
        f"{model.title} takes all {once:,.0f} customers of one order to be active, however long they have been silent: "
        "their probability_active is 1. Trust it only of those who have ordered again, or choose --family clv_mbgnbd",
    )
