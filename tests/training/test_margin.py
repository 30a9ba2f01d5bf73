from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.profile import Profile, open_profile
from training.config import TrainConfig, make_config
from training.errors import CategoryMarginUnknown, ConfigInvalid
from training.rows.margin import category_margin, margin_of, observed_margin

UNTIL = datetime(2024, 2, 1, tzinfo=UTC)


def shop(folder: Path, *orders: tuple[str, float, float | None]) -> Profile:
    """Orders of a day, value and margin; without a margin column where none is given."""
    days, values, margins = zip(*orders, strict=True)
    frame = pd.DataFrame(
        {
            "customer_id": "c1",
            "order_id": [f"o{i}" for i in range(len(orders))],
            "event_time": [f"{day}T12:00:00+00:00" for day in days],
            "value": values,
            "margin_value": margins,
            "is_return": [value < 0 for value in values],
        }
    )
    frame = frame if frame["margin_value"].notna().any() else frame.drop(columns="margin_value")
    pd.DataFrame({"customer_id": ["c1"]}).to_csv(folder / "customers.csv", index=False)
    frame.to_csv(folder / "orders.csv", index=False)
    return open_profile(folder)


def test_margin_is_that_of_orders_before_the_cutoff_less_returns(tmp_path: Path) -> None:
    # 40 + 10 - 8 of margin on 100 + 50 - 20 of value; the order without a margin and the later one do not count.
    profile = shop(
        tmp_path,
        ("2024-01-01", 100, 40),
        ("2024-01-05", 50, 10),
        ("2024-01-09", -20, -8),
        ("2024-01-10", 500, None),
        ("2024-02-01", 100, 90),
    )
    assert observed_margin(profile, UNTIL) == pytest.approx(42 / 130)


def test_profile_without_margins_is_told_so(tmp_path: Path) -> None:
    profile = shop(tmp_path, ("2024-01-01", 100, None))
    with pytest.raises(ConfigInvalid, match="orders have no margin_value"):
        observed_margin(profile, UNTIL)


@pytest.mark.parametrize(("margin", "words"), [(-5.0, "-5.00 of margin on 100.00"), (120.0, "120.00 of margin")])
def test_margin_that_is_no_share_of_value_is_refused_with_its_figures(
    margin: float, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        observed_margin(shop(tmp_path, ("2024-01-01", 100, margin)), UNTIL)


# ---- margins by category


def market(make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame], **changed: Any) -> Profile:
    """100 of food, 80 of toys of which 20 come back, 20 of no category; 500 of wine only after the cutoff."""
    orders = make_orders(
        ("c1", "2024-01-01", 100.0),
        ("c2", "2024-01-02", 80.0),
        ("c2", "2024-01-09", 20.0),
        ("c1", "2024-01-10", 20.0),
        ("c2", "2024-02-01", 500.0),
        category=["food", "toys", "toys", None, "wine"],
        is_return=[False, False, True, False, False],
    )
    return make_profile(orders.assign(**changed))


@pytest.fixture
def shelves(make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]) -> Callable[..., Profile]:
    return lambda **changed: market(make_profile, make_orders, **changed)


def test_margin_weighs_categories_by_their_net_value_before_the_cutoff(shelves: Callable[..., Profile]) -> None:
    # 100 food at 0.2, 80 - 20 toys at 0.5, 20 of the rest at 0.1; the wine comes later.
    margins = {"food": 0.2, "toys": 0.5, "wine": 0.9}
    found = category_margin(shelves(), UNTIL, margins, 0.1)
    assert found == pytest.approx((100 * 0.2 + 60 * 0.5 + 20 * 0.1) / 180)


def test_late_arrivals_do_not_count(shelves: Callable[..., Profile]) -> None:
    later = pd.to_datetime(["2024-01-01", "2024-03-01", "2024-03-01", "", "2024-03-01"], utc=True)
    assert category_margin(shelves(ingested_at=later), UNTIL, {"food": 0.2}, 0.1) == pytest.approx((20 + 2) / 120)


def test_a_category_that_no_order_has_is_refused_with_those_there_are(shelves: Callable[..., Profile]) -> None:
    with pytest.raises(CategoryMarginUnknown, match=r"names 'tyos'. Allowed: .*: 'food', 'toys', 'wine'\. Correct"):
        category_margin(shelves(), UNTIL, {"food": 0.2, "tyos": 0.5}, 0.1)


def test_orders_without_a_margin_are_refused_unless_there_is_one_for_the_rest(shelves: Callable[..., Profile]) -> None:
    with pytest.raises(
        CategoryMarginUnknown, match=r"has no margin for '\(orders without a category\)', 'toys', 'wine'\."
    ):
        category_margin(shelves(), UNTIL, {"food": 0.2}, None)
    profile = shelves(category=["food", "toys", "toys", "food", "wine"])
    with pytest.raises(CategoryMarginUnknown, match=r"has no margin for 'wine'\."):  # which the refit will meet
        category_margin(profile, UNTIL, {"food": 0.2, "toys": 0.5}, None)
    margins = {"food": 0.2, "toys": 0.5, "wine": 0.9}
    assert category_margin(profile, UNTIL, margins, None) == pytest.approx((24 + 30) / 180)


def test_orders_without_categories_are_said(
    make_profile: Callable[..., Profile], shelves: Callable[..., Profile]
) -> None:
    frame = pd.DataFrame(shelves().tables["orders"].to_pyarrow().to_pandas()).drop(columns="category")
    with pytest.raises(CategoryMarginUnknown, match="orders have no category"):
        category_margin(make_profile(frame), UNTIL, {"food": 0.2}, 0.1)


def test_nothing_ordered_net_of_returns_makes_no_margin(shelves: Callable[..., Profile]) -> None:
    with pytest.raises(ConfigInvalid, match=r"have -280\.00 of net value"):
        category_margin(shelves(is_return=True, value=[100.0, 80.0, 80.0, 20.0, 1.0]), UNTIL, {"food": 0.2}, 0.1)


def test_the_rest_is_known_only_where_margin_rate_was_set(shelves: Callable[..., Profile]) -> None:
    text = {"margin_by_category": "{food: 0.2, toys: 0.5}"}
    assert margin_of(make_config(None, text | {"margin_rate": "0.1"}), shelves(), UNTIL) == pytest.approx(52 / 180)
    with pytest.raises(CategoryMarginUnknown):
        margin_of(make_config(None, text), shelves(), UNTIL)
    one_by_one = make_config(None, {"margin_by_category.food": "0.2", "margin_by_category.toys": "0.5"})
    assert one_by_one.margin_by_category == {"food": 0.2, "toys": 0.5}


def test_a_margin_is_asked_for_in_one_way_and_is_a_share(shelves: Callable[..., Profile]) -> None:
    with pytest.raises(ConfigInvalid, match="together with observed_margin"):
        margin_of(TrainConfig(margin_by_category={"food": 0.2}, observed_margin=True), shelves(), UNTIL)
    for wrong in ("0", "-0.1", "1.5", "much"):
        with pytest.raises(ConfigInvalid, match=r"margin_by_category.food"):
            make_config(None, {"margin_by_category.food": wrong})
