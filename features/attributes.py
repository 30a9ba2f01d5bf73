"""A company's own columns of a customer as features: taken as they are, where the contract knows no name for them."""

from collections.abc import Iterable

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
