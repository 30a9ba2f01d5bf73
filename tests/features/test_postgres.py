"""A PostgreSQL profile against a real server that the tests start themselves."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from features.attributes import own_features
from features.catalogue import ALL
from features.contract import TABLES
from features.engine.builder import available, build_features
from features.errors import SourceUnreadable
from features.instants import read_instant
from features.profile import Profile, open_profile
from features.spec import FeatureSet

PASSWORD = "p@ss/w:rd " + secrets.token_hex(4)
BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
WHY = "PostgreSQL's server is not installed" if BINARIES is None else "the extra [postgres] is not installed"
LACKING = BINARIES is None or importlib.util.find_spec("psycopg") is None
pytestmark = [
    pytest.mark.server,
    pytest.mark.exhaustive,  # CI installs the extra only for these
    pytest.mark.skipif(LACKING and not os.environ.get("PATRON_REQUIRE_EXTRAS"), reason=WHY),
]
Write = Callable[..., Path]
TYPES = {"TIMESTAMP WITH TIME ZONE": "timestamptz", "DOUBLE": "double precision", "BOOLEAN": "boolean"}


@dataclass(frozen=True)
class Server:
    """A running server, its log and a way to ask it."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        """Where it listens, as a mapping writes it."""
        return f"postgres://patron:${{PGPASSWORD}}@127.0.0.1:{self.port}/postgres"

    def run(self, *statements: str, copy: tuple[str, str] | None = None) -> None:
        """Run statements, then copy CSV text into a table."""
        import psycopg

        where = f"host=127.0.0.1 port={self.port} user=patron dbname=postgres"
        with psycopg.connect(where, password=PASSWORD) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement.encode())
            if copy:
                with cursor.copy(f"COPY {copy[0]} FROM STDIN (FORMAT csv, HEADER)".encode()) as stream:
                    stream.write(copy[1])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of its own on a free port of the loopback, as a user that is not root, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="patron-postgres-"))
    data, log, secret = folder / "data", folder / "log", folder / "password"
    secret.write_text(PASSWORD)
    as_user: list[str] = []
    if os.geteuid() == 0:
        user = subprocess.run(["id", "-u", "postgres"], capture_output=True, text=True, check=False).stdout.strip()
        uid = int(user or 65534)
        as_user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        for path in (folder, secret):
            os.chown(path, uid, uid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    init = [f"{BINARIES}/initdb", "-D", str(data), "-U", "patron", "-A", "scram-sha-256", f"--pwfile={secret}", "-N"]
    subprocess.run([*as_user, *init, "--locale=C", "-E", "UTF8"], check=True, capture_output=True, cwd=folder)
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "log_statement=all", "-c", "fsync=off"]
    with log.open("wb") as said:
        running = subprocess.Popen(
            [*as_user, f"{BINARIES}/postgres", "-D", str(data), *options], stdout=said, stderr=said, cwd=folder
        )
    try:
        wait_until_up(port)
        yield Server(port, log)
    finally:
        running.send_signal(signal.SIGINT)  # stops at once, whoever is still connected
        running.wait(timeout=30)
        shutil.rmtree(folder)


def wait_until_up(port: int) -> None:
    for _ in range(200):
        asked = subprocess.run([f"{BINARIES}/pg_isready", "-h", "127.0.0.1", "-p", str(port)], check=False)
        if asked.returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("the server does not come up")


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


@pytest.fixture(scope="module")
def loaded(server: Server, simulated_folder: Path) -> dict[str, list[str]]:
    """The simulated profile's tables, in the server; their columns by table."""
    server.run("CREATE SCHEMA shop")
    columns: dict[str, list[str]] = {}
    for path in sorted(path for path in simulated_folder.glob("*.parquet") if path.stem in TABLES):
        with duckdb.connect() as engine:
            engine.execute("SET TimeZone = 'UTC'")
            described = engine.execute(f"DESCRIBE FROM '{path}'").fetchall()
            with tempfile.NamedTemporaryFile(suffix=".csv") as file:
                engine.execute(f"COPY (FROM '{path}') TO '{file.name}' (HEADER)")
                text = Path(file.name).read_text()
        typed = ", ".join(f'"{name}" {TYPES.get(kind, "text")}' for name, kind, *_ in described)
        server.run(f"CREATE TABLE shop.{path.stem} ({typed}, noise text)")
        names = ", ".join(f'"{name}"' for name, *_ in described)
        server.run(copy=(f"shop.{path.stem} ({names})", text))
        columns[path.stem] = [name for name, *_ in described]
    return columns


def test_a_postgresql_profile_gives_the_features_of_the_same_folder(
    server: Server, loaded: dict[str, list[str]], simulated: Profile, write_mapping: Write
) -> None:
    lines = ["sources:"]
    lines += [f'  {table}: {{url: "{server.url}", table: shop.{table}}}' for table in loaded]
    lines += ["tables:"]
    for table, columns in loaded.items():
        known = ["known_from: ingested_at, "] if "ingested_at" in columns else [""]
        same = ", ".join(f"{name}: {name}" for name in columns if name != "ingested_at")
        lines.append(f"  {table}: {{from: {table}, {known[0]}columns: {{{same}}}}}")
    profile = open_profile(write_mapping("\n".join(lines)))
    times = [read_instant("2024-06-01"), read_instant("2024-12-01")]
    wanted = available(simulated, ALL).features
    assert len(wanted.names) > 30
    assert available(profile, ALL).features == wanted
    assert build_features(profile, wanted, times).equals(build_features(simulated, wanted, times))


def test_a_url_with_the_contracts_tables_gives_the_same_features_too(
    server: Server, loaded: dict[str, list[str]], simulated: Profile
) -> None:
    assert "orders" in loaded
    profile = open_profile(server.url.replace(":${PGPASSWORD}", "") + "/shop")
    wanted = available(simulated, ALL).features
    times = [read_instant("2024-12-01")]
    assert build_features(profile, wanted, times).equals(build_features(simulated, wanted, times))


def test_a_url_hands_over_a_companys_own_columns_and_since_when_attributes_are_known(server: Server) -> None:
    server.run(
        "CREATE SCHEMA dated",
        "CREATE TABLE dated.customers (customer_id text, tier text, tier_known_from timestamptz, visits numeric(8, 2),"
        " club text, club_known_from timestamptz, born date)",
        "INSERT INTO dated.customers VALUES ('a', 'gold', '2024-01-01 01:00+01', 2.5, 'red', '2024-01-01 00:00+00'),"
        " ('b', 'silver', NULL, 7, 'blue', NULL)",
        "CREATE TABLE dated.orders (customer_id text, order_id text, event_time timestamptz, value numeric)",
        "INSERT INTO dated.orders VALUES ('a', '1', '2023-03-01 00:00+00', 10)",
    )
    profile = open_profile(server.url.replace(":${PGPASSWORD}", "") + "/dated")
    times = [read_instant("2023-12-31"), read_instant("2024-01-01")]
    own = own_features(profile.tables, profile.backend)
    rows = build_features(profile, FeatureSet("own", 1, (*ALL.only(("tier",)).features, *own)), times).to_pylist()
    assert [row["tier"] for row in rows] == ["missing", "silver", "gold", "silver"]
    assert [(row["visits"], row["club"]) for row in rows] == [(2.5, None), (7, "blue"), (2.5, "red"), (7, "blue")]


@pytest.fixture
def shop(server: Server) -> Iterator[Server]:
    """Two small tables of many types; a role that may read only some columns."""
    server.run(
        "CREATE TABLE people (id uuid, secret text)",
        "CREATE TABLE sales (id uuid, nr bigint, at timestamp, paid numeric, status text, secret text)",
        "INSERT INTO people VALUES ('6b1f5a0e-0000-4000-8000-000000000001', 'x')",
        "INSERT INTO sales VALUES ('6b1f5a0e-0000-4000-8000-000000000001', 1, '2024-07-01 12:00', 10.10, 'paid', 'x'),"
        "('6b1f5a0e-0000-4000-8000-000000000001', 2, '2024-07-02 12:00', 99999999999.1234, 'paid', 'x'),"
        "('6b1f5a0e-0000-4000-8000-000000000001', 3, '2024-07-03 12:00', 5, 'open', 'x')",
    )
    yield server
    server.run("DROP TABLE people, sales")


MAPPING = """
sources:
  people: {url: "URL", table: people}
  sales: {url: "URL", table: sales}
times: {zone: Europe/Berlin}
tables:
  customers: {from: people, columns: {customer_id: id}}
  orders:
    from: sales
    where: status = 'paid' AND paid > 0
    columns: {customer_id: id, order_id: nr, event_time: at, value: paid}
"""


def test_types_of_a_database_arrive_whole(
    shop: Server, write_mapping: Write, rows_of: Callable[..., list[dict[str, Any]]]
) -> None:
    profile = open_profile(write_mapping(MAPPING.replace("URL", shop.url)))
    found = [(r["order_id"], f"{r['event_time']:%m-%d %H}", str(r["value"])) for r in rows_of(
        profile, "orders", "order_id", "event_time", "value"
    )]  # fmt: skip
    assert found == [("1", "07-01 10", "10.1000"), ("2", "07-02 10", "99999999999.1234")]
    assert rows_of(profile, "customers", "customer_id")[0]["customer_id"].startswith("6b1f5a0e-")


def test_only_the_columns_and_rows_needed_are_read(shop: Server, write_mapping: Write) -> None:
    shop.run(
        "DROP ROLE IF EXISTS reader",
        f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
        "GRANT SELECT (id) ON people TO reader",
        "GRANT SELECT (id, nr, at, paid, status) ON sales TO reader",
    )
    try:
        open_profile(write_mapping(MAPPING.replace("URL", shop.url.replace("patron:", "reader:"))))
    finally:
        shop.run("REVOKE ALL ON people, sales FROM reader", "DROP ROLE reader")
    reads = [part for part in shop.log.read_text().split("LOG:") if "CURSOR" in part and '"sales"' in part]
    assert "WHERE" in reads[-1]
    assert "'paid'" in reads[-1]


def test_the_digest_follows_the_rows_and_not_their_order(shop: Server, write_mapping: Write) -> None:
    path = write_mapping(MAPPING.replace("URL", shop.url))
    first = open_profile(path).digest
    shop.run("UPDATE sales SET nr = nr WHERE nr = 1")  # moves the row to the end
    assert open_profile(path).digest == first
    shop.run("UPDATE sales SET paid = 11 WHERE nr = 1")
    assert open_profile(path).digest != first


def test_a_wrong_password_is_refused_in_one_line_that_does_not_show_it(
    shop: Server, write_mapping: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2hunter2")
    with pytest.raises(SourceUnreadable) as refused:
        open_profile(write_mapping(MAPPING.replace("URL", shop.url)))
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "${PGPASSWORD}" in str(refused.value)


def test_an_unset_variable_is_named(shop: Server, write_mapping: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD")
    with pytest.raises(SourceUnreadable, match="environment variable 'PGPASSWORD' is not set"):
        open_profile(write_mapping(MAPPING.replace("URL", shop.url)))
