"""Whom a model scores: everyone it concerns and nobody else, in batch and online alike; and who left already."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.attributes import own_values
from features.errors import AttributeUnusable, EmptyCohort
from features.flat import open_flat
from features.instants import read_instant
from features.profile import Profile, profile_from_tables
from serving.answers import ChurnRow, PropensityRow
from serving.batch import score_profile
from serving.champion import Champion
from serving.online import Online, customer_rows, task_rows
from serving.schemas import ScoreRequest
from serving.scorer import Scorer
from serving.store import OnlineStore
from training.config import TrainConfig
from training.fit import fit

TELCO = Path(__file__).resolve().parents[2] / "examples" / "telco" / "data" / "telco_churn.csv.gz"
AT = read_instant("2024-12-31")


def champion(task: Any, profile: Profile, family: str, **settings: Any) -> Champion:
    config = TrainConfig.model_validate({"refit": False, **settings})
    return Champion("1", fit(task, profile, config, family)[0].final)


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """A champion that learned from 1,500 rows of the Telco table."""
    file = tmp_path_factory.mktemp("flat") / "telco.csv"
    pd.read_csv(TELCO, dtype=str).head(1_500).to_csv(file, index=False)
    table = open_flat(str(file), "customerID", "Churn")
    return Scorer({"churn": champion("churn", table, "churn_logistic", label="Churn", id_column="customerID")})


@pytest.fixture(scope="module")
def both(simulated: Profile) -> Scorer:
    """Churn of those who ordered, and propensity of everyone to look at a page."""
    return Scorer(
        {
            "churn": champion("churn", simulated, "churn_logistic"),
            "propensity": champion("propensity", simulated, "propensity_logistic", event="kind = 'app_open'"),
        }
    )


def attributes(row: pd.Series) -> dict[str, Any]:
    """A row of the table as an application would send it."""
    sent: dict[str, Any] = {str(name): (value if value.strip() else None) for name, value in row.items()}
    customer = {"customer_id": sent.pop("customerID"), **sent}
    numbers = {"MonthlyCharges": float(sent["MonthlyCharges"]), "SeniorCitizen": int(sent["SeniorCitizen"])}
    return {"customer": customer | numbers}


def test_attributes_sent_give_the_scores_of_the_table_to_the_last_bit(flat: Scorer, tmp_path: Path) -> None:
    table = pd.read_csv(TELCO, dtype=str, keep_default_na=False).iloc[480:500].drop(columns="Churn")
    assert (table["TotalCharges"] == " ").sum() == 1
    (tmp_path / "now.csv").write_text(table.to_csv(index=False))
    profile = open_flat(str(tmp_path / "now.csv"), "customerID", wanted=flat.features.features)
    manifest = score_profile(profile, AT, tmp_path / "out", flat, tmp_path / "online.db", "all")
    assert (manifest.cohort, manifest.scored, manifest.population) == (20, 20, {})
    online = Online(flat, OnlineStore(tmp_path / "online.db"))
    sent = {"prediction_time": "2024-12-31", "profiles": [attributes(row) for _, row in table.iterrows()]}
    by_facts = online.score(ScoreRequest.model_validate(sent)).scores.sort_by("customer_id")
    by_id = online.score(ScoreRequest(customer_ids=sorted(table["customerID"]))).scores
    assert by_facts.equals(pq.read_table(tmp_path / "out" / "scores.parquet"))
    assert by_id.equals(by_facts)
    assert not any(by_facts["is_already_churned"].to_pylist())


def test_an_attribute_that_is_not_sent_or_no_number_is_refused(flat: Scorer, tmp_path: Path) -> None:
    row = pd.read_csv(TELCO, dtype=str).iloc[0].drop("Churn")
    online = Online(flat, OnlineStore(tmp_path / "none.db"))
    for change, problem in (
        ({"Contract": ...}, "'Contract': not sent"),
        ({"MonthlyCharges": "a lot"}, "'MonthlyCharges': not a number"),
    ):
        body = attributes(row)
        body["customer"] = {k: v for k, v in (body["customer"] | change).items() if v is not ...}
        request = ScoreRequest.model_validate({"prediction_time": "2024-12-31", "profiles": [body]})
        with pytest.raises(AttributeUnusable) as refused:
            online.score(request)
        assert problem in str(refused.value)


def test_numbers_of_a_column_of_names_are_written_as_in_the_table() -> None:
    values = {"code": 12.0, "share": " 0.5 ", "empty": " "}
    kinds: Any = {"code": "string", "share": "float64", "empty": "string"}
    assert own_values(values, kinds, kinds) == {"code": "12", "share": 0.5, "empty": None}


@pytest.fixture(scope="module")
def with_prospect(simulated: Profile) -> Profile:
    """The simulated customers and one who never ordered."""
    tables = {name: simulated.backend.to_pyarrow(table) for name, table in simulated.tables.items()}
    people = tables["customers"].slice(0, 1).to_pandas().assign(customer_id="prospect")
    tables["customers"] = pd.concat([tables["customers"].to_pandas(), people], ignore_index=True)
    frames = {name: t if isinstance(t, pd.DataFrame) else t.to_pandas() for name, t in tables.items()}
    for frame in frames.values():
        for name in (str(column) for column in frame):
            frame[name] = frame[name].astype(float) if name.endswith(("value", "cost")) else frame[name]
    return profile_from_tables(frames)


def test_a_customer_is_scored_for_the_tasks_that_concern_them_only(
    both: Scorer, with_prospect: Profile, tmp_path: Path
) -> None:
    manifest = score_profile(with_prospect, AT, tmp_path / "out", both)
    rows = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    scores: dict[str, dict[str, Any]] = {row["customer_id"]: row for row in rows}
    assert (manifest.scored, manifest.excluded) == (1_501, 0)
    assert scores["prospect"]["probability_event"] >= 0
    assert scores["prospect"]["probability_churned"] is None
    assert scores["prospect"]["churn_band"] is None
    assert sum(row["probability_churned"] is not None for row in rows) == 1_500


def test_online_says_null_of_a_task_that_does_not_concern_a_customer(both: Scorer, tmp_path: Path) -> None:
    online = Online(both, OnlineStore(tmp_path / "none.db"))
    body = {"prediction_time": "2024-12-31", "profiles": [{"customer": {"customer_id": "prospect"}}]}
    (row,) = customer_rows(both, online.score(ScoreRequest.model_validate(body)).scores)
    assert row["churn"] is None
    PropensityRow.model_validate(row["propensity"])
    alone = online.score(ScoreRequest.model_validate(body), ["churn"])
    assert alone.scores.num_rows == 0
    assert alone.excluded.to_pylist() == [{"customer_id": "prospect", "reason": "no order before the prediction time"}]


def test_who_left_already_is_marked_and_of_no_band_of_risk(both: Scorer, tmp_path: Path) -> None:
    def orders(last: str) -> list[dict[str, Any]]:
        days = pd.date_range(end=last, periods=6, freq="30D", tz="UTC")
        return [{"order_id": f"{last}{i}", "event_time": at.isoformat(), "value": 20.0} for i, at in enumerate(days)]

    people = {"left": "2024-03-01", "lapsed": "2024-10-02", "late": "2024-10-03", "there": "2024-12-20"}  # 3 x 30 days
    profiles = [{"customer": {"customer_id": name}, "orders": orders(last)} for name, last in people.items()]
    request = ScoreRequest.model_validate({"prediction_time": "2024-12-31", "profiles": profiles})
    scores = Online(both, OnlineStore(tmp_path / "none.db")).score(request).scores
    rows = {row["customer_id"]: row for row in task_rows("churn", scores)}
    assert {name: row["is_already_churned"] for name, row in rows.items()} == {
        "left": True, "lapsed": True, "late": False, "there": False,
    }  # fmt: skip
    assert rows["left"]["band"] == rows["lapsed"]["band"] == "churned"
    assert rows["late"]["band"] in ("low", "medium", "high")
    assert 0 <= rows["left"]["probability_churned"] <= 1
    ChurnRow.model_validate(rows["left"])


def test_percentiles_rank_among_those_who_had_not_left(both: Scorer, simulated: Profile, tmp_path: Path) -> None:
    score_profile(simulated, AT, tmp_path / "out", both)
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    there, gone = scores[~scores["is_already_churned"]], scores[scores["is_already_churned"]]
    assert 30 < there["churn_percentile"].median() < 70
    assert gone["churn_percentile"].median() > 80


def test_the_curve_over_time_is_in_the_scores_and_never_falls(both: Scorer, simulated: Profile, tmp_path: Path) -> None:
    score_profile(simulated, AT, tmp_path / "out", both, tmp_path / "online.db")
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    curve = scores[[f"probability_churned_{days}d" for days in (30, 60, 90, 180, 365)]]
    assert (curve.diff(axis=1).iloc[:, 1:] >= 0).to_numpy().all()
    assert curve.iloc[:, 0].between(0, 1).all()
    ids = scores["customer_id"].head(20).tolist()
    online = Online(both, OnlineStore(tmp_path / "online.db")).score(ScoreRequest(customer_ids=ids)).scores
    pd.testing.assert_frame_equal(online.to_pandas()[list(curve)], curve.head(20), check_exact=True)


def test_nobody_of_those_asked_about_is_a_refusal(simulated: Profile, tmp_path: Path) -> None:
    scorer = Scorer({"churn": champion("churn", simulated, "churn_rule", target="contractual", horizon_days=60)})
    with pytest.raises(EmptyCohort, match="all with no subscription running at the prediction time"):
        score_profile(simulated, read_instant("2023-01-01T00:00:01Z"), tmp_path / "out", scorer)


def test_contractual_churn_scores_running_subscriptions_only(simulated: Profile, tmp_path: Path) -> None:
    kept = champion("churn", simulated, "churn_logistic", target="contractual", horizon_days=60)
    assert (kept.contract.outcome, kept.contract.eligible) == ("churned_contractual", "subscribed")
    manifest = score_profile(simulated, AT, tmp_path / "out", Scorer({"churn": kept}))
    subscriptions = simulated.backend.to_pyarrow(simulated.tables["subscriptions"]).to_pandas()
    began, ended = subscriptions["started_at"] < AT, subscriptions["ended_at"]
    running = subscriptions[began & (ended.isna() | (ended >= AT)) & (subscriptions["ingested_at"].fillna(AT) <= AT)]
    assert manifest.scored == running["customer_id"].nunique()
    assert manifest.excluded_by_reason == {"no subscription running at the prediction time": 1_500 - manifest.scored}
