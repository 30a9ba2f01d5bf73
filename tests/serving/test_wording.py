"""Every language says everything, with its own plurals, numbers and dates."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from features.catalogue import CATALOGUE
from features.errors import UnknownName
from features.meaning import MEANINGS, stem_of, window_of
from features.occurrences import read_occurrence
from models.families import TASKS
from serving.phrases import FACTORS, PHRASES, Phrase, choose
from serving.wording import LANGUAGES, Language, read_language

EVERY = [read_language(code) for code in LANGUAGES]
AT = datetime(2024, 12, 31, tzinfo=UTC)
WINDOWED = {stem_of(name) for name in CATALOGUE if window_of(name)} | {"target_count"}
PLACEHOLDER = re.compile(r"{(\w+):(\w+)}")
in_every_language = pytest.mark.parametrize("language", EVERY, ids=lambda language: language.code)


def phrases() -> list[tuple[str, Phrase]]:
    return [(meaning, phrase) for meaning, all_of_it in PHRASES.items() for phrase in all_of_it]


def test_every_meaning_has_something_to_say() -> None:
    assert set(PHRASES) == set(MEANINGS) | set(FACTORS.values())
    known = {stem_of(feature.name) for feature in read_occurrence("orders").features()} | set(FACTORS)
    stems = known | {stem_of(name) for name in CATALOGUE}
    assert {stem for _, phrase in phrases() for stem in phrase.stems} <= stems


@in_every_language
def test_every_phrase_of_every_meaning_has_words(language: Language) -> None:
    found = {meaning: set(words.phrases) for meaning, words in language.words.meanings.items()}
    assert found == {meaning: {phrase.name for phrase in said} for meaning, said in PHRASES.items()}
    assert all(words.title for words in language.words.meanings.values())
    assert set(language.words.effects) == set(TASKS)


@in_every_language
def test_words_ask_for_nothing_that_a_phrase_has_not(language: Language) -> None:
    for meaning, phrase in phrases():
        text = language.words.meanings[meaning].phrases[phrase.name]
        asked = {name for name, _ in PLACEHOLDER.findall(text)}
        given = set() if phrase.is_missing else set(phrase.stems)
        assert asked - {"window"} <= given, (meaning, phrase.name)
        assert "window" not in asked or phrase.stems[0] in WINDOWED, (meaning, phrase.name)
        assert len(PLACEHOLDER.findall(text)) == text.count("{"), (meaning, phrase.name)


@in_every_language
@pytest.mark.parametrize("value", [0.5, 1.0, 3.0])
def test_every_phrase_can_be_said(language: Language, value: float) -> None:
    for meaning, phrase in phrases():
        values: dict[str, Any] = dict.fromkeys(phrase.stems, value)
        if phrase.below == 0:
            values[phrase.stems[0]] = -0.5
        if phrase.below == 1:
            values[phrase.stems[0]] = 0.5
        said = language.say(meaning, phrase.name, values, 90, AT, "EUR")
        assert said
        assert "{" not in said


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("en", ["0 days", "1 day", "2 days", "5 days", "11 days", "21 days", "1,001 days"]),
        ("ru", ["0 дней", "1 день", "2 дня", "5 дней", "11 дней", "21 день", "1\u00a0001 день"]),
        ("pl", ["0 dni", "1 dzień", "2 dni", "5 dni", "11 dni", "21 dni", "1001 dni"]),
    ],
)
def test_counts_take_the_plural_of_their_language(code: str, expected: list[str]) -> None:
    assert [read_language(code).count("day", days) for days in (0, 1, 2, 5, 11, 21, 1001)] == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("en", ["1 order", "3 orders", "12 orders", "22 orders", "2.5 orders"]),
        ("ru", ["1 заказ", "3 заказа", "12 заказов", "22 заказа", "2,5 заказа"]),
        ("pl", ["1 zamówienie", "3 zamówienia", "12 zamówień", "22 zamówienia", "2,5 zamówienia"]),
    ],
)
def test_decimals_take_a_plural_of_their_own(code: str, expected: list[str]) -> None:
    assert [read_language(code).count("order", orders) for orders in (1, 3, 12, 22, 2.5)] == expected


@pytest.mark.parametrize(
    ("code", "number", "share", "money", "date"),
    [
        ("en", "12,345.68", "0.4%", "19.90\u00a0EUR", "7 October 2024"),
        ("ru", "12\u00a0345,68", "0,4\u00a0%", "19,90\u00a0EUR", "7 октября 2024 г."),  # noqa: RUF001 - Russian
        ("pl", "12\u00a0345,68", "0,4%", "19,90\u00a0EUR", "7 października 2024"),
    ],
)
def test_numbers_and_dates_are_written_as_the_language_does(
    code: str, number: str, share: str, money: str, date: str
) -> None:
    language = read_language(code)
    assert language.number(12345.678) == number
    assert language.share(0.004) == share
    assert language.money(19.90, "EUR") == money
    assert language.date(datetime(2024, 10, 7, tzinfo=UTC)) == date


def test_a_term_is_told_by_its_day() -> None:
    said = read_language("en").say("subscription", "ends", {"days_to_term": 12.5}, 0, AT, None)
    assert said == "the subscription's term ends on 12 January 2025, in 12 days"


def test_what_is_said_is_true_of_the_strongest_feature_where_anything_is() -> None:
    values = {"complaint_count_365d": 0.0, "support_contact_count_90d": 3.0}
    by_contacts = choose(PHRASES["service"], ["support_contact_count_90d", "complaint_count_365d"], values)
    by_complaints = choose(PHRASES["service"], ["complaint_count_365d", "support_contact_count_90d"], values)
    assert by_contacts is not None
    assert by_contacts[0].name == "support_contact_count"
    assert by_complaints is not None
    assert by_complaints[0].name == "no_complaint"


def test_of_several_windows_the_strongest_is_told() -> None:
    values = {"order_count_30d": 1.0, "order_count_90d": 4.0}
    chosen = choose(PHRASES["orders"], ["order_count_90d", "order_count_30d"], values)
    assert chosen is not None
    assert chosen[1] == {"order_count": "order_count_90d"}


def test_an_unknown_language_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"unknown language 'de'\. Allowed: 'en', 'pl', 'ru'"):
        read_language("de")
