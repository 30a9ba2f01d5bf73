import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.catalogue import ALL
from features.contract import TABLES
from features.engine.builder import build_features
from features.instants import read_instant
from features.profile import Profile, profile_from_tables

Rows = dict[str, list[dict[str, Any]]]
Features = Callable[..., dict[str, dict[str, Any]]]
AsTables = Callable[..., dict[str, pa.Table]]

AT = read_instant("2024-01-01")
CUSTOMERS = ("busy", "once", "silent", "none")
FACTS = ("orders", "events", "surveys", "subscriptions", "campaigns")

relaxed = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

after = st.timedeltas(timedelta(0), timedelta(days=3_000))
strictly_after = st.timedeltas(timedelta(microseconds=1), timedelta(days=3_000))
before = st.timedeltas(timedelta(microseconds=1), timedelta(days=2_000))
amounts = st.decimals(0, 10**9, places=4).map(float)
names = st.sampled_from(["web", "app", "store", "zzz", "ü", ""])


def columns_of(draw: Callable[[st.SearchStrategy[Any]], Any], table: str, happened: datetime) -> dict[str, Any]:
    """What a fact that happened then may hold besides its clocks."""
    match table:
        case "orders":
            return {"value": draw(amounts), "discount_value": draw(amounts), "channel": draw(names),
                    "category": draw(names), "is_return": draw(st.sampled_from([None, False, True])),
                    "item_count": draw(st.integers(0, 9).map(float)), "margin_value": draw(amounts)}  # fmt: skip
        case "events":
            kinds = ["session", "cart_abandon", "complaint", "call", "email_sent", "email_open", "loyalty_earn", "zzz"]
            told = {"channel": draw(names), "touchpoint": draw(names), "value": draw(amounts)}
            return {"kind": draw(st.sampled_from(kinds))} | told
        case "surveys":
            answered = draw(st.none() | st.just(happened + draw(after)))
            score = draw(st.integers(1, 5)) if answered else None
            metric = draw(st.sampled_from(["nps", "csat", "ces"]))
            told = {"touchpoint": draw(names), "programme": draw(names)}
            return {"metric": metric, "responded_at": answered, "score": score} | told
        case "campaigns":
            return {"is_control": draw(st.sampled_from([None, False, True])), "cost": draw(amounts)}
        case _:
            ended = draw(st.none() | st.just(happened + draw(after)))
            term_ends = draw(st.none() | st.just(happened + draw(after)))
            return {"ended_at": ended, "term_ends_at": term_ends, "plan": draw(names), "monthly_value": draw(amounts)}


@st.composite
def unknowable(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A fact of any table and customer that happens at the prediction time or later, or is known only after it."""
    table = draw(st.sampled_from(FACTS))
    if draw(st.booleans()):
        happened, ingested = AT + draw(after), draw(st.none() | st.just(AT + draw(after)) | st.just(AT - draw(before)))
    else:
        happened, ingested = AT - draw(before), AT + draw(strictly_after)
    clocks = {str(TABLES[table].clock): happened, "ingested_at": ingested}
    return table, {"customer_id": draw(st.sampled_from(CUSTOMERS))} | clocks | columns_of(draw, table, happened)


def with_facts(rows: Rows, facts: list[tuple[str, dict[str, Any]]]) -> Rows:
    added = {name: list(table) for name, table in rows.items()}
    for i, (table, row) in enumerate(facts):
        ids = {"orders": "order_id", "subscriptions": "subscription_id", "campaigns": "campaign_id"}
        added[table].append({ids[table]: f"new{i}"} | row if table in ids else row)
    return added


def batch(rows: Rows, as_tables: AsTables, at: datetime = AT) -> str:
    return repr(build_features(profile_from_tables(as_tables(rows)), ALL, [at]).to_pylist())


@pytest.fixture(scope="module")
def as_known(small_profile: Profile) -> str:
    return repr(build_features(small_profile, ALL, [AT]).to_pylist())


@pytest.fixture(scope="module")
def now(small_rows: Rows, features_now: Features) -> str:
    return repr(features_now(small_rows))


@pytest.mark.slow
@given(facts=st.lists(unknowable(), min_size=30, max_size=80))
@settings(relaxed, max_examples=5)
def test_facts_that_cannot_be_known_yet_change_no_feature(
    facts: list[tuple[str, dict[str, Any]]], small_rows: Rows, as_known: str, as_tables: AsTables
) -> None:
    assert batch(with_facts(small_rows, facts), as_tables) == as_known


@given(facts=st.lists(unknowable(), min_size=1, max_size=5))
@relaxed
def test_facts_that_cannot_be_known_yet_change_no_feature_of_a_request(
    facts: list[tuple[str, dict[str, Any]]], small_rows: Rows, now: str, features_now: Features
) -> None:
    assert repr(features_now(with_facts(small_rows, facts))) == now


def test_the_facts_of_these_tests_would_change_features_once_known(small_rows: Rows, features_now: Features) -> None:
    just_before = AT - timedelta(microseconds=1)
    known = features_now(small_rows)
    for table, columns in (
        ("orders", {"order_id": "new", "value": 1.0}),
        ("events", {"kind": "session"}),
        ("surveys", {"metric": "csat"}),
        ("subscriptions", {"subscription_id": "new"}),
        ("campaigns", {"campaign_id": "new"}),
    ):
        fact = {"customer_id": "none", str(TABLES[table].clock): just_before, "ingested_at": AT} | columns
        assert features_now(with_facts(small_rows, [(table, fact)])) != known, table


@given(delay=after, score=st.integers(1, 5), metric=st.sampled_from(["nps", "csat", "ces"]))
@relaxed
def test_an_answer_that_comes_later_leaves_the_question_unanswered(
    delay: timedelta, score: int, metric: str, small_rows: Rows, features_now: Features
) -> None:
    asked = {"customer_id": "busy", "metric": metric, "sent_at": AT - timedelta(days=1)}
    answered = asked | {"responded_at": AT + delay, "score": score}
    unanswered = features_now(with_facts(small_rows, [("surveys", asked)]))
    assert repr(features_now(with_facts(small_rows, [("surveys", answered)]))) == repr(unanswered)


@given(delay=after)
@relaxed
def test_an_end_that_comes_later_leaves_the_subscription_running(
    delay: timedelta, small_rows: Rows, features_now: Features
) -> None:
    begun = {"customer_id": "once", "started_at": AT - timedelta(days=9), "monthly_value": 3.0}
    running = features_now(with_facts(small_rows, [("subscriptions", begun)]))
    ending = begun | {"ended_at": AT + delay}
    assert repr(features_now(with_facts(small_rows, [("subscriptions", ending)]))) == repr(running)


@pytest.mark.parametrize("delay", [timedelta(microseconds=1), timedelta(days=400)])
def test_a_customer_known_only_later_has_no_row_and_changes_no_other(
    delay: timedelta, small_rows: Rows, as_known: str, as_tables: AsTables
) -> None:
    order = {"customer_id": "newcomer", "event_time": AT - timedelta(days=5), "value": 3.0}
    rows = with_facts(small_rows, [("orders", order)])
    rows["customers"].append({"customer_id": "newcomer", "ingested_at": AT + delay, "acquisition_channel": "zoo"})
    assert batch(rows, as_tables) == as_known


@given(data=st.data())
@relaxed
def test_the_order_of_rows_changes_nothing(
    data: st.DataObject, small_rows: Rows, now: str, features_now: Features
) -> None:
    shuffled = {name: data.draw(st.permutations(rows)) for name, rows in small_rows.items()}
    assert repr(features_now(shuffled)) == now


def test_the_order_of_rows_changes_nothing_in_a_batch(small_rows: Rows, as_known: str, as_tables: AsTables) -> None:
    assert batch({name: rows[::-1] for name, rows in small_rows.items()}, as_tables) == as_known


@given(others=st.sets(st.sampled_from(CUSTOMERS)))
@relaxed
def test_the_rows_of_other_customers_change_nothing(others: set[str], small_rows: Rows, features_now: Features) -> None:
    crowd = features_now(small_rows)
    few = {name: [row for row in rows if row["customer_id"] in others] for name, rows in small_rows.items()}
    assert repr(features_now(few)) == repr({name: row for name, row in crowd.items() if name in others})


def moved(rows: Rows, span: timedelta) -> Rows:
    return {
        name: [{key: v + span if isinstance(v, datetime) else v for key, v in row.items()} for row in table]
        for name, table in rows.items()
    }


def without_times(features: dict[str, dict[str, Any]]) -> str:
    return repr([{key: v for key, v in row.items() if key != "prediction_time"} for row in features.values()])


@given(weeks=st.integers(-5_000, 5_000))
@relaxed
def test_shifting_all_times_by_whole_weeks_changes_nothing(
    weeks: int, small_rows: Rows, features_now: Features
) -> None:
    span = timedelta(weeks=weeks)
    shifted = features_now(moved(small_rows, span), (AT + span).isoformat())
    assert without_times(shifted) == without_times(features_now(small_rows))


@given(orders=st.lists(st.timedeltas(timedelta(microseconds=1), timedelta(days=900)), min_size=1, max_size=12))
@relaxed
def test_order_days_fit_between_the_first_and_the_last_observed_day(
    orders: list[timedelta], features_now: Features
) -> None:
    row = features_now({"orders": [{"customer_id": "c1", "event_time": age / timedelta(days=1)} for age in orders]})[
        "c1"
    ]
    assert 0 <= row["recency_days"] <= row["T_days"]
    assert 0 <= row["frequency"] <= min(row["recency_days"], len(orders) - 1)
    assert row["T_days"] - row["recency_days"] <= row["days_since_last_order"] <= row["T_days"] + 1
    assert (row["monetary_value"] is None) == (row["frequency"] == 0) == (row["recency_days"] == 0)


def test_two_prediction_times_in_one_build_equal_two_builds(small_profile: Profile) -> None:
    early, late = read_instant("2023-06-01T13:45:00.000001Z"), AT
    both = build_features(small_profile, ALL, [late, early, late])
    apart = pa.concat_tables([build_features(small_profile, ALL, [at]) for at in (early, late)])
    assert repr(both.to_pylist()) == repr(apart.to_pylist())


def test_an_earlier_prediction_time_sees_the_profile_as_it_was(
    small_rows: Rows, small_profile: Profile, as_tables: AsTables
) -> None:
    early = read_instant("2023-12-15")
    past = {
        name: [row for row in rows if name == "customers" or row[str(TABLES[name].clock)] < early]
        for name, rows in small_rows.items()
    }
    assert repr(build_features(small_profile, ALL, [early]).to_pylist()) == batch(past, as_tables, early)


IN_A_ZONE = """
import sys
from features.engine.builder import build_features
from features.catalogue import ALL
from features.engine.compiled import CompiledFeatures
from features.instants import read_instant, write_instant
from features.profile import open_profile

profile = open_profile(sys.argv[1])
at = read_instant("2024-01-01T03:00:00+00:00")
table = build_features(profile, ALL, [at])
rows = {
    name: [dict(row) for row in data.to_pandas().astype(object).where(lambda f: f.notna(), None).to_dict("records")]
    for name, data in ((name, table.to_pyarrow()) for name, table in profile.tables.items())
}
for table_rows in rows.values():
    for row in table_rows:
        for key in ("value", "discount_value", "margin_value", "monthly_value", "acquisition_cost", "cost"):
            if key in row:
                row[key] = None if row[key] is None else float(row[key])
now = CompiledFeatures(ALL).build(rows, at)
print(write_instant(profile.known_from), write_instant(profile.known_until), table.equals(now))
print([summary.first for summary in profile.summaries])
print([{k: v for k, v in row.items() if k != "prediction_time"} for row in table.to_pylist()])
"""


@pytest.mark.slow
def test_the_time_zone_of_the_machine_changes_nothing(
    small_rows: Rows, as_tables: AsTables, write_folder: Callable[..., Path]
) -> None:
    midnights = [
        {"customer_id": "none", "order_id": f"m{hour}", "event_time": AT - timedelta(days=3, hours=hour), "value": 1.0}
        for hour in range(0, 48, 5)
    ]
    rows = small_rows | {"orders": small_rows["orders"] + midnights}
    tables = as_tables(rows)
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(tables.pop("orders"), sink)
    files = {f"{name}.parquet": table for name, table in tables.items()}
    folder = write_folder(files | {"orders.csv": sink.getvalue().to_pybytes()})
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", IN_A_ZONE, str(folder)],
            env=os.environ | {"TZ": zone},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for zone in ("UTC", "America/New_York", "Asia/Kolkata")
    ]
    answers = [process.communicate(timeout=120) for process in started]
    assert all(process.returncode == 0 for process in started), answers
    said = [out for out, _ in answers]
    assert "2022-05-11 2023-12-30 True" in said[0]
    assert said[0] == said[1] == said[2]
