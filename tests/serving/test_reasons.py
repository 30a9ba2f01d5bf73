"""Reasons in words: summed by meaning, with direction and size, the same wherever customers are scored."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.attributes import attribute
from features.catalogue import CATALOGUE
from features.engine.builder import available, build_features, feature_frame
from features.instants import read_instant
from features.meaning import can_influence
from features.profile import Profile
from features.spec import Feature
from models.contract import Contract, reference_of
from models.families import FAMILIES, RANKED, Task
from models.persistence import Kept
from serving.answers import ChurnRow
from serving.batch import score_profile
from serving.champion import Champion
from serving.errors import MalformedRequest
from serving.explain_schemas import ExplainAnswer, ExplainRequest
from serving.gate import validate
from serving.manifest import SCORES
from serving.online import Online, task_rows
from serving.reasons import Account, account_for
from serving.schemas import ScoreRequest
from serving.scorer import Scorer
from serving.spark import score_batches, ship, stake_batches
from serving.store import OnlineStore
from serving.telling import in_sample, top_above
from serving.wording import read_language

AT = read_instant("2024-06-01")
QUICK: dict[Task, str] = {
    "churn": "churn_lightgbm",
    "clv": "clv_bgnbd",
    "segments": "segments_rfm",
    "propensity": "propensity_logistic",
}


def account(shares: dict[str, float], values: dict[str, Any], score: float = 0.5, **settings: Any) -> Account:
    """One customer's account of churn, from hand-made contributions."""
    own = {name: attribute(name, "string") for name in shares if name not in CATALOGUE}
    known: dict[str, Feature] = {name: own.get(name) or CATALOGUE[name] for name in shares}
    from features.meaning import meaning_of

    groups: dict[str, tuple[int, ...]] = {}
    for place, name in enumerate(shares):
        meaning = meaning_of(known[name])
        groups[meaning] = (*groups.get(meaning, ()), place)
    return Account(
        settings.get("task", "churn"),
        read_language(settings.get("language", "en")),
        "EUR",
        known,
        groups,
        tuple(shares),
        np.array([list(shares.values())]),
        np.array([score]),
        {name: [value] for name, value in values.items()},
        [datetime(2024, 12, 31, tzinfo=UTC)],
    )


LATE = {"days_since_last_order": 74.2, "order_gap_mean_days": 20.8, "order_count_90d": 1.0}


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "no order for 74 days, usually every 21 days (raises the churn probability by 12 points)"),
        ("ru", "нет заказов 74 дня, обычно раз в 21 день (повышает вероятность ухода на 12 п. п.)"),
        ("pl", "brak zamówień od 74 dni, zwykle co 21 dni (podnosi prawdopodobieństwo odejścia o 12 p.p.)"),
    ],
)
def test_the_last_order_and_the_own_rhythm_are_one_reason_with_direction_and_size(language: str, text: str) -> None:
    shares = {"days_since_last_order": 0.3, "order_gap_mean_days": 0.2, "order_count_90d": -0.1}
    first, second = account(shares, LATE, score=0.5, language=language).reasons(0)
    # logit(0.5) = 0; without the group's 0.5 the probability would be 1 / (1 + e^0.5) = 0.3775
    assert first["contribution"] == pytest.approx(0.5)
    assert first["effect"] == pytest.approx(0.5 - 1 / (1 + math.exp(0.5)))
    assert first["text"] == text
    assert (first["factor"], first["feature"], first["value"]) == ("last_order", "days_since_last_order", 74.2)
    assert second["factor"] == "orders"


@pytest.mark.parametrize(
    ("language", "daily", "just", "unseen", "hardly"),
    [
        ("en", "no order for 9 days, usually every day", "ordered within the last day, usually every 21 days",
         "no visits in 30 days", "by under 0.1 points"),
        ("ru", "нет заказов 9 дней, обычно каждый день", "последний заказ менее суток назад, обычно раз в 21 день",
         "нет визитов за 30 дней", "ухода менее чем на 0,1 п. п."),
        ("pl", "brak zamówień od 9 dni, zwykle codziennie", "ostatnie zamówienie niecałą dobę temu, zwykle co 21 dni",
         "brak wizyt w ciągu 30 dni", "o mniej niż 0,1 p.p."),
    ],
)  # fmt: skip
def test_none_one_and_hardly_anything_are_said_as_a_person_would(
    language: str, daily: str, just: str, unseen: str, hardly: str
) -> None:
    def said(share: float, **values: float) -> str:
        (reason,) = account(dict.fromkeys(values, share), dict(values), language=language).reasons(0)
        return str(reason["text"])

    assert said(0.1, days_since_last_order=9.2, order_gap_mean_days=1.1).startswith(daily)
    assert said(0.1, days_since_last_order=0.4, order_gap_mean_days=20.8).startswith(just)
    assert said(0.1, visit_count_30d=0.0).startswith(unseen)
    assert hardly in said(1e-6, visit_count_30d=0.0)


def test_features_that_contradict_each_other_are_summed_and_the_sum_is_told() -> None:
    shares = {"complaint_count_365d": 0.9, "support_contact_count_90d": -0.8, "return_count_365d": 0.2}
    values = {"complaint_count_365d": 2.0, "support_contact_count_90d": 1.0, "return_count_365d": 1.0}
    returns, service = account(shares, values).reasons(0)
    assert returns["text"].startswith("1 return in 365 days (raises")
    assert service["contribution"] == pytest.approx(0.1)
    assert service["text"] == "2 complaints in 365 days (raises the churn probability by 2 points)"
    assert service["can_influence"]


@pytest.mark.parametrize(
    ("shares", "values", "text"),
    [
        ({"order_count_trend_90d": 0.1}, {"order_count_trend_90d": -1 / 3}, "down 50% on the 90 days before"),
        ({"is_nps_silent": 0.1}, {"is_nps_silent": 1.0}, "asked for NPS and silent (raises"),
        ({"nps_last_score": 0.1}, {"nps_last_score": 3.0}, "last NPS answer: 3 of 10 (raises"),
        ({"nps_last_score": -0.1}, {"nps_last_score": math.nan}, "has never answered an NPS survey (lowers"),
        ({"acquisition_channel": 0.1}, {"acquisition_channel": None}, "unknown through which channel won (raises"),
        ({"order_value_90d": -0.1}, {"order_value_90d": 120.5}, "120.50\u00a0EUR spent in 90 days (lowers"),
        ({"Contract": 0.1}, {"Contract": "Two {year}"}, "Contract: Two {year} (raises"),
        ({"order_gap_std_days": 0.1}, {"order_gap_std_days": 4.4}, "Last order, Standard deviation of the days"),
        ({"region": 1e-6}, {"region": "missing"}, "region: unknown (raises the churn probability by under 0.1 points)"),
    ],
)
def test_a_reason_is_readable_whatever_it_is_made_of(shares: Any, values: Any, text: str) -> None:
    (reason,) = account(shares, values).reasons(0)
    assert text in reason["text"]


def test_a_certain_probability_and_no_contribution_at_all_are_told_without_an_error() -> None:
    certain = account({"region": 5.0, "tenure_days": 0.0}, {"region": "north", "tenure_days": 40.0}, score=1.0)
    assert certain.reasons(0)[0]["effect"] == 0
    assert len(certain.reasons(0)) == 1
    assert certain.reason(0, 1)["text"] == "customer for 40 days"


@pytest.fixture(scope="module")
def quick(simulated: Profile) -> Scorer:
    """Champions of every task, each fitted once on the features of one time."""
    return Scorer({task: quick_champion(task, simulated) for task in QUICK})


def quick_champion(task: Task, profile: Profile) -> Champion:
    family = FAMILIES[QUICK[task]]
    features = available(profile, family.feature_set).features
    rows = feature_frame(build_features(profile, features, [AT]), features)
    rows = rows[rows["frequency"].notna()].reset_index(drop=True)
    since = rows["days_since_last_order"] if "days_since_last_order" in rows else rows["T_days"] - rows["recency_days"]
    noise = np.random.default_rng(0).normal(size=len(rows))
    target = (since.to_numpy() + 30 * noise > 60).astype(np.float64)
    model = family.make({})
    model.fit(rows, target if task in ("churn", "propensity") else None)
    scores = model.score(rows)
    reference = reference_of(scores[RANKED[task]].to_numpy()) if task in RANKED else ()
    contract = Contract.for_features(
        features, task=task, family=family.name, cutoff=AT, horizon_days=90, gap_days=0, label="quick", currency="EUR",
        customers=len(rows), data_digest="", is_simulated=True, random_state=0, package_version="0",
        reference=reference,
    )  # fmt: skip
    return Champion("1", Kept(model, contract))


@pytest.fixture(scope="module")
def table(simulated: Profile, quick: Scorer) -> pa.Table:
    """Features of 120 customers."""
    return build_features(simulated, quick.features, [AT]).slice(0, 120)


def test_contributions_of_meanings_add_up_to_the_log_odds(quick: Scorer, table: pa.Table) -> None:
    champion = quick.champions["churn"]
    rows = table.filter(champion.eligible.mask(table))
    frame = feature_frame(rows, champion.features)
    scores = champion.kept.model.score(frame)
    times = rows.column("prediction_time").to_pylist()
    found = account_for("churn", champion.explained, frame, scores, times, "en")
    assert found.sums.shape[1] < found.shares.shape[1] / 2
    np.testing.assert_allclose(found.sums.sum(axis=1), found.shares.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.base, found.base[0], atol=1e-9)  # one base for all: sums explain every difference


def test_only_the_top_decile_is_told_its_reasons_by_default_and_all_on_request(quick: Scorer, table: pa.Table) -> None:
    everyone, top, nobody = (quick.score(table, None, which).scores.to_pylist() for which in ("all", "top", "none"))
    assert any(row["clv_reasons"] for row in top)
    for a, t, n in zip(everyone, top, nobody, strict=True):  # without a batch nobody knows who has most at risk
        for task in ("churn", "clv", "propensity"):
            if a[f"{task}_model_version"] is None:  # of whom the champion can say nothing
                continue
            told = a[f"{task}_percentile"] >= 90 and not (task == "churn" and a["is_already_churned"])
            assert t[f"{task}_reasons"] == (a[f"{task}_reasons"] if told else None)
            assert n[f"{task}_reasons"] is None
        assert t["segments_reasons"] == a["segments_reasons"]  # nobody is on top of segments


def test_the_top_decile_by_value_at_risk_is_told_why_it_may_leave(
    simulated: Profile, quick: Scorer, tmp_path: Path
) -> None:
    manifest = score_profile(simulated, AT, tmp_path / "scores", quick)
    rows = pq.read_table(tmp_path / "scores" / SCORES).to_pandas()
    staying = rows[~rows["is_already_churned"] & rows["value_at_risk"].notna()]
    worst = staying.nlargest(len(staying) // 10, "value_at_risk")
    assert worst["churn_reasons"].notna().all()
    assert (worst["churn_percentile"] < 90).any()
    assert manifest.reasons["value_at_risk_above"] == staying["value_at_risk"].sort_values().iloc[-len(worst) - 1]
    assert staying["churn_reasons"].notna().mean() <= 0.1 + (staying["churn_percentile"] >= 90).mean()
    assert rows.loc[rows["is_already_churned"], "churn_reasons"].isna().all()


@pytest.mark.parametrize("language", ["en", "ru", "pl"])
def test_what_would_change_a_probability_is_up_to_the_company_and_labelled(
    quick: Scorer, table: pa.Table, language: str
) -> None:
    label = read_language(language).words.association
    rows = quick.score(table, ["churn", "propensity"], "all", language).scores.to_pylist()
    changes = [change for row in rows for change in row["churn_what_would_change"]]
    assert changes
    assert all(can_influence(change["factor"]) for change in changes)
    assert all(change["effect"] <= -0.005 for change in changes)  # to leave less likely, by half a point at least
    assert all(change["text"].endswith(f"({label})") for change in changes)
    assert all(change["effect"] > 0 for row in rows for change in row["propensity_what_would_change"] or [])
    for row in rows:
        now = row["probability_churned"]
        for change in row["churn_what_would_change"]:
            assert change["probability"] - now == pytest.approx(change["effect"], abs=1e-12)
    nobody = quick.score(table, ["churn"], "none").scores
    assert nobody["churn_what_would_change"].null_count == nobody.num_rows


def test_a_sample_is_drawn_by_ids_whoever_else_is_there() -> None:
    ids = [f"c{i}" for i in range(45_000)]
    drawn = in_sample(ids, 45_000)
    assert 0.18 < drawn.mean() < 0.22
    assert in_sample(ids[::-1], 45_000)[::-1].tolist() == drawn.tolist()
    assert in_sample(ids[:100], 100).all()
    assert top_above(np.arange(1.0, 101.0)) == 90.0
    assert top_above(np.empty(0)) == math.inf


def test_spark_partitions_find_the_same_top_decile_by_value_at_risk(quick: Scorer, table: pa.Table) -> None:
    found = stake_batches(ship(quick), iter(table.to_batches(max_chunksize=50)), table.num_rows)
    assert pa.Table.from_batches(list(found))["at_risk"].to_pylist() == quick.stakes(table).tolist()


def test_three_reasons_are_three_meanings_each_with_its_size(quick: Scorer, table: pa.Table) -> None:
    for row in quick.score(table, ["churn"]).scores.to_pylist():
        factors = [reason["factor"] for reason in row["churn_reasons"]]
        assert len(set(factors)) == len(factors) <= 3
        for reason in row["churn_reasons"]:
            assert (reason["effect"] > 0) == (reason["contribution"] > 0)
            word = "raises" if reason["contribution"] > 0 else "lowers"
            assert f" ({word} the churn probability by" in reason["text"]


def test_a_lone_row_a_batch_and_a_spark_partition_have_the_same_reasons(quick: Scorer, table: pa.Table) -> None:
    whole = quick.score(table, None, "top", "pl").scores
    alone = [quick.score(table.slice(i, 1), None, "top", "pl").scores for i in range(0, table.num_rows, 10)]
    for found in alone:
        expected = [row for row in whole.to_pylist() if row["customer_id"] in found.column("customer_id").to_pylist()]
        assert found.to_pylist() == expected
    batches = score_batches(ship(quick), iter(table.to_batches()), "scores", "top", "pl")
    assert pa.Table.from_batches(list(batches)).to_pylist() == whole.to_pylist()


def test_parts_of_a_batch_are_the_whole(
    simulated: Profile, quick: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = score_profile(simulated, AT, tmp_path / "whole", quick, None, "top", "ru")
    above = manifest.reasons["value_at_risk_above"]
    monkeypatch.setattr("serving.batch.PART_ROWS", 97)
    again = score_profile(simulated, AT, tmp_path / "parts", quick, None, "top", "ru")
    assert pq.read_table(tmp_path / "parts" / SCORES).equals(pq.read_table(tmp_path / "whole" / SCORES))
    assert again.equity == manifest.equity
    assert (again.scored, again.excluded) == (manifest.scored, manifest.excluded)
    assert manifest.reasons == {
        "which": "top",
        "top_percentile": 90.0,
        "value_at_risk_above": above,
        "language": "ru",
        "units": {
            "churn": {"contribution": "log-odds", "effect": "probability"},
            "clv": {"contribution": "log ratio", "effect": "share of the value"},
            "segments": {"contribution": "standard deviations", "effect": "standard deviations"},
            "propensity": {"contribution": "log-odds", "effect": "probability"},
        },
    }
    assert manifest.models["churn"]["evidence"] == "repeat order days: medium from 1, high from 4"
    assert set(manifest.models["churn"]["band_thresholds"]) == {"medium", "high"}


def test_evidence_of_churn_and_propensity_is_that_of_lifetime_value(quick: Scorer, table: pa.Table) -> None:
    scores = quick.score(table, None, "none").scores.to_pandas().dropna(subset="evidence")
    assert set(scores["evidence"]) == {"low", "medium", "high"}
    assert (scores["churn_evidence"] == scores["evidence"]).all()
    assert (scores["propensity_evidence"] == scores["evidence"]).all()
    ChurnRow.model_validate(task_rows("churn", quick.score(table).scores)[0])


@pytest.fixture(scope="module")
def explained(
    quick: Scorer, request_of: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory, table: pa.Table
) -> Callable[..., Any]:
    """Answers of /v1/explain without a server."""
    online = Online(quick, OnlineStore(tmp_path_factory.mktemp("store") / "online.sqlite"), "pl")
    ids = quick.score(table, ["churn"], "none").scores.column("customer_id").to_pylist()[:20]

    def ask(**more: Any) -> Any:
        body = request_of(*ids) | {"prediction_time": AT.isoformat()} | more
        answer = {**online.explain(ExplainRequest.model_validate(body)), "bands": online.bands(QUICK)}
        return ExplainAnswer.model_validate(answer).model_dump()

    return ask


def test_an_explanation_has_every_meaning_with_all_its_features(explained: Callable[..., Any], quick: Scorer) -> None:
    answer = explained(language="en")
    assert set(answer["bands"]) == {"churn", "clv", "propensity"}
    names = list(quick.champions["churn"].features.names)
    for row in answer["rows"]:
        churn = row["churn"]
        members = [member for reason in churn["reasons"] for member in reason["members"]]
        assert sorted(member["feature"] for member in members) == sorted(names)
        total = sum(member["contribution"] for member in members)
        odds = math.log(churn["score"] / (1 - churn["score"])) - math.log(churn["base"] / (1 - churn["base"]))
        assert total == pytest.approx(odds, abs=1e-9)
        assert churn["contribution_unit"] == "log-odds"
        assert (churn["percentile"], churn["band"], churn["evidence"]) != (None, None, None)


def test_what_would_change_it_is_up_to_the_company_and_lowers_churn(explained: Callable[..., Any]) -> None:
    rows = explained(language="en")["rows"]
    assert any(row["churn"]["what_would_change"] for row in rows)
    for row in rows:
        churn = row["churn"]
        assert churn["association"] == "association, not cause"
        raising = [r["factor"] for r in churn["reasons"] if r["can_influence"] and r["contribution"] > 0]
        assert [change["factor"] for change in churn["what_would_change"]] == raising
        for change in churn["what_would_change"]:
            assert change["effect"] == pytest.approx(change["probability"] - churn["score"])
            assert change["effect"] < 0
            assert "as for an average customer, the churn probability would be" in change["text"]
        assert all(change["effect"] > 0 for change in row["propensity"]["what_would_change"])
        assert row["segments"]["what_would_change"] == []


def test_a_request_chooses_language_and_tasks_and_the_service_has_a_language_of_its_own(
    explained: Callable[..., Any],
) -> None:
    asked, own = explained(language="ru", tasks=["churn"]), explained(tasks=["churn"])
    assert asked["rows"][0]["clv"] is None
    assert asked["rows"][0]["churn"]["association"] == "связь, а не причина"  # noqa: RUF001 - Russian
    assert own["rows"][0]["churn"]["association"] == "związek, a nie przyczyna"
    assert "prawdopodobieństwo odejścia" in own["rows"][0]["churn"]["reasons"][0]["text"]


@pytest.mark.parametrize("wrong", ['"language": "de"', '"tasks": ["weather"]', '"tasks": []'])
def test_a_language_or_task_there_is_none_of_is_refused_in_one_line(wrong: str) -> None:
    with pytest.raises(MalformedRequest) as problem:
        validate(f'{{"customer_ids": ["a"], {wrong}}}'.encode(), ExplainRequest)
    assert "\n" not in str(problem.value)
    with pytest.raises(MalformedRequest, match="tasks"):
        validate(b'{"customer_ids": ["a"], "tasks": ["churn"]}', ScoreRequest)
