"""What a customer's orders brought, as far as it is known: from the orders themselves, or by category."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from features.spec import Facts, Feature, feature


@feature(source="order_rows", dtype="float64", unit="currency", nullable=True)
def margined_order_value(rows: Facts) -> Any:
    """Value of all orders of known margin, less what was given back of them; null without one."""
    return rows.value.sum(where=rows.margin_value.notnull()).cast("float64")


@feature(source="order_rows", dtype="float64", unit="currency", nullable=True)
def net_margin_value(rows: Facts) -> Any:
    """Margin of all orders, less that of what was given back; null where none is known."""
    return rows.margin_value.sum().cast("float64")


@dataclass(frozen=True)
class CategoryMargins:
    """Margin rates that a person set by category, and the two features made for them.

    Parameters
    ----------
    margins : mapping of str to float
        Margin rate by category.
    rest : float or None
        That of orders of another category, or of none; None: it is not known.
    """

    margins: Mapping[str, float]
    rest: float | None = None

    @property
    def text(self) -> str:
        """The rates in one way only, so that equal ones make equal features."""
        return json.dumps({"margins": dict(self.margins), "rest": self.rest}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def read(cls, text: str) -> "CategoryMargins":
        """From `text`."""
        return cls(**json.loads(text))

    def features(self) -> tuple[Feature, Feature]:
        """Value of all orders whose category has a margin rate, and their margin."""
        known = "Value of all orders whose category has a margin rate, less what was given back; null without one."
        earned = "Margin of these orders, by the rate of each category, less that of what was given back."
        return self._feature("category_margined_value", known, self._value), self._feature(
            "category_margin_value", earned, self._margin
        )

    def _feature(self, name: str, said: str, build: Any) -> Feature:
        return Feature(name, "order_rows", "float64", "currency", said, build, nullable=True, detail=self.text)

    def _is_named(self, rows: Facts) -> Any:
        return rows.category.isin(sorted(self.margins)).fill_null(False)

    def _value(self, rows: Facts) -> Any:
        where = self._is_named(rows) if self.rest is None else None
        return rows.value.sum(where=where).cast("float64")

    def _margin(self, rows: Facts) -> Any:
        """Sum of exact sums, always in the same order."""
        earned = rows.total(rows.value, where=~self._is_named(rows)) * (self.rest or 0.0)
        for category, rate in sorted(self.margins.items()):
            earned = earned + rows.total(rows.value, where=(rows.category == category).fill_null(False)) * rate
        return earned


def category_margin_feature(name: str, text: str) -> Feature | None:
    """The feature of that name made for margin rates by category, if it is one."""
    if not name.startswith("category_margin"):
        return None
    return next((made for made in CategoryMargins.read(text).features() if made.name == name), None)
