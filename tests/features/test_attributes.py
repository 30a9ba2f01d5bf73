"""A company's own columns of its customers: kept alike whether a profile is mapped or not."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.attributes import attribute, own_features, own_values
from features.engine.builder import build_features
from features.errors import AttributeUnusable
from features.profile import Profile, open_profile
from features.spec import FeatureSet

AT = datetime(2024, 2, 1, tzinfo=UTC)
MAPPING = """
sources: {people: ../customers.csv, sales: ../orders.csv}
tables:
  customers:
    from: people
    columns: {customer_id: customer_id, region: region, shoe_size: shoe_size, hair: hair, mixed: mixed}
  orders:
    from: sales
    columns: {customer_id: customer_id, order_id: order_id, event_time: event_time, value: value}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is a profile as it stands, with a mapping of the same tables beside it."""
    (tmp_path / "customers.csv").write_text(
        "customer_id,region,shoe_size,hair,mixed\na,n,38,red,1\nb,s, 41.5 ,  ,two\nc,n,,black,inf\n"
    )
    (tmp_path / "orders.csv").write_text("customer_id,order_id,event_time,value\na,1,2024-01-01T00:00:00Z,5\n")
    (tmp_path / "mapped").mkdir()
    (tmp_path / "mapped" / "profile.yaml").write_text(MAPPING)
    return tmp_path


def built(profile: Profile, *features: Any) -> list[dict[str, Any]]:
    table = build_features(profile, FeatureSet("own", 1, features), [AT])
    return [{name: row[name] for name in row if name != "prediction_time"} for row in table.to_pylist()]


def test_a_mapped_table_keeps_them_as_a_folder_does(folder: Path) -> None:
    told = []
    for profile in (open_profile(folder), open_profile(folder / "mapped" / "profile.yaml")):
        own = own_features(profile.tables, profile.backend)
        assert {feature.name: feature.dtype for feature in own} == {
            "shoe_size": "float64",
            "hair": "string",
            "mixed": "string",
        }
        told.append(built(profile, *own))
    assert told[0] == told[1]
    assert told[0] == [
        {"customer_id": "a", "shoe_size": 38.0, "hair": "red", "mixed": "1"},
        {"customer_id": "b", "shoe_size": 41.5, "hair": None, "mixed": "two"},
        {"customer_id": "c", "shoe_size": None, "hair": "black", "mixed": "inf"},
    ]


def test_what_is_no_number_is_none_to_a_model_that_learned_numbers(folder: Path) -> None:
    assert [row["mixed"] for row in built(open_profile(folder), attribute("mixed", "float64"))][:2] == [1.0, None]


def test_names_of_the_contract_and_what_is_neither_text_number_nor_flag_are_not_their_own(
    make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]
) -> None:
    customers = pd.DataFrame({"customer_id": ["a"], "tier": ["gold"], "is_staff": [True], "score": [float("inf")]})
    customers = customers.assign(born=pd.Timestamp("1990-01-01"), prediction_time="x", tier__raw="y")
    profile = make_profile(make_orders(("a", "2024-01-01T00:00:00Z", 1.0)), customers=customers)
    own = own_features(profile.tables, profile.backend)
    assert [(feature.name, feature.dtype) for feature in own] == [("is_staff", "string"), ("score", "float64")]
    assert built(profile, *own) == [{"customer_id": "a", "is_staff": "true", "score": None}]


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999", "two"])
def test_text_that_is_no_finite_number_is_none_in_a_table_and_refused_in_a_request(
    text: str, make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]
) -> None:
    customers = pd.DataFrame({"customer_id": ["a"], "size": [text]})
    profile = make_profile(make_orders(("a", "2024-01-01T00:00:00Z", 1.0)), customers=customers)
    assert built(profile, attribute("size", "float64")) == [{"customer_id": "a", "size": None}]
    with pytest.raises(AttributeUnusable, match="'size': not a number"):
        own_values({"size": text}, {"size": "float64"}, ["size"])


def test_a_whole_number_that_no_float_holds_is_refused_in_a_request() -> None:
    with pytest.raises(AttributeUnusable, match="'size': not a number"):
        own_values({"size": 10**400}, {"size": "float64"}, ["size"])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", ["float64", "string"])
def test_a_number_that_is_none_is_empty_in_a_request_as_in_a_table(number: float, kind: Any) -> None:
    assert own_values({"size": number}, {"size": kind}, ["size"]) == {"size": None}
