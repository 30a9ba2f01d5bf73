"""What a `profile.yaml` can say, each rule on rows computed by hand."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.catalogue import CLV
from features.engine.builder import build_features
from features.errors import ContractBroken, MappingInvalid, PatronError, SourceUnreadable
from features.instants import read_instant
from features.profile import examine_profile, open_profile

pytestmark = pytest.mark.exhaustive

Write = Callable[..., Path]
Rows = Callable[..., list[dict[str, Any]]]

PEOPLE = """
    Id,State
    a,CA
    b,NY
    """
SALES = """
    Id,Nr,Day,Amount
    a,1,2024-01-05,10.00
    a,2,2024-01-06,5.50
    b,3,2024-02-01,7.25
    """
HEAD = """
sources: {people: people.csv, sales: sales.csv}
times: {formats: [YYYY-MM-DD, M/D/YYYY], zone: UTC}
tables:
  customers: {from: people, columns: {customer_id: Id, region: State}}
"""
ORDERS = """\
  orders:
    from: sales
    columns: {customer_id: Id, order_id: Nr, event_time: Day, value: Amount}
"""


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_columns_are_renamed_and_the_profile_is_valid(write_mapping: Write, rows_of: Rows) -> None:
    profile = open_profile(write_mapping(HEAD + ORDERS, people=PEOPLE, sales=SALES))
    assert rows_of(profile, "orders", "customer_id", "event_time", "value")[0] == {
        "customer_id": "a",
        "event_time": day("2024-01-05"),
        "value": Decimal("10.0000"),
    }
    assert rows_of(profile, "customers", "customer_id", "region") == [
        {"customer_id": "a", "region": "CA"},
        {"customer_id": "b", "region": "NY"},
    ]


def test_a_column_keeps_the_contracts_name_where_case_alone_differs(write_mapping: Write, rows_of: Rows) -> None:
    head = HEAD.replace("region: State", "region: Region, gender: GENDER")
    profile = open_profile(write_mapping(head + ORDERS, people="Id,Region,GENDER\na,x,y\nb,x,y\n", sales=SALES))
    assert rows_of(profile, "customers", "region", "gender") == [{"region": "x", "gender": "y"}] * 2


def test_a_folder_with_a_profile_yaml_is_opened_by_it(write_mapping: Write) -> None:
    path = write_mapping(HEAD + ORDERS, people=PEOPLE, sales=SALES)
    assert open_profile(path.parent).digest == open_profile(path).digest


def test_a_mapped_profile_gives_the_features_of_the_same_folder(write_mapping: Write, tmp_path: Path) -> None:
    mapped = open_profile(write_mapping(HEAD + ORDERS, people=PEOPLE, sales=SALES))
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "customers.csv").write_text("customer_id\na\nb\n")
    (folder / "orders.csv").write_text(
        "customer_id,order_id,event_time,value\na,1,2024-01-05T00:00:00Z,10.00\na,2,2024-01-06T00:00:00Z,5.50\n"
        "b,3,2024-02-01T00:00:00Z,7.25\n"
    )
    times = [read_instant("2024-03-01")]
    assert build_features(mapped, CLV, times).equals(build_features(open_profile(folder), CLV, times))


def test_the_digest_covers_the_mapping_and_the_data_but_no_comment(write_mapping: Write) -> None:
    files = {"people": PEOPLE, "sales": SALES}
    first = open_profile(write_mapping(HEAD + ORDERS, **files)).digest
    assert open_profile(write_mapping("# a comment\n" + HEAD + ORDERS, **files)).digest == first
    other_column = ORDERS.replace("value: Amount", "value: Amount || '0'")
    assert open_profile(write_mapping(HEAD + other_column, **files)).digest != first
    assert (
        open_profile(write_mapping(HEAD + ORDERS, **files | {"sales": SALES.replace("7.25", "7.26")})).digest != first
    )


def test_expressions_and_constants_make_columns(write_mapping: Write, rows_of: Rows) -> None:
    orders = """\
  orders:
    from: sales
    where: CAST(Amount AS DOUBLE) > 6
    columns:
      customer_id: lower(trim(Id))
      order_id: "'o-' || Nr"
      event_time: Day
      value: CAST(Amount AS DECIMAL(10, 2)) * 2
      currency: {constant: EUR}
      is_return: false
"""
    profile = open_profile(write_mapping(HEAD + orders, people=PEOPLE, sales=SALES))
    assert rows_of(profile, "orders", "order_id", "value", "currency", "is_return") == [
        {"order_id": "o-1", "value": Decimal("20.0000"), "currency": "EUR", "is_return": False},
        {"order_id": "o-3", "value": Decimal("14.5000"), "currency": "EUR", "is_return": False},
    ]


def test_time_formats_are_tried_in_order_and_what_fits_none_is_named(write_mapping: Write, rows_of: Rows) -> None:
    sales = SALES + "b,4,3/14/2024,1\n"
    profile = open_profile(write_mapping(HEAD + ORDERS, people=PEOPLE, sales=sales))
    assert {"order_id": "4", "event_time": day("2024-03-14")} in rows_of(profile, "orders", "order_id", "event_time")
    with pytest.raises(ContractBroken, match=r"orders.event_time: 1 of 4 rows has .* '14/3/2024'"):
        open_profile(write_mapping(HEAD + ORDERS, people=PEOPLE, sales=SALES + "b,4,14/3/2024,1\n"))


def test_naive_times_are_read_in_the_declared_zone_and_refused_without_one(write_mapping: Write, rows_of: Rows) -> None:
    new_york = HEAD.replace("zone: UTC", "zone: America/New_York")
    profile = open_profile(write_mapping(new_york + ORDERS, people=PEOPLE, sales=SALES))
    assert rows_of(profile, "orders", "event_time")[0] == {"event_time": datetime(2024, 1, 5, 5, tzinfo=UTC)}
    without = HEAD.replace("times: {formats: [YYYY-MM-DD, M/D/YYYY], zone: UTC}\n", "")
    with pytest.raises(ContractBroken, match=r"orders.event_time: 3 of 3 rows have no time zone"):
        open_profile(write_mapping(without + ORDERS, people=PEOPLE, sales=SALES))


@pytest.mark.parametrize(
    ("local", "utc"), [("2024-03-10T02:30:00", "2024-03-10T07:30:00"), ("2024-11-03T01:30:00", "2024-11-03T06:30:00")]
)
def test_local_times_around_a_change_of_clocks_are_read_as_documented(
    write_mapping: Write, rows_of: Rows, local: str, utc: str
) -> None:
    head = HEAD.replace("formats: [YYYY-MM-DD, M/D/YYYY], zone: UTC", "zone: America/New_York")
    profile = open_profile(write_mapping(head + ORDERS, people=PEOPLE, sales=f"Id,Nr,Day,Amount\na,1,{local},1\n"))
    assert rows_of(profile, "orders", "event_time") == [{"event_time": day(utc)}]


def test_typed_naive_times_are_read_in_the_declared_zone(write_mapping: Write, tmp_path: Path, rows_of: Rows) -> None:
    rows = [{"Id": "a", "Nr": 1, "Day": datetime(2024, 7, 1, 12), "Amount": 3.5}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sales_1.parquet")
    rows = [{"Id": "b", "Nr": 2, "Day": datetime(2024, 1, 1, 12), "Amount": 4.0}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sales_2.parquet")
    head = HEAD.replace("sales.csv", '"sales_*.parquet"').replace("zone: UTC", "zone: Europe/Berlin")
    profile = open_profile(write_mapping(head + ORDERS, people=PEOPLE))
    assert rows_of(profile, "orders", "event_time") == [
        {"event_time": datetime(2024, 1, 1, 11, tzinfo=UTC)},
        {"event_time": datetime(2024, 7, 1, 10, tzinfo=UTC)},
    ]


def test_several_sources_are_united_and_aliases_resolved_as_of_the_facts_time(
    write_mapping: Write, rows_of: Rows
) -> None:
    mapping = (
        HEAD.replace("sales: sales.csv", "sales: sales.csv, shop: shop.csv, cards: cards.csv")
        + """\
  identities:
    from: cards
    columns: {alias_id: Card, customer_id: Id, valid_from: From, valid_to: To}
  orders:
    union:
      - {from: sales, columns: {customer_id: Id, order_id: Nr, event_time: Day, value: Amount}}
      - {from: shop, columns: {customer_id: {alias: Card}, order_id: Nr, event_time: Day, value: Amount}}
"""
    )
    cards = "Card,Id,From,To\nC1,a,2024-01-01,2024-02-01\nC1,b,2024-02-01,\nC2,b,2024-01-01,2024-01-10\n"
    shop = "Card,Nr,Day,Amount\nC1,s1,2024-01-31,1\nC1,s2,2024-02-01,1\nC2,s3,2024-01-10,1\nC9,s4,2024-01-10,1\n"
    profile = examine_profile(write_mapping(mapping, people=PEOPLE, sales=SALES, shop=shop, cards=cards))
    owners = {row["order_id"]: row["customer_id"] for row in rows_of(profile, "orders", "order_id", "customer_id")}
    assert owners == {"1": "a", "2": "a", "3": "b", "s1": "a", "s2": "b", "s3": "C2", "s4": "C9"}
    orphans = [finding for finding in profile.findings if finding.rule == "a customer_id that is not in customers"]
    assert [(orphan.table, orphan.rows, orphan.of) for orphan in orphans] == [("orders", 2, 7)]


def test_a_source_without_rows_is_named_though_the_others_have_some(write_mapping: Write) -> None:
    mapping = (
        HEAD.replace("sales: sales.csv", "sales: sales.csv, more: more.csv")
        + """\
  orders:
    union:
      - {from: sales, columns: {customer_id: Id, order_id: Nr, event_time: Day, value: Amount}}
      - {from: more, columns: {customer_id: Id, order_id: Nr, event_time: Day, value: Amount}}
"""
    )
    profile = open_profile(write_mapping(mapping, people=PEOPLE, sales=SALES, more="Id,Nr,Day,Amount"))
    assert [f.found for f in profile.findings if f.severity == "warning"] == ["source 'more'"]


def test_an_alias_of_two_customers_at_one_time_is_named(write_mapping: Write) -> None:
    mapping = (
        HEAD.replace("sales: sales.csv", "sales: sales.csv, cards: cards.csv")
        + ORDERS
        + """\
  identities: {from: cards, columns: {alias_id: Card, customer_id: Id, valid_from: From, valid_to: To}}
"""
    )
    cards = "Card,Id,From,To\nC1,a,2024-01-01,2024-02-02\nC1,b,2024-02-01,\n"
    with pytest.raises(ContractBroken, match=r"identities.alias_id: 1 of 2 rows has an alias of two customers"):
        open_profile(write_mapping(mapping, people=PEOPLE, sales=SALES, cards=cards))


CARDS = """\
  identities: {from: cards, columns: {alias_id: Card, customer_id: Id, valid_from: From, valid_to: To}}
"""


def test_an_alias_of_two_customers_is_named_though_a_short_span_lies_between(write_mapping: Write) -> None:
    mapping = HEAD.replace("sales: sales.csv", "sales: sales.csv, cards: cards.csv") + ORDERS + CARDS
    cards = "Card,Id,From,To\nC,a,2024-01-01,2024-12-31\nC,a,2024-01-02,2024-01-03\nC,b,2024-03-01,2024-04-01\n"
    with pytest.raises(ContractBroken, match=r"identities.alias_id: 1 of 3 rows has an alias of two customers"):
        open_profile(write_mapping(mapping, people=PEOPLE, sales=SALES, cards=cards))


def test_an_alias_is_resolved_by_any_span_that_holds_the_time(write_mapping: Write, rows_of: Rows) -> None:
    mapping = (
        HEAD.replace("sales: sales.csv", "shop: shop.csv, cards: cards.csv")
        + CARDS
        + "  orders: {from: shop, columns: {customer_id: {alias: Card}, order_id: Nr, event_time: Day, value: Amount}}"
    )
    cards = "Card,Id,From,To\nC,a,2024-01-01,2024-12-31\nC,a,2024-01-02,2024-01-03\n"
    shop = "Card,Nr,Day,Amount\nC,1,2024-06-01,1\n"
    profile = open_profile(write_mapping(mapping, people=PEOPLE, shop=shop, cards=cards))
    assert rows_of(profile, "orders", "order_id", "customer_id") == [{"order_id": "1", "customer_id": "a"}]


def test_exact_copies_and_repeated_keys_are_dropped_and_counted(write_mapping: Write, rows_of: Rows) -> None:
    orders = """\
  orders:
    from: sales
    exact_duplicates: drop
    known_from: Known
    columns: {customer_id: Id, order_id: Nr, event_time: Day, value: Amount}
    deduplicate: {by: order_id, keep: KEEP}
"""
    sales = """
        Id,Nr,Day,Amount,Known
        a,1,2024-01-05,10,2024-01-05
        a,1,2024-01-05,10,2024-01-05
        a,1,2024-01-05,12,2024-01-09
        b,3,2024-02-01,7,2024-02-01
        """
    for keep, value in [("first", 10), ("last", 12)]:
        profile = open_profile(write_mapping(HEAD + orders.replace("KEEP", keep), people=PEOPLE, sales=sales))
        assert [row["value"] for row in rows_of(profile, "orders", "order_id", "value")] == [value, 7]
        counts = [(f.rows, f.of) for f in profile.findings if "left out" in f.rule]
        assert counts == [(1, 4), (1, 3)]


def test_lines_are_added_up_into_orders_with_the_main_category(write_mapping: Write, rows_of: Rows) -> None:
    orders = """\
  orders:
    from: lines
    collapse: order_id
    returns: negative
    columns: {customer_id: Id, order_id: Nr, event_time: Day, value: Amount, category: Kind, discount_value: Off}
"""
    lines = """
        Id,Nr,Day,Amount,Kind,Off
        a,1,2024-01-05,0.10,food,0.01
        a,1,2024-01-05,0.20,food,
        a,1,2024-01-04,0.25,drink,0.02
        a,1,2024-01-06,-0.25,drink,
        b,2,2024-02-01,1,b,
        b,2,2024-02-01,1,a,
        """
    head = HEAD.replace("sales: sales.csv", "lines: lines.csv")
    profile = open_profile(write_mapping(head + orders, people=PEOPLE, lines=lines))
    columns = ("order_id", "event_time", "value", "category", "discount_value", "item_count", "is_return")
    assert [tuple(row.values()) for row in rows_of(profile, "orders", *columns)] == [
        ("1", day("2024-01-04"), Decimal("0.3000") + Decimal("0.25"), "food", Decimal("0.0300"), 3.0, False),
        ("1-return", day("2024-01-06"), Decimal("-0.2500"), "drink", None, 1.0, True),
        ("2", day("2024-02-01"), Decimal("2.0000"), "a", None, 2.0, False),
    ]
    assert any(f.found == "6 rows, added up to 3" for f in profile.findings)


def test_a_customers_orders_of_one_utc_day_become_one(write_mapping: Write, rows_of: Rows) -> None:
    sales = "Id,Nr,Day,Amount\na,1,2024-01-05T23:00:00Z,1\na,2,2024-01-05T01:00:00Z,2\na,3,2024-01-06T00:00:00Z,4\n"
    head = HEAD.replace("times: {formats: [YYYY-MM-DD, M/D/YYYY], zone: UTC}\n", "")
    profile = open_profile(write_mapping(head + ORDERS + "    collapse: day\n", people=PEOPLE, sales=sales))
    assert [(r["order_id"], r["value"]) for r in rows_of(profile, "orders", "order_id", "value")] == [
        ("a-2024-01-05", 3),
        ("a-2024-01-06", 4),
    ]


def test_an_order_of_a_day_has_an_id_of_its_own_whatever_its_lines_had(write_mapping: Write, rows_of: Rows) -> None:
    sales = """
        Id,Nr,Day,Amount
        a,7,2024-01-05,10
        a,7,2024-01-05,-4
        a,7,2024-01-06,5
        b,7,2024-01-05,1
        """
    orders = ORDERS + "    collapse: day\n    returns: negative\n"
    profile = open_profile(write_mapping(HEAD + orders, people=PEOPLE, sales=sales))
    assert [tuple(row.values()) for row in rows_of(profile, "orders", "order_id", "value")] == [
        ("a-2024-01-05", 10),
        ("a-2024-01-05-return", -4),
        ("a-2024-01-06", 5),
        ("b-2024-01-05", 1),
    ]


@pytest.mark.parametrize("ending", ["", "    collapse: day\n", "    deduplicate: {by: order_id}\n"])
@pytest.mark.parametrize(
    ("mapped", "said"),
    [
        ("event_time: CAST(Nr AS INTEGER)", r"orders.event_time: \d of 3 rows ha.* a value that is not a time"),
        ("value: Amount = '5.50'", r"orders.value: \d of 3 rows ha.* a value that is not a finite amount"),
    ],
)
def test_a_column_of_the_wrong_type_is_named_whatever_is_done_with_it(
    write_mapping: Write, ending: str, mapped: str, said: str
) -> None:
    orders = ORDERS.replace("event_time: Day" if "event" in mapped else "value: Amount", mapped)
    with pytest.raises(ContractBroken, match=said.replace(" of 3", r" of \d")):
        open_profile(write_mapping(HEAD + orders + ending, people=PEOPLE, sales=SALES))


def test_a_line_that_cannot_be_read_is_named_and_not_added_up(write_mapping: Write) -> None:
    sales = SALES + "a,1,2024-01-05,ten\n"
    with pytest.raises(ContractBroken, match=r"orders.value: 1 of 3 rows has .* has 'ten'"):
        open_profile(write_mapping(HEAD + ORDERS + "    collapse: order_id\n", people=PEOPLE, sales=sales))


def test_amounts_are_converted_at_the_last_rate_before_their_time(write_mapping: Write, rows_of: Rows) -> None:
    head = HEAD.replace("sales: sales.csv", "sales: sales.csv, fx: fx.csv")
    orders = ORDERS.replace("value: Amount", "value: Amount, currency: Cur")
    mapping = "currency: {target: EUR, rates: fx, code: Cur, day: From, rate: Rate}\n" + head + orders
    sales = """
        Id,Nr,Day,Amount,Cur
        a,1,2024-01-05,10.00,USD
        a,2,2024-01-06,10.00,USD
        b,3,2024-02-01,7.25,EUR
        """
    fx = "Cur,From,Rate\nUSD,2024-01-01,0.9\nUSD,2024-01-06,0.95\n"
    profile = open_profile(write_mapping(mapping, people=PEOPLE, sales=sales, fx=fx))
    assert [(r["value"], r["currency"]) for r in rows_of(profile, "orders", "order_id", "value", "currency")] == [
        (Decimal("9.0000"), "EUR"),
        (Decimal("9.5000"), "EUR"),
        (Decimal("7.2500"), "EUR"),
    ]
    fx = "Cur,From,Rate\nUSD,2024-01-06,0.95\n"
    with pytest.raises(ContractBroken, match=r"orders.currency: .*1 of 3 rows has no rate as of their time|mixed"):
        open_profile(write_mapping(mapping, people=PEOPLE, sales=sales, fx=fx))


def test_scores_on_another_scale_are_carried_over_by_a_stated_rule(write_mapping: Write, rows_of: Rows) -> None:
    surveys = """\
  surveys:
    from: sales
    columns:
      customer_id: Id
      metric: {constant: csat}
      sent_at: Day
      responded_at: Day
      score: {from: Amount, scale: {low: 0, high: 100, rule: linear}}
"""
    sales = "Id,Day,Amount\na,2024-01-01,0\na,2024-01-02,50\na,2024-01-03,87.5\nb,2024-01-04,100\nb,2024-01-05,12.4\n"
    profile = open_profile(write_mapping(HEAD + surveys, people=PEOPLE, sales=sales))
    assert [row["score"] for row in rows_of(profile, "surveys", "sent_at", "score")] == [1, 3, 5, 5, 1]
    with pytest.raises(ContractBroken, match=r"surveys.score: 1 of 5 rows has .*'101 \(off 0-100\)'"):
        open_profile(write_mapping(HEAD + surveys, people=PEOPLE, sales=sales.replace(",100", ",101")))
    with pytest.raises(MappingInvalid, match=r"line 13, .*score.scale: found 0-100 for 'csat' without a rule"):
        open_profile(write_mapping(HEAD + surveys.replace(", rule: linear", ""), people=PEOPLE, sales=sales))


def test_values_outside_the_stated_categories_become_other(write_mapping: Write, rows_of: Rows) -> None:
    head = HEAD.replace("region: State", "region: {from: State, categories: [CA]}")
    profile = open_profile(write_mapping(head + ORDERS, people=PEOPLE + "c,\n", sales=SALES))
    regions = {row["customer_id"]: row["region"] for row in rows_of(profile, "customers", "customer_id", "region")}
    assert regions == {"a": "CA", "b": "other", "c": None}


@pytest.mark.parametrize(
    ("known", "expected"),
    [("Day", day("2024-01-05")), ("{constant: 2024-06-01}", day("2024-06-01")), ("at once", None)],
)
def test_known_from_says_when_a_row_could_first_be_known(
    write_mapping: Write, rows_of: Rows, known: str, expected: datetime | None
) -> None:
    profile = open_profile(write_mapping(HEAD + ORDERS + f"    known_from: {known}\n", people=PEOPLE, sales=SALES))
    assert rows_of(profile, "orders", "order_id", "ingested_at")[0]["ingested_at"] == expected


def test_a_join_adds_columns_and_is_refused_where_it_would_multiply_rows(write_mapping: Write, rows_of: Rows) -> None:
    orders = ORDERS.replace("value: Amount", "value: Amount, category: kinds.Id")
    orders = orders.replace("from: sales", "from: sales\n    join: {kinds: Nr}")
    head = HEAD.replace("sales: sales.csv", "sales: sales.csv, kinds: kinds.csv")
    kinds = "Nr,Id\n1,food\n3,drink\n"
    profile = open_profile(write_mapping(head + orders, people=PEOPLE, sales=SALES, kinds=kinds))
    assert [row["category"] for row in rows_of(profile, "orders", "order_id", "category")] == ["food", None, "drink"]
    with pytest.raises(MappingInvalid, match=r"join.kinds: found Nr '1' more than once in 'kinds'"):
        open_profile(write_mapping(head + orders, people=PEOPLE, sales=SALES, kinds="Nr,Id\n1,food\n1,drink\n"))


def test_labels_are_kept_apart_from_what_features_see(write_mapping: Write) -> None:
    labels = "labels: {from: people, columns: {customer_id: Id, left: State = 'NY'}}\n"
    profile = open_profile(write_mapping(HEAD + ORDERS + labels, people=PEOPLE, sales=SALES))
    assert profile.labels is not None
    assert profile.labels.order_by("customer_id").to_pyarrow().to_pylist() == [
        {"customer_id": "a", "left": False},
        {"customer_id": "b", "left": True},
    ]
    assert not any("left" in table.columns for table in profile.tables.values())


def test_a_duckdb_table_is_a_source(write_mapping: Write, tmp_path: Path, rows_of: Rows) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as engine:
        engine.execute("CREATE TABLE sales AS SELECT 'a' AS Id, 1 AS Nr, DATE '2024-01-05' AS Day, 2.5 AS Amount")
    head = HEAD.replace("sales: sales.csv", "sales: {duckdb: shop.duckdb, table: sales}")
    profile = open_profile(write_mapping(head + ORDERS, people=PEOPLE))
    assert rows_of(profile, "orders", "order_id", "value") == [{"order_id": "1", "value": Decimal("2.5000")}]


def test_environment_variables_stand_in_paths_with_defaults(
    write_mapping: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = HEAD.replace("sales: sales.csv", 'sales: "${SHOP_DATA:-.}/sales.csv"')
    path = write_mapping(head + ORDERS, people=PEOPLE, sales=SALES)
    assert open_profile(path).summaries[1].rows == 3
    monkeypatch.setenv("SHOP_DATA", "elsewhere")
    with pytest.raises(SourceUnreadable, match="no such file"):
        open_profile(path)


def test_a_column_that_yaml_would_take_for_something_else_is_a_column(write_mapping: Write, rows_of: Rows) -> None:
    head = HEAD.replace("region: State", "region: Off, tier: NO")
    profile = open_profile(write_mapping(head + ORDERS, people="Id,Off,NO\na,x,y\nb,x,y\n", sales=SALES))
    assert rows_of(profile, "customers", "customer_id", "region", "tier")[0] == {
        "customer_id": "a",
        "region": "x",
        "tier": "y",
    }


def test_broken_rows_says_what_is_to_happen_to_them(write_mapping: Write) -> None:
    files = {"people": PEOPLE, "sales": SALES}
    assert open_profile(write_mapping(HEAD + ORDERS, **files)).broken_rows == "refuse"
    assert open_profile(write_mapping("broken_rows: quarantine\n" + HEAD + ORDERS, **files)).broken_rows == "quarantine"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tables:", "sheets:", r"unknown name 'sheets'"),
        ("  customers:", "  clients:", r"line 5, tables.clients: found table 'clients'. Allowed: 'customers'"),
        ("value: Amount", "worth: Amount", r"orders.columns.worth: found column 'worth'. Allowed: .*'value'"),
        ("value: Amount", "value: Amuont", r"value: found column 'Amuont', which is not there. .* 'Amount'"),
        ("value: Amount", "value: sum(Amount)", r"columns.value: found 'sum\(Amount\)'"),
        ("value: Amount", "value: (SELECT 1)", r"columns.value: found '\(SELECT 1\)'"),
        ("value: Amount", "value: read_text('/etc/passwd')", r"columns.value: found \"read_text"),
        ("value: Amount", "value: Amount + Day", r"columns.value: found .*Allowed: an expression that fits"),
        ("value: Amount", "value: CAST(Id AS INTEGER)", r"tables.orders: found .*TRY_CAST for CAST"),
        ("event_time: Day, ", "", r"orders.columns: found no 'event_time'. Allowed: 'customer_id', 'order_id'"),
        ("sources:", "currency: {target: EUR, rates: sales}\nsources:", r"currency: found it without orders.currency"),
        ("from: sales", "from: sails", r"orders.from: found source 'sails'. Allowed: 'people', 'sales'"),
        ("zone: UTC", "zone: Mars/Base", r"times.zone: found 'Mars/Base'. Allowed: a zone"),
        (", zone: UTC", "", r"times: found .*formats without Z need a zone"),
        ("M/D/YYYY", "M/D/YYYYQ", r"times.formats: found 'Q' in 'M/D/YYYYQ'"),
        ("sales: sales.csv", "sales: {url: x}", r"sources.sales: .*table with duckdb or url"),
        ("value: Amount", "value: {from: Amount, constant: 1}", r"value: .*exactly one of from, constant, alias"),
        ("value: Amount", "value: Amount, value: Id", r"'value' stands twice"),
        ("from: sales", "from: sales\n    where: Amount >", r"orders.where: found 'Amount >'"),
        ("from: sales", "from: sales\n    collapse: week", r"orders.collapse: found 'week'"),
        ("value: Amount", "value: {from: Amount, categories: [a]}", r"columns.value: found categories"),
        ("customer_id: Id, order", "customer_id: {alias: Id}, order", r"columns.customer_id: found an alias"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line_with_its_place(
    write_mapping: Write, old: str, new: str, said: str
) -> None:
    assert old in HEAD + ORDERS
    with pytest.raises(MappingInvalid, match=said) as refused:
        open_profile(write_mapping((HEAD + ORDERS).replace(old, new, 1), people=PEOPLE, sales=SALES))
    assert "\n" not in str(refused.value)
    assert "Allowed: " in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "just words", "a: [", "sources: {}\ntables: {}", "\x00", "a: &x [*x]"])
def test_a_file_that_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    with pytest.raises(PatronError) as refused:
        open_profile(path)
    assert "\n" not in str(refused.value)


def test_a_missing_or_damaged_source_is_refused_in_one_line(write_mapping: Write, tmp_path: Path) -> None:
    path = write_mapping(HEAD + ORDERS, people=PEOPLE)
    with pytest.raises(SourceUnreadable, match=r"source 'sales': 'sales.csv' cannot be read \(no such file"):
        open_profile(path)
    (tmp_path / "sales.csv").write_text('Id,Nr\na,"1\n')
    with pytest.raises(SourceUnreadable, match="source 'sales'"):
        open_profile(path)
