"""Whom a task concerns: only they are learned from, evaluated on and scored."""

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from features.btyd import frequency
from features.lifecycle import lifecycle_state
from features.spec import Feature
from features.subscriptions import has_active_subscription

Eligible = Literal["ordered", "active", "subscribed", "known", "lapsed", "former"]


@dataclass(frozen=True)
class Eligibility:
    """A rule over one feature.

    Parameters
    ----------
    name : str
        What it is called.
    feature : Feature or None
        What it looks at; None concerns every known customer.
    levels : tuple
        Its values that are meant; without any, every value.
    otherwise : str
        What is true of the others.
    who : str
        What they have in common, as it reads between "no customer" and "before".
    """

    name: Eligible
    feature: Feature | None
    levels: tuple[Any, ...]
    otherwise: str
    who: str

    def mask(self, table: pa.Table) -> pa.Array:
        """Which rows of a feature table are eligible."""
        if self.feature is None:
            return pa.array([True] * table.num_rows, pa.bool_())
        column = table.column(self.feature.name).combine_chunks()
        if not self.levels:
            return pc.is_valid(column)
        return pc.is_in(column, value_set=pa.array(self.levels, column.type))


ELIGIBLE: dict[str, Eligibility] = {
    rule.name: rule
    for rule in (
        Eligibility("ordered", frequency, (), "no order before the prediction time", "had ordered"),
        Eligibility(
            "active",
            lifecycle_state,
            ("new", "active", "reactivated", "at risk"),
            "no order before the prediction time, or silent for 3 rhythms already",
            "had ordered within 3 rhythms",
        ),
        Eligibility(
            "subscribed",
            has_active_subscription,
            (True,),
            "no subscription running at the prediction time",
            "had a running subscription",
        ),
        Eligibility("known", None, (), "", "was known"),
        Eligibility(
            "lapsed",
            lifecycle_state,
            ("lapsed", "former"),
            "never ordered, or silent for under 3 rhythms",
            "had been silent for 3 rhythms",
        ),
        Eligibility(
            "former",
            lifecycle_state,
            ("former",),
            "never ordered, or silent for under 6 rhythms",
            "had been silent for 6 rhythms",
        ),
    )
}
