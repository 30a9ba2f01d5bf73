"""On what terms customers would be contacted: what training measures profit by."""

from typing import Self

from pydantic import model_validator

from models.decision.declared import DeclaredAmount, DeclaredRate, Money, Strict
from models.decision.offer import Amount, Offer


class OfferTerms(Strict):
    """What contacting customers costs, and what keeping one brings.

    Parameters
    ----------
    contact_cost, offer_cost : DeclaredAmount
        Of every contact, and of every offer that is taken.
    success_rate : DeclaredRate
        Share of the customers who would leave that the offer keeps.
    margin : DeclaredAmount
        What a customer who is kept brings, on average; more than the offer costs.
    """

    contact_cost: Money
    offer_cost: Money = DeclaredAmount(mean=0.0)
    success_rate: DeclaredRate
    margin: Money

    @model_validator(mode="after")
    def _can_pay(self) -> Self:
        if self.margin.mean <= self.offer_cost.mean:
            said = f"a margin above the offer_cost of {self.offer_cost.mean:g}"
            raise ValueError(f"{said}; {self.margin.mean:g} would never pay")
        return self

    @property
    def offer(self) -> Offer:
        """As decisions take it."""
        return Offer(self.contact_cost.read(), self.offer_cost.read())

    @property
    def margin_error(self) -> float:
        """Standard deviation of the margin, as a share of it."""
        margin: Amount = self.margin.read()
        return margin.deviation / margin.mean


LITERATURE = OfferTerms(
    contact_cost=DeclaredAmount(mean=1.0),
    offer_cost=DeclaredAmount(mean=10.0),
    success_rate=DeclaredRate(mean=0.3, sample_size=20.0),
    margin=DeclaredAmount(mean=200.0),
)
"""What Verbraken, Verbeke and Baesens (2013) took, section 5: Beta(6, 14) for the success rate."""
