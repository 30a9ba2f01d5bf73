"""Passwords in connection URLs: used, and shown to nobody."""

from typing import Any

import ibis
import pytest

from features.errors import PatronError, ProfileNotFound, SourceUnreadable, TableUnreadable
from features.mapping.file import read_mapping
from features.mapping.mapped import map_profile
from features.profile import Profile, open_profile
from features.reading import tables
from features.reading.masking import masked, without_secrets
from features.reading.sources import embedded_engine

URL = "postgres://patron:hunter%402@db.example:5432/shop?token=hunter3&retries=5"
SHOWN = "postgres://***@db.example:5432/shop?token=***&retries=***"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, SHOWN),
        ("postgres://hunter2@db/shop", "postgres://***@db/shop"),
        ("postgres://patron:hun@ter/2?x@db/shop", "postgres://***@db/shop"),  # nobody encoded it
        ("postgres://patron:${PGPASSWORD:-hunter2}@db/shop", "postgres://***@db/shop"),
        (
            "postgres://patron:${PGPASSWORD}@db/shop?token=${TOKEN}",
            "postgres://patron:${PGPASSWORD}@db/shop?token=${TOKEN}",
        ),
        ("${DATABASE_URL}", "${DATABASE_URL}"),
        ("duckdb:///data/a@b/shop.duckdb", "duckdb:///data/a@b/shop.duckdb"),
        ("data/user:x@y", "data/user:x@y"),
    ],
)
def test_a_url_is_shown_without_what_only_the_database_may_see(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_what_a_driver_says_is_shown_without_it() -> None:
    said = f"cannot reach {URL}: hunter@2 of patron refused at port 5432 after 5 tries, token hunter3"
    shown = f"cannot reach {SHOWN}: *** of patron refused at port 5432 after *** tries, token ***"
    assert without_secrets(said, URL) == shown
    assert without_secrets("no [host", "postgres://[") == "no [host"


def secrets_in(error: PatronError) -> bool:
    return "hunter" in f"{error}{vars(error)}"


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(ProfileNotFound, match="nosuchengine://") as refused:
        open_profile(URL.replace("postgres", "nosuchengine"))
    assert not secrets_in(refused.value)


class Elsewhere:
    """A database on which features do not run."""

    name = "elsewhere"

    def list_tables(self) -> list[str]:
        return ["customers"]

    def table(self, _: str) -> Any:
        return ibis.table({"customer_id": "string"}, name="customers")

    def disconnect(self) -> None:
        """Nothing is open."""


def test_a_table_that_cannot_be_read_is_named_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError(f"lost {URL}")

    monkeypatch.setattr(ibis, "connect", lambda _: Elsewhere())
    monkeypatch.setattr(tables, "stream", fail)
    with pytest.raises(TableUnreadable) as refused:
        open_profile(URL)
    assert SHOWN in str(refused.value)
    assert not secrets_in(refused.value)


def test_a_profile_says_where_it_is_from_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def connect(url: str) -> Any:
        asked.append(url)
        backend = embedded_engine()
        backend.raw_sql("CREATE TABLE customers AS SELECT 'a' AS customer_id")
        backend.raw_sql(
            "CREATE TABLE orders AS SELECT 'a' AS customer_id, 1 AS order_id, 5 AS value, "
            "TIMESTAMPTZ '2023-01-01 00:00:00Z' AS event_time"
        )
        monkeypatch.setattr(backend, "list_tables", lambda: ["customers", "orders"])
        return backend

    monkeypatch.setattr(ibis, "connect", connect)
    profile = open_profile(URL)
    assert asked == [URL]
    assert profile.source == SHOWN
    again: Profile = open_profile(URL.replace("hunter%402", "another"))
    assert again.digest == profile.digest  # a new password is no new data


def test_a_source_of_a_mapping_is_named_without_a_password_written_into_it(write_mapping: Any) -> None:
    url = URL.replace("postgres", "nosuchengine")
    path = write_mapping(
        f"sources: {{a: {{url: '{url}', table: t}}}}\n"
        + """
tables:
  customers: {from: a, columns: {customer_id: id}}
  orders: {from: a, known_from: at once, columns: {customer_id: id, order_id: nr, event_time: at, value: paid}}
"""
    )
    with pytest.raises(SourceUnreadable, match="nosuchengine://") as refused:
        map_profile(read_mapping(path))
    assert not secrets_in(refused.value)
