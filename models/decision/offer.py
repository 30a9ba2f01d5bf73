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
class Offer:
    """What is done to keep a customer.

    Parameters
    ----------
    contact_cost : Amount
        Of every contact.
    offer_cost : Amount
        Of every offer that is taken.
    success : Rate
        Share of the customers who would leave that the offer keeps.
    """

    contact_cost: Amount
    offer_cost: Amount = field(default_factory=lambda: Amount(0.0))
    success: Rate = field(default_factory=lambda: Rate(0.3, 20.0))

    def profit(self, probability: Array, value: Array) -> Array:
        """Expected profit of contacting customers.

        Parameters
        ----------
        probability : ndarray of shape (n,)
            Of leaving, calibrated.
        value : ndarray of shape (n,)
            What a customer who is kept is worth.
        """
        d, f, g = self.offer_cost.mean, self.contact_cost.mean, self.success.mean
        return np.asarray(probability * (g * (value - d) - f) - (1 - probability) * (d + f))

    def break_even(self, value: Array) -> Array:
        """Probability of leaving from which contacting a customer of a value pays; infinite where it never does."""
        d, f, g = self.offer_cost.mean, self.contact_cost.mean, self.success.mean
        gain = g * (np.asarray(value, dtype=np.float64) - d) + d
        least = np.divide(d + f, gain, out=np.full(gain.shape, np.inf), where=gain > 0)
        return np.where(least < 1, least, np.inf)

    def takers(self, probability: Array) -> Array:
        """Probability that the offer is taken."""
        return np.asarray(1 - probability * (1 - self.success.mean))

    @property
    def highest_cost(self) -> float:
        """Of a contact whose offer is taken."""
        return self.contact_cost.mean + self.offer_cost.mean

    def level_variance(
        self, leavers: Array | float, worth: Array | float, contacts: Array | float, value_error: float = 0.0
    ) -> Array:
        """Variance of a total profit that comes from not knowing rate, costs and level of value: it hits all together.

        Parameters
        ----------
        leavers : ndarray
            How many of the contacted would leave.
        worth : ndarray
            What those are worth together.
        contacts : ndarray
            How many are contacted.
        value_error : float
            Standard deviation of the level of all values, as a share of it.

        Returns
        -------
        ndarray
            Variance of ``g worth - d (g leavers + contacts - leavers) - f contacts`` with g, d, f and the level of
            `worth` independent.
        """
        g, d, f = self.success, self.offer_cost, self.contact_cost
        square = g.mean**2 + g.variance
        stay = contacts - leavers
        taken = square * leavers**2 + 2 * g.mean * leavers * stay + stay**2  # mean square of the offers taken
        return np.asarray(
            (worth - d.mean * leavers) ** 2 * g.variance
            + square * (value_error * worth) ** 2
            + taken * d.deviation**2
            + contacts**2 * f.deviation**2
        )

    def chance_variance(self, probability: Array, value: Array, deviation: Array) -> Array:
        """Variance of each customer's own profit: who leaves, who is kept, and what they then are worth.

        Parameters
        ----------
        probability, value : ndarray of shape (n,)
            See `profit`.
        deviation : ndarray of shape (n,)
            Standard deviation of what the customer will be worth.
        """
        d, f, g = self.offer_cost.mean, self.contact_cost.mean, self.success.mean
        kept, lost, stays = probability * g, probability * (1 - g), 1 - probability
        square = kept * ((value - d - f) ** 2 + deviation**2) + lost * f**2 + stays * (d + f) ** 2
        return np.asarray(np.maximum(square - self.profit(probability, value) ** 2, 0.0))
