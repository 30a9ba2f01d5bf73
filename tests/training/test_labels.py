from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.catalogue import CLV
from features.engine.builder import build_features
from features.profile import Profile, open_profile
from training.rows.labels import future_orders

MakeProfile = Callable[..., Profile]
MakeOrders = Callable[..., pd.DataFrame]

AT = datetime(2024, 3, 1, tzinfo=UTC)
LATER = datetime(2025, 1, 1, tzinfo=UTC)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def by_customer(labels: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Order days, value and days to the first order of each customer."""
    rows: list[dict[str, Any]] = labels.to_dict("records")  # type: ignore[assignment]
    return {row["customer_id"]: (row["order_days"], row["order_value"], row["days_to_order"]) for row in rows}


@pytest.fixture
def label(make_profile: MakeProfile, make_orders: MakeOrders) -> Callable[..., dict[str, tuple[float, float, float]]]:
    """Labels of some orders for 10 days from 2024-03-01, everything known unless told otherwise."""

    def _label(
        *orders: tuple[str, str, float],
        horizon_days: int = 10,
        gap_days: int = 0,
        known_until: datetime = LATER,
        **columns: object,
    ) -> dict[str, tuple[float, float, float]]:
        profile = make_profile(make_orders(*orders, **columns))
        return by_customer(future_orders(profile, [AT], horizon_days, gap_days, known_until))

    return _label


Label = Callable[..., dict[str, tuple[float, float, float]]]


def test_order_exactly_at_the_prediction_time_is_in_the_window(label: Label) -> None:
    assert label(("c1", "2024-03-01T00:00:00Z", 5.0)) == {"c1": (1.0, 5.0, 0.0)}


def test_order_just_before_the_prediction_time_is_not(label: Label) -> None:
    assert label(("c1", "2024-02-29T23:59:59.999999Z", 5.0)) == {}


def test_order_exactly_at_the_end_of_the_window_is_not_in_it(label: Label) -> None:
    assert label(("c1", "2024-03-11T00:00:00Z", 5.0)) == {}


def test_order_just_before_the_end_of_the_window_is_in_it(label: Label) -> None:
    found = label(("c1", "2024-03-10T23:59:59.999999Z", 5.0))
    assert found["c1"][:2] == (1.0, 5.0)
    assert found["c1"][2] == pytest.approx(10.0, abs=1e-9)


@pytest.mark.parametrize(
    ("time", "counts"),
    [
        ("2024-03-01T00:00:00Z", False),
        ("2024-03-07T23:59:59Z", False),
        ("2024-03-08T00:00:00Z", True),
        ("2024-03-17T23:59:59Z", True),
        ("2024-03-18T00:00:00Z", False),
    ],
)
def test_gap_moves_both_ends_of_the_window(time: str, counts: bool, label: Label) -> None:
    assert ("c1" in label(("c1", time, 5.0), gap_days=7)) is counts


def test_days_to_order_count_from_the_end_of_the_gap(label: Label) -> None:
    assert label(("c1", "2024-03-09T12:00:00Z", 5.0), gap_days=7)["c1"][2] == 1.5


def test_orders_on_one_day_are_one_order_day_and_their_values_add_up(label: Label) -> None:
    found = label(
        ("c1", "2024-03-02T08:00:00Z", 5.0),
        ("c1", "2024-03-02T08:00:00Z", 5.0),
        ("c1", "2024-03-02T23:59:59Z", 2.5),
        ("c1", "2024-03-03T00:00:00Z", 1.0),
    )
    assert found["c1"] == pytest.approx((2.0, 13.5, 1 + 8 / 24))


def test_returns_do_not_count(label: Label) -> None:
    orders = (("c1", "2024-03-02T08:00:00Z", -5.0), ("c2", "2024-03-02T08:00:00Z", 5.0))
    assert set(label(*orders, is_return=[True, False])) == {"c2"}


def test_order_with_empty_return_flag_counts(label: Label) -> None:
    flags = pd.array([None], dtype="boolean")
    assert set(label(("c1", "2024-03-02T08:00:00Z", 5.0), is_return=flags)) == {"c1"}


@pytest.mark.parametrize(
    ("ingested", "counts"),
    [("2024-03-06T00:00:00Z", True), ("2024-03-06T00:00:00.000001Z", False), (None, True)],
)
def test_order_known_only_after_known_until_does_not_count(ingested: str | None, counts: bool, label: Label) -> None:
    arrived = pd.to_datetime(pd.Series([ingested], dtype=object), utc=True)
    known_until = datetime(2024, 3, 6, tzinfo=UTC)
    found = label(("c1", "2024-03-02T08:00:00Z", 5.0), known_until=known_until, ingested_at=arrived)
    assert ("c1" in found) is counts


@pytest.mark.parametrize(("time", "counts"), [("2024-03-05T23:59:59Z", True), ("2024-03-06T00:00:00Z", False)])
def test_known_until_cuts_the_window_short(time: str, counts: bool, label: Label) -> None:
    assert ("c1" in label(("c1", time, 5.0), known_until=datetime(2024, 3, 6, tzinfo=UTC))) is counts


def test_customers_without_an_order_in_the_window_are_absent(label: Label) -> None:
    found = label(("c1", "2024-02-01T00:00:00Z", 5.0), ("c2", "2024-03-02T00:00:00Z", 5.0))
    assert set(found) == {"c2"}


def test_each_prediction_time_has_its_own_window(make_profile: MakeProfile, make_orders: MakeOrders) -> None:
    orders = make_orders(("c1", "2024-03-05T00:00:00Z", 5.0), ("c1", "2024-03-12T00:00:00Z", 7.0))
    times = [datetime(2024, 3, 3, tzinfo=UTC), AT, datetime(2024, 3, 6, tzinfo=UTC), AT]
    labels = future_orders(make_profile(orders), times, 10, 0, LATER)
    expected = pd.DataFrame(
        {
            "customer_id": ["c1", "c1", "c1"],
            "prediction_time": [at("2024-03-01"), at("2024-03-03"), at("2024-03-06")],
            "order_days": [1.0, 2.0, 1.0],
            "order_value": [5.0, 12.0, 7.0],
            "days_to_order": [4.0, 2.0, 6.0],
        }
    )
    pd.testing.assert_frame_equal(labels, expected, check_dtype=False)


@pytest.fixture
def berlin(tmp_path: Path) -> Profile:
    """Orders of a shop in Berlin around the change to summer time in 2024, written with one offset."""
    (tmp_path / "customers.csv").write_text("customer_id\nc1\nc2\nc3\n")
    (tmp_path / "orders.csv").write_text(
        "customer_id,order_id,event_time,value\n"
        "c1,o1,2024-03-31T01:59:59+02:00,5\n"  # 23:59:59Z of the day before
        "c2,o2,2024-03-31T02:00:00+02:00,6\n"  # midnight UTC
        "c3,o3,2024-04-10T02:00:00+02:00,7\n"  # midnight UTC ten days later
    )
    return open_profile(tmp_path)


def test_offsets_are_instants_and_windows_are_24_hour_days(berlin: Profile) -> None:
    labels = by_customer(future_orders(berlin, [datetime(2024, 3, 31, tzinfo=UTC)], 10, 0, LATER))
    assert labels == {"c2": (1.0, 6.0, 0.0)}


def test_prediction_time_with_an_offset_is_the_same_instant(berlin: Profile) -> None:
    local = datetime.fromisoformat("2024-03-31T02:00:00+02:00")
    labels = future_orders(berlin, [local], 10, 0, LATER)
    assert labels["customer_id"].tolist() == ["c2"]
    assert labels["prediction_time"].tolist() == [at("2024-03-31")]


def test_money_is_summed_exactly(label: Label) -> None:
    assert label(*[("c1", "2024-03-02T08:00:00Z", 0.1)] * 10)["c1"][1] == 1.0


# features and labels never share a fact

EDGES = {
    "just before the prediction time": ("2024-02-29T23:59:59.999999Z", True, False),
    "at the prediction time": ("2024-03-01T00:00:00Z", False, False),
    "in the gap": ("2024-03-04T00:00:00Z", False, False),
    "just before the window": ("2024-03-07T23:59:59.999999Z", False, False),
    "at the start of the window": ("2024-03-08T00:00:00Z", False, True),
    "just before the end of the window": ("2024-03-17T23:59:59.999999Z", False, True),
    "at the end of the window": ("2024-03-18T00:00:00Z", False, False),
}


def seen_by(profile: Profile, gap_days: int, known_until: datetime = LATER) -> tuple[dict[str, bool], set[str]]:
    """Whether each customer's features show an order, and the customers whose labels do."""
    rows = build_features(profile, CLV, [AT]).to_pylist()
    labels = future_orders(profile, [AT], 10, gap_days, known_until)
    return {row["customer_id"]: row["frequency"] is not None for row in rows}, set(labels["customer_id"])


@pytest.mark.parametrize("edge", EDGES)
def test_an_order_at_an_edge_is_in_the_features_or_in_the_label_or_in_neither(
    edge: str, make_profile: MakeProfile, make_orders: MakeOrders
) -> None:
    time, in_features, in_label = EDGES[edge]
    features, labels = seen_by(make_profile(make_orders(("c1", time, 5.0))), gap_days=7)
    assert (features["c1"], "c1" in labels) == (in_features, in_label)


def test_without_a_gap_an_order_at_the_prediction_time_is_in_the_label_only(
    make_profile: MakeProfile, make_orders: MakeOrders
) -> None:
    orders = make_orders(("just before", "2024-02-29T23:59:59.999999Z", 5.0), ("at", "2024-03-01T00:00:00.0Z", 5.0))
    assert seen_by(make_profile(orders), gap_days=0) == ({"at": False, "just before": True}, {"at"})


@pytest.mark.parametrize("ingested", ["2024-03-01T00:00:00.000001Z", "2024-03-09T00:00:00Z"])
def test_an_order_placed_before_and_known_after_the_prediction_time_is_in_neither(
    ingested: str, make_profile: MakeProfile, make_orders: MakeOrders
) -> None:
    known = pd.to_datetime(pd.Series([ingested]), utc=True).astype("datetime64[us, UTC]")
    profile = make_profile(make_orders(("c1", "2024-02-20T00:00:00Z", 5.0), ingested_at=known))
    assert seen_by(profile, gap_days=0) == ({"c1": False}, set())


@given(hours=st.lists(st.integers(-24 * 20, 24 * 40), min_size=1, max_size=30), gap_days=st.integers(0, 20))
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_order_is_ever_in_both(
    hours: list[int], gap_days: int, make_profile: MakeProfile, make_orders: MakeOrders
) -> None:
    """One customer an order: whoever's order the features show, the label does not, and the other way round."""
    times = [AT + timedelta(hours=hour) for hour in hours]
    orders = make_orders(*[(f"c{i}", time.isoformat(), 5.0) for i, time in enumerate(times)])
    features, labels = seen_by(make_profile(orders), gap_days)
    assert features == {f"c{i}": time < AT for i, time in enumerate(times)}
    start = AT + timedelta(days=gap_days)
    assert labels == {f"c{i}" for i, time in enumerate(times) if start <= time < start + timedelta(days=10)}
    assert not labels & {name for name, shown in features.items() if shown}
