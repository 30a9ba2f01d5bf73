"""What customers without an order are forecast to be worth, and how good that is on what they did next."""

from collections.abc import Callable

import numpy as np

from models.base import Array, Model
from models.clv.btyd import ClvBgNbd
from models.clv.histories import Histories
from models.clv.hybrid import ClvHybrid
from models.clv.naive import ClvNaive
from models.clv.prospects import Prospects
from models.clv.value import Terms
from training.evaluation.levels import LEVELS
from training.evaluation.metrics import churn_loss, poisson_deviance
from training.rows.prospects import ProspectRows
from training.task import Prepared

CHANCE = 3.0
"""Standard errors by which a total may be off: a right forecast is further off about once in 370 times."""


def repeats_after_first(model: Model) -> Callable[[float], float]:
    """Orders that a fitted model expects of a customer in the days after the first order.

    Raises
    ------
    TypeError
        If the model is not of lifetime value.
    """
    match model:
        case ClvBgNbd() | ClvHybrid():
            orders, new = model.orders_, Histories.of_new()
            return lambda days: float(orders.expected_orders(new, days)[0])
        case ClvNaive():
            rate = model.rate_
            return lambda days: rate * days
    raise TypeError(f"no orders after the first for {type(model).__name__}")


def forecast_prospects(model: Model, prepared: Prepared) -> tuple[Prospects | None, dict[str, float], tuple[str, ...]]:
    """Forecast the prospects of a profile with what a fitted model expects of new customers.

    Returns
    -------
    prospects : Prospects or None
        None where the task or the profile knows of none.
    metrics : dict of str to float
        On what they did next, where that is evaluated, beside everyone's mean.
    warnings : tuple of str
        What a reader should know.
    """
    found = prepared.prospects
    if found is None or not isinstance(model, ClvBgNbd | ClvHybrid | ClvNaive):
        return None, {}, ()
    prospects = Prospects.of(
        found.first, found.spent, found.waiting.rows, repeats_after_first(model), model.terms, found.first_orders
    )
    if "order_days" not in found.waiting.outcome:
        return prospects, {}, found.warnings
    metrics, warnings = measure_prospects(prospects, model.terms, found)
    return prospects, metrics, (*found.warnings, *warnings)


def measure_prospects(
    prospects: Prospects, terms: Terms, found: ProspectRows
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Metrics on what prospects did next, the same of everyone's mean as baseline, and what to say of them."""
    rows, outcome = found.waiting.rows, found.waiting.outcome
    orders, value = (outcome[name].to_numpy(dtype=np.float64) for name in ("order_days", "order_value"))
    none = (orders == 0).astype(np.float64)
    days = terms.horizon_days
    usual = np.full(len(rows), np.exp(-found.rate * days))
    expected = prospects.expected_orders(rows, days)
    if_comes = float(expected.sum() / max((1 - prospects.probability_no_order(rows, days)).sum(), 1e-12))
    own = _measures(orders, none, expected, prospects.probability_no_order(rows, days))
    mean = _measures(orders, none, (1 - usual) * if_comes, usual)
    metrics = {f"holdout/prospect_{name}": score for name, score in own.items()}
    metrics |= {f"baseline/prospect_{name}": score for name, score in mean.items()}
    worth = float((expected * prospects.spent.expected(rows)).sum())
    metrics["holdout/prospects"] = float(len(rows))
    metrics["holdout/prospect_bias_total_orders"] = float(expected.sum() / max(orders.sum(), 1.0) - 1)
    metrics["holdout/prospect_bias_total_value"] = worth / max(float(value.sum()), 1.0) - 1
    said, name = said_of_total(float(expected.sum()), float(orders.sum()), if_comes), "log_loss_no_order"
    if own[name] >= mean[name]:
        said.append(
            f"low evidence: of {len(rows):,} prospects the forecast by age, channel and attributes was no better than "
            f"everyone's mean (log loss {own[name]:.4f}, mean {mean[name]:.4f})"
        )
    return metrics, tuple(said)


def said_of_total(expected: float, actual: float, if_comes: float) -> list[str]:
    """Say when a total of order days was further from the forecast than a total may be, and than chance explains.

    Parameters
    ----------
    expected, actual : float
        Order days of all prospects.
    if_comes : float
        Expected order days of a prospect who orders at all.

    Returns
    -------
    list of str
        Customers come as a Poisson process and each orders ``1 + Poisson(if_comes - 1)`` times, so that the variance
        of the total is at most ``expected * (1 + if_comes)``.
    """
    off, chance = abs(expected - actual), CHANCE * np.sqrt(expected * (1 + if_comes))
    if off <= LEVELS["clv"].trusted[1] * actual or off <= chance:
        return []
    return [
        f"low evidence: prospects were forecast to order {expected:,.1f} times and did {actual:,.0f} times, which is "
        "more than chance explains: do not count on what they are worth in all"
    ]


def _measures(orders: Array, none: Array, expected: Array, probability: Array) -> dict[str, float]:
    return {
        "log_loss_no_order": float(churn_loss(none, probability).mean()),
        "poisson_deviance_orders": float(poisson_deviance(orders, expected).mean()),
    }
