"""Proposals for contractual churn, on subscriptions whose terms and renewals are known."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from features.errors import MissingTable
from features.profile import Profile, profile_from_tables
from training.errors import NoTerms
from training.windows.subscriptions import suggest_subscription_window
from training.windows.suggest import suggest

MakeClub = Callable[..., Profile]
START = pd.Timestamp("2021-01-01T00:00:00Z")
ONE_ORDER = ("s0-0", "2021-02-01T00:00:00Z", 1.0)


def terms(*crowds: tuple[int, int, int, int], agreed: bool = True) -> pd.DataFrame:
    """So many customers of each crowd have so many terms of so many days, each so many days after the last."""
    rows = []
    for crowd, (customers, count, length, pause) in enumerate(crowds):
        for i in range(customers):
            for term in range(count):
                begun = START + pd.Timedelta(days=term * (length + pause))
                rows.append((f"s{crowd}-{i}", begun, begun + pd.Timedelta(days=length)))
    frame = pd.DataFrame(rows, columns=["customer_id", "started_at", "ended_at"])
    frame.insert(1, "subscription_id", frame["customer_id"])
    return frame.assign(term_ends_at=frame["ended_at"]) if agreed else frame


@pytest.fixture
def club(make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]) -> MakeClub:
    """A profile of subscriptions, with one order unless there are others."""

    def make(subscriptions: pd.DataFrame, *orders: tuple[str, str, float]) -> Profile:
        return make_profile(make_orders(*(orders or (ONE_ORDER,))), subscriptions=subscriptions)

    return make


def alone(subscriptions: pd.DataFrame) -> Profile:
    """A profile without orders."""
    customers = pd.DataFrame({"customer_id": sorted(set(subscriptions["customer_id"]))})
    return profile_from_tables({"customers": customers, "subscriptions": subscriptions})


def test_the_grace_is_the_shortest_after_which_few_renewals_come(club: MakeClub) -> None:
    """Of 200 customers 160 renew at once, 32 after 12 days and 8, a twenty-fifth, after 40."""
    found = suggest_subscription_window(club(terms((160, 12, 90, 0), (32, 11, 90, 12), (8, 9, 90, 40))))
    assert found.grace_days == 14
    assert found.reasons["grace_days"].startswith(
        "80% of those who subscribe again do so at once, and 4% later than 14 days after the end"
    )
    assert found.renewal_quantiles == {"10%": 0, "25%": 0, "50%": 0, "75%": 0, "90%": 12, "95%": 12}


def test_every_customer_counts_the_same_however_many_terms_there_were(club: MakeClub) -> None:
    """By renewals, 60 * 23 at once would hide 60 * 2 after 25 days: by customers they are half."""
    found = suggest_subscription_window(club(terms((60, 24, 30, 0), (60, 3, 200, 25))))
    assert found.grace_days == 30
    assert found.renewal_quantiles["50%"] == 0
    assert found.renewal_quantiles["75%"] == 25


@pytest.mark.parametrize("agreed", [True, False], ids=["agreed", "lasted"])
def test_the_horizon_is_the_shortest_that_covers_nine_of_ten_terms(agreed: bool, club: MakeClub) -> None:
    found = suggest_subscription_window(club(terms((95, 15, 91, 0), (5, 4, 300, 0), agreed=agreed)))
    assert found.horizon_days == 120
    assert found.reasons["horizon_days"].startswith("95% of the terms are not longer than 120 days (half of them 91")
    assert found.command("club").endswith("--set target=contractual --horizon-days 120 --set grace_days=0")


def test_a_short_history_limits_the_horizon(club: MakeClub) -> None:
    """730 days, to the order on the last of them, hold 2.5 horizons of 270, not of 365."""
    found = suggest_subscription_window(club(terms((100, 2, 365, 0)), ("s0-0", "2022-12-31T00:00:00Z", 1.0)))
    assert found.horizon_days == 270
    assert (
        "but 730 days of history hold label windows of at most 270 days, which cover 0%"
        in found.reasons["horizon_days"]
    )


def test_a_second_subscription_beside_the_first_renews_nothing(club: MakeClub) -> None:
    plain = terms((60, 10, 90, 20))
    beside = plain.assign(
        subscription_id="b" + plain["customer_id"], started_at=plain["started_at"] + pd.Timedelta(days=30)
    )
    found = suggest_subscription_window(club(pd.concat([plain, beside], ignore_index=True)))
    assert found.renewal_quantiles["10%"] == 20


def test_those_who_left_in_the_last_window_are_counted(club: MakeClub) -> None:
    """100 renew to the end, 20 stop after 11 terms of 90 days, in the last whole window."""
    stay, leave = terms((100, 14, 90, 0)), terms((0, 0, 0, 0), (20, 13, 90, 0))
    found = suggest_subscription_window(club(pd.concat([stay, leave], ignore_index=True)))
    assert found.horizon_days == 90
    assert found.churned_share == pytest.approx(20 / 120, abs=1e-4)
    assert "20 of 120 customers subscribed on" in found.reasons["horizon_days"]


def test_too_few_renewals_are_refused_with_their_count(club: MakeClub) -> None:
    with pytest.raises(NoTerms) as refused:
        suggest_subscription_window(club(terms((49, 5, 30, 0), (500, 1, 30, 0))))
    assert "49 customers have a subscription after one that ended. Allowed: at least 50" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_orders_and_subscriptions_are_both_told(club: MakeClub) -> None:
    visits: list[Any] = [(f"s0-{i}", str(START + pd.Timedelta(days=20 * k)), 1.0) for i in range(60) for k in range(60)]
    document = suggest(club(terms((60, 13, 90, 0)), *visits)).document("club")
    assert document["eligible"] in ("ordered", "active")
    assert document["contractual"]["target"] == "contractual"
    assert document["contractual"]["command"].startswith("patron train churn club --set target=contractual")


def test_where_orders_tell_nothing_subscriptions_do(club: MakeClub) -> None:
    document = suggest(club(terms((60, 13, 90, 0)))).document("club")
    assert document["target"] == "contractual"
    assert document["horizon_days"] == document["contractual"]["horizon_days"] == 90


def test_where_subscriptions_tell_nothing_orders_do_and_neither_is_refused(club: MakeClub) -> None:
    visits: list[Any] = [(f"s0-{i}", str(START + pd.Timedelta(days=20 * k)), 1.0) for i in range(60) for k in range(60)]
    assert suggest(club(terms((3, 2, 30, 0)), *visits)).document("club")["contractual"] is None
    with pytest.raises(NoTerms):
        suggest(alone(terms((3, 2, 30, 0))))
    with pytest.raises(MissingTable, match="a suggestion"):
        suggest(alone(terms((3, 2, 30, 0)).drop(columns="ended_at")))
