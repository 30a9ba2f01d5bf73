"""Starting the service once, as a person would, and holding its answers against the batch scores."""

import errno
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.profile import Profile
from models.families import OUTPUTS, Task
from serving.errors import AddressUnusable, NotReady, ServiceRefused
from serving.manifest import SCORES
from serving.settings import Settings

START_SECONDS = 90.0
HOST = "127.0.0.1"


def serve_command(port: int, host: str = HOST) -> list[str]:
    """The command line that serves."""
    return [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        "serving.service:PatronService",
        "--host",
        address_of(host, port),
        "--port",
        str(port),
    ]


def serve_environment(settings: Settings) -> dict[str, str]:
    """The environment it runs in: the same state folder and store, no telemetry."""
    return {
        **os.environ,
        "PATRON_HOME": str(settings.home.resolve()),
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(settings.home.resolve() / "bentoml"),
    }


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens on a port.

    Raises
    ------
    AddressUnusable
        If nobody can: the name is unknown, the address not this machine's, the port not for everyone.
    """
    address = address_of(host, port)
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise AddressUnusable(host, port, error.strerror or str(error)) from None
        except OverflowError as error:
            raise AddressUnusable(host, port, str(error)) from None
    return True


def address_of(host: str, port: int) -> str:
    """The address that a host's name stands for: BentoML takes no names.

    Raises
    ------
    AddressUnusable
        If nobody knows the name.
    """
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise AddressUnusable(host, port, getattr(error, "strerror", None) or str(error)) from None


@contextmanager
def running_service(settings: Settings, log: Path) -> Iterator[str]:
    """Serve until the block ends.

    Parameters
    ----------
    settings : Settings
        Where the state is.
    log : Path
        Gets what the server prints.

    Yields
    ------
    str
        Its address, once it is ready.

    Raises
    ------
    NotReady
        If it is not ready in time.
    """
    port = free_port()
    settings.home.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        server = subprocess.Popen(  # noqa: S603 - our own command
            serve_command(port), env=serve_environment(settings), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            address = f"http://{HOST}:{port}"
            _wait(address, server, log)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < START_SECONDS:
        if server.poll() is not None:
            raise NotReady(f"the server ended with code {server.returncode}, see {log}")
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.25)
    raise NotReady(f"the server was not ready after {START_SECONDS:.0f} s, see {log}")


def post(address: str, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Send a request as JSON and read the answer.

    Raises
    ------
    ServiceRefused
        If the service answers with an error.
    """
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{address}{route}", data, {"content-type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)  # type: ignore[no-any-return]
    except urllib.error.HTTPError as refused:
        raise ServiceRefused(route, refused.code, refused.read().decode(errors="replace")) from None


def some_customers(scores: Path, count: int) -> list[str]:
    """Ids of a few scored customers: the first, the last and some between."""
    ids = sorted(pq.read_table(scores / SCORES, columns=["customer_id"]).column("customer_id").to_pylist())
    return [ids[i * (len(ids) - 1) // max(count - 1, 1)] for i in range(min(count, len(ids)))]


def facts_of(profile: Profile, customer_ids: list[str]) -> list[dict[str, Any]]:
    """The facts of some customers, as an application would send them.

    Parameters
    ----------
    profile : Profile
        Where the facts are.
    customer_ids : list of str
        Whose.

    Returns
    -------
    list of dict
        Items of `profiles` in a request.
    """
    bodies: dict[str, dict[str, Any]] = {customer_id: {} for customer_id in customer_ids}
    for name in ("customers", "orders", "events", "surveys", "subscriptions"):
        if not profile.has(name):
            continue
        facts = profile.tables[name]
        for row in profile.backend.to_pyarrow(facts.filter(facts.customer_id.isin(customer_ids))).to_pylist():
            plain = {key: _plain(value) for key, value in row.items() if value is not None}
            owner = bodies[row["customer_id"]]
            if name == "customers":
                owner["customer"] = plain
            else:
                owner.setdefault(name, []).append(plain)
    return list(bodies.values())


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def differences(answer: Mapping[str, Any], scores: Path) -> list[str]:
    """Where an answer of /v1/score is not, to the last bit, what the batch run wrote.

    Parameters
    ----------
    answer : mapping
        As received.
    scores : Path
        Folder of the batch run.

    Returns
    -------
    list of str
        Empty when every number agrees; reasons that the batch run did not tell are not compared.
    """
    ids = [row["customer_id"] for row in answer["rows"]]
    table = pq.read_table(scores / SCORES, filters=[("customer_id", "in", ids)])
    batch = {row["customer_id"]: row for row in table.to_pylist()}
    found = []
    for row in answer["rows"]:
        for task, names in OUTPUTS.items():
            if row.get(task) is not None:
                found += _unequal(task, row[task], batch[row["customer_id"]], names)
    return found


def _unequal(task: Task, online: Mapping[str, Any], batch: Mapping[str, Any], names: Mapping[str, type]) -> list[str]:
    pairs = [(name, name) for name in names] + [(name, f"{task}_{name}") for name in ("percentile", "band", "reasons")]
    return [
        f"{task} {name}: online {online[name]!r}, batch {batch[column]!r}"
        for name, column in pairs
        if column in batch and online[name] != batch[column] and (name != "reasons" or batch[column] is not None)
    ]
