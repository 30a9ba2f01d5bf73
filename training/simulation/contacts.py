"""Simulated events, subscriptions and campaigns: what customers and the company do besides orders and surveys."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from training.simulation.truth import Truth

Array = npt.NDArray[np.float64]
Owners = npt.NDArray[np.int64]
TERM_DAYS, QUARTER_DAYS = 365.0, 90.0
CHANNELS = {
    "session": "web", "page_view": "web", "cart_add": "web", "cart_abandon": "web", "app_open": "app",
    "store_visit": "store", "email_sent": "email", "email_open": "email", "email_click": "email",
    "support_ticket": "phone", "call": "phone", "complaint": "phone", "ticket_resolved": "phone",
    "social_mention": "social", "loyalty_earn": "web", "loyalty_redeem": "web", "coupon_redeem": "store",
}  # fmt: skip
TOUCHPOINTS = {
    "web": "site", "app": "app", "store": "checkout", "email": "newsletter", "phone": "help desk", "social": "network",
}  # fmt: skip


class _Diary:
    """Events as they are added."""

    def __init__(self, people: pd.DataFrame) -> None:
        self.ids = people["customer_id"].to_numpy()
        self.parts: list[pd.DataFrame] = []

    def add(self, owner: Owners, day: Array, kind: npt.NDArray[Any] | str, value: Array | float = np.nan) -> None:
        self.parts.append(pd.DataFrame({"owner": owner, "event_time": day, "kind": kind, "value": value}))

    def written(self, days: int, generator: np.random.Generator) -> pd.DataFrame:
        """All events before the end in order, one in twenty known three days late."""
        frame = pd.concat(self.parts)
        frame = frame[frame["event_time"] < days].sort_values(["event_time", "owner", "kind"], kind="stable")
        frame["customer_id"] = self.ids[frame.pop("owner")]
        frame["channel"] = frame["kind"].map(CHANNELS)
        frame["touchpoint"] = frame["channel"].map(TOUCHPOINTS)
        frame["event_id"] = [f"e{i}" for i in range(1, len(frame) + 1)]
        frame["ingested_at"] = frame["event_time"] + np.where(generator.random(len(frame)) < 0.05, 3.0, 0.0)
        return frame.reset_index(drop=True)


def simulated_events(
    people: pd.DataFrame, orders: pd.DataFrame, truth: Truth, generator: np.random.Generator
) -> pd.DataFrame:
    """Visits, carts, messages, contacts with support and loyalty points.

    Parameters
    ----------
    people : DataFrame
        One row a customer, as drawn.
    orders : DataFrame
        Orders, with days since the start as times.
    truth : Truth
        Parameters.
    generator : Generator
        Source of chance.

    Returns
    -------
    DataFrame
        The table `events`, with days since the start as times.
    """
    diary = _Diary(people)
    _visits(diary, people, truth, generator)
    _support(diary, people, truth, generator)
    _messages(diary, people, truth, generator)
    _loyalty(diary, people, orders, generator)
    return diary.written(truth.days, generator)


def _while_active(
    people: pd.DataFrame, a_day: Array, truth: Truth, generator: np.random.Generator
) -> tuple[Owners, Array]:
    """Owners and days of a Poisson process from joining until shortly after dropping out."""
    joined = people["joined_day"].to_numpy()
    until = np.minimum(np.nan_to_num(people["dropout_day"].to_numpy(), nan=truth.days) + 15, truth.days)
    span = np.maximum(until - joined, 0)
    counts = generator.poisson(a_day * span)
    owner = np.repeat(np.arange(len(people)), counts)
    return owner, joined[owner] + generator.random(len(owner)) * span[owner]


def _visits(diary: _Diary, people: pd.DataFrame, truth: Truth, generator: np.random.Generator) -> None:
    rate = people["rate_a_day"].to_numpy()
    visits, day = _while_active(people, 4 * rate + 0.01, truth, generator)
    diary.add(visits, day, "session")
    fills = generator.random(len(visits)) < 0.3
    diary.add(visits[fills], day[fills] + 0.005, "cart_add")
    leaves = fills & (generator.random(len(visits)) < 0.4)
    diary.add(visits[leaves], day[leaves] + 0.01, "cart_abandon")
    for kind, often in (("app_open", 1.0), ("store_visit", 0.3), ("social_mention", 0.05)):
        diary.add(*_while_active(people, often * rate, truth, generator), kind)


def _support(diary: _Diary, people: pd.DataFrame, truth: Truth, generator: np.random.Generator) -> None:
    satisfaction = people["satisfaction"].to_numpy()
    often = truth.contacts_a_year / 365 * np.exp(-truth.contacts_on_satisfaction * satisfaction)
    contacts, day = _while_active(people, often, truth, generator)
    kinds = generator.choice(["support_ticket", "call"], len(contacts))
    kinds = np.where(generator.random(len(contacts)) < expit(-1 - satisfaction[contacts]), "complaint", kinds)
    diary.add(contacts, day, kinds)
    solved = (kinds == "support_ticket") & (generator.random(len(contacts)) < 0.8)
    diary.add(contacts[solved], day[solved] + generator.uniform(0.1, 10, int(solved.sum())), "ticket_resolved")


def _messages(diary: _Diary, people: pd.DataFrame, truth: Truth, generator: np.random.Generator) -> None:
    """A letter every 60 days, opened by the active more often."""
    letters, day = _every(60.0, 7.0, people, truth)
    diary.add(letters, day, "email_sent")
    active = ~(day > people["dropout_day"].to_numpy()[letters])
    opens = generator.random(len(letters)) < np.where(active, 0.4, 0.1)
    diary.add(letters[opens], day[opens] + 0.5, "email_open")
    clicks = opens & (generator.random(len(letters)) < 0.4)
    diary.add(letters[clicks], day[clicks] + 0.51, "email_click")


def _loyalty(diary: _Diary, people: pd.DataFrame, orders: pd.DataFrame, generator: np.random.Generator) -> None:
    """Half of the customers collect a point for each unit of currency; some orders are paid with points or coupons."""
    position = pd.Series(np.arange(len(people)), index=people["customer_id"])
    bought = orders[~orders["is_return"].astype(bool)]
    owner = position[bought["customer_id"]].to_numpy()
    day, points = bought["event_time"].to_numpy(), np.floor(bought["value"].to_numpy())
    member = (generator.random(len(people)) < 0.5)[owner]
    diary.add(owner[member], day[member], "loyalty_earn", points[member])
    redeems = member & (generator.random(len(owner)) < 0.15)
    diary.add(owner[redeems], day[redeems] + 0.001, "loyalty_redeem", np.floor(points[redeems] / 2))
    coupons = generator.random(len(owner)) < 0.05
    diary.add(owner[coupons], day[coupons] + 0.001, "coupon_redeem")


def _every(days: float, first: float, people: pd.DataFrame, truth: Truth) -> tuple[Owners, Array]:
    """Owners and days of something that reaches every customer at a fixed distance from joining."""
    times = int(truth.days // days)
    owner = np.arange(len(people)).repeat(times)
    day = people["joined_day"].to_numpy()[owner] + np.tile(np.arange(times) * days + first, len(people))
    return owner[day < truth.days], day[day < truth.days]


def simulated_subscriptions(people: pd.DataFrame, truth: Truth, generator: np.random.Generator) -> pd.DataFrame:
    """A membership of a third of the customers in terms of a year, from joining until it lapses.

    Parameters
    ----------
    people, truth, generator
        As for `simulated_events`.

    Returns
    -------
    DataFrame
        The table `subscriptions`: a row a term; every further term costs 5 % more, one in ten begins 20 days late.
    """
    members = np.flatnonzero(generator.random(len(people)) < 1 / 3)
    joined = people["joined_day"].to_numpy()[members]
    ended = joined + generator.exponential(300 * np.exp(0.4 * people["satisfaction"].to_numpy()[members]))
    plans = generator.choice(["basic", "plus"], len(members), p=[0.7, 0.3])
    prices = np.where(plans == "plus", 9.9, 4.9)
    parts = []
    begun, left = joined, np.ones(len(members), dtype=bool)
    for term in range(int(truth.days // TERM_DAYS) + 1):
        left &= (begun < np.minimum(ended, truth.days)) if term else left
        stops = np.minimum(ended, begun + TERM_DAYS)
        parts.append(
            pd.DataFrame(
                {
                    "customer_id": people["customer_id"].to_numpy()[members],
                    "subscription_id": [f"s{i}" for i in range(1, len(members) + 1)],
                    "started_at": begun,
                    "ended_at": np.where(stops < truth.days, stops, np.nan),
                    "term_ends_at": begun + TERM_DAYS,
                    "plan": plans,
                    "monthly_value": np.round(prices * 1.05**term, 2),
                    "ingested_at": begun,
                }
            )[left]
        )
        begun = begun + TERM_DAYS + np.where(generator.random(len(members)) < 0.1, 20.0, 0.0)
    return pd.concat(parts).sort_values(["started_at", "subscription_id"], kind="stable").reset_index(drop=True)


def simulated_campaigns(people: pd.DataFrame, truth: Truth, generator: np.random.Generator) -> pd.DataFrame:
    """A campaign every quarter that reaches nine customers of ten, holds one back by lot and changes nothing.

    Parameters
    ----------
    people, truth, generator
        As for `simulated_events`.

    Returns
    -------
    DataFrame
        The table `campaigns`.
    """
    owner, day = _every(QUARTER_DAYS, 20.0, people, truth)
    return pd.DataFrame(
        {
            "customer_id": people["customer_id"].to_numpy()[owner],
            "campaign_id": [f"quarter-{int(quarter)}" for quarter in day // QUARTER_DAYS],
            "event_time": day,
            "is_control": generator.random(len(owner)) < 0.1,
            "channel": "email",
            "cost": 0.05,
            "ingested_at": day,
        }
    )
