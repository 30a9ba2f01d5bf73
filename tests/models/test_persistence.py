import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.catalogue import CATALOGUE, CLV
from features.errors import UnknownName
from features.spec import FeatureSet
from models.base import Model
from models.contract import BAND_EDGES, Contract, band, percentile, reference_of
from models.errors import ModelDamaged, ModelIncompatible
from models.families import FAMILIES
from models.persistence import Kept, load, save

Array = npt.NDArray[np.float64]
Make = Callable[..., Contract]


@pytest.fixture
def folder(fitted: Callable[[str], Model], make_contract: Make, tmp_path: Path) -> Path:
    """A kept LightGBM model: contract, state, booster and manifest."""
    kept = Kept(fitted("churn_lightgbm"), make_contract(FAMILIES["churn_lightgbm"].feature_set))
    return save(kept, tmp_path / "kept")


BOOSTERS = {f"booster_{i}.txt" for i in range(5)}
FILES = pytest.mark.parametrize("file", ["booster_0.txt", "contract.json", "state.json"])


def refuse(folder: Path) -> str:
    with pytest.raises(ModelDamaged) as refused:
        load(folder)
    message = str(refused.value)
    assert message.startswith(f"the model in {str(folder)!r} is damaged: ")
    return message


def test_a_kept_model_is_text_files(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {*BOOSTERS, "contract.json", "manifest.json", "state.json"}


def test_the_manifest_holds_the_sha256_of_every_other_file(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest) == {*BOOSTERS, "contract.json", "state.json"}
    assert all(len(found) == 64 and set(found) <= set("0123456789abcdef") for found in manifest.values())


def test_saving_twice_gives_the_same_bytes(
    folder: Path, fitted: Callable[[str], Model], make_contract: Make, tmp_path: Path
) -> None:
    kept = Kept(fitted("churn_lightgbm"), make_contract(FAMILIES["churn_lightgbm"].feature_set))
    again = save(kept, tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_a_loaded_model_saved_again_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = save(load(folder), tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


@FILES
@pytest.mark.parametrize("at", [0, 0.5, 0.999])
def test_one_changed_byte_is_refused(folder: Path, file: str, at: float) -> None:
    content = bytearray((folder / file).read_bytes())
    content[int(at * len(content))] ^= 1
    (folder / file).write_bytes(bytes(content))
    assert f"'{file}' does not have the SHA-256 of the manifest" in refuse(folder)


@FILES
@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.9, 0.9999])
def test_a_truncated_file_is_refused_and_ends_no_process(folder: Path, file: str, kept: float) -> None:
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: int(kept * len(content))])
    assert f"'{file}' does not have the SHA-256 of the manifest" in refuse(folder)


@FILES
def test_a_missing_file_is_refused(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert f"'{file}' is missing" in refuse(folder)


@pytest.mark.parametrize("extra", ["notes.txt", ".hidden", "model.pkl"])
def test_a_file_that_was_not_written_is_refused(folder: Path, extra: str) -> None:
    (folder / extra).write_text("more")
    assert f"'{extra}' is not in the manifest" in refuse(folder)


def test_a_missing_manifest_is_refused(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    assert "manifest.json is missing" in refuse(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "manifest.json is missing" in refuse(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"{", b'{"state.json": ', b"\xff\xfe\x00"])
def test_a_manifest_that_is_not_json_is_refused(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    assert "manifest.json is not JSON" in refuse(folder)


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"state.json": "0"}', '"contract.json state.json"'])
def test_a_manifest_without_contract_and_state_is_refused(folder: Path, content: str) -> None:
    (folder / "manifest.json").write_text(content)
    assert "manifest.json does not list contract.json and state.json" in refuse(folder)


@pytest.mark.parametrize("wrong", [None, 0, "", "0" * 64])
def test_a_manifest_with_another_hash_is_refused(folder: Path, wrong: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text()) | {"booster_0.txt": wrong}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "'booster_0.txt' does not have the SHA-256 of the manifest" in refuse(folder)


def test_a_manifest_cannot_lead_out_of_the_folder(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text()) | {"../secret.txt": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "'../secret.txt' is missing" in refuse(folder)


def test_a_family_that_is_not_installed_is_named(
    fitted: Callable[[str], Model], make_contract: Make, tmp_path: Path
) -> None:
    kept = Kept(fitted("clv_naive"), make_contract(CLV, task="clv", family="clv_oracle"))
    with pytest.raises(UnknownName, match="unknown family 'clv_oracle'"):
        load(save(kept, tmp_path / "kept"))


def test_a_contract_survives_its_json(make_contract: Make) -> None:
    contract = make_contract(
        CLV,
        currency="EUR",
        margin_rate=0.3,
        annual_discount_rate=0.1,
        reference=(0.1, 1 / 3, 1e-300, 1.7976931348623157e308),
        warnings=("low evidence: few", "a second"),
    )
    assert Contract.model_validate_json(contract.model_dump_json()) == contract


@settings(max_examples=30, deadline=None)
@given(reference=st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_reference_scores_survive_json_to_the_last_bit(make_contract: Make, reference: list[float]) -> None:
    contract = make_contract(CLV, reference=tuple(reference))
    again = Contract.model_validate_json(contract.model_dump_json())
    assert np.array(again.reference).tobytes() == np.array(reference).tobytes()


def test_a_contract_writes_down_each_feature_and_their_fingerprint(make_contract: Make) -> None:
    contract = make_contract(CLV)
    assert [(f.name, f.dtype, f.unit, f.version) for f in contract.features] == [
        ("frequency", "int64", "order_days", 1),
        ("recency_days", "int64", "days", 1),
        ("T_days", "int64", "days", 1),
        ("monetary_value", "float64", "currency", 1),
    ]
    assert (contract.feature_set, contract.feature_set_version) == ("clv", 1)
    assert contract.fingerprint == CLV.fingerprint


def test_a_contract_takes_no_fact_it_does_not_know(make_contract: Make) -> None:
    with pytest.raises(ValidationError, match="colour"):
        make_contract(CLV, colour="red")


def test_a_contract_takes_no_cutoff_without_a_time_zone(make_contract: Make) -> None:
    with pytest.raises(ValidationError, match="timezone"):
        make_contract(CLV, cutoff=datetime(2024, 6, 1))


def test_installed_features_are_those_of_the_model_in_its_order(make_contract: Make) -> None:
    chosen = FeatureSet("clv", 1, (CATALOGUE["T_days"], CATALOGUE["frequency"]))
    assert make_contract(chosen).installed_features() == chosen


@pytest.mark.parametrize("changed", [{"version": 2}, {"unit": "orders"}, {"dtype": "float64"}, {"name": "gone"}])
def test_a_feature_that_is_installed_otherwise_is_refused_with_both_fingerprints(
    make_contract: Make, changed: dict[str, Any]
) -> None:
    other = FeatureSet("clv", 1, (replace(CATALOGUE["frequency"], **changed), CATALOGUE["T_days"]))
    contract = make_contract(other, task="clv", family="clv_bgnbd")
    installed = tuple(CATALOGUE[f.name] for f in other.features if f.name in CATALOGUE)
    with pytest.raises(ModelIncompatible) as refused:
        contract.installed_features()
    assert "model 'clv/clv_bgnbd'" in str(refused.value)
    assert repr(other.fingerprint) in str(refused.value)
    assert repr(FeatureSet("clv", 1, installed).fingerprint) in str(refused.value)


SCORES = st.lists(st.floats(0, 1e6) | st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=60)


@pytest.mark.parametrize(("score", "expected"), [(0.5, 0.0), (1, 12.5), (2, 50.0), (2.5, 75.0), (3, 87.5), (9, 100.0)])
def test_percentile_counts_lower_scores_and_half_the_ties(score: float, expected: float) -> None:
    assert percentile(np.array([score]), (1.0, 2.0, 2.0, 3.0))[0] == expected


def test_everyone_is_in_the_middle_where_all_score_the_same() -> None:
    assert percentile(np.array([7.0, 7.0]), reference_of(np.full(40, 7.0))).tolist() == [50.0, 50.0]


@settings(max_examples=50, deadline=None)
@given(known=SCORES, asked=SCORES)
def test_percentiles_are_0_to_100_rise_with_the_score_and_are_shared_by_ties(
    known: list[float], asked: list[float]
) -> None:
    scores = np.sort(np.array(asked))
    ranks = percentile(np.r_[scores, scores], reference_of(np.array(known)))
    assert ((ranks >= 0) & (ranks <= 100)).all()
    assert (np.diff(ranks[: len(scores)]) >= 0).all()
    assert np.array_equal(ranks[: len(scores)], ranks[len(scores) :])


@settings(max_examples=50, deadline=None)
@given(known=SCORES)
def test_reference_is_1001_scores_that_were_seen_from_lowest_to_highest(known: list[float]) -> None:
    reference = reference_of(np.array(known))
    assert len(reference) == 1_001
    assert set(reference) <= set(known)
    assert (reference[0], reference[-1]) == (min(known), max(known))
    assert list(reference) == sorted(reference)


def test_percentiles_of_ten_thousand_customers_are_their_ranks() -> None:
    scores = np.random.default_rng(0).normal(size=10_000)
    ranks = percentile(scores, reference_of(scores))
    exact = 100 * (np.argsort(np.argsort(scores)) + 0.5) / len(scores)
    np.testing.assert_allclose(ranks, exact, atol=0.2)


@pytest.mark.parametrize(
    ("rank", "expected"), [(0, "low"), (49.9, "low"), (50, "medium"), (79.9, "medium"), (80, "high"), (100, "high")]
)
def test_bands_begin_at_their_percentile(rank: float, expected: str) -> None:
    assert band(np.array([rank])) == [expected]


@settings(max_examples=50, deadline=None)
@given(known=SCORES)
def test_a_customer_learned_from_is_in_a_band_exactly_from_its_threshold(
    make_contract: Make, known: list[float]
) -> None:
    reference = reference_of(np.array(known))
    thresholds = make_contract(CLV, reference=reference).band_thresholds
    bands = band(percentile(np.array(known), reference))
    for score, found in zip(known, bands, strict=True):
        assert (found == "high") == (score >= thresholds.get("high", np.inf))
        assert (found != "low") == (score >= thresholds.get("medium", np.inf))


@settings(max_examples=50, deadline=None)
@given(known=SCORES, asked=SCORES)
def test_any_score_from_a_threshold_up_is_in_its_band_or_above(
    make_contract: Make, known: list[float], asked: list[float]
) -> None:
    reference = reference_of(np.array(known))
    thresholds = make_contract(CLV, reference=reference).band_thresholds
    height = {"low": 0, "medium": 1, "high": 2}
    for score, found in zip(asked, band(percentile(np.array(asked), reference)), strict=True):
        for name, threshold in thresholds.items():
            assert score < threshold or height[found] >= height[name]


def test_a_fifth_of_many_customers_is_high_and_three_tenths_are_medium() -> None:
    scores = np.random.default_rng(0).gamma(0.5, size=10_000)
    bands = pd.Series(band(percentile(scores, reference_of(scores)))).value_counts(normalize=True)
    assert bands["high"] == pytest.approx(0.2, abs=0.003)
    assert bands["medium"] == pytest.approx(0.3, abs=0.003)


def test_thresholds_are_in_the_order_of_the_bands(make_contract: Make) -> None:
    contract = make_contract(CLV, reference=reference_of(np.arange(100.0)))
    assert list(contract.band_thresholds) == list(BAND_EDGES)
    assert contract.band_thresholds == {"medium": 50.0, "high": 80.0}


def test_a_contract_without_reference_scores_has_no_thresholds(make_contract: Make) -> None:
    assert make_contract(CLV).band_thresholds == {}


def test_high_value_customers_are_those_who_hold_four_fifths(make_contract: Make) -> None:
    # The best fifth holds 80 of 96.
    scores = np.repeat([20.0, 400.0], [8_000, 2_000])
    assert make_contract(CLV, reference=reference_of(scores)).high_value_threshold == 400
    even = make_contract(CLV, reference=reference_of(np.linspace(0, 1, 1_001))).high_value_threshold
    assert even == pytest.approx(np.sqrt(0.2), abs=0.01)  # those below x hold x squared of it


@pytest.mark.parametrize("reference", [(), (0.0,) * 1_001])
def test_without_value_nobody_is_of_high_value(reference: tuple[float, ...], make_contract: Make) -> None:
    assert make_contract(CLV, reference=reference).high_value_threshold is None
