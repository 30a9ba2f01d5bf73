"""How a person declares what is not known for certain: money with its deviation, shares with their evidence."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from models.decision.offer import Amount, Rate


class Strict(BaseModel):
    """Settings that cannot be changed, and of which every name is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _as_mean(value: object) -> object:
    """A bare number is an amount known for certain."""
    return {"mean": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class DeclaredAmount(Strict):
    """Money with its standard deviation; a bare number is known for certain."""

    mean: float = Field(ge=0, lt=1e12)
    deviation: float = Field(default=0.0, ge=0, lt=1e12)

    def read(self) -> Amount:
        """As decisions take it."""
        return Amount(self.mean, self.deviation)


class DeclaredRate(Strict):
    """A share as if it had been seen in so many trials."""

    mean: float = Field(gt=0, lt=1)
    sample_size: float = Field(gt=0, lt=1e12)

    def read(self) -> Rate:
        """As decisions take it."""
        return Rate(self.mean, self.sample_size)


Money = Annotated[DeclaredAmount, BeforeValidator(_as_mean)]
