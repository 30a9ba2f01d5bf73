"""Churn by a label or of subscribers: whether there is enough, and that training agrees."""

from pathlib import Path

import pandas as pd
import pytest

from features.finding import Finding
from features.profile import open_profile, profile_from_tables
from features.reading.conform import NO_WORDS, YES_WORDS
from features.usability.report import assess, assess_source
from features.usability.sufficiency import Sufficiency
from features.usability.sufficiency_beside_orders import LEAST_OUTCOMES
from training.flat import read_label
from training.rows.usable import LEAST_OUTCOMES as REFUSED_BELOW

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_the_label_of_telco_is_enough_for_churn_without_any_order() -> None:
    found = assess_source(str(EXAMPLES / "telco"))
    churn = found.tasks[0]
    assert (churn.title, churn.verdict) == ("churn (--label has_churned)", "enough")
    assert churn.found == {"customers": 7_043, "churned": 1_869, "active": 5_174}
    assert [task.task for task in found.tasks] == ["churn", "clv", "segments"]
    assert found.document()["tasks"][0]["how"] == "--label has_churned"


def test_the_limit_is_that_of_training() -> None:
    assert LEAST_OUTCOMES == REFUSED_BELOW


def write_labelled(folder: Path, yes: int, no: int, words: tuple[str, str] = ("yes", "no")) -> str:
    answers = [words[0]] * yes + [words[1]] * no + [""]
    rows = [f"c{i},2024-01-01T00:00:00Z,5,{answer}" for i, answer in enumerate(answers)]
    (folder / "flat.csv").write_text("\n".join(["id,at,price,left", *rows]))
    (folder / "profile.yaml").write_text("""
sources: {flat: flat.csv}
tables:
  customers: {from: flat, known_from: at once, columns: {customer_id: id}}
  subscriptions:
    {from: flat, known_from: at once, columns: {customer_id: id, subscription_id: id, started_at: at, ended_at: null}}
labels: {from: flat, columns: {customer_id: id, has_left: '"left"'}}
""")
    return str(folder)


def churn_of(folder: Path, yes: int, no: int, words: tuple[str, str] = ("yes", "no")) -> Sufficiency:
    return assess_source(write_labelled(folder, yes, no, words)).tasks[0]


@pytest.mark.parametrize("words", [*zip(YES_WORDS, NO_WORDS, strict=True), ("Y", "N")])
def test_a_label_is_read_in_every_word_that_training_takes(tmp_path: Path, words: tuple[str, str]) -> None:
    churn = churn_of(tmp_path, 100, 400, words)
    assert (churn.verdict, churn.found) == ("enough", {"customers": 500, "churned": 100, "active": 400})
    told, _ = read_label(open_profile(tmp_path), "has_left")
    assert told.sum() == 100


def test_labels_say_how_many_more_customers_are_needed(tmp_path: Path) -> None:
    churn = churn_of(tmp_path, 19, 600)
    assert churn.verdict == "not enough"
    (need,) = churn.needs
    assert (need.what, need.found, need.needed, need.more) == ("customers whose has_left says yes", 19, 20, 1)
    (finding,) = churn.findings()
    assert isinstance(finding, Finding)
    assert (finding.table, finding.severity) == ("labels", "warning")
    assert "too little for churn (--label has_left): customers whose has_left says yes" in finding.message()


@pytest.mark.parametrize(("yes", "no", "verdict"), [(100, 400, "enough"), (99, 401, "thin"), (20, 20, "thin")])
def test_labels_are_thin_where_a_grade_stays_open(tmp_path: Path, yes: int, no: int, verdict: str) -> None:
    assert churn_of(tmp_path, yes, no).verdict == verdict


@pytest.mark.parametrize(
    ("running", "ended", "verdict"), [(400, 100, "enough"), (400, 99, "thin"), (400, 19, "not enough")]
)
def test_subscriptions_that_ended_teach_which_will(running: int, ended: int, verdict: str) -> None:
    start = pd.Timestamp("2023-01-01", tz="UTC")
    ids = [f"c{i}" for i in range(running + ended)] + ["new"]
    terms = pd.DataFrame({"customer_id": ids, "subscription_id": ids, "monthly_value": 5.0})
    terms["started_at"] = [start] * (running + ended) + [start + pd.Timedelta(days=199)]
    ends = [pd.NaT] * running + [start + pd.Timedelta(days=50)] * ended + [pd.NaT]
    terms["ended_at"] = pd.Series(ends, dtype="datetime64[us, UTC]")
    tables = {"customers": pd.DataFrame({"customer_id": ids}), "subscriptions": terms}
    churn = assess(profile_from_tables(tables)).tasks[0]
    assert (churn.title, churn.verdict) == ("churn over 90 days (--set target=contractual)", verdict)
    assert churn.found == {"customers": running + ended, "churned": ended, "active": running}
