"""Constant churn: at every renewal the same share of subscribers leaves, however long they have stayed."""

from dataclasses import dataclass

from models.base import Array
from models.clv.renewals.shifted_beta_geometric import Outcomes


@dataclass(frozen=True)
class ConstantChurn:
    """What a spreadsheet says of subscribers.

    Parameters
    ----------
    churn_rate : float
        Share that leaves at a renewal, more than 0, below 1.
    """

    churn_rate: float

    @classmethod
    def of(cls, outcomes: Outcomes) -> "ConstantChurn":
        """Those who left over the renewals that came up, each with half a subscriber more, so that it is never 0."""
        return cls(float((outcomes.left.sum() + 0.5) / (outcomes.renewals + 1)))

    @property
    def parameters(self) -> dict[str, float]:
        """The one parameter."""
        return {"churn_rate": self.churn_rate}

    def survival(self, renewals: Array) -> Array:
        """Share of a cohort still there after so many renewals; 1 after none."""
        return (1 - self.churn_rate) ** renewals
