import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.errors import OutputUnwritable
from features.profile import Profile
from training.errors import NothingToReport, ScoresNotFound
from training.evaluation.grade import RULE, rule_of
from training.promote import ChampionRun, champion_runs
from training.reporting.headlines import HEADLINES, TITLES
from training.reporting.report import amount, write_report
from training.reporting.sections import number

PICTURES = {
    "churn": ["profit", "global_factors", "lift", "roc_and_calibration"],
    "clv": [
        "tracking",
        "expected_and_actual_orders",
        "deciles_with_intervals",
        "value_concentration",
        "one_customer",
        "frequency_recency_matrix",
    ],
    "segments": ["segment_profile"],
    "propensity": ["global_factors", "lift", "roc_and_calibration"],
}


class Page(HTMLParser):
    """What a report shows: its text, its addresses and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def runs(store: Any) -> list[ChampionRun]:
    return champion_runs(store.uri)


@pytest.fixture(scope="module")
def html(runs: list[ChampionRun], simulated: Profile, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(simulated, runs, tmp_path_factory.mktemp("report") / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture
def real(make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]) -> Profile:
    """A profile that was not simulated."""
    return make_profile(make_orders(("c1", "2024-01-01T00:00:00Z", 5.0)))


@pytest.fixture
def of_real_customers(runs: list[ChampionRun]) -> list[ChampionRun]:
    """The champions as if they had learned from real customers."""
    return [replace(run, contract=run.contract.model_copy(update={"is_simulated": False})) for run in runs]


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """A batch run over three customers, one of whom has an id that looks like markup."""
    folder = tmp_path / "scores"
    folder.mkdir()
    pd.DataFrame(
        {
            "customer_id": ["c1", "<script>c2</script>", "c3"],
            "prediction_time": [datetime(2024, 12, 31, tzinfo=UTC)] * 3,
            "probability_churned": [0.9, 0.25, 0.5],
            "churn_band": ["high", "low", "medium"],
            "churn_reasons": [[{"text": "last order 400 days ago"}], [{"text": "ordered lately"}], None],
            "churn_what_would_change": [[{"text": "an answer (association)"}], [], None],
            "expected_orders": [0.5, 3.0, 1.0],
            "clv": [1000.0, 200.0, 300.0],
            "clv_band": ["high", "low", "medium"],
            "clv_standard_deviation": [300.0, 40.0, 0.0],
            "is_high_value": [True, False, True],
            "segment_id": [0, 1, 1],
            "segment": ["loyal", "new", "new"],
        }
    ).to_parquet(folder / "scores.parquet")
    return folder


def test_every_champion_has_its_section_with_its_grade(page: Page, runs: list[ChampionRun]) -> None:
    for run, title in zip(runs, TITLES.values(), strict=True):
        assert title in page.text
        assert f"Grade {run.grade}: {rule_of(run.grade, run.task)}" in page.text
        assert f"{run.contract.family}, version {run.version}: {run.contract.label}" in page.text


def test_rule_of_the_grades_is_published(page: Page) -> None:
    assert all(words in page.text for words in RULE.values())


def test_figures_stand_beside_those_of_the_baseline(page: Page, runs: list[ChampionRun]) -> None:
    metrics = runs[0].metrics
    names = [f"{split}/log_loss{end}" for split in ("holdout", "baseline") for end in ("", "_low", "_high")]
    model, low, high, rival, rival_low, rival_high = (number(metrics[name]) for name in names)
    both = f"{model} ({low} to {high}) {rival} ({rival_low} to {rival_high})"
    assert f"Log loss: the score the grade is made of {both}" in page.text


def test_skill_is_told_with_its_interval(page: Page, runs: list[ChampionRun]) -> None:
    metrics = runs[1].metrics
    low, high = metrics["holdout/skill_low"], metrics["holdout/skill_high"]
    assert f"{metrics['holdout/skill']:.1%} of its baseline's loss (90 % interval {low:.1%} to {high:.1%})" in page.text


def test_the_backtest_that_chose_the_champion_of_value_is_told(runs: list[ChampionRun], page: Page) -> None:
    run = next(run for run in runs if run.task == "clv")
    assert run.backtest is not None
    assert "Against every family and naive forecast" in page.text
    assert f"won: {run.backtest['champion']}" in page.text
    naive = [row["name"] for row in run.backtest["table"] if row["is_naive"]]
    assert naive
    assert all(f"{name} (naive)" in page.text for name in naive)


def test_gates_say_why_a_model_is_the_champion(page: Page, runs: list[ChampionRun]) -> None:
    for run in runs:
        assert run.gates, run.task
        for gate in run.gates:
            assert f"passed {gate['name']} {gate['found']}" in page.text


def test_plots_are_inside_the_file(page: Page, runs: list[ChampionRun]) -> None:
    pictures = [address.removeprefix("data:image/png;base64,") for address in page.addresses]
    assert [base64.b64decode(picture) for picture in pictures] == [
        run.plots[name] for run in runs for name in PICTURES[run.task]
    ]


def test_nothing_outside_the_file_is_referred_to(html: str, page: Page) -> None:
    assert all(address.startswith("data:") for address in page.addresses)
    assert not {"script", "link", "iframe", "object", "embed", "form", "a"} & set(page.tags)
    without_pictures = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", html)
    assert "http" not in without_pictures
    assert "url(" not in without_pictures
    assert "@import" not in without_pictures


def test_tables_of_the_profile_are_counted(page: Page, simulated: Profile) -> None:
    for summary in simulated.summaries:
        assert f"{summary.table} {summary.rows:,} {summary.customers:,}" in page.text


def test_findings_of_the_profile_are_told(
    runs: list[ChampionRun],
    tmp_path: Path,
    make_profile: Callable[..., Profile],
    make_orders: Callable[..., pd.DataFrame],
) -> None:
    profile = make_profile(
        make_orders(("c1", "2024-01-01T00:00:00Z", 5.0)),
        surveys=pd.DataFrame(
            {
                "customer_id": pd.Series(dtype=str),
                "metric": pd.Series(dtype=str),
                "sent_at": pd.Series(dtype="datetime64[us, UTC]"),
            }
        ),
    )
    assert profile.findings
    page = Page(write_report(profile, runs, tmp_path / "report.html").read_text(encoding="utf-8"))
    for finding in profile.findings:
        assert " ".join(finding.message().split()) in page.text


def test_absent_features_are_told_with_what_is_missing(
    runs: list[ChampionRun], simulated: Profile, tmp_path: Path
) -> None:
    lacking = [replace(runs[0], absent={"nps_last_score": "table 'surveys'", "region": "column customers.region"})]
    page = Page(write_report(simulated, lacking, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Features the profile cannot give to churn: 2 1 for want of table 'surveys' nps_last_score" in page.text


def test_warnings_of_a_run_are_told(runs: list[ChampionRun], simulated: Profile, tmp_path: Path) -> None:
    warned = [replace(runs[0], warnings=("low evidence: <3 customers",))]
    page = Page(write_report(simulated, warned, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "low evidence: <3 customers" in page.text


def test_simulated_profile_is_called_so(page: Page) -> None:
    assert "Simulated data: no real customer is described here." in page.text


def test_real_profile_is_not_called_simulated(
    real: Profile, of_real_customers: list[ChampionRun], tmp_path: Path
) -> None:
    text = write_report(real, of_real_customers, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "simulated" not in Page(text).text.lower()


def test_model_that_learned_from_simulated_customers_makes_the_report_simulated(
    real: Profile, runs: list[ChampionRun], of_real_customers: list[ChampionRun], tmp_path: Path
) -> None:
    mixed = [of_real_customers[0], runs[1]]
    text = write_report(real, mixed, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Simulated data" in Page(text).text


def test_scores_are_summed_up(runs: list[ChampionRun], simulated: Profile, scores: Path, tmp_path: Path) -> None:
    page = Page(write_report(simulated, runs, tmp_path / "report.html", scores).read_text(encoding="utf-8"))
    assert "Where we stand on 2024-12-31" in page.text
    assert "3 customers scored" in page.text
    assert "1,500 EUR expected value of all customers together" in page.text
    assert "67% of that value lies with the most valuable fifth of the customers" in page.text
    assert "2 are expected to leave" in page.text
    assert f"To leave means: {runs[0].contract.label}. Value is what" in page.text
    assert "new 2 67% 250 38% 2.00" in page.text  # customers, share, mean value, mean churn, mean orders
    assert "high churn risk 1 customer worth 1,000 EUR 0 customers worth 0 EUR" in page.text
    assert "Nobody is at" not in page.text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"profile_digest": "0"}, "These scores were not made of the facts now in"),
        ({"models": {"clv": {"version": "7"}}}, "The scores of clv are of version 7"),
    ],
    ids=["the same", "other facts", "another champion"],
)
def test_scores_of_something_else_are_told(
    changed: dict[str, Any],
    words: str,
    runs: list[ChampionRun],
    simulated: Profile,
    scores: Path,
    tmp_path: Path,
) -> None:
    same = {"profile_digest": simulated.digest, "models": {run.task: {"version": run.version} for run in runs}}
    (scores / "manifest.json").write_text(json.dumps(same | changed))
    page = Page(write_report(simulated, runs, tmp_path / "report.html", scores).read_text(encoding="utf-8"))
    assert words in page.text
    told = "were not made of the facts" in page.text, "are of version" in page.text
    assert told == ("profile_digest" in changed, "models" in changed)


@pytest.mark.parametrize("task", ["churn", "clv", "segments"])
def test_scores_of_one_champion_alone_are_reported(
    task: str, runs: list[ChampionRun], simulated: Profile, scores: Path, tmp_path: Path
) -> None:
    alone = [run for run in runs if run.task == task]
    page = Page(write_report(simulated, alone, tmp_path / "report.html", scores).read_text(encoding="utf-8"))
    assert ("To leave means" in page.text) == (task == "churn")
    assert ("Value is what a customer is expected to bring" in page.text) == (task == "clv")


def test_who_has_left_already_is_told_apart_and_not_watched(
    runs: list[ChampionRun], simulated: Profile, scores: Path, tmp_path: Path
) -> None:
    table = pd.read_parquet(scores / "scores.parquet")
    table["churn_band"] = ["churned", "low", "low"]
    table.to_parquet(scores / "scores.parquet")
    page = Page(write_report(simulated, runs, tmp_path / "report.html", scores).read_text(encoding="utf-8"))
    assert "1 of them count as having left already, by their own rhythm" in page.text
    assert "1 of the others are expected to leave" in page.text  # 0.25 + 0.5
    assert "Nobody is at high or medium churn risk: all whom the model ranks there have been silent" in page.text
    assert "high churn risk" not in page.text
    assert "left already 1 customer worth 1,000 EUR" in page.text
    assert "900 of it lie with customers who count as having left already" in page.text  # 0.9 * 1000
    assert "c1" not in page.text.split("Most value at risk")[1].split("Who will leave")[0]


def test_most_value_at_risk_comes_first_with_its_reasons(
    runs: list[ChampionRun], simulated: Profile, scores: Path, tmp_path: Path
) -> None:
    page = Page(write_report(simulated, runs, tmp_path / "report.html", scores).read_text(encoding="utf-8"))
    watched = page.text.split("Most value at risk")[1]
    assert "c1 1,000 90% 900 loyal last order 400 days ago What would change it: an answer (association)" in watched
    assert watched.index("c1") < watched.index("c3") < watched.index("<script>c2</script>")


def test_what_stands_in_the_data_is_shown_and_never_run(
    runs: list[ChampionRun], simulated: Profile, scores: Path, tmp_path: Path
) -> None:
    page = Page(write_report(simulated, runs, tmp_path / "report.html", scores).read_text(encoding="utf-8"))
    assert "script" not in page.tags


def test_customer_equity_is_told_with_its_interval(
    runs: list[ChampionRun], simulated: Profile, scores: Path, tmp_path: Path
) -> None:
    # 10,000 errors of nothing leave the customers': hypot(300, 40) = 302.65, 1.6449 times that is 497.8 from 1,500.
    level = [replace(run, contract=run.contract.model_copy(update={"total_errors": (0.0,) * 10_000})) for run in runs]
    page = Page(write_report(simulated, level, tmp_path / "report.html", scores).read_text(encoding="utf-8"))
    assert "1,002 to 1,998 EUR 90 % interval of that value" in page.text
    assert "67% of the customers hold four fifths of the value" in page.text
    assert "all customers 3 1,500 1,296 to 1,704 1,002 to 1,998" in page.text
    assert "new 2 500 473 to 527 434 to 566" in page.text


def test_value_at_risk_is_told_with_its_interval(
    runs: list[ChampionRun], simulated: Profile, scores: Path, tmp_path: Path
) -> None:
    level = [replace(run, contract=run.contract.model_copy(update={"total_errors": (0.0,) * 10_000})) for run in runs]
    page = Page(write_report(simulated, level, tmp_path / "report.html", scores).read_text(encoding="utf-8"))
    # 0.9 * 1000 + 0.25 * 200 + 0.5 * 300; variances 171,000 + 7,900 + 22,500: 1.6449 * 448.8 = 738.2
    assert "all customers 3 1,100 362 to 1,838" in page.text


def test_amounts_have_the_digits_a_reader_needs() -> None:
    assert [amount(value) for value in (0.0, 0.126, 99.994, 100.0, 1234.5, float("nan"))] == [
        "0", "0.13", "99.99", "100", "1,234", "none",
    ]  # fmt: skip


def test_report_without_scores_has_no_scores_section(page: Page) -> None:
    assert "Where we stand" not in page.text


@pytest.mark.parametrize("task", ["churn", "clv", "segments"])
def test_one_champion_is_enough(task: str, runs: list[ChampionRun], simulated: Profile, tmp_path: Path) -> None:
    alone = [run for run in runs if run.task == task]
    page = Page(write_report(simulated, alone, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(page.addresses) == len(PICTURES[task])


def test_same_inputs_give_the_same_bytes(
    html: str, runs: list[ChampionRun], simulated: Profile, tmp_path: Path
) -> None:
    assert write_report(simulated, runs, tmp_path / "again.html").read_text(encoding="utf-8") == html


def test_report_without_a_champion_is_refused(simulated: Profile, tmp_path: Path) -> None:
    with pytest.raises(NothingToReport) as refused:
        write_report(simulated, [], tmp_path / "report.html")
    message = str(refused.value)
    assert "\n" not in message
    assert "no model has been promoted" in message
    assert "patron promote TASK" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"no parquet"], ids=["missing", "damaged"])
def test_folder_without_scores_is_refused(
    content: bytes | None, runs: list[ChampionRun], simulated: Profile, tmp_path: Path
) -> None:
    if content:
        (tmp_path / "scores.parquet").write_bytes(content)
    with pytest.raises(ScoresNotFound, match=r"scores\.parquet is (missing|damaged)\. Allowed: .* patron score"):
        write_report(simulated, runs, tmp_path / "report.html", tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_report_that_fails_leaves_the_earlier_one(
    runs: list[ChampionRun], simulated: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.html"
    file.write_text("earlier")

    def no_space(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_space)
    with pytest.raises(OutputUnwritable, match="No space left on device"):
        write_report(simulated, runs, file)
    assert file.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("place", ["file/report.html", "folder"])
def test_place_that_cannot_be_written_is_refused(
    place: str, runs: list[ChampionRun], simulated: Profile, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputUnwritable) as refused:
        write_report(simulated, runs, tmp_path / place)
    assert "\n" not in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_missing_folder_is_made(runs: list[ChampionRun], simulated: Profile, tmp_path: Path) -> None:
    assert write_report(simulated, runs, tmp_path / "a" / "b" / "report.html").is_file()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "none"),
        (0.0, "0"),
        (0.12345, "0.123"),
        (-0.5, "-0.500"),
        (9.9994, "9.999"),
        (12.34, "12.3"),
        (999.94, "999.9"),
        (1234.56, "1,235"),
        (-1234567.0, "-1,234,567"),
    ],
)
def test_numbers_have_the_digits_a_reader_needs(value: float, shown: str) -> None:
    assert number(value) == shown


def test_report_knows_every_task() -> None:
    assert set(HEADLINES) == set(TITLES) == set(PICTURES)


def test_propensity_is_not_told_as_churn() -> None:
    words = [words for _, words, _ in HEADLINES["propensity"]]
    assert not any("churn" in each.lower() or "profit" in each for each in words)
    assert [name for name, _, _ in HEADLINES["propensity"]][-1] == "lift_top_decile"
