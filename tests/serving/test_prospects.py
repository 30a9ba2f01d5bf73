"""Customers without an order are answered online as the batch job answers them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.eligibility import ELIGIBLE
from features.instants import read_instant
from features.profile import Profile
from serving.answers import ClvAnswer, ProspectRow, ScoreAnswer
from serving.batch import score_profile
from serving.champion import Champion
from serving.manifest import EXCLUDED, PROSPECTS, SCORES
from serving.online import Online, prospect_rows
from serving.schemas import ScoreRequest
from serving.scorer import Scorer
from serving.service import PatronService
from serving.store import OnlineStore

AT = read_instant("2024-06-01")
START = pd.Timestamp("2023-01-01", tz="UTC")
Make = Callable[..., Profile]
Body = dict[str, Any]


@pytest.fixture(scope="module")
def profile(make_profile: Make) -> Profile:
    """400 customers known before they order, by mail sooner than by search; some never do."""
    generator = np.random.default_rng(9)
    join = generator.uniform(0, 450, 400)
    by_mail = generator.random(400) < 0.4
    orders = []
    for i, first in enumerate(join + generator.exponential(np.where(by_mail, 60.0, 600.0))):
        days = first + np.append(0.0, np.cumsum(generator.exponential(80, 8)))
        orders += [(f"c{i:03d}", f"o{i}-{k}", day, 40.0 if by_mail[i] else 20.0) for k, day in enumerate(days)]
    told = pd.DataFrame(orders, columns=["customer_id", "order_id", "event_time", "value"])
    told = told[told["event_time"] < 600].reset_index(drop=True)
    known = pd.DataFrame(
        {
            "customer_id": [f"c{i:03d}" for i in range(400)],
            "created_at": join,
            "acquisition_channel": np.where(by_mail, "mail", "search"),
        }
    )
    for frame, name in ((told, "event_time"), (known, "created_at")):
        frame[name] = (START + pd.to_timedelta(frame[name], "D")).astype("datetime64[us, UTC]")
    return make_profile(told, customers=known)


@pytest.fixture(scope="module")
def clv(profile: Profile) -> Champion:
    from training.config import TrainConfig
    from training.fit import fit

    config = TrainConfig(horizon_days=60, cutoff=AT, annual_cost_to_serve=2.0, margin_rate=0.5)
    return Champion("3", fit("clv", profile, config, "clv_mbgnbd")[0].final)


@pytest.fixture(scope="module")
def everyone(profile: Profile) -> Champion:
    """A champion that has something to say of customers without an order, too."""
    from training.config import TrainConfig
    from training.fit import fit

    config = TrainConfig(horizon_days=60, cutoff=AT, event="orders", stability_cutoffs=0)
    return Champion("1", fit("propensity", profile, config, "propensity_rule")[0].final)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prospects")


@pytest.fixture(scope="module")
def batch(profile: Profile, clv: Champion, folder: Path) -> list[Body]:
    """The rows of the batch job, with every reason."""
    score_profile(profile, AT, folder / "out", Scorer({"clv": clv}), folder / "store.sqlite", "all")
    rows: list[Body] = pq.read_table(folder / "out" / PROSPECTS).sort_by("customer_id").to_pylist()
    return rows


@pytest.fixture(scope="module")
def online(clv: Champion, folder: Path, batch: list[Body]) -> Online:
    assert batch
    return Online(Scorer({"clv": clv}), OnlineStore(folder / "store.sqlite"))


def bodies(profile: Profile, ids: list[str]) -> list[Body]:
    from serving.probe import facts_of

    return [{"customer_ids": ids}, {"prediction_time": AT.isoformat(), "profiles": facts_of(profile, ids)}]


def test_prospects_are_answered_by_id_and_from_facts_as_in_the_batch_to_the_last_bit(
    online: Online, profile: Profile, batch: list[Body]
) -> None:
    chosen = batch[:: len(batch) // 12]
    for body in bodies(profile, [row["customer_id"] for row in chosen]):
        scored = online.score(ScoreRequest.model_validate(body), ["clv"])
        assert scored.scores.num_rows == 0
        found = sorted(prospect_rows(scored.prospects), key=lambda row: str(row["customer_id"]))
        assert found == prospect_rows(pa.Table.from_pylist(chosen))


def test_a_prospect_is_of_low_evidence_and_its_row_says_by_what_it_was_made(
    online: Online, batch: list[Body], clv: Champion
) -> None:
    scored = online.score(ScoreRequest(customer_ids=[batch[0]["customer_id"]]), ["clv"])
    (row,) = [ProspectRow.model_validate(row) for row in prospect_rows(scored.prospects)]
    assert (row.evidence, row.model_version) == ("low", "3")
    assert clv.kept.prospects is not None
    assert clv.prospect_features is not None
    assert row.feature_fingerprint == clv.prospect_features.fingerprint != clv.contract.fingerprint
    assert 0 < row.probability_active < 1
    assert row.margin_rate == 0.5
    parts = row.probability_active * row.discounted_orders_if_active * row.expected_order_value * row.margin_rate
    assert row.clv == pytest.approx(parts + row.clv_from_cost)
    assert row.reasons


@pytest.fixture
def routes(online: Online) -> Any:
    """The service's methods over these champions, without its transport."""
    service = cast("Any", PatronService).inner.__new__(cast("Any", PatronService).inner)
    service.loader = SimpleNamespace(online=online)
    service.rows_scored = SimpleNamespace(labels=lambda *_: SimpleNamespace(inc=lambda _: None))
    return service


def test_the_routes_answer_prospects_beside_the_others_and_never_among_them(
    routes: Any, batch: list[Body], folder: Path, profile: Profile
) -> None:
    ordered = pq.read_table(folder / "out" / SCORES).column("customer_id")[0].as_py()
    never = batch[0]["customer_id"]
    for body in bodies(profile, [ordered, never]):
        request = ScoreRequest.model_validate(body)
        for route, kind in ((routes.score_clv, ClvAnswer), (routes.score, ScoreAnswer)):
            answer = route(request)
            assert isinstance(answer, kind)
            assert [row.customer_id for row in answer.rows] == [ordered]
            assert [(row.customer_id, row.clv) for row in answer.prospects] == [(never, batch[0]["clv"])]
            assert [(row.customer_id, row.reason) for row in answer.excluded] == [
                (never, ELIGIBLE["ordered"].otherwise)
            ]


def test_who_is_known_to_another_champion_is_a_prospect_all_the_same(
    clv: Champion, everyone: Champion, profile: Profile, batch: list[Body], folder: Path
) -> None:
    scorer = Scorer({"clv": clv, "propensity": everyone})
    manifest = score_profile(profile, AT, folder / "both", scorer)
    assert pq.read_table(folder / "both" / EXCLUDED).num_rows == 0
    assert manifest.prospects["customers"] == len(batch)
    found = pq.read_table(folder / "both" / PROSPECTS).sort_by("customer_id")
    assert found.column("clv").to_pylist() == [row["clv"] for row in batch]


def test_a_champion_without_a_forecast_of_prospects_answers_none(
    clv: Champion, batch: list[Body], folder: Path
) -> None:
    mute = Champion("4", replace(clv.kept, prospects=None))
    online = Online(Scorer({"clv": mute}), OnlineStore(folder / "store.sqlite"))
    scored = online.score(ScoreRequest(customer_ids=[batch[0]["customer_id"]]), ["clv"])
    assert prospect_rows(scored.prospects) == []
    assert scored.excluded.num_rows == 1
