"""The model card."""

import html
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.reporting.card import NEVER, write_card
from training.result import FitResult


@pytest.fixture(scope="module")
def result(clv_result: FitResult) -> FitResult:
    contract = clv_result.final.contract.model_copy(update={"label": "orders | value <b>"})
    return replace(clv_result, final=replace(clv_result.final, contract=contract), warnings=("low evidence: few",))


@pytest.fixture(scope="module")
def cards(result: FitResult, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    markdown, page = write_card(result, tmp_path_factory.mktemp("card"))
    return markdown.read_text(), page.read_text()


@pytest.mark.parametrize(
    "title",
    ["What it predicts", "Who may use it, and who may not", "Data and period", "How good it is", "Slices", "Limits"],
)
def test_both_cards_have_every_section(title: str, cards: tuple[str, str]) -> None:
    assert f"\n## {title}\n" in cards[0]
    assert f"<h2>{title}</h2>" in cards[1]


def test_cards_say_what_the_run_found(cards: tuple[str, str], result: FitResult) -> None:
    for card in cards:
        assert f"Grade {result.grade}: " in card
        assert f"Of the loss of its baseline {result.compared.name} it takes away {result.skill.value:.1%}" in card
        assert result.final.contract.data_digest in card
        assert "low evidence: few" in card
        assert NEVER in html.unescape(card)
        assert "Simulated data" in card


def test_what_came_from_the_data_is_escaped_in_the_page_alone(cards: tuple[str, str]) -> None:
    assert "orders | value &lt;b&gt;" in cards[1]
    assert "orders | value <b>" in cards[0]


def test_tables_of_the_markdown_card_have_as_many_cells_in_every_row(cards: tuple[str, str]) -> None:
    lines = cards[0].splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("| --- ")]
    assert heads
    for head in heads:
        width = lines[head].count(" --- ")
        i = head + 1
        while i < len(lines) and lines[i].startswith("|"):
            assert lines[i].replace(r"\|", "").count("|") == width + 1
            i += 1


def test_slices_of_low_evidence_are_marked(result: FitResult, tmp_path: Path) -> None:
    marked = replace(result, slices=result.slices.assign(low_evidence=True))
    text = write_card(marked, tmp_path)[0].read_text()
    assert text.count("| low evidence |") == len(result.slices)


def test_an_undated_label_has_a_card(tmp_path: Path, result: Any) -> None:
    contract = result.final.contract.model_copy(update={"is_dated": False, "horizon_days": 0})
    splits = [{**split, "prediction_times": []} for split in result.splits]
    text = write_card(replace(result, final=replace(result.final, contract=contract), splits=splits), tmp_path)[
        0
    ].read_text()
    assert "| train | undated |" in text
    assert "Horizon" not in text
