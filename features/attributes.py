"""A company's own columns of a customer as features: taken as they are, where the contract knows no name for them."""

from collections.abc import Iterable, Mapping
from typing import Any

from features.errors import AttributeUnusable, listed
from features.spec import Dtype, Feature

OWN = "attribute"
"""The unit of such a feature: whatever the column's is."""


def attribute(name: str, dtype: Dtype) -> Feature:
    """The feature that a column of `customers` is.

    Parameters
    ----------
    name : str
        The column, as the table calls it.
    dtype : {"float64", "string"}
        What it holds.
    """
    return Feature(
        name,
        "customers",
        dtype,
        OWN,
        f"Column {name!r} as it stands in the table; null where it is empty.",
        lambda customers: customers.column(name).max(),
        nullable=True,
    )


def own_columns(features: Iterable[Feature]) -> dict[str, Dtype]:
    """The company's own columns among some features, with what they hold."""
    return {feature.name: feature.dtype for feature in features if feature.unit == OWN}


def own_values(customer: Mapping[str, Any], columns: Mapping[str, Dtype]) -> dict[str, str | float | None]:
    """A customer's values of the company's own columns, as they would stand in the table.

    Parameters
    ----------
    customer : mapping
        Values by column, as an application sent them.
    columns : mapping of str to str
        The columns, with what they hold.

    Raises
    ------
    AttributeUnusable
        If one is missing, which is not to say empty, or is not what the model takes.
    """
    missing = [name for name in columns if name not in customer]
    if missing:
        allowed = "every column that the model takes, null where it is empty"
        raise AttributeUnusable(listed(missing), "not sent", allowed)
    return {name: _value(name, customer[name], kind) for name, kind in columns.items()}


def _value(name: str, value: Any, kind: Dtype) -> str | float | None:
    if isinstance(value, str):
        value = value.strip() or None
    if value is None:
        return None
    if kind == "string":
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    try:
        return float(value)
    except ValueError:
        raise AttributeUnusable(repr(name), "not a number", "a number, or null") from None
