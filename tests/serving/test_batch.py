import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.eligibility import ELIGIBLE
from features.errors import EmptyCohort, FeaturesUnavailable, OutputTaken, OutputUnwritable
from features.instants import read_instant
from features.profile import Profile, profile_from_tables
from models.families import TASKS
from serving import batch as module
from serving.batch import score_profile
from serving.manifest import EXCLUDED, MANIFEST, PROSPECTS, SCORES, Manifest
from serving.scorer import NO_VALUE, Scorer
from serving.settings import Settings

AT = read_instant("2024-12-31")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def valued(settings: Settings) -> pd.DataFrame:
    """The scores of customers who have a value; the others gave back all they ordered."""
    frame = pq.read_table(settings.scores / SCORES).to_pandas()
    kept: pd.DataFrame = frame[frame["clv"].notna()].reset_index(drop=True).astype({"is_high_value": bool})
    return kept


def test_cohort_is_scored_plus_excluded_with_reasons(simulated: Profile, scorer: Scorer, tmp_path: Path) -> None:
    early = read_instant("2023-02-01")
    manifest = score_profile(simulated, early, tmp_path / "out", scorer)
    assert manifest.cohort == manifest.scored + manifest.excluded
    assert manifest.excluded == sum(manifest.excluded_by_reason.values())
    assert pq.read_table(tmp_path / "out" / SCORES).num_rows == manifest.scored
    assert pq.read_table(tmp_path / "out" / EXCLUDED).num_rows == manifest.excluded


def test_customers_without_an_order_are_excluded_by_name(
    make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame], cdnow_scorer: Scorer, tmp_path: Path
) -> None:
    customers = pd.DataFrame({"customer_id": ["a", "b", "silent"]})
    orders = make_orders(("a", "2024-01-01", 5.0), ("a", "2024-02-01", 5.0), ("b", "2024-03-01", 7.0))
    profile = make_profile(orders, customers=customers)
    manifest = score_profile(profile, AT, tmp_path / "out", cdnow_scorer)
    excluded = pq.read_table(tmp_path / "out" / EXCLUDED).to_pylist()
    assert (manifest.cohort, manifest.scored) == (3, 2)
    assert excluded == [{"customer_id": "silent", "reason": ELIGIBLE["ordered"].otherwise}]


def test_rows_in_quarantine_are_named_in_the_manifest_and_only_then(
    make_orders: Callable[..., pd.DataFrame], cdnow_scorer: Scorer, tmp_path: Path
) -> None:
    orders = make_orders(("a", "2024-01-01", 5.0), ("a", "2024-02-01", -5.0), ("ghost", "2024-03-01", 7.0))
    tables = {"customers": pd.DataFrame({"customer_id": ["a"]}), "orders": orders}
    score_profile(profile_from_tables(tables, quarantine=tmp_path / "aside"), AT, tmp_path / "out", cdnow_scorer)
    counts = {"read": 3, "used": 1, "quarantined": 1, "out_of_scope": 1}
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["quarantined"] == {"orders": counts}
    score_profile(profile_from_tables(tables | {"orders": orders[:1]}), AT, tmp_path / "out", cdnow_scorer)
    assert "quarantined" not in json.loads((tmp_path / "out" / MANIFEST).read_text())


def test_same_inputs_give_the_same_bytes(simulated: Profile, scorer: Scorer, tmp_path: Path) -> None:
    score_profile(simulated, AT, tmp_path / "one", scorer)
    score_profile(simulated, AT, tmp_path / "two", scorer)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_second_run_replaces_the_first_and_leaves_nothing_behind(
    simulated: Profile, scorer: Scorer, tmp_path: Path
) -> None:
    score_profile(simulated, read_instant("2024-06-01"), tmp_path / "out", scorer)
    (tmp_path / "out" / PROSPECTS).write_text("of a profile that had some")
    score_profile(simulated, AT, tmp_path / "out", scorer)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {SCORES, EXCLUDED, MANIFEST}
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["prediction_time"] == "2024-12-31"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_facts_that_end_long_before_the_prediction_time_are_told(
    simulated: Profile, scorer: Scorer, tmp_path: Path
) -> None:
    until = simulated.known_until
    at_the_end, much_later = (
        score_profile(simulated, until + timedelta(days=days), tmp_path / f"{days}", scorer) for days in (29, 400)
    )
    assert not at_the_end.warnings
    assert "warnings" not in at_the_end.document()
    (words,) = json.loads((tmp_path / "400" / MANIFEST).read_text())["warnings"]
    assert (words,) == tuple(much_later.warnings)
    assert "400 days before the prediction time" in words
    assert (until - timedelta(days=1)).date().isoformat() in words


def test_what_no_run_wrote_is_never_replaced(simulated: Profile, scorer: Scorer, tmp_path: Path) -> None:
    mine, file = tmp_path / "mine", tmp_path / "thesis.txt"
    mine.mkdir()
    for path in (mine / "orders.csv", file):
        path.write_text("precious")
    with pytest.raises(
        OutputTaken, match=r"it holds 'orders.csv', which no run of Patron wrote there. Allowed: a folder"
    ):
        score_profile(simulated, AT, mine, scorer)
    with pytest.raises(OutputTaken, match="it is a file, which no run"):
        score_profile(simulated, AT, file, scorer)
    assert (mine / "orders.csv").read_text() == file.read_text() == "precious"
    assert {path.name for path in tmp_path.rglob("*")} == {"mine", "orders.csv", "thesis.txt"}


@pytest.mark.parametrize("step", ["_write", "new_store", "swap_folder"])
def test_a_failed_run_leaves_the_earlier_output_as_it_was(
    simulated: Profile, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder, store = tmp_path / "out", tmp_path / "online.sqlite"
    score_profile(simulated, read_instant("2024-06-01"), folder, scorer, store)
    before, stored = contents(folder), store.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, step, fail)
    with pytest.raises(OutputUnwritable, match="No space left on device"):
        score_profile(simulated, AT, folder, scorer, store)
    assert contents(folder) == before
    assert store.read_bytes() == stored
    assert {path.name for path in tmp_path.iterdir()} == {"out", "online.sqlite"}


def test_manifest_names_models_files_and_profile(batch: Manifest, settings: Settings, simulated: Profile) -> None:
    for name, digest in batch.files.items():
        assert hashlib.sha256((settings.scores / name).read_bytes()).hexdigest() == digest
    assert set(batch.models) == set(TASKS)
    assert all(model["version"] == "1" and model["feature_fingerprint"] for model in batch.models.values())
    assert batch.profile_digest == simulated.digest
    assert batch.is_simulated


def test_scores_have_one_row_a_customer_and_every_promised_column(batch: Manifest, settings: Settings) -> None:
    table = pq.read_table(settings.scores / SCORES)
    ids = table.column("customer_id").to_pylist()
    assert len(set(ids)) == len(ids) == batch.scored
    promised = {
        "customer_id", "prediction_time", "probability_churned", "churn_percentile", "churn_band", "churn_reasons",
        "is_already_churned", "probability_churned_30d", "probability_churned_60d", "probability_churned_90d",
        "probability_churned_180d", "probability_churned_365d", "probability_event", "propensity_percentile",
        "propensity_band", "propensity_reasons", "propensity_model_version", "propensity_feature_fingerprint",
        "churn_model_version", "churn_feature_fingerprint", "probability_active", "expected_orders",
        "expected_order_value", "clv", "clv_percentile", "clv_band", "clv_reasons", "clv_model_version",
        "expected_orders_low_90", "expected_orders_low_50", "expected_orders_high_50", "expected_orders_high_90",
        "clv_low_90", "clv_low_50", "clv_high_50", "clv_high_90", "clv_standard_deviation",
        "discounted_orders_if_active", "clv_of_average", "clv_from_active", "clv_from_orders", "clv_from_order_value",
        "clv_from_cost", "days_to_next_order_low_50", "days_to_next_order", "days_to_next_order_high_50",
        "next_order_date", "next_order_date_low_50", "next_order_date_high_50", "is_high_value", "evidence",
        "clv_feature_fingerprint", "segment_id", "segment", "segments_reasons", "segments_model_version",
        "churn_what_would_change", "propensity_what_would_change",
        "segments_feature_fingerprint", "churn_evidence", "propensity_evidence",
        "currency", "margin_rate", "clv_from_margin", "value_at_risk", "value_at_risk_low_90", "value_at_risk_low_50",
        "value_at_risk_high_50", "value_at_risk_high_90",
    }  # fmt: skip
    assert set(table.column_names) == promised


def test_every_score_is_finite_and_in_range(batch: Manifest, settings: Settings) -> None:
    everyone, frame = pq.read_table(settings.scores / SCORES).to_pandas(), valued(settings)
    assert batch.without_value == {NO_VALUE: len(everyone) - len(frame)}
    assert everyone[["probability_churned", "churn_percentile", "churn_band", "segment_id"]].notna().all().all()
    curve = [name for name in frame if re.fullmatch(r"probability_churned_\d+d", str(name))]
    told = [name for name in frame if str(name).endswith(("_reasons", "_what_would_change"))]
    assert frame.drop(columns=told).notna().all().all()
    assert (frame[curve].diff(axis=1).iloc[:, 1:] >= 0).all().all()
    assert (frame["probability_churned_90d"] >= frame["probability_churned"]).all()
    assert frame["probability_churned"].between(0, 1).all()
    assert frame["churn_percentile"].between(0, 100).all()
    assert (frame["clv"] >= 0).all()
    assert set(frame["churn_band"]) <= {"low", "medium", "high", "churned"}
    above = batch.reasons["value_at_risk_above"]
    on_top = (frame["churn_percentile"] >= 90) | (frame["value_at_risk"] > above)
    on_top &= ~frame["is_already_churned"]
    assert (frame["churn_reasons"].notna() == on_top).all()
    assert (frame.loc[on_top, "churn_reasons"].map(len) > 0).all()


def test_manifest_adds_up_what_customers_are_worth(batch: Manifest, settings: Settings) -> None:
    frame = valued(settings)
    total, *segments = batch.equity
    assert (total["group"], total["customers"]) == ("all customers", len(frame))
    assert len(frame) == batch.scored - sum(batch.without_value.values())
    assert total["value"] == pytest.approx(frame["clv"].sum(), abs=0.01)
    assert {each["group"] for each in segments} == set(frame["segment"])
    assert sum(each["value"] for each in segments) == pytest.approx(total["value"], abs=0.1)
    for each in batch.equity:
        assert each["low_90"] < each["low_50"] < each["value"] < each["high_50"] < each["high_90"]


def test_value_at_risk_is_told_of_each_customer_of_segments_and_of_all(batch: Manifest, settings: Settings) -> None:
    frame = valued(settings)
    everyone = pq.read_table(settings.scores / SCORES).to_pandas()
    assert (everyone["value_at_risk"].isna() == everyone["clv"].isna()).all()
    for level in ("", "_low_90", "_low_50", "_high_50", "_high_90"):
        expected = frame["probability_churned"] * frame[f"clv{level}"]
        assert frame[f"value_at_risk{level}"].tolist() == expected.tolist()
    total, *segments = batch.value_at_risk
    assert total["value"] == pytest.approx(frame["value_at_risk"].sum(), abs=0.01)
    assert {each["group"] for each in segments} == set(frame["segment"])
    assert total["low_90"] < total["low_50"] < total["value"] < total["high_50"] < total["high_90"]
    assert json.loads((settings.scores / MANIFEST).read_text())["value_at_risk"] == batch.value_at_risk


def test_without_a_champion_for_churn_no_value_is_at_risk(
    make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame], cdnow_scorer: Scorer, tmp_path: Path
) -> None:
    orders = make_orders(("a", "2024-01-01", 5.0), ("a", "2024-02-01", 5.0), ("b", "2024-03-01", 7.0))
    manifest = score_profile(make_profile(orders), AT, tmp_path / "out", cdnow_scorer)
    assert manifest.equity
    assert "value_at_risk" not in manifest.document()
    assert "value_at_risk" not in pq.read_schema(tmp_path / "out" / SCORES).names


def test_next_order_dates_are_the_days_after_the_prediction_time(batch: Manifest, settings: Settings) -> None:
    frame = valued(settings)
    days = pd.to_timedelta(frame["days_to_next_order"], unit="D")
    expected = (frame["prediction_time"] + days).dt.date
    assert frame["next_order_date"].tolist() == expected.tolist()
    assert (frame["next_order_date_low_50"] <= frame["next_order_date"]).all()
    assert (frame["next_order_date"] <= frame["next_order_date_high_50"]).all()


def test_high_value_customers_hold_four_fifths_of_the_value(batch: Manifest, settings: Settings) -> None:
    frame = valued(settings)
    threshold = batch.models["clv"]["high_value_threshold"]
    assert (frame["is_high_value"] == (frame["clv"] >= threshold)).all()
    # Learned from a year and a half later than scored: the share is about, not exactly, 80 %.
    assert 0.6 < frame.loc[frame["is_high_value"], "clv"].sum() / frame["clv"].sum() < 0.95


def test_bands_follow_percentiles(batch: Manifest, settings: Settings) -> None:
    frame = pq.read_table(settings.scores / SCORES).to_pandas()
    for task in ("churn", "clv"):
        ranked = frame[frame[f"{task}_band"] != "churned"]
        by_band = ranked.groupby(f"{task}_band")[f"{task}_percentile"].agg(["min", "max"])
        assert by_band.loc["high", "min"] >= 80 > by_band.loc["medium", "max"]
        assert by_band.loc["medium", "min"] >= 50 > by_band.loc["low", "max"]


def test_a_profile_without_what_the_champions_need_is_refused(cdnow: Profile, scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(FeaturesUnavailable, match=r"table 'surveys'|table 'events'|column"):
        score_profile(cdnow, AT, tmp_path / "out", scorer)
    assert not (tmp_path / "out").exists()


def test_nobody_whose_orders_are_worth_anything_is_refused_with_that_reason(
    make_profile: Callable[..., Profile],
    make_orders: Callable[..., pd.DataFrame],
    cdnow_scorer: Scorer,
    tmp_path: Path,
) -> None:
    free = make_profile(make_orders(("c1", "1997-09-01T00:00:00Z", 0.0), ("c2", "1997-09-02T00:00:00Z", 0.0)))
    with pytest.raises(EmptyCohort, match=f"2 customers known, all with {NO_VALUE}"):
        score_profile(free, AT, tmp_path / "out", cdnow_scorer)


def test_nobody_to_score_is_refused_and_writes_nothing(simulated: Profile, scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(EmptyCohort, match="2022-01-01"):
        score_profile(simulated, read_instant("2022-01-01"), tmp_path / "out", scorer)
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_one_line(simulated: Profile, scorer: Scorer, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputUnwritable) as problem:
        score_profile(simulated, AT, blocked / "out", scorer)
    assert "\n" not in str(problem.value)
    assert str(blocked / "out") in str(problem.value)


def test_the_manifest_counts_the_cohort_by_population(
    make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame], cdnow_scorer: Scorer, tmp_path: Path
) -> None:
    customers = pd.DataFrame({"customer_id": ["a", "b", "silent"]})
    orders = make_orders(("a", "2024-12-01", 5.0), ("a", "2024-12-21", 5.0), ("b", "2023-01-01", 7.0))
    manifest = score_profile(make_profile(orders, customers=customers), AT, tmp_path / "out", cdnow_scorer)
    nobody = {"scored": 0, "excluded": 0}
    assert manifest.population == {
        "prospect": {"scored": 0, "excluded": 1},
        "active": {"scored": 1, "excluded": 0},
        "at risk": nobody,
        "lapsed": nobody,
        "former": {"scored": 1, "excluded": 0},  # 730 days of silence, six rhythms of 90 days and more
    }
    assert sum(sum(counts.values()) for counts in manifest.population.values()) == manifest.cohort
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["population"] == manifest.population
