"""What a churn model would earn on customers whose outcome is known: profit curve, best threshold, EMPC.

Terms that nobody declared are those of Verbraken, Verbeke and Baesens (2013), by name, so that runs can be compared.
"""

from typing import Any

import numpy as np

from models.base import Array
from models.decision.empc import expected_maximum_profit
from models.decision.offer import Effect
from models.decision.profit import ProfitCurve, profit_curve
from models.families import Task
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.evaluation.intervals import MOST_PEOPLE, Rows
from training.evaluation.offer import LITERATURE, OfferTerms

NAME = "profit"
DRAWS = 200


def require_offer_for(task: Task, config: TrainConfig) -> None:
    """Refuse terms of an offer where nobody is kept.

    Raises
    ------
    ConfigInvalid
        If an offer is declared for another task than churn.
    """
    if config.offer is not None and task != "churn":
        raise ConfigInvalid("offer", "terms of an offer", f"none for {task}: an offer keeps customers who would leave")


def terms_of(config: TrainConfig) -> OfferTerms:
    """The declared terms, or those of the literature."""
    return config.offer or LITERATURE


def curve_of(churned: Array, probability: Array, config: TrainConfig) -> ProfitCurve:
    """The profit curve of a score on customers whose outcome is known."""
    terms = terms_of(config)
    effect = Effect.of_rate(terms.success_rate.read(), churned)
    margin = np.full(len(churned), terms.margin.mean)
    return profit_curve(probability, churned, margin, terms.offer, effect, terms.margin_error)


def profit_metrics(churned: Array, probability: Array, who: Rows, config: TrainConfig) -> dict[str, float]:
    """What contacting customers by a score would earn.

    Parameters
    ----------
    churned : ndarray of shape (n,)
        Who left.
    probability : ndarray of shape (n,)
        Calibrated.
    who : ndarray of shape (n,)
        Number of the person whose row it is.
    config : TrainConfig
        With the terms in `offer`.

    Returns
    -------
    dict
        ``profit/empc``, a customer, with its bootstrap interval, and ``.../empc_share``; ``.../best``, the most profit
        a customer on the curve, with the interval that follows from the terms, ``.../best_share`` to contact and
        ``.../threshold``, which is missing where no contact pays; ``.../break_even``, the probability from which a
        calibrated model says that it does; the means of the terms, and ``.../is_assumed``. Empty with one class.
    """
    if not 0 < churned.mean() < 1:
        return {}
    terms, count = terms_of(config), len(churned)
    found = expected_maximum_profit(churned, probability, **_empc_terms(terms))
    curve = curve_of(churned, probability, config)
    best = curve.best
    metrics = {
        "empc": found.profit,
        **_empc_interval(churned, probability, who, terms, found.profit, config.random_state),
        "empc_share": found.share,
        "best": float(curve.profit[best]) / count,
        "best_low": float(curve.low_90[best]) / count,
        "best_high": float(curve.high_90[best]) / count,
        "best_share": float(curve.share[best]),
    }
    reached = {
        "threshold": float(curve.threshold[best]),
        "break_even": float(terms.offer.break_even(np.array([terms.margin.mean]), terms.success_rate.read())[0]),
    }
    metrics |= {name: value for name, value in reached.items() if np.isfinite(value)}
    told = ("contact_cost", "offer_cost", "success_rate", "margin")
    metrics |= {name: float(getattr(terms, name).mean) for name in told}
    metrics["is_assumed"] = float(config.offer is None)
    return {f"{NAME}/{name}": value for name, value in metrics.items()}


def _empc_terms(terms: OfferTerms) -> dict[str, Any]:
    return {
        "success": terms.success_rate.read(),
        "value": terms.margin.mean,
        "offer_cost": terms.offer_cost.mean,
        "contact_cost": terms.contact_cost.mean,
    }


def _empc_interval(
    churned: Array, probability: Array, who: Rows, terms: OfferTerms, found: float, random_state: int
) -> dict[str, float]:
    """By resampling people, of many only some; centred, since a resample looks better ranked than it is."""
    generator = np.random.default_rng(random_state)
    people = int(who.max()) + 1
    used = min(people, MOST_PEOPLE)
    if used < people:
        kept = np.zeros(people, dtype=bool)
        kept[generator.choice(people, used, replace=False)] = True
        rows = kept[who]
        churned, probability = churned[rows], probability[rows]
        who = np.unique(who[rows], return_inverse=True)[1]
    drawn = []
    for _ in range(DRAWS):
        rows = np.repeat(np.arange(len(who)), generator.poisson(1.0, used)[who])
        if 0 < churned[rows].sum() < len(rows):
            drawn.append(expected_maximum_profit(churned[rows], probability[rows], **_empc_terms(terms)).profit)
    if not drawn:
        return {}
    low, high = (np.quantile(drawn, [0.05, 0.95]) - np.mean(drawn)) * np.sqrt(used / people)
    return {"empc_low": max(found + float(low), 0.0), "empc_high": found + float(high)}
