"""`patron profile init` on the shapes that companies' exports have: what it proposes can be checked and built from."""

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from features.catalogue import ALL
from features.engine.builder import available, build_features
from features.instants import read_instant
from features.mapping.propose import write_proposal
from features.profile import Profile, open_profile


def lay_out(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def proposed(folder: Path) -> tuple[Profile, str]:
    file, _ = write_proposal(folder)
    profile = open_profile(file)
    built = build_features(profile, available(profile, ALL).features, [read_instant("2024-06-01")])
    assert len(built) == profile.summaries[0].rows
    return profile, file.read_text(encoding="utf-8")


def rows(profile: Profile, table: str, by: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = profile.tables[table].order_by(by).to_pyarrow().to_pylist()
    return found


GERMAN = {
    "kunden": "Kundennummer;Anlagedatum;Region\n7;13.01.2023;Köln\n8;14.01.2023;\n",
    "bestellungen": (
        "Bestellnummer;Kundennummer;Bestelldatum;Betrag\n1;7;24.02.2024 05:51;1.057,44\n2;8;25.02.2024 06:00;3,5\n"
    ),
}
RUSSIAN = {
    "клиенты": "ИД клиента;Дата регистрации;Город\nК-1;13.01.2023;Пермь\n",  # noqa: RUF001 - Russian
    "заказы": "Номер заказа;ИД клиента;Дата заказа;Сумма\nЗ1;К-1;24.02.2024;1 057,44\n",  # noqa: RUF001 - Russian
}


def test_semicolons_and_commas_before_the_cents(tmp_path: Path) -> None:
    profile, text = proposed(lay_out(tmp_path, **GERMAN))
    assert 'kunden: {files: kunden.csv, delimiter: ";"}' in text
    assert "# decide: read as numbers with points between thousands, a comma before the cents" in text
    assert [row["value"] for row in rows(profile, "orders", "order_id")] == [Decimal("1057.44"), Decimal("3.5")]
    assert [row["region"] for row in rows(profile, "customers", "customer_id")] == ["Köln", None]


def test_names_in_another_alphabet(tmp_path: Path) -> None:
    profile, _ = proposed(lay_out(tmp_path, **RUSSIAN))
    (order,) = rows(profile, "orders", "order_id")
    assert (order["customer_id"], order["value"]) == ("К-1", Decimal("1057.44"))  # noqa: RUF001 - Russian
    assert order["event_time"] == datetime(2024, 2, 24, tzinfo=UTC)


@pytest.mark.parametrize(("per_second", "kind"), [(1, "DOUBLE) "), (1_000, "/ 1000"), (1_000_000, "/ 1000000")])
def test_times_counted_from_1970_and_lines_with_quantity_and_price(tmp_path: Path, per_second: int, kind: str) -> None:
    at = 1_700_000_000 * per_second
    lines = f"orderId,userId,ts,qty,unitPrice\no1,u1,{at},2,1.5\no1,u1,{at},1,4\n"
    profile, text = proposed(lay_out(tmp_path, users=f"userId,signupTs\nu1,{at}\n", order_lines=lines))
    assert kind.strip() in text
    assert "collapse: order_id   # decide" in text
    (order,) = rows(profile, "orders", "order_id")
    assert (order["value"], order["item_count"]) == (Decimal(7), 3.0)
    assert order["event_time"] == rows(profile, "customers", "customer_id")[0]["created_at"]
    assert order["event_time"] == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_price_beside_a_quantity_is_taken_for_one_item_and_marked(tmp_path: Path) -> None:
    sales = "customer_id,order_id,order_date,quantity,price\na,1,2024-01-01,3,2\n"
    profile, text = proposed(lay_out(tmp_path, customers="customer_id\na\n", sales=sales))
    assert "# decide: or price, if it is of the whole line" in text
    assert rows(profile, "orders", "order_id")[0]["value"] == Decimal(6)


def test_identities_campaigns_currencies_and_logs_are_recognised(tmp_path: Path) -> None:
    profile, text = proposed(
        lay_out(
            tmp_path,
            crm_customers="customer_id,tier\na,gold\nb,\n",
            device_map="device_id,customer_id,valid_from,valid_to\nd1,a,2023-01-01T00:00:00Z,2024-01-01T00:00:00Z\n"
            "d1,b,2024-01-01T00:00:00Z,\n",
            clicks="device_id,event_type,ts\nd1,page_view,2023-05-01T00:00:00Z\nd1,page_view,2024-05-01T00:00:00Z\n",
            purchases="purchase_id,customer_id,purchased_at,total,currency\np1,a,2024-01-05T00:00:00Z,10,USD\n"
            "p2,b,2024-01-06T00:00:00Z,10,EUR\n",
            fx="currency,day,rate\nUSD,2024-01-01,0.5\n",
            campaigns="customer_id,campaign_id,sent,cost\na,spring,2024-02-01T00:00:00Z,2\n",
            support_tickets="ticket_id,customer_id,submitted_at,priority\nt1,a,2024-02-02T00:00:00Z,high\n",
        )
    )
    assert [row["customer_id"] for row in rows(profile, "events", "event_time")] == ["a", "a", "b"]
    assert [row["kind"] for row in rows(profile, "events", "event_time")][1] == "support_ticket"
    assert "kind: {constant: support_ticket}   # decide: what happened there" in text
    assert "target: EUR   # decide" in text
    assert [row["value"] for row in rows(profile, "orders", "order_id")] == [Decimal(5), Decimal(10)]
    assert [row["cost"] for row in rows(profile, "campaigns", "customer_id")] == [Decimal(2)]
    assert "is not used" not in text


def test_several_currencies_without_rates_are_marked(tmp_path: Path) -> None:
    bills = "client_id,invoice_no,invoice_date,amount,currency\n1,7,2024-01-01,5,EUR\n1,8,2024-01-01,5,USD\n"
    text = write_proposal(lay_out(tmp_path, clients="client_id\n1\n", bills=bills))[0].read_text()
    assert "# decide: currencies EUR, USD; one is wanted: give a source of rates under currency:" in text


def test_files_of_one_name_in_several_folders_are_all_read(tmp_path: Path) -> None:
    lay_out(tmp_path, clients="client_id\n1\n")
    for year in ("2022", "2023", "2024"):
        (tmp_path / year).mkdir()
        lay_out(tmp_path / year, bills=f"client_id,invoice_no,invoice_date,amount\n1,{year},{year}-01-01,5\n")
    with gzip.open(tmp_path / "old.tsv.gz", "wt") as file:
        file.write("client_id\tinvoice_no\tinvoice_date\tamount\n1\t2021\t2021-01-01\t5\n")
    profile, _ = proposed(tmp_path)
    assert [row["order_id"] for row in rows(profile, "orders", "order_id")] == ["2021", "2022", "2023", "2024"]


def test_subscribers_are_the_customers_and_not_their_subscriptions(tmp_path: Path) -> None:
    subs = "subscription_id,account_id,start_date,end_date,mrr_amount,plan,notes\ns1,1,2023-01-01,,19,pro,\n"
    profile, text = proposed(lay_out(tmp_path, accounts="account_id,industry\n1,mining\n", subs=subs))
    assert "    from: accounts" in text
    assert {s.table: s.rows for s in profile.summaries} == {"customers": 1, "subscriptions": 1}


def test_an_id_of_no_known_name_is_told_by_where_it_stands(tmp_path: Path) -> None:
    files = {"leute": "pk;ort\n1;Ulm\n2;Bonn\n", "kaeufe": "nr;pk;am;betrag\n1;1;2024-01-01;5\n2;1;2024-01-02;6\n"}
    profile, text = proposed(lay_out(tmp_path, **files))
    assert "# decide: no known name; the column that tells the tables' rows apart" in text
    assert "event_time: am   # decide: the only column that holds times" in text
    assert {s.table: s.rows for s in profile.summaries} == {"customers": 2, "orders": 2}


@pytest.mark.parametrize("key", ["order_id", "OrderId"])
@pytest.mark.parametrize("people", [{}, {"customers": "customer_id,region\na,N\n"}])
def test_lines_find_their_customer_and_time_in_the_table_of_orders(
    tmp_path: Path, key: str, people: dict[str, str]
) -> None:
    files = {
        "orders": "order_id,customer_id,status,order_purchase_timestamp\n1,a,ok,2024-01-01 10:00:00\n",
        "order_items": f"{key},product_id,quantity,unit_price\n1,x,2,1.5\n1,y,1,4\n",
    }
    profile, text = proposed(lay_out(tmp_path, **files, **people))
    (order,) = rows(profile, "orders", "order_id")
    assert (order["customer_id"], order["value"]) == ("a", Decimal(7))
    assert order["event_time"] == datetime(2024, 1, 1, 10, tzinfo=UTC)
    assert "is not used" not in text


def test_what_is_nobodys_and_what_was_redeemed_are_said(tmp_path: Path) -> None:
    text = write_proposal(
        lay_out(
            tmp_path,
            sales="customer_id,order_id,date,amount\n1,1,2024-01-01,5\n",
            sample="master_id,order_id,date,amount\n1,1,2024-01-01,5\n",
            coupon_redemptions="customer_id,campaign_id,redemption_date\n1,c1,2024-01-02\n1,c2,2024-01-03\n",
        )
    )[0].read_text()
    assert "# decide: sample is not used; its columns are master_id, order_id, date, amount" in text
    assert "kind: {constant: loyalty_redeem}   # decide: what happened there" in text
    assert "  campaigns:" not in text


def test_customers_alone_are_proposed_as_something_that_loads(tmp_path: Path) -> None:
    lines = "CustomerID,Description\n1,thing\n1,thing\n,thing\n"
    text = write_proposal(lay_out(tmp_path, retail=lines))[0].read_text()
    assert "# decide: no table of facts was found" in text
    assert 'where: "\\"CustomerID\\" IS NOT NULL"' in text


def test_an_own_name_of_the_contract_without_its_columns_is_said(tmp_path: Path) -> None:
    files = {"customers": "customer_id\n1\n", "orders": "customer_id,order_id,order_date,xyz\n1,1,2024-01-01,5\n"}
    text = write_proposal(lay_out(tmp_path, **files))[0].read_text()
    assert "# decide: value: no column was recognised" in text
