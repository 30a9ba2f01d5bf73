"""Pre-flight checks: what in the histories a forecast may stumble over, named in plain words."""

from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

from models.base import Array
from models.clv.histories import Histories
from models.clv.orders import OrderModel
from models.clv.spend import spenders

FEW_BUYERS, LOW_SHARE = 100, 0.05
HEAVY_SHARE, DEPENDENCE = 0.3, 0.3
EARLIEST, TRUNCATED = 0.1, 0.3
COHORTS, MISFIT, QUANTILES = 3, 0.3, 9
LEAST_TO_JUDGE = 100


class Finding(NamedTuple):
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


def preflight(histories: Histories, monetary_value: Array, horizon_days: float) -> tuple[Finding, ...]:
    """Check histories and spend.

    Parameters
    ----------
    histories : Histories
        Of n customers, one entry each.
    monetary_value : ndarray of shape (n,)
        Mean value of repeat order days; 0 or NaN without one.
    horizon_days : float
        How far ahead the forecast goes.

    Returns
    -------
    tuple of Finding
        In the order of the checks: `repeat_share`, `horizon`, `heavy_tail`, `spend_frequency`, `left_truncation`.
    """
    x = histories.frequency
    found = (
        _repeat_share(int((x > 0).sum()), len(x)),
        _horizon(float(histories.T_days.max(initial=0.0)), horizon_days),
        *_spend(x, monetary_value),
        _left_truncation(histories.T_days),
    )
    return tuple(finding for finding in found if finding)


def _repeat_share(buyers: int, customers: int) -> Finding | None:
    if not buyers or (buyers >= FEW_BUYERS and buyers >= LOW_SHARE * customers):
        return None  # without any, the ladder says so
    return Finding(
        "repeat_share",
        f"low evidence: only {buyers:,} of {customers:,} customers ordered again ({buyers / customers:.1%}); forecasts "
        "rest on them alone",
    )


def _horizon(longest_days: float, horizon_days: float) -> Finding | None:
    if horizon_days <= longest_days:
        return None
    return Finding(
        "horizon",
        f"low evidence: the horizon of {horizon_days:,.0f} days is longer than any customer has been seen "
        f"({longest_days:,.0f} days)",
    )


def _spend(x: Array, monetary_value: Array) -> tuple[Finding | None, Finding | None]:
    spends = spenders(x, monetary_value)
    x, z = x[spends], monetary_value[spends]
    if len(z) < LEAST_TO_JUDGE:
        return None, None
    tail = dependent = None
    top = -(-len(z) // 100)
    share = float(np.sort(x * z)[-top:].sum() / (x * z).sum())
    if share > HEAVY_SHARE:
        tail = Finding(
            "heavy_tail",
            f"low evidence: the {top:,} customers who spent most ({top / len(z):.1%}) hold {share:.0%} of all repeat "
            "spend; totals depend on whether they stay",
        )
    rank = float(spearmanr(x, z).statistic) if np.ptp(x) > 0 and np.ptp(z) > 0 else 0.0
    if abs(rank) > DEPENDENCE:
        more = "more" if rank > 0 else "less"
        dependent = Finding(
            "spend_frequency",
            f"customers who order more often spend {more} an order (rank correlation {rank:.2f}), which Gamma-Gamma "
            "takes to be unrelated; values of the most frequent are the least certain",
        )
    return tail, dependent


def _left_truncation(age: Array) -> Finding | None:
    span = float(np.ptp(age)) if len(age) else 0.0
    if len(age) < LEAST_TO_JUDGE or span <= 0:
        return None
    share = float((age >= age.max() - EARLIEST * span).mean())
    if share <= TRUNCATED:
        return None
    return Finding(
        "left_truncation",
        f"{share:.0%} of customers have their first order in the first tenth of the time seen: many may have been "
        "customers before, so their histories are too short. Give orders from further back",
    )


def cohort_mix(model: OrderModel, histories: Histories) -> Finding | None:
    """Check whether customers who joined early and late order as one fitted model says.

    Parameters
    ----------
    model : OrderModel
        Fitted to all.
    histories : Histories
        Of n customers, one entry each.

    Returns
    -------
    Finding or None
        `cohort_mix`, where a third of the customers by age is more than 30 % off in total, beyond chance.
    """
    if len(histories) < COHORTS * LEAST_TO_JUDGE or not histories.frequency.any():
        return None
    order = np.argsort(histories.T_days, kind="stable")
    for part, words in zip(np.array_split(order, COHORTS), ("latest", "middle", "earliest"), strict=True):
        x, age = histories.frequency[part], histories.T_days[part]
        ages = np.quantile(age, np.linspace(0.05, 0.95, QUANTILES))
        expected = float(np.mean([model.expected_orders(Histories.of_new(), float(days))[0] for days in ages]))
        chance = 4 * float(x.std()) / np.sqrt(len(x))
        if abs(x.mean() - expected) > max(MISFIT * expected, chance):
            return Finding(
                "cohort_mix",
                f"the third of customers who joined {words} placed {x.mean():.2f} repeat orders each where one model "
                f"for all expects {expected:.2f}: cohorts differ, so forecasts of newer and older customers are less "
                "certain",
            )
    return None
