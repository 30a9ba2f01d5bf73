"""What contacting a customer costs and may save, with everything that is not known for certain as a distribution.

A customer who would leave is kept with the success rate, and then takes the offer; one who would have stayed takes it
as well. Contacting a customer who leaves with probability p and is worth v is therefore expected to bring::

    p(g(v - d) - f) - (1 - p)(d + f)

with contact cost f, offer cost d and success rate g.

References
----------
Neslin, S. A. et al. (2006). Defection Detection: Measuring and Understanding the Predictive Accuracy of Customer Churn
Models. Journal of Marketing Research 43(2), equation (1); Verbraken, T., Verbeke, W. and Baesens, B. (2013). A Novel
Profit Maximizing Metric for Measuring Classification Performance of Customer Churn Prediction Models. IEEE Transactions
on Knowledge and Data Engineering 25(5), section 3.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.base import Array
from models.errors import ParameterOutOfRange


@dataclass(frozen=True)
class Amount:
    """Money that is known up to a standard deviation.

    Parameters
    ----------
    mean : float
        At least 0.
    deviation : float
        Standard deviation, at least 0; 0 where it is known.

    Raises
    ------
    ParameterOutOfRange
        If either is negative or not finite.
    """

    mean: float
    deviation: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no amount."""
        for name, value in (("mean", self.mean), ("deviation", self.deviation)):
            if not (math.isfinite(value) and value >= 0):
                raise ParameterOutOfRange(f"the {name} of an amount", value, "0 or more, finite")


@dataclass(frozen=True)
class Rate:
    """A share that follows a beta distribution, as if it had been observed in so many trials.

    Parameters
    ----------
    mean : float
        Between 0 and 1.
    sample_size : float
        Equivalent number of trials, more than 0; ``Beta(mean * sample_size, (1 - mean) * sample_size)``.

    Raises
    ------
    ParameterOutOfRange
        If either makes no such distribution.
    """

    mean: float
    sample_size: float

    def __post_init__(self) -> None:
        """Refuse what is no distribution of a rate."""
        if not 0 < self.mean < 1:
            raise ParameterOutOfRange("the mean of a rate", self.mean, "between 0 and 1")
        if not (math.isfinite(self.sample_size) and self.sample_size > 0):
            raise ParameterOutOfRange("the sample size of a rate", self.sample_size, "more than 0, finite")

    @property
    def alpha(self) -> float:
        """First parameter of the beta distribution."""
        return self.mean * self.sample_size

    @property
    def beta(self) -> float:
        """Second parameter of the beta distribution."""
        return (1 - self.mean) * self.sample_size

    @property
    def variance(self) -> float:
        """Of the rate."""
        return self.mean * (1 - self.mean) / (self.sample_size + 1)


@dataclass(frozen=True)
class Effect:
    """How many customers a contact keeps, with how sure that is.

    Parameters
    ----------
    kept : ndarray of shape (n,)
        Probability that the contact keeps the customer, who would leave without it; below 0 where it drives away.
    lever : ndarray of shape (n,)
        How much of the level's error each customer has: `kept` is that of every customer plus `lever` times one error.
    variance : float
        Of that error.
    """

    kept: Array
    lever: Array
    variance: float

    @classmethod
    def of_rate(cls, success: Rate, probability: Array) -> "Effect":
        """Of an offer that keeps a share of those who would leave."""
        return cls(success.mean * probability, probability, success.variance)

    def of(self, rows: Any) -> "Effect":
        """Of some of the customers."""
        return Effect(self.kept[rows], self.lever[rows], self.variance)


@dataclass(frozen=True)
class Offer:
    """What keeping customers costs.

    Parameters
    ----------
    contact_cost : Amount
        Of every contact.
    offer_cost : Amount
        Of every offer that is taken: by those who are kept and by those who would have stayed.
    """

    contact_cost: Amount
    offer_cost: Amount = field(default_factory=lambda: Amount(0.0))

    @property
    def highest_cost(self) -> float:
        """Of a contact whose offer is taken."""
        return self.contact_cost.mean + self.offer_cost.mean

    def takers(self, probability: Array, effect: Effect) -> Array:
        """Probability that the offer is taken, by customers who leave with a probability."""
        return np.asarray(1 - probability + effect.kept)

    def profit(self, probability: Array, value: Array, effect: Effect) -> Array:
        """Expected profit of contacting customers.

        Parameters
        ----------
        probability : ndarray of shape (n,)
            Of leaving, calibrated.
        value : ndarray of shape (n,)
            What a customer who is kept is worth.
        effect : Effect
            What a contact changes.
        """
        taken = self.offer_cost.mean * self.takers(probability, effect)
        return np.asarray(effect.kept * value - taken - self.contact_cost.mean)

    def break_even(self, value: Array, success: Rate) -> Array:
        """Probability of leaving from which contacting a customer of a value pays; infinite where it never does."""
        d, f = self.offer_cost.mean, self.contact_cost.mean
        gain = success.mean * (np.asarray(value, dtype=np.float64) - d) + d
        least = np.divide(d + f, gain, out=np.full(gain.shape, np.inf), where=gain > 0)
        return np.where(least < 1, least, np.inf)

    def level_variance(
        self, probability: Array, value: Array, effect: Effect, value_error: float = 0.0, order: Any = None
    ) -> Array:
        """Variance of a total profit that comes from not knowing effect, costs and level of values, which hits all.

        Parameters
        ----------
        probability, value, effect
            See `profit`.
        value_error : float
            Standard deviation of the level of all values, as a share of it.
        order : ndarray of int, optional
            An order of the customers.

        Returns
        -------
        ndarray of shape (n,)
            Of the total over the first customer, the first two, and so on. Effect, costs and level of values err
            independently of each other.
        """
        rows = slice(None) if order is None else order
        mine, worth = effect.of(rows), value[rows]
        kept, lever, staying = (np.cumsum(each) for each in (mine.kept, mine.lever, 1 - probability[rows]))
        saved, levered = np.cumsum(mine.kept * worth), np.cumsum(mine.lever * worth)
        d, f = self.offer_cost, self.contact_cost
        return np.asarray(
            (levered - d.mean * lever) ** 2 * mine.variance
            + value_error**2 * (saved**2 + levered**2 * mine.variance)
            + d.deviation**2 * ((kept + staying) ** 2 + lever**2 * mine.variance)
            + (f.deviation * np.arange(1, len(kept) + 1)) ** 2
        )

    def chance_variance(self, probability: Array, value: Array, deviation: Array, effect: Effect) -> Array:
        """Variance of each customer's own profit: who leaves, who is kept, and what they then are worth.

        Parameters
        ----------
        probability, value, effect
            See `profit`.
        deviation : ndarray of shape (n,)
            Standard deviation of what the customer will be worth.
        """
        d, f = self.offer_cost.mean, self.contact_cost.mean
        kept, stays = np.clip(effect.kept, 0.0, 1.0), 1 - probability
        lost = np.maximum(probability - kept, 0.0)
        square = kept * ((value - d - f) ** 2 + deviation**2) + lost * f**2 + stays * (d + f) ** 2
        return np.asarray(np.maximum(square - self.profit(probability, value, effect) ** 2, 0.0))
