"""What may not change any feature: later knowledge, order, other customers, the calendar, the machine's time zone.

Everything holds for every table of the contract and every feature of the catalogue, those to come included.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.catalogue import ALL
from features.contract import FACT_TABLES, TABLES, Column
from features.engine.builder import build_features, write_features
from features.instants import read_instant
from features.profile import open_profile, profile_from_tables

pytestmark = pytest.mark.exhaustive

Rows = dict[str, list[dict[str, Any]]]
Features = Callable[..., dict[str, dict[str, Any]]]
AsTables = Callable[..., dict[str, pa.Table]]
Draw = Callable[[st.SearchStrategy[Any]], Any]

AT = read_instant("2024-01-01")
CUSTOMERS = ("a", "b", "c")
relaxed = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
moment, span = timedelta(microseconds=1), timedelta(days=900)
before = strictly_after = st.just(moment) | st.timedeltas(moment, span)
after = st.just(timedelta(0)) | before
words = st.sampled_from([None, "", "web", "app", "ü", "zzz"])
WORDS: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(
        ["session", "page_view", "cart_add", "cart_abandon", "complaint", "call", "email_sent", "email_open",
         "email_click", "social_mention", "loyalty_earn", "loyalty_redeem", "support_ticket", "zzz"]
    ),
    "metric": st.sampled_from(["nps", "csat", "ces"]),
    "programme": st.sampled_from([None, "periodic", "event", "random"]),
    "currency": st.just("EUR"),
}  # fmt: skip


def value_of(draw: Draw, column: Column, happened: datetime) -> Any:
    """Something that a column may hold; times lie around the fact."""
    match column.kind:
        case "instant":
            return draw(st.none() | st.just(happened + draw(after)))
        case "money" | "number":
            return draw(st.integers(0, 10**6)) / 100
        case "score":
            return draw(st.integers(1, 5))
        case "flag":
            return draw(st.sampled_from([None, False, True]))
        case _:
            return draw(WORDS.get(column.name, words))


def fact(draw: Draw, table: str, customer: str, happened: datetime, ingested: datetime | None) -> dict[str, Any]:
    """A fact of a table as its contract allows."""
    contract = TABLES[table]
    row = {column.name: value_of(draw, column, happened) for column in contract.columns}
    row |= {"customer_id": customer, str(contract.clock): happened, "ingested_at": ingested}
    if table == "surveys" and row["responded_at"] is None:
        row["score"] = None
    return row


@st.composite
def profiles(draw: st.DrawFn) -> Rows:
    """Three customers with up to a dozen facts of any table; some known late, some only after the prediction time."""
    rows: Rows = {name: [] for name in TABLES}
    for customer in CUSTOMERS:
        began = AT - draw(before)
        row = {column.name: value_of(draw, column, began) for column in TABLES["customers"].columns}
        known = draw(st.none() | st.just(began))
        rows["customers"].append(row | {"customer_id": customer, "created_at": began, "ingested_at": known})
    for _ in range(draw(st.integers(1, 12))):
        table, customer = draw(st.sampled_from(FACT_TABLES)), draw(st.sampled_from(CUSTOMERS))
        happened = AT - draw(before)
        rows[table].append(fact(draw, table, customer, happened, draw(st.none() | st.just(happened + draw(after)))))
    return numbered(rows)


@st.composite
def unknowable(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A fact that happens at the prediction time or later, or happened before and becomes known after it."""
    table, customer = draw(st.sampled_from(FACT_TABLES)), draw(st.sampled_from(CUSTOMERS))
    if draw(st.booleans()):
        return table, fact(draw, table, customer, AT + draw(after), draw(st.none() | st.just(AT - draw(before))))
    return table, fact(draw, table, customer, AT - draw(before), AT + draw(strictly_after))


@st.composite
def at_the_edges(draw: st.DrawFn) -> list[tuple[str, dict[str, Any]]]:
    """Of every table, a fact at the very prediction time and one that is known the moment after it."""
    clocks = [(AT, None), (AT - moment, AT + moment)]
    return [(table, fact(draw, table, "a", *clock)) for table in FACT_TABLES for clock in clocks]


def numbered(rows: Rows) -> Rows:
    """Ids of their own for the rows that have none yet: a fact is told apart by its id, whatever it is called."""
    own = {"orders": "order_id", "events": "event_id", "subscriptions": "subscription_id", "campaigns": "campaign_id"}
    return {
        name: [row | {own[name]: f"{name}{i:03d}"} if name in own else row for i, row in enumerate(table)]
        for name, table in rows.items()
    }


def with_facts(rows: Rows, facts: list[tuple[str, dict[str, Any]]]) -> Rows:
    """More facts, in front of those there were as well as behind them; the rows there were keep their ids."""
    added = {name: list(table) for name, table in rows.items()}
    for i, (table, row) in enumerate(facts):
        key = {"orders": "order_id", "events": "event_id", "subscriptions": "subscription_id"}.get(table)
        added[table].insert(i % 2 and len(added[table]), row | ({key: f"new{i}"} if key else {}))
    return added


# by the way of a request, which test_compiled holds to that of a batch


@given(rows=profiles(), facts=st.lists(unknowable(), max_size=6), edges=at_the_edges())
@relaxed
def test_what_is_known_later_changes_no_feature(
    rows: Rows, facts: list[tuple[str, dict[str, Any]]], edges: list[tuple[str, dict[str, Any]]], features_now: Features
) -> None:
    assert repr(features_now(with_facts(rows, facts + edges))) == repr(features_now(rows))


@given(rows=profiles(), data=st.data())
@relaxed
def test_the_order_in_which_rows_arrive_changes_no_feature(
    rows: Rows, data: st.DataObject, features_now: Features
) -> None:
    shuffled = {name: data.draw(st.permutations(table)) for name, table in rows.items()}
    assert repr(features_now(shuffled)) == repr(features_now(rows))


@given(rows=profiles(), others=profiles())
@relaxed
def test_what_other_customers_are_and_do_changes_no_feature(rows: Rows, others: Rows, features_now: Features) -> None:
    """Of customer "a" as here, the others once as here, once as in another profile, once not there."""
    alone = {name: [row for row in table if row["customer_id"] == "a"] for name, table in rows.items()}
    strangers = {name: [row for row in table if row["customer_id"] != "a"] for name, table in others.items()}
    elsewhere = {name: strangers[name] + alone[name] for name in TABLES}
    own = repr(features_now(rows)["a"])
    assert repr(features_now(elsewhere)["a"]) == own
    assert repr(features_now(alone)["a"]) == own


@given(rows=profiles(), weeks=st.integers(-2_800, 2_800))
@relaxed
def test_moving_everything_by_whole_weeks_changes_no_feature(rows: Rows, weeks: int, features_now: Features) -> None:
    span = timedelta(weeks=weeks)  # not by days: weekends are days of their own
    moved = {
        name: [{key: v + span if isinstance(v, datetime) else v for key, v in row.items()} for row in table]
        for name, table in rows.items()
    }
    there = features_now(moved, (AT + span).isoformat())
    here = features_now(rows)
    for customer in CUSTOMERS:
        del there[customer]["prediction_time"], here[customer]["prediction_time"]
    assert repr(there) == repr(here)


@given(rows=profiles(), table=st.sampled_from(FACT_TABLES), data=st.data())
@relaxed
def test_a_late_fact_counts_from_the_instant_at_which_it_became_known(
    rows: Rows, table: str, data: st.DataObject, features_now: Features
) -> None:
    known = AT + timedelta(days=2)
    late = fact(data.draw, table, "a", AT - timedelta(days=1), known)
    prompt = late | {"ingested_at": None}
    just_before = (known - timedelta(microseconds=1)).isoformat()
    assert repr(features_now(with_facts(rows, [(table, late)]), just_before)) == repr(features_now(rows, just_before))
    later, same = (features_now(with_facts(rows, [(table, row)]), known.isoformat()) for row in (late, prompt))
    assert repr(later) == repr(same)


# by the way of a batch

AROUND_CLOCK_CHANGES = (
    "2024-02-29T00:00:00+00:00",  # the leap day
    "2024-03-01T00:00:00+00:00",
    "2024-03-10T06:59:59.999999+00:00",  # New York turns to summer time at 07:00Z
    "2024-03-10T07:00:00+00:00",
    "2024-03-11T03:30:00+00:00",
    "2024-11-03T05:30:00+00:00",  # New York has 01:30 twice: at 05:30Z and at 06:30Z
    "2024-11-03T06:30:00+00:00",
    "2025-01-01T18:30:00+00:00",  # midnight in Kolkata
)


@pytest.fixture
def hourly(as_tables: AsTables) -> dict[str, pa.Table]:
    """A customer with a fact of every table in every third hour around the leap day and the changes of the clock."""
    rows: Rows = {name: [] for name in TABLES}
    rows["customers"] = [{"customer_id": "a", "created_at": read_instant("2024-02-28T23:30:00+00:00")}]
    for begin in ("2024-02-28T12:00:00+00:00", "2024-03-09T12:00:00+00:00", "2024-11-02T12:00:00+00:00"):
        for hours in range(0, 48, 3):
            happened = read_instant(begin) + timedelta(hours=hours, minutes=30)
            rows["orders"].append({"customer_id": "a", "event_time": happened, "value": 1.0 + hours})
            rows["events"].append({"customer_id": "a", "event_time": happened, "kind": "session"})
            rows["campaigns"].append({"customer_id": "a", "event_time": happened, "channel": "email"})
            rows["subscriptions"].append({"customer_id": "a", "started_at": happened, "monthly_value": 1.0})
            answered = happened + timedelta(hours=1)
            rows["surveys"].append(
                {
                    "customer_id": "a",
                    "metric": "nps",
                    "sent_at": happened,
                    "responded_at": answered,
                    "score": hours % 11,
                }
            )
    return as_tables(numbered(rows))


@pytest.fixture
def machine_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Move the machine to another time zone for the rest of a test."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def test_the_time_zone_of_the_machine_changes_no_byte_around_leap_day_and_clock_changes(
    hourly: dict[str, pa.Table], machine_in: Callable[[str], None], tmp_path: Path
) -> None:
    folder, written = tmp_path / "profile", {}
    folder.mkdir()
    times = [read_instant(text) for text in AROUND_CLOCK_CHANGES]
    for name, table in hourly.items():
        pa_csv.write_csv(table, folder / f"{name}.csv")
    for i, zone in enumerate(("UTC", "America/New_York", "Asia/Kolkata")):
        machine_in(zone)
        assert time.localtime(0).tm_hour == (0, 19, 5)[i]
        file = tmp_path / f"{i}.parquet"
        assert write_features(open_profile(folder), ALL, times, file) == len(times)
        written[zone] = file.read_bytes()
    assert written["UTC"] == written["America/New_York"] == written["Asia/Kolkata"]


def late_news() -> Rows:
    """What comes in after the prediction time about what happened before it, and what happened since."""
    told = AT + timedelta(days=3)

    def late(days: float, **columns: Any) -> dict[str, Any]:
        return {"customer_id": "busy", "event_time": AT - timedelta(days=days), "ingested_at": told, **columns}

    def survey(answered: float, ingested: datetime, **columns: Any) -> dict[str, Any]:
        sent = AT - timedelta(days=6)
        row = {"customer_id": "busy", "metric": "nps", "sent_at": sent, "responded_at": AT + timedelta(days=answered)}
        return row | {"score": 1, "ingested_at": ingested, **columns}

    return {
        "orders": [
            late(4, order_id="return", value=-20.0, is_return=True),
            late(500, order_id="backfill", value=7.0, channel="store"),
            {"customer_id": "once", "order_id": "next", "event_time": AT, "value": 9.0},
        ],
        "events": [late(2, event_id="call", kind="call"), late(2, kind="email_open")],
        "surveys": [survey(-1, told), survey(2, told, metric="csat")],
        "subscriptions": [
            {"customer_id": "once", "subscription_id": "s9", "started_at": AT - timedelta(days=9), "ingested_at": told}
        ],
        "campaigns": [late(8, campaign_id="k1", channel="email")],
        "customers": [{"customer_id": "newcomer", "ingested_at": told, "acquisition_channel": "zoo"}],
    }


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_an_old_prediction_time_gives_the_same_bytes_after_new_data_arrived(
    suffix: str, small_rows: Rows, as_tables: AsTables, tmp_path: Path
) -> None:
    everything = {name: small_rows.get(name, []) for name in TABLES}
    news = late_news()
    arrived = {name: news.get(name, []) + table for name, table in everything.items()}
    files = [tmp_path / f"{name}.{suffix}" for name in ("before", "afterwards", "later")]
    then = profile_from_tables(as_tables(everything))
    now = profile_from_tables(as_tables(arrived))
    assert write_features(then, ALL, [AT], files[0]) == write_features(now, ALL, [AT], files[1])
    assert files[0].read_bytes() == files[1].read_bytes()
    told = AT + timedelta(days=3)
    assert not build_features(then, ALL, [told]).equals(build_features(now, ALL, [told]))
