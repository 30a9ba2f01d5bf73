"""An attribute of a customer beside which stands since when it is known: unseen before, on every path."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.attributes import attribute, own_features
from features.catalogue import ALL, CATALOGUE, CLV
from features.engine import numbered
from features.engine.builder import available, build_features
from features.engine.compiled import CompiledFeatures
from features.errors import ContractBroken, MappingInvalid, TableUnreadable
from features.flat import open_flat
from features.instants import read_instant
from features.mapping.propose import propose
from features.profile import Profile, examine_profile, open_profile, profile_from_tables
from features.spec import FeatureSet
from features.usability.content import examine_content

Write = Callable[..., Path]
Compare = Callable[[pa.Table, pa.Table], None]

BECAME = read_instant("2024-01-01")
MOMENT = timedelta(microseconds=1)
BEFORE, AT, AFTER = BECAME - MOMENT, BECAME, BECAME + timedelta(days=30)
ORDERS = pa.table({
    "customer_id": ["a", "b"],
    "order_id": ["1", "2"],
    "event_time": pa.array([read_instant("2023-03-01"), read_instant("2023-11-30")], pa.timestamp("us", "UTC")),
    "value": [10.0, 20.0],
})  # fmt: skip
SEEN = FeatureSet(
    "seen",
    1,
    (*(CATALOGUE[name] for name in ("tier", "acquisition_cost", "frequency")), attribute("plan", "string")),
)


def instants(*values: datetime | None) -> pa.Array:
    return pa.array(values, pa.timestamp("us", "UTC"))


def customers(**dates: pa.Array) -> pa.Table:
    said = {"tier": ["gold", "silver"], "acquisition_cost": [1.5, 2.5], "plan": ["pro", "basic"]}
    return pa.table({"customer_id": ["a", "b"], **said, **dates})


def profile_of(table: pa.Table) -> Profile:
    return profile_from_tables({"customers": table, "orders": ORDERS})


@pytest.fixture(scope="module")
def dated() -> Profile:
    """Of `a` all became known at the turn of the year; of `b` at once, but for the plan."""
    of_a = instants(BECAME, None)
    return profile_of(
        customers(tier_known_from=of_a, acquisition_cost_known_from=of_a, plan_known_from=instants(BECAME, BECAME))
    )


def seen(table: pa.Table) -> list[tuple[Any, ...]]:
    return [(row["tier"], row["acquisition_cost"], row["plan"]) for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (BEFORE, [("missing", None, None), ("silver", 2.5, None)]),
        (AT, [("gold", 1.5, "pro"), ("silver", 2.5, "basic")]),
        (AFTER, [("gold", 1.5, "pro"), ("silver", 2.5, "basic")]),
    ],
    ids=["before", "at", "after"],
)
def test_an_attribute_is_empty_before_the_time_at_which_it_became_known(
    dated: Profile, at: datetime, expected: list[tuple[Any, ...]]
) -> None:
    assert seen(build_features(dated, SEEN, [at])) == expected


@pytest.mark.parametrize("least", [1, 10**9], ids=["copied", "as it lies"])
def test_several_prediction_times_each_see_what_was_known_then(
    dated: Profile, least: int, monkeypatch: pytest.MonkeyPatch, assert_same_columns: Compare
) -> None:
    monkeypatch.setattr(numbered, "WORTH_A_COPY", least)
    times = [BEFORE, AT, AFTER]
    alone = [build_features(dated, SEEN, [at]) for at in times]
    assert_same_columns(pa.concat_tables(alone), build_features(dated, SEEN, times))


def test_the_time_itself_is_no_feature_and_no_column_of_the_companys_own(dated: Profile) -> None:
    assert [feature.name for feature in own_features(dated.tables, dated.backend)] == ["plan"]
    assert "customers.tier_known_from" not in {f"customers.{name}" for name in available(dated, ALL).absent}
    assert {(finding.table, finding.column) for finding in dated.findings} == {("orders", "ingested_at")}


def test_the_sums_of_order_days_are_those_of_a_profile_without_the_times(
    dated: Profile, monkeypatch: pytest.MonkeyPatch, assert_same_columns: Compare
) -> None:
    monkeypatch.setattr("features.engine.day_totals.WORTH_SORTING", 0)
    assert_same_columns(build_features(profile_of(customers()), CLV, [AT]), build_features(dated, CLV, [AT]))


def test_an_old_prediction_time_is_the_same_after_an_attribute_was_first_filled_later(
    assert_same_columns: Compare,
) -> None:
    earlier = customers().set_column(1, "tier", pa.array([None, "silver"]))
    later = customers(tier_known_from=instants(BECAME, None))
    built = [build_features(profile_of(table), SEEN, [BEFORE]) for table in (earlier, later)]
    assert_same_columns(*built)
    assert [row[0] for row in seen(build_features(profile_of(later), SEEN, [AT]))] == ["gold", "silver"]


def test_an_attribute_overwritten_later_is_empty_before_not_what_it_became() -> None:
    was = customers().set_column(1, "tier", pa.array(["bronze", "silver"]))
    became = customers(tier_known_from=instants(BECAME, None))
    assert [seen(build_features(profile_of(table), SEEN, [BEFORE]))[0][0] for table in (was, became)] == [
        "bronze",
        "missing",
    ]


@pytest.fixture(scope="module")
def undated() -> list[dict[str, Any]]:
    """The features where nothing has a time."""
    rows: list[dict[str, Any]] = build_features(profile_of(customers()), SEEN, [AT]).to_pylist()
    return rows


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["tier", "acquisition_cost", "plan"]),
    known=st.none() | st.timedeltas(timedelta(0), timedelta(days=900)),
    later=st.timedeltas(MOMENT, timedelta(days=900)),
)
def test_a_time_moved_past_the_prediction_time_empties_that_attribute_and_changes_nothing_else(
    name: str, known: timedelta | None, later: timedelta, undated: list[dict[str, Any]]
) -> None:
    def built(of_a: datetime | None) -> list[dict[str, Any]]:
        table = customers(**{f"{name}_known_from": instants(of_a, None)})
        rows: list[dict[str, Any]] = build_features(profile_of(table), SEEN, [AT]).to_pylist()
        return rows

    assert built(None if known is None else AT - known) == undated
    empty = "missing" if name == "tier" else None
    assert built(AT + later) == [undated[0] | {name: empty}, undated[1]]


def test_what_a_request_says_is_known_when_it_is_asked() -> None:
    sent = {"customer_id": "a", "tier": "gold", "acquisition_cost": 1.5, "plan": "pro", "tier_known_from": AFTER}
    assert seen(CompiledFeatures(SEEN).build({"customers": [sent]}, BEFORE)) == [("gold", 1.5, "pro")]


def test_in_a_flat_table_without_times_such_a_column_is_one_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "flat.csv"
    path.write_text("id,plan,plan_known_from,left\na,pro,2024,yes\nb,basic,soon,no\n")
    table = open_flat(str(path), "id", "left")
    rows = build_features(table, table.features, [table.known_until]).to_pylist()
    assert [(row["plan"], row["plan_known_from"]) for row in rows] == [("pro", "2024"), ("basic", "soon")]
    from training.rows.origin import dated_attributes

    assert dated_attributes(table, table.features.features) == set()


def test_spark_sees_what_the_embedded_engine_sees(
    dated: Profile, on_spark: Callable[..., str], assert_same_columns: Compare
) -> None:
    tables = {name: table.to_pyarrow() for name, table in dated.tables.items()}
    found = open_profile(on_spark(tables))
    times = [BEFORE, AT, AFTER]
    assert_same_columns(build_features(dated, SEEN, times), build_features(found, SEEN, times))
    text = tables["customers"].drop("tier_known_from").append_column("tier_known_from", pa.array(["2024-01-01", None]))
    with pytest.raises(TableUnreadable, match="column 'tier_known_from' is text, where on Spark it must be a time"):
        open_profile(on_spark({**tables, "customers": text}))


# what may stand there

CSV = "customer_id,order_id,event_time,value\na,1,2023-03-01T00:00:00Z,10\nb,2,2023-04-01T00:00:00Z,20\n"


def folder(write_folder: Write, *times: str) -> Path:
    rows = [f"{customer},gold,{time}" for customer, time in zip("ab", times, strict=True)]
    head = "customer_id,tier,tier_known_from"
    return write_folder({"customers.csv": "\n".join([head, *rows, ""]), "orders.csv": CSV})


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("soon", "customers.tier_known_from: 1 of 2 rows has a value that is not a time of the years 1 to 9999"),
        ("2024-01-01 10:00:00", "customers.tier_known_from: 1 of 2 rows has no time zone"),
        ("2031-01-01T00:00:00Z", "customers.tier_known_from: 1 of 2 rows has a time in the future"),
    ],
)
def test_a_broken_time_is_named_and_its_row_quarantined(
    time: str, said: str, write_folder: Write, tmp_path: Path
) -> None:
    path, now = folder(write_folder, "2024-01-01T00:00:00Z", time), read_instant("2025-01-01")
    with pytest.raises(ContractBroken) as refused:
        open_profile(path, now=now)
    assert f"{said}, e.g. customer_id 'b' has {time!r}" in str(refused.value)
    left = open_profile(path, tmp_path / "quarantine", now)
    assert left.tables["customers"].customer_id.to_pyarrow().to_pylist() == ["a"]
    (aside,) = pq.read_table(tmp_path / "quarantine" / "customers.parquet").to_pylist()
    assert (aside["tier_known_from"], aside["reason"].split(":")[0]) == (time, "tier_known_from")


def test_texts_without_an_error_are_read_as_instants(write_folder: Write) -> None:
    profile = open_profile(folder(write_folder, "2024-01-01T01:00:00+01:00", ""))
    assert profile.tables["customers"].tier_known_from.to_pyarrow().to_pylist() == [BECAME, None]


@pytest.mark.parametrize(
    "found",
    [pa.array([1, 2]), pa.array([True, False]), pa.array([BECAME, None], pa.date32())],
    ids=["number", "flag", "date"],
)
def test_a_column_of_another_type_is_refused(found: pa.Array) -> None:
    with pytest.raises(ContractBroken, match=r"customers.tier_known_from: wrong type, found type"):
        profile_of(customers(tier_known_from=found))


def test_a_time_of_no_attribute_is_a_warning_and_not_used() -> None:
    ones = instants(BECAME, None)
    profile = profile_of(customers(created_at_known_from=ones, shoe_size_known_from=pa.array(["x", "y"])))
    assert [finding.message() for finding in profile.findings if finding.severity == "warning"] == [
        f"customers.{name}_known_from: the time of an attribute that is not there, found no attribute {name!r}; "
        "allowed: <attribute>_known_from of 'tier', 'acquisition_cost', 'plan'. "
        "Rename it after its attribute, or leave it out: it is not used."
        for name in ("created_at", "shoe_size")
    ]
    assert set(profile.tables["customers"].columns) == set(customers().column_names)


def test_the_check_neither_misses_what_is_known_at_once_nor_suspects_what_has_a_time() -> None:
    count = 200
    ids, left = [f"c{i}" for i in range(count)], [i % 2 == 0 for i in range(count)]
    at = [read_instant("2023-01-01") if gone else read_instant("2023-12-01") for gone in left]
    orders = {"customer_id": ids, "order_id": ids, "event_time": instants(*at), "value": [1.0] * count}
    reason = pa.array([f"price {i % 8}" if gone else None for i, gone in enumerate(left)])

    def found(**dates: pa.Array) -> set[tuple[str, str]]:
        table = pa.table({"customer_id": ids, "reason": reason, **dates})
        profile = profile_from_tables({"customers": table, "orders": pa.table(orders)})
        return {(finding.column, finding.rule) for finding in examine_content(profile)[0]}

    late = {("reason", "filled as if it was recorded after the outcome")}
    assert found() == late
    assert found(reason_known_from=instants(*[None] * count)) == late
    assert found(reason_known_from=instants(*(BECAME if gone else None for gone in left))) == set()


# in a profile.yaml

PEOPLE = "Id,Plan,Since,Tier\na,pro,2024-01-01,gold\nb,basic,,silver\n"
SALES = "Id,Nr,Day,Amount\na,1,2023-03-01,10\nb,2,2023-04-01,20\n"
MAPPING = """
sources: {people: people.csv, sales: sales.csv}
times: {formats: YYYY-MM-DD, zone: Europe/Berlin}
tables:
  customers:
    from: people
    columns:
      customer_id: Id
      plan: {from: Plan, known_from: Since}
      tier: {from: Tier, known_from: {constant: 01.02.2024, times: {formats: DD.MM.YYYY, zone: UTC}}}
  orders:
    from: sales
    columns: {customer_id: Id, order_id: Nr, event_time: Day, value: Amount}
"""


def test_a_mapping_says_since_when_a_column_is_known(write_mapping: Write) -> None:
    profile = open_profile(write_mapping(MAPPING, people=PEOPLE, sales=SALES))
    rows = profile.tables["customers"].order_by("customer_id").to_pyarrow()
    assert rows["plan_known_from"].to_pylist() == [read_instant("2023-12-31T23:00:00Z"), None]
    assert rows["tier_known_from"].to_pylist() == [read_instant("2024-02-01")] * 2
    assert rows["plan"].to_pylist() == ["pro", "basic"]


def test_a_union_may_say_it_of_one_part_only(write_mapping: Write) -> None:
    union = """
  customers:
    union:
      - from: people
        columns: {customer_id: Id, plan: {from: Plan, known_from: Since}, tier: {from: Tier, known_from: at once}}
      - {from: people, columns: {customer_id: "Id || '2'", plan: Plan}}
    deduplicate: {by: customer_id, keep: first}
  orders:"""
    head, _, rest = MAPPING.partition("\n  customers:")
    mapping = head + union + rest.partition("\n  orders:")[2]
    profile = open_profile(write_mapping(mapping, people=PEOPLE, sales=SALES))
    rows = profile.tables["customers"].order_by("customer_id").to_pyarrow()
    assert rows["plan_known_from"].to_pylist() == [read_instant("2023-12-31T23:00:00Z"), None, None, None]
    assert rows["tier_known_from"].to_pylist() == [None] * 4


def test_amounts_turned_into_one_currency_keep_their_times(write_mapping: Write) -> None:
    mapping = MAPPING.replace("sources: {", "currency: {target: EUR, rates: rates}\nsources: {rates: rates.csv, ")
    mapping = mapping.replace("value: Amount", "value: Amount, currency: {constant: USD}").replace(
        "customer_id: Id\n      plan",
        "customer_id: Id\n      created_at: {constant: 2023-03-01}\n      currency: {constant: USD}\n"
        "      acquisition_cost: {from: Nr, known_from: Since}\n      plan",
    )
    people = PEOPLE.replace("Tier\n", "Tier,Nr\n").replace("gold", "gold,4").replace("silver", "silver,6")
    rates = "currency,day,rate\nUSD,2023-01-01,0.5\n"
    profile = open_profile(write_mapping(mapping, people=people, sales=SALES, rates=rates))
    rows = profile.tables["customers"].order_by("customer_id").to_pyarrow()
    assert [float(value) for value in rows["acquisition_cost"].to_pylist()] == [2.0, 3.0]
    assert rows["acquisition_cost_known_from"].to_pylist() == [read_instant("2023-12-31T23:00:00Z"), None]


def test_a_time_that_cannot_be_read_is_named_by_its_column(write_mapping: Write) -> None:
    people = PEOPLE.replace("2024-01-01", "last spring")
    profile = examine_profile(write_mapping(MAPPING, people=people, sales=SALES))
    (finding,) = [finding for finding in profile.findings if finding.severity == "error"]
    assert (finding.column, finding.found) == ("plan_known_from", "customer_id 'a' has 'last spring'")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("customer_id: Id\n", "customer_id: {from: Id, known_from: Since}\n",
         r"line 8, tables.customers.columns.customer_id.known_from: found it for 'customer_id' of customers. "
         "Allowed: it for attributes of customers"),
        ("customer_id: Id\n", "customer_id: Id\n      created_at: {from: Since, known_from: at once}\n",
         r"customers.columns.created_at.known_from: found it for 'created_at' of customers"),
        ("value: Amount", "value: {from: Amount, known_from: Day}",
         r"line 13, tables.orders.columns.value.known_from: found it for 'value' of orders"),
        ("plan: {from", "plan_known_from: Since\n      plan: {from",
         r"customers.columns.plan_known_from: found column 'plan_known_from'. "
         r"Allowed: plan: \{from: ..., known_from: ...\}"),
        ("known_from: Since", "known_from: {from: Since, categories: [a]}",
         r"customers.columns.plan.known_from.categories: found categories. Allowed: from or constant, and times"),
        ("known_from: Since", "known_from: {from: Since, known_from: Since}",
         r"customers.columns.plan.known_from.known_from: found known_from. Allowed: from or constant"),
        ("known_from: Since", "known_from: Begun", r"customers.columns.plan.known_from: found .*Begun"),
        ("known_from: Since", "known_from: {}", r"plan.known_from: found .*Allowed: exactly one of from, constant"),
        ("sources:", "labels: {from: people, columns: {customer_id: Id, y: {from: Plan, known_from: Since}}}\nsources:",
         r"labels.columns.y.known_from: found it for 'y' of labels"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_in_one_line_with_its_place(
    write_mapping: Write, old: str, new: str, said: str
) -> None:
    assert old in MAPPING
    with pytest.raises(MappingInvalid, match=said) as refused:
        open_profile(write_mapping(MAPPING.replace(old, new, 1), people=PEOPLE, sales=SALES))
    assert "\n" not in str(refused.value)


# proposed

CLIENTS = """client_id,segment_since,segment,state,state_at,plan updated-at,plan,plan_from
1,3/14/2024,gold,CA,north,2024-01-05,basic,phone
2,3/15/2024,silver,NY,south,2024-01-06,pro,web
"""


def test_the_time_of_an_attribute_is_proposed_by_its_name_where_it_holds_times(tmp_path: Path) -> None:
    (tmp_path / "clients.csv").write_text(CLIENTS)
    (tmp_path / "bills.csv").write_text("client_id,invoice_no,invoice_date,amount\n1,7,3/14/2024,5\n")
    text = propose(tmp_path, tmp_path)
    lines = [line.strip() for line in text.splitlines()]
    assert "tier: {from: segment, known_from: segment_since}   # decide: taken as when it became known" in lines
    assert "region: state" in lines
    assert "# plan: {from: plan, known_from: plan updated-at}" in lines
    assert not any(line.startswith(("# segment_since", "# plan_updated_at")) for line in lines)
    (tmp_path / "profile.yaml").write_text(text.replace("# plan: ", "plan: "))
    rows = open_profile(tmp_path).tables["customers"].order_by("customer_id").to_pyarrow()
    assert rows["tier_known_from"].to_pylist()[0] == read_instant("2024-03-14")
    assert rows["plan_known_from"].to_pylist()[1] == read_instant("2024-01-06")
