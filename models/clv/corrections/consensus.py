"""Several models of ordering and dropping out read as one: what they expect, averaged on the log scale.

Each weighs by how much better it describes the histories. The difference of two log-likelihoods has a standard error
that grows with the square root of the customers (Vuong 1989, section 4); measured in that, it is taken as log odds.
Where the histories cannot tell the models apart they weigh alike.

References
----------
Vuong, Q. H. (1989). Likelihood Ratio Tests for Model Selection and Non-Nested Hypotheses. Econometrica 57(2), 307-333.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import expit

from models.base import Array
from models.clv.ahead import Ahead
from models.clv.histories import Histories
from models.clv.kinds import keep_orders, read_orders
from models.clv.ladder import fit_orders
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.constant_rate import ConstantRate
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd

LEAST_ACTIVE, LEAST_PROBABILITY, CERTAIN = 1e-6, 1e-290, 1 - 1e-6
"""Less of P(alive) is taken as this much, so that orders have a logarithm; between what probabilities have log-odds."""
MOST_FURTHER, LEAST_RARE, MOST_RARE = 2.0, 1e-12, 500.0
"""How many times what the histories say a customer may order who orders; and between what the ratio has log-odds."""
SPREAD = 2 / 3
"""Standard deviation over customers of the difference of two models' log-likelihoods, about."""
WISHED: tuple[type[OrderModel], ...] = (BgNbd, MbgNbd, ParetoNbd)
"""What is averaged, each as far as the histories bear it."""


@dataclass(frozen=True)
class Consensus:
    """The average of several fitted models.

    Parameters
    ----------
    models : tuple of OrderModel
        Each kind once; at least one.
    weights : tuple of float, optional
        Of each; alike unless given.
    """

    models: tuple[OrderModel, ...]
    weights: tuple[float, ...] = ()

    kind: ClassVar[str] = "consensus"

    @property
    def title(self) -> str:
        """What it is, as a reader knows it."""
        *others, last = (model.title for model in self.models)
        return f"average of {', '.join(others)} and {last}" if others else last

    @property
    def parameters(self) -> dict[str, float]:
        """Those of all models, each by its kind."""
        return {f"{model.kind}.{name}": value for model in self.models for name, value in model.parameters.items()}

    @classmethod
    def fit(cls, histories: Histories) -> tuple[Self, tuple[str, ...]]:
        """Fit every model to the histories.

        Returns
        -------
        consensus : Consensus
            All fitted; those that the histories bear only as the same simpler model, once.
        warnings : tuple of str
            Of all models, each once.
        """
        patterns = histories.patterns()
        models: dict[str, OrderModel] = {}
        warnings: list[str] = []
        for wished in WISHED:
            model, told = fit_orders(wished, patterns)
            models.setdefault(model.kind, model)
            warnings += told
        fitted = tuple(models.values())
        likelihoods = np.array([model.log_likelihood(patterns) for model in fitted])
        odds = np.exp((likelihoods - likelihoods.max()) / (SPREAD * np.sqrt(patterns.customers)))
        return cls(fitted, tuple(map(float, odds / odds.sum()))), tuple(dict.fromkeys(warnings))

    @property
    def in_closed_form(self) -> BgNbd | ConstantRate:
        """The first model whose distribution of orders is known in closed form."""
        return next(model for model in self.models if isinstance(model, BgNbd | ConstantRate))

    def ahead(self, histories: Histories) -> "Outlook":
        """See ahead of customers with these histories; what the models share of them is found once."""
        pairs, which = histories.pairs()
        seen = tuple(Ahead(model, model.probability_active(histories), pairs, which) for model in self.models)
        return Outlook(seen, self.weights or (1 / len(seen),) * len(seen))

    def expected_orders(self, histories: Histories, horizon_days: float) -> Array:
        """Geometric mean of the expected order days in the next days; above 0."""
        return self.ahead(histories).expected_orders(horizon_days)

    def state(self) -> list[dict[str, Any]]:
        """Kind, parameters and weight of each model, as JSON."""
        weights = self.weights or (1 / len(self.models),) * len(self.models)
        return [keep_orders(model) | {"weight": weight} for model, weight in zip(self.models, weights, strict=True)]

    @classmethod
    def from_state(cls, state: Sequence[dict[str, Any]]) -> Self:
        """Make the fitted models again."""
        weights = tuple(kept["weight"] for kept in state if "weight" in kept)
        return cls(tuple(read_orders(kept) for kept in state), weights)


@dataclass(frozen=True)
class Outlook:
    """What several models see ahead of the same customers, averaged.

    Parameters
    ----------
    seen : tuple of Ahead
        By each model.
    weights : tuple of float
        Of each; they add up to 1.
    """

    seen: tuple[Ahead, ...]
    weights: tuple[float, ...]

    @property
    def mean_active(self) -> Array:
        """Mean of the models' probabilities that each customer may order again, BG/NBD's of one-timers among them."""
        return self._mean(lambda ahead: ahead.active)

    @property
    def active(self) -> Array:
        """Probability that each customer may order again.

        Of those who ordered once only models have a say that let them leave, where there are any: BG/NBD has them stay
        for ever, however little that fits their silence.
        """
        once = self.seen[0].pairs.frequency[self.seen[0].which] == 0
        knowing = [isinstance(ahead.model, MbgNbd | ParetoNbd) for ahead in self.seen]
        if all(knowing) or not any(knowing):
            return self.mean_active
        weights = np.array(self.weights) * knowing
        weights = weights / weights.sum() if weights.sum() else np.array(knowing) / np.sum(knowing)
        of_once = np.asarray(sum(weight * ahead.active for ahead, weight in zip(self.seen, weights, strict=True)))
        return np.where(once, of_once, self.mean_active)

    def expected_orders(self, horizon_days: float) -> Array:
        """Geometric mean of the expected order days in the next days; above 0."""
        return np.exp(self._mean(lambda ahead: _log_orders(ahead, horizon_days)))

    def orders_if_any(self, horizon_days: float) -> Array:
        """Mean of the expected order days in the next days, given that there is one; at least 1."""
        return np.maximum(self._mean(lambda ahead: ahead.orders_if_any(horizon_days)), 1.0)

    def silence(self, horizon_days: float, some: slice = slice(None)) -> Array:
        """Log-odds of no order in the next days, of some of the customers: the mean of the models'."""
        return self._mean(lambda ahead: -_log_odds(ahead.any_order(some, horizon_days)))

    def _mean(self, of: Callable[[Ahead], Array]) -> Array:
        weighed = zip(self.seen, self.weights, strict=True)
        return np.asarray(sum(weight * of(ahead) for ahead, weight in weighed), dtype=np.float64)


def reconciled(orders: Array, silence: Array, active: Array, if_any: Array) -> tuple[Array, Array]:
    """Make averages agree that come from several models and trees, each of another quantity.

    Of customers long silent they are averages of next to nothing, and apart by orders of magnitude: more orders than
    an order now and then could make. Who orders at all is not taken to order more than twice as often as the histories
    say of those who do, and has to be active for it.

    Parameters
    ----------
    orders : ndarray of shape (n,)
        Expected order days.
    silence : ndarray of shape (n,)
        Log-odds of none.
    active : ndarray of shape (n,)
        P(alive).
    if_any : ndarray of shape (n,)
        Expected order days given that there is one, by the histories.

    Returns
    -------
    silence, active : ndarray of shape (n,)
        The same where they agree.
    """
    least, most = (silence_of(orders / each) for each in (1.0, MOST_FURTHER * if_any))
    silence = np.clip(silence, least, most)
    return silence, np.maximum(active, expit(-silence))


def _log_orders(ahead: Ahead, horizon_days: float) -> Array:
    orders = np.maximum(ahead.active, LEAST_ACTIVE) * ahead.orders_if_active(horizon_days)
    return np.asarray(np.log(np.maximum(orders, LEAST_PROBABILITY)))


def _log_odds(probability: Array) -> Array:
    """Log-odds, down to probabilities so small that one less them is 1: those of who has left rise with time, too."""
    inside = np.clip(probability, LEAST_PROBABILITY, CERTAIN)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def silence_of(expected: Array) -> Array:
    """Log-odds of none of a Poisson number."""
    return np.asarray(-np.log(np.expm1(np.clip(expected, LEAST_RARE, MOST_RARE))))
