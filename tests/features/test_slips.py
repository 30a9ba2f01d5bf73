"""Times that cannot be: in the future, or far from all the others; they would move every cutoff."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from features.errors import ContractBroken
from features.profile import examine_profile, open_profile, profile_from_tables
from features.usability.report import assess_source
from features.usability.timing import examine_time

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def with_a_slip(tmp_path: Path) -> Path:
    (tmp_path / "customers.csv").write_text("customer_id\na\n")
    times = ["2024-05-01T00:00:00Z", "2024-06-02T11:00:00Z", "2031-01-01T00:00:00Z"]
    rows = [f"a,o{i},{at},5" for i, at in enumerate(times)]
    (tmp_path / "orders.csv").write_text("\n".join(["customer_id,order_id,event_time,value", *rows]))
    terms = "customer_id,subscription_id,started_at\na,s1,2031-01-01T00:00:00Z\n"
    (tmp_path / "subscriptions.csv").write_text(terms)
    return tmp_path


def test_a_fact_in_the_future_is_refused_and_does_not_move_the_period(with_a_slip: Path) -> None:
    (finding,) = [f for f in assess_source(str(with_a_slip), now=NOW).findings if f.severity == "error"]
    assert (finding.table, finding.rule, finding.rows, finding.step) == ("orders", "a time in the future", 1, "time")
    assert "'o2' has '2031-01-01T00:00:00Z'" in finding.message()  # the hours of o1 may be those of a wrong zone
    assert examine_profile(with_a_slip, now=NOW).summaries[1].last == "2024-06-02T11:00:00+00:00"
    with pytest.raises(ContractBroken, match="in the future"):
        open_profile(with_a_slip, now=NOW)
    assert open_profile(with_a_slip).summaries[1].rows == 3  # nobody said what time it is


def test_what_was_recorded_in_the_future_is_refused_and_what_is_agreed_on_is_not(tmp_path: Path) -> None:
    ahead = "2031-01-01T00:00:00Z"
    (tmp_path / "customers.csv").write_text(f"customer_id,created_at,ingested_at\na,{ahead},\nb,,{ahead}\n")
    terms = "customer_id,subscription_id,started_at,ended_at,term_ends_at\n"
    (tmp_path / "subscriptions.csv").write_text(f"{terms}a,s1,2024-01-01T00:00:00Z,,{ahead}\nb,s2,{ahead},,{ahead}\n")
    findings = [f for f in examine_profile(tmp_path, now=NOW).findings if f.severity == "error"]
    assert [(f.table, f.column) for f in findings] == [("customers", "created_at"), ("customers", "ingested_at")]


@pytest.mark.parametrize("now", [None, datetime(2024, 7, 1, tzinfo=UTC)])
def test_a_start_agreed_on_beforehand_does_not_move_what_is_known(tmp_path: Path, now: datetime | None) -> None:
    (tmp_path / "customers.csv").write_text("customer_id\na\n")
    running = "".join(f"a,s{i},2024-03-01T00:00:00Z\n" for i in range(19))
    terms = f"customer_id,subscription_id,started_at\n{running}a,planned,2025-03-01T00:00:00Z\n"
    (tmp_path / "subscriptions.csv").write_text(terms)
    alone = open_profile(tmp_path, now=now).known_until
    assert alone == (datetime(2024, 3, 2, tzinfo=UTC) if now else datetime(2025, 3, 2, tzinfo=UTC))
    orders = "customer_id,order_id,event_time,value\na,o1,2024-06-01T10:00:00Z,5\n"
    (tmp_path / "orders.csv").write_text(orders)
    assert open_profile(tmp_path, now=now).known_until == datetime(2024, 6, 2, tzinfo=UTC)


def test_subscriptions_go_on_where_an_older_table_has_ended(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text("customer_id\na\n")
    starts = "".join(f"a,s{month},2024-{month:02}-01T00:00:00Z\n" for month in range(1, 13))
    (tmp_path / "subscriptions.csv").write_text(f"customer_id,subscription_id,started_at\n{starts}")
    old = "customer_id,campaign_id,event_time,is_control\na,spring,2024-03-05T00:00:00Z,false\n"
    (tmp_path / "campaigns.csv").write_text(old)
    assert open_profile(tmp_path).known_until == datetime(2024, 12, 2, tzinfo=UTC)


def test_a_fact_in_the_future_can_be_set_aside(with_a_slip: Path, tmp_path: Path) -> None:
    profile = open_profile(with_a_slip, tmp_path / "aside", now=NOW)
    assert profile.counts["orders"].quarantined == 1
    reasons = pd.read_parquet(tmp_path / "aside" / "orders.parquet")["reason"].tolist()
    assert reasons == ["event_time: a time in the future"]


def log(first: str, **extra: str) -> dict[str, pd.DataFrame]:
    days = [pd.Timestamp(first, tz="UTC") + pd.Timedelta(hours=4 * i) for i in range(2_000)]
    orders = pd.DataFrame({"customer_id": "a", "order_id": [f"o{i}" for i in range(2_000)], "event_time": days})
    more = [{"customer_id": "a", "order_id": name, "event_time": pd.Timestamp(at)} for name, at in extra.items()]
    orders = pd.concat([orders, pd.DataFrame(more)]) if more else orders
    return {"customers": pd.DataFrame({"customer_id": ["a"]}), "orders": orders.assign(value=1.0)}


def test_a_default_date_is_named_and_does_not_hide_a_gap() -> None:
    tables = log("2023-01-01", unknown="1970-01-01T00:00:00Z")
    at = tables["orders"]["event_time"]
    tables["orders"] = tables["orders"][~at.between(pd.Timestamp("2023-06-01T00Z"), pd.Timestamp("2023-07-01T00Z"))]
    findings, _, _ = examine_time(profile_from_tables(tables))
    stray = next(f for f in findings if f.rule == "a time far from all the others")
    assert (stray.rows, stray.column, stray.found[:10]) == (1, "event_time", "1970-01-01")
    assert "weeks without any row in the middle of history" in {f.rule for f in findings}


@pytest.mark.parametrize("extra", [{}, {"older": "2022-03-01T00:00:00Z"}, {"later": "2024-11-01T00:00:00Z"}])
def test_single_facts_within_a_year_of_the_others_are_none(extra: dict[str, str]) -> None:
    findings, _, _ = examine_time(profile_from_tables(log("2023-01-01", **extra)))
    assert "a time far from all the others" not in {f.rule for f in findings}


def test_a_default_date_does_not_begin_the_history() -> None:
    profile = profile_from_tables(log("2023-01-01", unknown="1970-01-01T00:00:00Z"))
    assert profile.summaries[1].first == "1970-01-01T00:00:00+00:00"  # said as it is
    assert profile.known_from == datetime(2023, 1, 1, tzinfo=UTC)
    stray = next(f for f in examine_time(profile)[0] if f.rule == "a time far from all the others")
    assert stray.remedy.endswith("the period that is learned from begins after it.")


def test_single_facts_near_the_others_do_begin_the_history() -> None:
    profile = profile_from_tables(log("2023-01-01", older="2022-03-01T11:00:00Z"))
    assert profile.known_from == datetime(2022, 3, 1, tzinfo=UTC)


def test_a_late_stray_leaves_the_beginning_where_it_is() -> None:
    profile = profile_from_tables(log("2023-01-01", later="2031-03-01T00:00:00Z"))
    assert (profile.known_from, profile.known_until.year) == (datetime(2023, 1, 1, tzinfo=UTC), 2031)
    stray = next(f for f in examine_time(profile)[0] if f.rule == "a time far from all the others")
    assert "ends with it" in stray.remedy
