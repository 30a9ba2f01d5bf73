from dataclasses import replace
from typing import Any

import pytest

from features.errors import FeatureDeclarationError
from features.spec import Facts, Feature, FeatureSet, Window, feature, windowed


def last_value(orders: Facts) -> Any:
    """Value of some order; null without an order."""
    return orders.value.max()


def declared(**changes: Any) -> Feature:
    parameters: dict[str, Any] = {"source": "orders", "dtype": "float64", "unit": "currency", "nullable": True}
    return feature(**(parameters | changes))(last_value)


VALUE = declared()
COUNT = replace(VALUE, name="count", dtype="int64", unit="orders")


def test_a_declaration_takes_name_and_description_from_the_function() -> None:
    assert (VALUE.name, VALUE.description) == ("last_value", "Value of some order; null without an order.")
    assert (VALUE.source, VALUE.dtype, VALUE.unit, VALUE.nullable, VALUE.version) == (
        "orders", "float64", "currency", True, 1,
    )  # fmt: skip


def test_a_long_docstring_gives_its_first_paragraph() -> None:
    def wordy(orders: Facts) -> Any:
        """Value of the first order ever placed.

        Not shown in the catalogue.
        """
        return orders.value.min()

    assert feature(source="orders", dtype="float64", unit="currency")(wordy).description == (
        "Value of the first order ever placed."
    )


def test_windows_give_one_feature_each_in_the_order_given() -> None:
    @windowed(30, 365, source="orders", dtype="int64", unit="orders", minimum=0, version=3)
    def order_number(orders: Facts, window: Window) -> Any:
        """Orders placed."""
        return orders.count(where=orders.within(window))

    assert [made.name for made in order_number] == ["order_number_30d", "order_number_365d"]
    assert [made.description for made in order_number] == [
        "Orders placed, in the 30 days before the prediction time.",
        "Orders placed, in the 365 days before the prediction time.",
    ]
    assert {(made.minimum, made.version, made.nullable) for made in order_number} == {(0, 3, False)}


@pytest.mark.parametrize(
    ("changes", "problem", "allowed"),
    [
        ({"source": "invoices"}, "unknown source 'invoices'", "'order_days'"),
        ({"dtype": "float32"}, "unknown dtype 'float32'", "'float64', 'int64', 'bool', 'string'"),
        ({"unit": "parsecs"}, "unknown unit 'parsecs'", "'days'"),
    ],
)
def test_a_wrong_declaration_is_refused_with_what_is_allowed(
    changes: dict[str, Any], problem: str, allowed: str
) -> None:
    with pytest.raises(FeatureDeclarationError) as refused:
        declared(**changes)
    message = str(refused.value)
    assert message.startswith(f"feature 'last_value': {problem}. Allowed: ")
    assert allowed in message
    assert "\n" not in message


def test_a_feature_without_docstring_is_refused() -> None:
    def nameless(orders: Facts) -> Any:
        return orders.value.max()

    with pytest.raises(FeatureDeclarationError, match="feature 'nameless': no docstring"):
        feature(source="orders", dtype="float64", unit="currency")(nameless)


def test_a_windowed_feature_without_docstring_is_refused() -> None:
    def nameless(orders: Facts, window: Window) -> Any:
        return orders.count(where=orders.within(window))

    with pytest.raises(FeatureDeclarationError, match="feature 'nameless_30d': no docstring"):
        windowed(30, source="orders", dtype="int64", unit="orders")(nameless)


def test_a_set_with_a_name_twice_is_refused() -> None:
    with pytest.raises(FeatureDeclarationError, match=r"feature 'mine': 'last_value' stand\(s\) twice in the set"):
        FeatureSet("mine", 1, (VALUE, COUNT, replace(VALUE, version=2)))


def test_a_set_narrowed_to_some_names_keeps_its_order() -> None:
    narrowed = FeatureSet("mine", 2, (VALUE, COUNT)).only(("count", "last_value", "else"))
    assert (narrowed.name, narrowed.version, narrowed.names) == ("mine", 2, ("last_value", "count"))


PAIR = FeatureSet("mine", 1, (VALUE, COUNT))


@pytest.mark.parametrize(
    "features",
    [
        (COUNT, VALUE),
        (VALUE,),
        (replace(VALUE, name="other"), COUNT),
        (replace(VALUE, version=2), COUNT),
        (replace(VALUE, dtype="int64"), COUNT),
        (replace(VALUE, unit="score"), COUNT),
        (replace(VALUE, source=(COUNT,)), COUNT),
    ],
    ids=["order", "fewer", "name", "version", "dtype", "unit", "ingredients"],
)
def test_a_fingerprint_changes_with_what_a_model_would_notice(features: tuple[Feature, ...]) -> None:
    assert FeatureSet("mine", 1, features).fingerprint != PAIR.fingerprint


def test_a_fingerprint_changes_with_the_version_of_an_ingredient() -> None:
    def ratio_of(ingredient: Feature) -> str:
        return FeatureSet("mine", 1, (replace(VALUE, name="ratio", source=(ingredient,)),)).fingerprint

    assert ratio_of(COUNT) != ratio_of(replace(COUNT, version=2))


def test_a_fingerprint_does_not_change_with_words_bounds_or_the_name_of_the_set() -> None:
    reworded = replace(
        VALUE, description="Otherwise said.", minimum=0, maximum=9, build=lambda orders: orders.value.min()
    )
    assert FeatureSet("yours", 9, (reworded, COUNT)).fingerprint == PAIR.fingerprint


def test_a_fingerprint_is_sixteen_hexadecimal_digits() -> None:
    assert len(PAIR.fingerprint) == 16
    assert int(PAIR.fingerprint, 16) >= 0
