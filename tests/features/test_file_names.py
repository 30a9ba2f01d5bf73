"""Files whose names are written in capitals, as some tools write them."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.errors import ProfileNotFound, QuarantineUnwritable, TableUnreadable
from features.flat import is_flat, open_flat
from features.profile import open_profile

Write = Callable[..., Path]

FACTS = {
    "customers.csv": "customer_id,region\n7,x\n",
    "orders.csv": "customer_id,order_id,event_time,value\n7,1,2024-01-05T00:00:00Z,5\n",
}


@pytest.mark.parametrize(
    "names",
    [("Customers.CSV", "ORDERS.csv"), ("CUSTOMERS.Csv.Gz", "Orders.CSV.GZ"), ("customers.csv", "oRders.csv.GZ")],
)
def test_files_of_a_folder_are_tables_in_whatever_case(write_folder: Write, names: tuple[str, str]) -> None:
    texts = [text.encode() for text in FACTS.values()]
    contents = [
        gzip.compress(text) if name.lower().endswith("gz") else text for name, text in zip(names, texts, strict=True)
    ]
    profile = open_profile(write_folder(dict(zip(names, contents, strict=True))))
    assert {s.table: s.rows for s in profile.summaries} == {"customers": 1, "orders": 1}
    plain = open_profile(write_folder(FACTS, "plain"))
    assert [s.first for s in profile.summaries] == [s.first for s in plain.summaries]


def test_parquet_in_capitals_is_read(write_folder: Write) -> None:
    orders = open_profile(write_folder(FACTS)).tables["orders"].to_pyarrow()
    folder = write_folder({"customers.csv": FACTS["customers.csv"], "orders.PARQUET": orders}, "other")
    assert {s.table for s in open_profile(folder).summaries} == {"customers", "orders"}


def test_two_files_of_one_table_are_refused_whatever_their_case(write_folder: Write) -> None:
    folder = write_folder({**FACTS, "Orders.CSV": FACTS["orders.csv"]})
    with pytest.raises(TableUnreadable, match=r"table 'orders'.*2 times: 'Orders.CSV', 'orders.csv'"):
        open_profile(folder)


def test_the_digest_does_not_depend_on_the_case_of_names(write_folder: Write) -> None:
    upper = {name.upper(): text for name, text in FACTS.items()}
    assert open_profile(write_folder(upper)).digest == open_profile(write_folder(FACTS, "plain")).digest


def test_a_quarantine_does_not_go_into_a_folder_of_tables_in_capitals(write_folder: Write) -> None:
    folder = write_folder(
        {"customers.csv": FACTS["customers.csv"], "Orders.CSV": FACTS["orders.csv"].replace(",5", ",x")}
    )
    with pytest.raises(QuarantineUnwritable, match=r"Orders\.CSV in it was not written by a quarantine"):
        open_profile(folder, folder)


def test_a_folder_that_may_not_be_looked_into_is_refused(write_folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(FACTS)

    def refuse(_: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ProfileNotFound, match="Permission denied"):
        open_profile(folder)


def test_a_flat_table_in_capitals_is_one(tmp_path: Path) -> None:
    path = tmp_path / "Telco.CSV"
    path.write_text("id,plan\na,x\n", encoding="utf-8")
    assert is_flat(str(path))
    assert open_flat(str(path), "id").columns == {"plan": "string"}
