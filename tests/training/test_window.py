"""Proposals for the churn window, on shops whose rhythm is known."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from features.errors import MissingTable
from features.profile import Profile
from training.errors import NoRhythm
from training.windows.orders import Suggestion, suggest_window

MakeShop = Callable[..., Profile]


@pytest.fixture
def shop(make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]) -> MakeShop:
    """A shop in which so many customers order every so many days, for so long."""

    def make(*crowds: tuple[int, int, int], days: int = 720) -> Profile:
        start = pd.Timestamp("2023-01-01T12:00:00Z")
        rows = []
        for crowd, (customers, every, until) in enumerate(crowds):
            visits = [start + pd.Timedelta(days=day) for day in range(0, until, every)]
            rows += [(f"c{crowd}-{i}", str(at), 1.0) for i in range(customers) for at in visits]
        rows.append(("last", str(start + pd.Timedelta(days=days)), 1.0))
        return make_profile(make_orders(*rows))

    return make


def by_days(found: Suggestion) -> dict[int, Any]:
    return {horizon.days: horizon for horizon in found.horizons}


def test_the_horizon_is_the_shortest_that_covers_nine_of_ten_waits(shop: MakeShop) -> None:
    found = suggest_window(shop((120, 25, 400), (120, 25, 720)))
    assert found.horizon_days == 30
    assert by_days(found)[30].gaps_covered == 1.0
    assert by_days(found)[14].gaps_covered == 0.0
    assert found.reasons["horizon_days"].startswith("100% of the waiting times between orders are not longer than 30")
    assert "every 25 days" in found.reasons["horizon_days"]


def test_every_customer_counts_the_same_however_often_they_order(shop: MakeShop) -> None:
    """50 order every 2 days and leave, 50 every 50: of all waits 96 % are of 2 days, of the customers a half."""
    found = by_days(suggest_window(shop((50, 2, 720), (50, 50, 720))))
    assert found[30].gaps_covered == pytest.approx(0.5)
    assert found[60].gaps_covered == pytest.approx(1.0)
    assert found[30].customers_covered == pytest.approx(0.5)


def test_quantiles_of_the_waits(shop: MakeShop) -> None:
    found = suggest_window(shop((60, 10, 720), (40, 40, 720)))
    assert found.gap_quantiles == {"10%": 10.0, "25%": 10.0, "50%": 10.0, "75%": 40.0, "90%": 40.0, "95%": 40.0}


def test_the_gap_hides_at_most_a_twentieth_of_the_waits(shop: MakeShop) -> None:
    slow = suggest_window(shop((200, 45, 400), (200, 45, 720)))
    assert (slow.horizon_days, slow.gap_days) == (60, 14)
    assert slow.reasons["gap_days"] == "leaves 14 days to act and hides only 0% of the waiting times"
    daily = suggest_window(shop((200, 1, 300), (200, 1, 720)))
    assert daily.gap_days == 0
    assert daily.reasons["gap_days"].startswith("100% of the waiting times are a day or less")


def test_a_history_too_short_for_the_waits_shortens_the_horizon_and_says_so(shop: MakeShop) -> None:
    """Whole label windows of 180 days before and after a cutoff take 450 days; of 120 days 300."""
    found = suggest_window(shop((150, 130, 140), (150, 130, 330), days=340))
    assert found.horizon_days == 120
    assert "but 341 days of history" in found.reasons["horizon_days"]
    assert f"at most {found.horizon_days} days" in found.reasons["horizon_days"]


def test_where_most_have_left_only_the_active_are_asked(shop: MakeShop) -> None:
    left = suggest_window(shop((150, 20, 200), (100, 20, 720)))
    assert left.eligible == "active"
    assert left.reasons["eligible"].startswith("150 of 251 customers (60%) have been silent")
    stay = suggest_window(shop((50, 20, 200), (100, 20, 720)))
    assert stay.eligible == "ordered"


def test_the_churned_share_is_that_of_the_horizon_before_the_end(shop: MakeShop) -> None:
    found = by_days(suggest_window(shop((60, 20, 400), (140, 20, 720))))
    assert found[60].churned_share == pytest.approx(60 / 200)


def test_the_command_trains_with_it(shop: MakeShop) -> None:
    found = suggest_window(shop((120, 25, 400), (120, 25, 720)))
    chosen = "--horizon-days 30 --set gap_days=7 --set eligible=ordered"
    assert found.command("my_profile") == f"patron train churn my_profile {chosen}"


def test_customers_who_never_came_back_tell_nothing(shop: MakeShop) -> None:
    with pytest.raises(NoRhythm, match=r"49 customers ordered on two days or more"):
        suggest_window(shop((49, 20, 720), (500, 30, 20)))


def test_a_profile_without_orders_is_refused(make_profile: Callable[..., Profile]) -> None:
    events = pd.DataFrame(
        {"customer_id": ["a"], "event_time": [pd.Timestamp("2024-01-01", tz="UTC")], "kind": ["page_view"]}
    )
    profile = make_profile(events.assign(order_id="o", value=1.0)[["customer_id", "order_id", "event_time", "value"]])
    without = {name: table for name, table in profile.tables.items() if name != "orders"}
    object.__setattr__(profile, "tables", without)
    with pytest.raises(MissingTable, match="a suggestion"):
        suggest_window(profile)
