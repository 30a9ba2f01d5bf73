from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from features.snapshot import TABLE_OF
from features.spec import Feature
from models.families import FAMILIES, OUTPUTS, TASKS, Family
from serving.gate import MOST_BYTES
from serving.manifest import SCORES, Manifest
from serving.probe import differences, some_customers
from serving.schemas import ProfileIn
from serving.settings import Settings

ROUTES = ("/v1/score", *(f"/v1/{task}/score" for task in TASKS), "/v1/explain")


def wait_until_ready(client: TestClient) -> None:
    import time

    for _ in range(300):
        if client.get("/readyz").status_code == 200:
            return
        time.sleep(0.1)
    raise AssertionError("the service did not become ready")


@pytest.fixture(scope="module")
def client(settings: Settings, batch: Manifest, monkeypatch_module: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The service in this process, on the state folder."""
    assert batch.scored
    monkeypatch_module.setenv("PATRON_HOME", str(settings.home))
    monkeypatch_module.setenv("MLFLOW_TRACKING_URI", settings.tracking_uri)
    from serving.service import PatronService

    with TestClient(PatronService.to_asgi()) as running:  # type: ignore[attr-defined]  # given by its decorator
        wait_until_ready(running)
        yield running


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def ids(settings: Settings, batch: Manifest) -> list[str]:
    assert batch.scored
    return some_customers(settings.scores, 7)


def test_answers_by_id_are_the_batch_scores_to_the_last_bit(
    client: TestClient, settings: Settings, ids: list[str]
) -> None:
    answer = client.post("/v1/score", json={"customer_ids": ids}).json()
    assert [row["customer_id"] for row in answer["rows"]] == ids
    assert differences(answer, settings.scores) == []


def test_answers_from_facts_are_the_batch_scores_to_the_last_bit(
    client: TestClient, settings: Settings, ids: list[str], request_of: Callable[..., dict[str, Any]]
) -> None:
    answer = client.post("/v1/score", json=request_of(*ids)).json()
    assert sorted(row["customer_id"] for row in answer["rows"]) == sorted(ids)
    assert differences(answer, settings.scores) == []


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_request_can_carry_whatever_a_family_is_made_of(family: Family) -> None:
    def tables(feature: Feature) -> set[str]:
        if isinstance(feature.source, str):
            return {TABLE_OF.get(feature.source, feature.source)}
        return set().union(*map(tables, feature.source))

    carried = {"customers", *ProfileIn.model_fields}
    assert [f.name for f in family.feature_set.features if not tables(f) <= carried] == []


def test_the_comparison_with_batch_would_notice_the_last_bit(
    client: TestClient, settings: Settings, ids: list[str]
) -> None:
    import math

    answer = client.post("/v1/score", json={"customer_ids": ids}).json()
    churn = answer["rows"][0]["churn"]
    churn["probability_churned"] = math.nextafter(churn["probability_churned"], 2.0)
    assert len(differences(answer, settings.scores)) == 1


@pytest.mark.parametrize("task", TASKS)
def test_a_task_route_answers_its_part_of_the_whole(client: TestClient, ids: list[str], task: str) -> None:
    whole = client.post("/v1/score", json={"customer_ids": ids}).json()["rows"]
    part = client.post(f"/v1/{task}/score", json={"customer_ids": ids}).json()["rows"]
    assert part == [row[task] for row in whole]
    assert set(OUTPUTS[task]) < set(part[0])  # type: ignore[index]


def test_every_row_names_customer_time_version_and_fingerprint(
    client: TestClient, ids: list[str], batch: Manifest
) -> None:
    rows = client.post("/v1/churn/score", json={"customer_ids": ids}).json()["rows"]
    assert [row["customer_id"] for row in rows] == ids
    for row in rows:
        assert row["prediction_time"] == "2024-12-31T00:00:00Z"
        assert row["model_version"] == batch.models["churn"]["version"]
        assert row["feature_fingerprint"] == batch.models["churn"]["feature_fingerprint"]
        assert row["reasons"]


def test_a_value_is_in_the_currency_learned_from_and_amounts_in_another_are_a_bad_request(
    client: TestClient, ids: list[str], request_of: Callable[..., dict[str, Any]]
) -> None:
    body = request_of(ids[0])
    (row,) = client.post("/v1/clv/score", json=body).json()["rows"]
    assert row["currency"] == "EUR"
    for facts in (body["profiles"][0]["customer"], *body["profiles"][0]["orders"]):
        facts["currency"] = "USD"
    for each in body["profiles"][0].get("subscriptions", ()):
        each["currency"] = "USD"
    for route in ("/v1/score", "/v1/clv/score", "/v1/explain"):
        answer = client.post(route, json=body)
        assert answer.status_code == 400
        assert "amounts are in 'USD', and the model of clv learned from amounts in 'EUR'" in answer.json()["error"]
    assert client.post("/v1/segments/score", json=body).status_code == 200


def test_a_customer_without_an_order_is_excluded_with_the_reason(client: TestClient) -> None:
    body = {"prediction_time": "2024-12-31T00:00:00Z", "profiles": [{"customer": {"customer_id": "new"}}]}
    answer = client.post("/v1/score", json=body).json()
    assert (answer["rows"], set(answer["bands"])) == ([], {"churn", "clv", "propensity"})
    assert answer["excluded"] == [{"customer_id": "new", "reason": "no order before the prediction time"}]


def test_an_explanation_names_score_base_reasons_and_what_would_change_it_in_the_language_asked_for(
    client: TestClient, ids: list[str]
) -> None:
    scored = client.post("/v1/score", json={"customer_ids": ids}).json()
    explained = client.post("/v1/explain", json={"customer_ids": ids, "language": "pl"}).json()
    assert explained["bands"] == scored["bands"]
    for row, told in zip(scored["rows"], explained["rows"], strict=True):
        churn = told["churn"]
        for name in ("percentile", "band", "evidence", "model_version", "feature_fingerprint"):
            assert churn[name] == row["churn"][name]
        assert churn["score"] == row["churn"]["probability_churned"]
        assert 0 < churn["base"] < 1
        strongest = [(reason["factor"], reason["contribution"]) for reason in churn["reasons"]]
        assert strongest[:3] == [(reason["factor"], reason["contribution"]) for reason in row["churn"]["reasons"]]
        assert churn["association"] == "związek, a nie przyczyna"


def test_facts_at_or_after_the_prediction_time_change_nothing(
    client: TestClient, ids: list[str], request_of: Callable[..., dict[str, Any]]
) -> None:
    body = request_of(ids[0])
    before = client.post("/v1/score", json=body).json()
    late = {"order_id": "late", "event_time": body["prediction_time"], "value": 999.0}
    body["profiles"][0].setdefault("orders", []).append(late)
    assert client.post("/v1/score", json=body).json() == before


@pytest.mark.parametrize("route", ROUTES)
def test_unknown_customers_are_404_in_one_line(client: TestClient, route: str) -> None:
    answer = client.post(route, json={"customer_ids": ["nobody"]})
    assert answer.status_code == 404
    assert "'nobody'" in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("content", ["", "{", "[]", '{"customer_ids": 5}', '{"x": 1}'])
def test_malformed_bodies_are_400_in_one_line(client: TestClient, route: str, content: str) -> None:
    answer = client.post(route, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]


def test_a_wrong_content_type_is_a_client_error(client: TestClient) -> None:
    answer = client.post("/v1/score", content=b"\x80\x04", headers={"content-type": "application/vnd.bentoml+pickle"})
    assert 400 <= answer.status_code < 500


def test_a_body_beyond_the_limit_is_413(client: TestClient) -> None:
    answer = client.post("/v1/score", content=b" " * (MOST_BYTES + 1), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert f"{MOST_BYTES:,}" in answer.json()["error"]


def test_a_streamed_body_beyond_the_limit_is_413(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(MOST_BYTES // 1_000_000 + 2):
            yield b" " * 1_000_000

    answer = client.post("/v1/score", content=chunks(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_models_route_names_versions_contracts_and_fingerprints(client: TestClient, batch: Manifest) -> None:
    models = client.post("/v1/models").json()["models"]
    assert models == batch.models
    assert models["churn"]["is_simulated"]


def test_schema_page_lists_every_route(client: TestClient) -> None:
    paths = client.get("/docs.json").json()["paths"]
    assert set(ROUTES) | {"/v1/models"} <= set(paths)


def test_batch_scores_are_the_models_own_scores(settings: Settings, batch: Manifest, simulated: Any) -> None:
    from features.engine.builder import build_features, feature_frame
    from features.instants import read_instant
    from serving.loader import load_champions

    written = pq.read_table(settings.scores / SCORES).to_pandas().set_index("customer_id")
    assert batch.scored == len(written)
    for task, champion in load_champions(settings.tracking_uri, settings.cache).items():
        table = build_features(simulated, champion.features, [read_instant("2024-12-31")])
        known = set(written.index[written[f"{task}_model_version"].notna()])
        eligible = [c in known for c in table.column("customer_id").to_pylist()]
        rows = feature_frame(table.filter(eligible), champion.features)
        ids = [c for c, keep in zip(table.column("customer_id").to_pylist(), eligible, strict=True) if keep]
        scores = champion.kept.model.score(rows)
        for column in OUTPUTS[task]:
            assert scores[column].tolist() == written.loc[ids, column].tolist()


def test_not_ready_until_the_champions_are_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATRON_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    import threading

    from serving.online import BackgroundLoader, Online
    from serving.scorer import Scorer
    from serving.store import OnlineStore

    release = threading.Event()
    reports: list[str] = []

    def load() -> Any:
        release.wait(10)
        from serving.errors import NoChampion

        raise NoChampion("any task", ())

    def make(scorer: Scorer) -> Online:
        return Online(scorer, OnlineStore(tmp_path / "online.sqlite"))

    loader = BackgroundLoader(load, make, reports.append).start()
    assert not loader.is_ready
    from serving.errors import NotReady

    with pytest.raises(NotReady, match="still loading"):
        _ = loader.online
    release.set()
    for _ in range(100):
        if reports:
            break
        threading.Event().wait(0.05)
    with pytest.raises(NotReady, match="no champion"):
        _ = loader.online
