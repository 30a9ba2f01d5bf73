"""The real server on loopback: what the test client cannot show."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.errors import NotReady, ServiceRefused
from serving.manifest import Manifest
from serving.probe import differences, free_port, is_free, post, running_service, serve_environment, some_customers
from serving.settings import Settings

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(settings: Settings, batch: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert batch.scored
    with running_service(settings, tmp_path_factory.mktemp("log") / "serve.log") as place:
        yield place


@pytest.fixture(scope="module")
def customer(settings: Settings, batch: Manifest) -> str:
    assert batch.scored
    return some_customers(settings.scores, 1)[0]


def get(address: str, route: str) -> str:
    with urllib.request.urlopen(f"{address}{route}", timeout=10) as answer:
        return str(answer.read().decode())


def test_listens_on_loopback_only(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    if not Path("/proc/net/tcp").exists():
        pytest.skip("only Linux tells who listens where in /proc/net/tcp")
    listening = Path("/proc/net/tcp").read_text()
    port = f":{int(address.rsplit(':', 1)[1]):04X} "
    places = [line.split()[1] for line in listening.splitlines()[1:] if port in f"{line.split()[1]} "]
    assert places
    assert all(place.startswith("0100007F") for place in places)


def test_curl_gets_the_batch_scores(address: str, settings: Settings, customer: str) -> None:
    body = json.dumps({"customer_ids": [customer]})
    command = ["curl", "-s", f"{address}/v1/score", "-H", "content-type: application/json", "-d", body]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert differences(answer, settings.scores) == []
    assert answer["rows"][0]["customer_id"] == customer


def test_bentomls_own_client_gets_the_same(address: str, customer: str) -> None:
    import bentoml

    with bentoml.SyncHTTPClient(address) as client:
        by_client: dict[str, Any] = client.score_churn({"customer_ids": [customer]})
    assert by_client == post(address, "/v1/churn/score", {"customer_ids": [customer]})


def test_metrics_count_rows_by_task_and_version_and_name_no_customer(address: str, customer: str) -> None:
    post(address, "/v1/clv/score", {"customer_ids": [customer]})
    metrics = get(address, "/metrics")
    assert 'patron_rows_scored_total{model_version="1",task="clv"}' in metrics
    assert customer not in metrics


def test_health_routes_answer(address: str) -> None:
    for route in ("/livez", "/readyz"):
        get(address, route)


def test_without_champions_the_server_is_alive_and_not_ready(tmp_path: Path) -> None:
    settings = Settings(PATRON_HOME=tmp_path, MLFLOW_TRACKING_URI=None)
    port = free_port()
    command = [sys.executable, "-m", "patron", "serve", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=serve_environment(settings), stdout=log, stderr=log)
    try:
        assert wait_for(f"http://127.0.0.1:{port}/livez") == 200
        assert wait_for(f"http://127.0.0.1:{port}/readyz", tries=1) == 503
        with pytest.raises(ServiceRefused, match=r'/v1/score answered with HTTP 503: \{"error":'):
            post(f"http://127.0.0.1:{port}", "/v1/score", {"customer_ids": ["a"]})
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert ends(port), "the server outlived the command that was ended"


def ends(port: int, tries: int = 100) -> bool:
    """Whether nobody listens on a port any more, soon."""
    import time

    for _ in range(tries):
        if is_free("127.0.0.1", port):
            return True
        time.sleep(0.1)
    return False


def wait_for(address: str, tries: int = 120) -> int:
    """Status of an address, once somebody listens."""
    import time

    for _ in range(tries):
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as answer:
            return answer.code
        except OSError:
            time.sleep(0.5)
    return 0


def test_a_server_that_ends_early_is_said_with_its_log(settings: Settings, tmp_path: Path, monkeypatch: Any) -> None:
    from serving import probe

    monkeypatch.setattr(probe, "serve_command", lambda port, host="": [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(NotReady, match="ended with code 3"), running_service(settings, tmp_path / "log"):
        pass


def test_bento_builds_and_holds_the_service(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    settings = Settings(PATRON_HOME=tmp_path, MLFLOW_TRACKING_URI=None)
    command = [sys.executable, "-m", "bentoml", "build", "--output", "tag", str(root)]
    built = subprocess.run(
        command, env=serve_environment(settings), capture_output=True, text=True, timeout=300, check=False
    )
    assert built.returncode == 0, built.stderr
    bento = next((tmp_path / "bentoml" / "bentos" / "patron").glob("*/src"))
    assert (bento / "serving" / "service.py").is_file()
    assert (bento / "features" / "contract.py").is_file()
    assert not list(bento.glob("**/.venv"))
