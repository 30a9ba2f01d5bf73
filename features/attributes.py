"""A company's own columns of a customer as features: taken as they are, where the contract knows no name for them."""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from math import isfinite, nan
from typing import Any

from features.contract import KNOWN_FROM, TABLES
from features.errors import AttributeUnusable, listed
from features.spec import Dtype, Feature

OWN = "attribute"
"""The unit of such a feature: whatever the column's is."""
BLANKS = " \t\n\r\v\f"
"""What engines take off either end of a text; Python by itself takes more."""
PANDAS_INDEX = "__index_level_"
"""How a column begins that pandas writes of its row numbers."""


@cache
def attribute(name: str, dtype: Dtype) -> Feature:
    """The feature that a column of `customers` is; the same one every time, so that questions about it are.

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
        lambda customers: stated(customers.column(name).max(), dtype),
        nullable=True,
    )


def stated(value: Any, dtype: Dtype) -> Any:
    """A value as the feature takes it; text that is no number is none."""
    return finite(value.try_cast(dtype)) if dtype == "float64" and value.type().is_string() else value


def finite(number: Any) -> Any:
    """Null for NaN and infinities, which nothing that is counted or measured can be."""
    return (number.isnan() | number.isinf()).ifelse(None, number)


def own_names(customers: Any) -> list[str]:
    """The company's own columns of its `customers`: text, numbers and flags that the contract has no name for."""
    keys = {"customer_id", "prediction_time"}  # names that differ in case alone are one to an engine
    known = TABLES["customers"].by_name
    kinds = {
        name: dtype
        for name, dtype in customers.schema().items()
        if name not in known and name.lower() not in keys
        if not name.startswith(PANDAS_INDEX) and not name.endswith(KNOWN_FROM)
    }
    return [n for n, dtype in kinds.items() if dtype.is_string() or dtype.is_numeric() or dtype.is_boolean()]


def read_own(raw: Any) -> Any:
    """A number as one, anything else as text without the blanks around it; null where nothing is left."""
    if raw.type().is_numeric() and not raw.type().is_boolean():
        return finite(raw.cast("float64"))
    return raw.cast("string").strip().nullif("")


def own_features(tables: Mapping[str, Any], backend: Any) -> tuple[Feature, ...]:
    """The features that the company's own columns of a profile's `customers` are.

    Parameters
    ----------
    tables : mapping of str to ibis table
        Of a profile.
    backend : ibis backend
        That holds them.

    Returns
    -------
    tuple of Feature
        In the order of the table; a number where every filled cell is one, as in a flat table.
    """
    customers = tables["customers"]
    names = own_names(customers)
    texts = [name for name in names if customers[name].type().is_string()]
    words = {}
    if texts:
        other = {name: holds_words(customers[name]) for name in texts}
        words = backend.to_pyarrow(customers.aggregate(**other)).to_pylist()[0]
    return tuple(attribute(name, "string" if words.get(name) else "float64") for name in names)


def holds_words(text: Any) -> Any:
    """Whether any filled cell of a column of text is no number."""
    return (text.notnull() & stated(text, "float64").isnull()).fill_null(False).any()


def own_columns(features: Iterable[Feature]) -> dict[str, Dtype]:
    """The company's own columns among some features, with what they hold."""
    return {feature.name: feature.dtype for feature in features if feature.unit == OWN}


def own_values(
    customer: Mapping[str, Any], columns: Mapping[str, Dtype], required: Collection[str]
) -> dict[str, str | float | None]:
    """A customer's values of the company's own columns, as they would stand in the table.

    Parameters
    ----------
    customer : mapping
        Values by column, as an application sent them.
    columns : mapping of str to str
        The columns, with what they hold.
    required : collection of str
        Those that must be sent, if only as null; any other that is not sent is empty.

    Raises
    ------
    AttributeUnusable
        If a required one is missing, or one is not what the model takes.
    """
    missing = [name for name in required if name not in customer]
    if missing:
        allowed = "every column that the model takes, null where it is empty"
        raise AttributeUnusable(listed(missing), "not sent", allowed)
    return {name: _value(name, customer.get(name), kind) for name, kind in columns.items()}


def _value(name: str, value: Any, kind: Dtype) -> str | float | None:
    if isinstance(value, str):
        value = value.strip(BLANKS) or None
    elif isinstance(value, float) and not isfinite(value):
        value = None  # as `read_own` takes a number
    if value is None:
        return None
    if isinstance(value, bool) and kind == "string":
        return str(value).lower()  # as an engine writes it
    if kind == "string":
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = nan
    if not isfinite(number):
        raise AttributeUnusable(repr(name), "not a number", "a number, or null")
    return number
