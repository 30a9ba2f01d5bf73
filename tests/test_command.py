import json
import math
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer

import patron
from features.catalogue import FEATURE_SETS


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs `patron` in this process with its state in a folder of the test."""
    monkeypatch.setenv("PATRON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["patron", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            patron.main()
        captured = capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return command


def error_line(ran: Ran) -> str:
    """The one error line of a refused command; fails if anything else is wrong."""
    assert ran.code == 1, ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ran.err
    return lines[0]


def write(folder: Path, **tables: pd.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder


def customers(*ids: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids})


def orders(*rows: tuple[str, str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "event_time", "value"])
    frame.insert(1, "order_id", [f"o{i}" for i in range(len(frame))])
    return frame


GOOD = orders(("a", "2024-01-01T00:00:00Z", 5), ("a", "2024-02-01T00:00:00Z", 6), ("b", "2024-03-01T00:00:00Z", 7))


def help_of(command: str, parameter: str) -> str:
    """What `--help` of a command says of a parameter."""
    known: Any = typer.main.get_group(patron.app).commands[command].params
    return str(next(each for each in known if each.name == parameter).help)


def test_features_names_every_feature_set_and_every_kind_of_profile() -> None:
    assert set(re.findall(r"\w+", help_of("features", "feature_set"))) - {"or"} == set(FEATURE_SETS)
    assert help_of("features", "profile") == help_of("check", "profile")


def test_help_answers_with_every_command(run: Command) -> None:
    ran = run("--help")
    assert ran.code == 0
    for name in (
        "demo",
        "check",
        "features",
        "train",
        "backtest",
        "promote",
        "score",
        "serve",
        "report",
        "simulate",
        "plan",
        "uplift",
    ):
        assert name in ran.out


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["train"], ["score", "x"], ["check"], ["train", "churn", "p", "--nope"]]
)
def test_wrong_usage_is_code_2(run: Command, arguments: list[str]) -> None:
    assert run(*arguments).code == 2


def test_check_of_a_valid_profile_is_code_0_and_one_document(run: Command, simulated_folder: Path) -> None:
    ran = run("check", simulated_folder, "--json")
    assert ran.code == 0
    assert ran.document["valid"]
    assert ran.document["is_simulated"]
    assert {table["table"] for table in ran.document["tables"]} >= {"customers", "orders", "surveys"}


def test_check_of_a_broken_profile_lists_every_finding_and_is_code_1(run: Command, tmp_path: Path) -> None:
    bad = GOOD.assign(value=["-1", "x", "7"])
    ran = run("check", write(tmp_path / "p", customers=customers("a"), orders=bad), "--json")
    assert ran.code == 1
    rules = {(f["table"], f["column"], f["rule"]) for f in ran.document["findings"] if f["severity"] == "error"}
    assert ("orders", "value", "a negative value without is_return") in rules
    assert ("orders", "customer_id", "a customer_id that is not in customers") in rules
    assert len(rules) == 3


def test_check_writes_its_page_of_a_profile_that_is_not_valid_too(run: Command, tmp_path: Path) -> None:
    bad = GOOD.assign(value=["<script>", "6", "7"])
    folder = write(tmp_path / "p", customers=customers("a", "b"), orders=bad)
    ran = run("check", folder, "--html", tmp_path / "deep" / "page.html")
    assert ran.code == 1
    assert "not valid" in ran.out
    page = (tmp_path / "deep" / "page.html").read_text()
    assert "not valid" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_check_says_how_much_more_each_task_needs(run: Command, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", customers=customers("a", "b"), orders=GOOD)
    ran = run("check", folder)
    assert ran.code == 0
    assert "churn over 90 days: not enough (training would be refused)" in ran.out
    assert "at least 92. Add 31 days of history, or shorten the horizon to 59 days." in ran.out
    tasks = run("check", folder, "--json").document["tasks"]
    assert {task["task"]: task["verdict"] for task in tasks} == dict.fromkeys(
        ("churn", "clv", "segments"), "not enough"
    )
    assert tasks[0]["needs"][0]["more"] == 31


def test_broken_rows_are_quarantined_on_request_only(run: Command, tmp_path: Path) -> None:
    bad = GOOD.assign(value=["5", "six", "7"])
    folder = write(tmp_path / "p", customers=customers("a"), orders=bad)
    built = ["features", folder, "--at", "2024-06-01", "--feature-set", "clv", "-o", tmp_path / "f.parquet"]
    assert "'six'" in error_line(run(*built))
    ran = run(*built, "--quarantine", tmp_path / "q", "--json")
    assert ran.code == 0
    assert ran.document["customers"] == 1
    assert "orders: 3 rows read = 1 used + 1 quarantined + 1 out of scope" in ran.err
    checked = run("check", folder, "--quarantine", tmp_path / "q")
    assert checked.code == 0
    assert "quarantined" in checked.out
    document = run("check", folder, "--quarantine", tmp_path / "q", "--json").document
    (counts,) = [table["counts"] for table in document["tables"] if table["table"] == "orders"]
    assert counts == {"read": 3, "used": 1, "quarantined": 1, "out_of_scope": 1}
    assert sorted(pq.read_table(tmp_path / "q" / "orders.parquet").column("value").to_pylist()) == ["7", "six"]


def test_simulated_data_is_called_simulated(run: Command, simulated_folder: Path) -> None:
    assert "(simulated)" in run("check", simulated_folder).out


def test_features_are_written_as_parquet_and_csv(run: Command, simulated_folder: Path, tmp_path: Path) -> None:
    at = ["--at", "2024-06-01", "--feature-set", "clv"]
    document = run("features", simulated_folder, *at, "-o", tmp_path / "f.parquet", "--json").document
    run("features", simulated_folder, *at, "-o", tmp_path / "f.csv")
    parquet, csv = pq.read_table(tmp_path / "f.parquet").to_pandas(), pd.read_csv(tmp_path / "f.csv")
    assert document["customers"] == len(parquet) == len(csv)
    assert document["features"] == ["frequency", "recency_days", "T_days", "monetary_value"]
    assert list(csv.columns) == list(parquet.columns)


def test_absent_features_are_said_once_and_not_faked(run: Command, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", customers=customers("a", "b"), orders=GOOD)
    document = run("features", folder, "--at", "2024-06-01", "-o", tmp_path / "f.parquet", "--json").document
    assert document["absent"]["nps_last_score"] == "table 'surveys'"
    assert document["absent"]["last_order_channel"] == "column orders.channel"
    assert not set(document["absent"]) & set(pq.read_table(tmp_path / "f.parquet").column_names)


@pytest.mark.exhaustive
def test_the_whole_way_through_commands(run: Command, simulated_folder: Path, tmp_path: Path) -> None:
    quick = ("--horizon-days", 90, "--set", "stability_cutoffs=0", "--json")
    for task, family in (("churn", "churn_logistic"), ("clv", "clv_bgnbd"), ("segments", "segments_kmeans")):
        trained = run("train", task, simulated_folder, "--family", family, *quick).document
        assert set(trained) == {"task", "family", "run_id", "model_version", "params", "metrics", "grade", "warnings"}
        assert trained["model_version"] == "1"
        assert run("promote", task, "--json").document["promoted"]
    scored = run("score", simulated_folder, "--at", "2024-12-31", "-o", tmp_path / "scores", "--json").document
    assert scored["cohort"] == scored["scored"] + scored["excluded"]
    assert run("report", simulated_folder, "--scores", tmp_path / "scores", "-o", tmp_path / "r.html").code == 0
    assert "Simulated data" in (tmp_path / "r.html").read_text()
    assert run("report", simulated_folder, "--scores", "", "-o", tmp_path / "s.html").code == 0  # as `mlflow run` does
    told = ["--reasons", "all", "--language", "pl"]
    shown = run("score", simulated_folder, "--at", "2024-12-31", "-o", tmp_path / "scores", *told)
    assert "(simulated)" in shown.out
    manifest = json.loads((tmp_path / "scores" / "manifest.json").read_text())
    assert (manifest["reasons"]["which"], manifest["reasons"]["language"]) == ("all", "pl")


def test_clv_prints_the_literatures_parameters_on_the_cdnow_sample(run: Command, cdnow_sample_folder: Path) -> None:
    options = ["--cutoff", "1997-10-01", "--horizon-days", 273, "--family", "clv_bgnbd", "--json"]
    trained = run("train", "clv", cdnow_sample_folder, *options).document
    literature = {"r": 0.2426, "alpha": 30.895, "a": 0.7929, "b": 2.4259, "p": 6.25, "q": 3.74, "v": 15.44}
    for name, value in literature.items():
        assert trained["params"][name] == pytest.approx(value, rel=2e-3), name
    assert trained["params"]["alpha"] / 7 == pytest.approx(4.4136, abs=1e-4)
    assert trained["metrics"]["train/log_likelihood_orders_weeks"] == pytest.approx(-9582.43, abs=0.01)


def test_tables_for_a_person_name_grade_baseline_and_next_step(run: Command, cdnow_sample_folder: Path) -> None:
    ran = run("train", "clv", cdnow_sample_folder, "--cutoff", "1997-10-01", "--horizon-days", 273)
    assert "baseline" in ran.out
    assert "grade " in ran.out
    assert "patron promote clv" in ran.out


def test_what_surveys_are_worth_is_a_line_of_its_own() -> None:
    from patron_tables import surveys_words

    skill = {"surveys/skill": 0.021, "surveys/skill_low": -0.004, "surveys/skill_high": 0.046}
    losses = {"holdout/poisson_deviance_orders": 0.611, "without_surveys/poisson_deviance_orders": 0.624}
    told = surveys_words(SimpleNamespace(metrics=skill | losses, evaluated_on="holdout"))
    assert told == (
        "surveys take away 2.1% (90 % interval -0.4% to 4.6%) of the loss of the same model without them: "
        "poisson_deviance_orders 0.624 without, 0.611 with"
    )
    assert surveys_words(SimpleNamespace(metrics=losses, evaluated_on="holdout")) == ""


def test_windows_are_suggested_for_orders_and_for_subscriptions(run: Command, simulated_folder: Path) -> None:
    document = run("suggest-window", simulated_folder, "--json").document
    assert document["command"].startswith(f"patron train churn {simulated_folder} --horizon-days")
    assert document["contractual"]["grace_days"] == 30  # whoever renews late does so after 20 days
    told = run("suggest-window", simulated_folder).out
    orders_told, subscriptions = told.split("Subscriptions")
    assert "gap_days" in orders_told
    assert "grace_days 30: " in subscriptions
    assert f"Next: {document['contractual']['command']}" in subscriptions


def test_no_minutes_of_search_are_none_and_what_is_no_number_is_wrong_usage(run: Command, tmp_path: Path) -> None:
    assert "cannot read a profile" in error_line(run("train", "churn", tmp_path / "none", "--search-minutes="))
    refused = run("train", "churn", tmp_path / "none", "--search-minutes", "soon")
    assert refused.code == 2
    assert "--search-minutes" in refused.err


def test_training_says_whether_the_best_naive_forecast_is_beaten(run: Command, cdnow_sample_folder: Path) -> None:
    options = ["--cutoff", "1997-10-01", "--horizon-days", 273, "--family", "clv_bgnbd"]
    ran = run("train", "clv", cdnow_sample_folder, *options)
    assert "backtest from 3 origins over 68 days each: clv_bgnbd has the least Poisson deviance" in ran.out
    assert "the best naive forecast was clv_naive; clv_bgnbd beats it and takes away " in ran.out
    assert "coverage_90" in ran.out


def test_backtest_prints_a_table_one_document_and_a_file(run: Command, tmp_path: Path) -> None:
    run("simulate", "-o", tmp_path / "made", "--customers", 300)
    command = ["backtest", tmp_path / "made", "--horizon-days", 60, "--origins", 2]
    ran = run(*command, "-o", tmp_path / "backtest.json", "--json")
    document = ran.document
    assert json.loads((tmp_path / "backtest.json").read_text()) == document
    assert (len(document["origins"]), document["window_days"]) == (2, 60)
    shown = run(*command)
    for row in document["table"]:
        assert row["name"] in shown.out
    assert f"the best naive forecast was {document['best_naive']}; {document['champion']} " in shown.out
    assert {row["frequency"] for row in document["calibration"] if row["name"] == "clv_mbgnbd"} >= {0, 1, 2}


def test_backtest_of_too_short_a_history_is_one_line(run: Command, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "short",
        customers=customers("a"),
        orders=orders(("a", "2024-01-01T00:00:00Z", 1), ("a", "2024-01-02T00:00:00Z", 1)),
    )
    line = error_line(run("backtest", folder))
    assert "history is too short" in line


TRAIN_CHURN = ("train", "churn")


MIXED = ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00+03:00", "2024-01-02T00:00:00Z"]
AB = customers("a", "b")
BROKEN: dict[str, tuple[dict[str, pd.DataFrame], list[str]]] = {
    "no customers": ({"orders": GOOD}, ["'customers'", "missing"]),
    "no facts": ({"customers": AB}, ["'orders'", "missing"]),
    "no column": ({"customers": AB, "orders": GOOD.drop(columns="value")}, ["orders.value", "missing"]),
    "wrong type": ({"customers": AB, "orders": GOOD.assign(value="x")}, ["orders.value", "'x'", "3 of 3"]),
    "duplicate customer": ({"customers": customers("a", "a", "b"), "orders": GOOD}, ["customers.customer_id", "'a'"]),
    "duplicate order": ({"customers": AB, "orders": GOOD.assign(order_id="o1")}, ["orders.order_id", "duplicate"]),
    "naive time": (
        {"customers": AB, "orders": GOOD.assign(event_time="2024-01-01 00:00:00")},
        ["orders.event_time", "time zone", "2024-01-01 00:00:00"],
    ),
    "mixed zones": (
        {"customers": AB, "orders": GOOD.assign(event_time=MIXED)},
        ["orders.event_time", "mixed", "+03:00"],
    ),
    "negative": ({"customers": AB, "orders": GOOD.assign(value=-2)}, ["orders.value", "negative", "-2", "is_return"]),
    "nan": ({"customers": AB, "orders": GOOD.assign(value="NaN")}, ["orders.value", "NaN", "finite"]),
    "orphan": ({"customers": customers("a"), "orders": GOOD}, ["orders.customer_id", "'b'", "customers"]),
    "empty": ({"customers": customers(), "orders": orders()}, ["customers", "no rows"]),
}


@pytest.mark.parametrize("command", ["train", "features", "report"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_profile_is_one_line_and_writes_nothing(run: Command, tmp_path: Path, command: str, case: str) -> None:
    tables, parts = BROKEN[case]
    folder, output = write(tmp_path / "profile", **tables), tmp_path / "output"
    arguments = {
        "train": ["train", "clv", folder],
        "features": ["features", folder, "--at", "2024-06-01", "-o", output],
        "report": ["report", folder, "-o", output],
    }
    line = error_line(run(*arguments[command]))
    for part in parts:
        assert part in line
    assert not output.exists()
    assert not (tmp_path / "home" / "mlflow.db").exists()


def test_without_any_repeat_buyer_there_is_a_forecast_of_low_evidence(run: Command, tmp_path: Path) -> None:
    ids = [f"c{i}" for i in range(60)]
    once = orders(*[(c, f"2024-{1 + i % 9:02d}-01T00:00:00Z", 5) for i, c in enumerate(ids)])
    profile = write(tmp_path / "p", customers=customers(*ids), orders=once)
    found = run("train", "clv", profile, "--horizon-days", 30, "--json").document
    assert any(warning.startswith("low evidence") for warning in found["warnings"])
    assert found["grade"] == "D"
    assert math.isfinite(found["metrics"]["holdout/poisson_deviance_orders"])


def test_one_class_only_is_one_line(run: Command, tmp_path: Path) -> None:
    ids = [f"c{i}" for i in range(60)]
    days = pd.date_range("2024-01-01", "2024-12-01", freq="15D", tz="UTC")
    always = orders(*[(c, day.isoformat(), 5) for c in ids for day in days])
    line = error_line(run(*TRAIN_CHURN, write(tmp_path / "p", customers=customers(*ids), orders=always)))
    assert "nothing to learn" in line


def test_a_column_that_gives_the_outcome_away_is_one_line_until_it_is_allowed(
    run: Command, simulated_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "leaking"
    shutil.copytree(simulated_folder, folder)
    people, bought = pd.read_parquet(folder / "customers.parquet"), pd.read_parquet(folder / "orders.parquet")
    kept = bought.loc[~bought["is_return"] & (bought["event_time"] >= "2024-10-02T00:00:00Z"), "customer_id"]
    people["acquisition_channel"] = people["acquisition_channel"].where(people["customer_id"].isin(kept), "lost")
    people.to_parquet(folder / "customers.parquet", index=False)
    line = error_line(run(*TRAIN_CHURN, folder, "--json"))
    for part in ("'acquisition_channel'", "'lost'", "100.0%", "allowed", "leakage_allowed=acquisition_channel"):
        assert part in line
    assert run("promote", "churn").code == 1
    told = ["--set", "leakage_allowed=acquisition_channel", "--family", "churn_logistic", "--json"]
    document = run(*TRAIN_CHURN, folder, *told).document
    assert document["params"]["leakage_allowed"] == "acquisition_channel"
    assert any("leakage allowed" in warning and "'lost'" in warning for warning in document["warnings"])


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--cutoff", "2030-01-01"], ["cutoff 2030-01-01", "not over yet"]),
        (["--cutoff", "1990-01-01"], ["no history before the cutoff"]),
        (["--cutoff", "yesterday"], ["--cutoff", "'yesterday'", "1997-10-01"]),
        (["--cutoff", "2024-06-01T00:00:00"], ["--cutoff", "offset"]),
        (["--horizon-days", "9000"], ["horizon_days", "9000"]),
        (["--family", "clv_bgnbd"], ["'clv_bgnbd'", "churn_lightgbm"]),
        (["--family", "nonsense"], ["'nonsense'", "churn_lightgbm"]),
        (["--set", "colour=red"], ["'colour'", "horizon_days"]),
        (["--set", "model.depth=3"], ["'depth'", "num_leaves"]),
        (["--set", "nonsense"], ["'nonsense'", "name=value"]),
        (["--config", "missing.yaml"], ["missing.yaml"]),
    ],
)
def test_wrong_training_options_are_one_line(
    run: Command, simulated_folder: Path, options: list[str], parts: list[str]
) -> None:
    line = error_line(run(*TRAIN_CHURN, simulated_folder, *options))
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["check", "no-such-folder"], ["'no-such-folder'", "folder"]),
        (["train", "weather", "p"], ["'weather'", "churn"]),
        (["promote", "churn"], ["'churn'", "challenger", "patron train churn"]),
        (["promote", "churn", "--version", "7"], ["'churn'", "'7'"]),
        (["simulate", "-o", "x", "--customers", "0"], ["customers", "0"]),
    ],
)
def test_other_refusals_are_one_line(run: Command, arguments: list[str], parts: list[str]) -> None:
    line = error_line(run(*arguments))
    for part in parts:
        assert part in line


def test_scoring_without_a_champion_says_what_to_run(run: Command, simulated_folder: Path, tmp_path: Path) -> None:
    line = error_line(run("score", simulated_folder, "--at", "2024-06-01", "-o", tmp_path / "out"))
    assert "patron train" in line
    assert not (tmp_path / "out").exists()


def test_an_unknown_feature_set_is_one_line(run: Command, simulated_folder: Path, tmp_path: Path) -> None:
    options = ["--at", "2024-06-01", "--feature-set", "best", "-o", tmp_path / "f.parquet"]
    assert "'best'" in error_line(run("features", simulated_folder, *options))


def test_serving_on_a_port_in_use_is_one_line(run: Command) -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert str(port) in error_line(run("serve", "--port", port))


def test_a_failure_nobody_foresaw_is_one_line(
    run: Command, simulated_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import features.usability.report

    def fail(*_: object) -> None:
        raise RuntimeError("the moon\nis full")

    monkeypatch.setattr(features.usability.report, "assess_source", fail)
    line = error_line(run("check", simulated_folder))
    assert "RuntimeError: the moon" in line
    assert "PATRON_TRACEBACK" in line


def test_an_unknown_engine_is_refused_with_the_known_ones(run: Command, tmp_path: Path) -> None:
    line = error_line(run("score", tmp_path, "--at", "2024-01-01", "--engine", "polars"))
    assert "unknown engine 'polars'" in line
    assert "'duckdb', 'spark'" in line


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [("--reasons", "some", "'all', 'none', 'top'"), ("--language", "de", "'en', 'pl', 'ru'")],
)
def test_what_reasons_cannot_be_told_as_is_refused_before_anything_is_read(
    run: Command, tmp_path: Path, option: str, value: str, allowed: str
) -> None:
    line = error_line(run("score", tmp_path / "nowhere", "--at", "2024-01-01", option, value))
    assert f"{value!r}. Allowed: {allowed}" in line


def test_a_profile_on_spark_is_not_scored_on_duckdb(run: Command) -> None:
    line = error_line(run("score", "spark:///data", "--at", "2024-01-01", "--engine", "duckdb"))
    assert "Allowed: 'spark'" in line


EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_profile_init_proposes_a_file_that_check_and_features_read(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "profile.yaml"
    made = run("profile", "init", EXAMPLES / "clickstream" / "data", "-o", file, "--json")
    assert made.code == 0
    assert made.document == {"output": str(file), "to_decide": file.read_text().count("# decide")}
    assert run("check", file, "--json").document["valid"]
    built = run("features", file, "--at", "2024-07-01", "-o", tmp_path / "features.parquet", "--json")
    assert built.document["customers"] == 600
    again = run("profile", "init", EXAMPLES / "clickstream" / "data", "-o", file)
    assert again.code == 1
    assert "it is already there" in again.err
