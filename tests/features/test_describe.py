import json
import sys
from pathlib import Path

import pytest

import patron
from features.catalogue import ALL, CATALOGUE, CHURN, FEATURE_SETS, MODULES
from features.contract import TABLES
from features.describe import catalogue_page, describe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "catalogue.md"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["patron", *arguments])
    with pytest.raises(SystemExit) as ended:
        patron.main()
    return int(ended.value.code or 0)


def test_the_catalogue_page_is_the_one_the_code_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == catalogue_page(), "docs/catalogue.md is old: run `make catalogue`"


def test_the_catalogue_page_has_every_feature_once_and_every_module() -> None:
    lines = catalogue_page().splitlines()
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == list(CATALOGUE)
    named = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert named == [module.__name__.removeprefix("features.") for module in MODULES]
    assert {line.count("|") for line in lines if line.startswith("| ")} == {8}


def test_every_feature_is_described_once_with_all_a_reader_needs() -> None:
    rows = describe(ALL.features)
    assert [row["name"] for row in rows] == list(CATALOGUE)
    for row in rows:
        assert all(row[key] for key in ("unit", "dtype", "null", "description", "source", "version")), row["name"]


@pytest.mark.parametrize(
    ("name", "null"),
    [
        ("frequency", "without an order"),
        ("order_count_30d", "never; 0 without facts"),
        ("order_value_30d", "never; 0 without facts"),
        ("has_active_subscription", "never; false without facts"),
        ("is_late", "never"),
        ("rhythm_days", "never"),
        ("lifecycle_state", "never"),
        ("tier", "never"),
        ("discount_share_90d", "without value, in the 90 days before the prediction time"),
    ],
)
def test_null_is_explained_by_what_the_description_says(name: str, null: str) -> None:
    (row,) = describe([CATALOGUE[name]])
    assert row["null"] == null


def test_every_feature_of_text_that_is_never_null_says_what_it_is_instead() -> None:
    for feature in ALL.features:
        if feature.dtype == "string" and not feature.nullable:
            assert "'missing'" in feature.description or "Prospect" in feature.description, feature.name


def test_a_feature_names_the_table_or_the_features_it_comes_from() -> None:
    for row in describe(ALL.features):
        sources = row["source"].split(", ")
        assert set(sources) <= set(TABLES) or set(sources) <= set(CATALOGUE), row["name"]
    (frequency, rate) = describe([CATALOGUE["frequency"], CATALOGUE["return_rate_365d"]])
    assert (frequency["source"], rate["source"]) == ("orders", "return_value_365d, order_value_365d")
    assert frequency["feature_sets"] == ["all", "churn", "clv", "clv_hybrid", "segments", "propensity"]
    assert [(row["meaning"], row["can_influence"]) for row in (frequency, rate)] == [
        ("orders", False),
        ("returns", True),
    ]


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_features_are_described_without_a_profile(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "features", "--describe", "--feature-set", name, "--json") == 0
    assert json.loads(capsys.readouterr().out) == describe(FEATURE_SETS[name].features)


def test_the_description_for_people_names_every_feature(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "features", "--describe", "--feature-set", "churn") == 0
    said = capsys.readouterr().out
    for feature in CHURN.features:
        assert f"{feature.name} ({feature.dtype}, {feature.unit}, version {feature.version})" in said
        assert feature.description in said


def test_an_unknown_set_to_describe_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "features", "--describe", "--feature-set", "chrun") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error: unknown feature set 'chrun'" in captured.err


@pytest.mark.parametrize("arguments", [(), ("profile",), ("profile", "--at", "2024-01-01"), ("--at", "2024-01-01")])
def test_features_without_a_profile_time_and_output_are_wrong_usage(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "features", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--describe" in captured.err
    assert "Traceback" not in captured.err
