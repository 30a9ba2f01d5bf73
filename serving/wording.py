"""How a language says things: plurals, numbers, dates, and the texts of `serving/words`, one file a language."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from string import Formatter
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from features.errors import UnknownName
from features.portrait import MISSING
from serving.phrases import is_unknown

WORDS = Path(__file__).parent / "words"
WINDOW = "window"
DAY_FORMS = ("day", "day_of", "every")


def _english(whole: int | None) -> str:
    return "one" if whole == 1 else "other"


def _russian(whole: int | None) -> str:
    if whole is None:
        return "other"
    tens, ones = whole % 100, whole % 10
    if 11 <= tens <= 14:
        return "many"
    return "one" if ones == 1 else "few" if 2 <= ones <= 4 else "many"


def _polish(whole: int | None) -> str:
    return "one" if whole == 1 else "many" if whole is not None and whole % 10 == 1 else _russian(whole)


PLURALS: Mapping[str, Callable[[int | None], str]] = {"en": _english, "ru": _russian, "pl": _polish}
"""The plural category of a whole number, or of one with decimals (None), as Unicode CLDR has them."""
LANGUAGES = tuple(PLURALS)


class MeaningWords(BaseModel):
    """What a meaning is called, and its phrases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    phrases: dict[str, str]


class Words(BaseModel):
    """One file of `serving/words`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decimal: str
    group: str
    group_from: int
    percent: str
    date: str
    months: tuple[str, ...]
    unknown: str
    yes: str
    no: str
    by: str
    under: str
    forms: dict[str, dict[str, str]]
    effects: dict[str, tuple[str, str]]
    changes: dict[str, str]
    association: str
    meanings: dict[str, MeaningWords]


@dataclass(frozen=True)
class Language:
    """A language with its words.

    Parameters
    ----------
    code : {"en", "ru", "pl"}
        Its ISO 639-1 code.
    words : Words
        Its file.
    """

    code: str
    words: Words

    def number(self, value: float, decimals: int = 2, *, is_fixed: bool = False) -> str:
        """A number with at most, or exactly, so many decimals, in the language's separators."""
        text = f"{value:,.{decimals}f}"
        if "." in text and not is_fixed:
            text = text.rstrip("0").rstrip(".")
        text = "0" if text == "-0" else text
        if abs(value) < self.words.group_from:
            text = text.replace(",", "")
        return text.translate({ord(","): self.words.group, ord("."): self.words.decimal})

    def count(self, form: str, value: float, decimals: int = 2) -> str:
        """So many of something, in the words for that very number or its plural form; days are whole.

        Examples
        --------
        >>> [read_language("ru").count("day", days) for days in (1, 2, 5, 21)]
        ['1 день', '2 дня', '5 дней', '21 день']
        """
        text = self.number(value, 0 if form in DAY_FORMS else decimals)
        whole = None if self.words.decimal in text else abs(round(value))
        forms = self.words.forms[form]
        return (forms.get(text) or forms[PLURALS[self.code](whole)]).format(text)

    def share(self, value: float) -> str:
        """A share as a percentage; decimals only below 1 %."""
        percent = value * 100
        return self.words.percent.format(self.number(percent, 1 if abs(percent) < 1 else 0))

    def money(self, value: float, currency: str | None) -> str:
        """An amount, with its currency where one is known."""
        text = self.number(value, 0 if abs(value) >= 1000 else 2, is_fixed=value != round(value))
        return f"{text}\u00a0{currency}" if currency else text

    def date(self, day: datetime) -> str:
        """A day by the name of its month.

        Examples
        --------
        >>> read_language("pl").date(datetime(2024, 10, 7))
        '7 października 2024'
        """
        return self.words.date.format(day=day.day, month=self.words.months[day.month - 1], year=day.year)

    def text(self, value: Any) -> str:
        """A name as it stands; an unknown one in words, a flag as yes or no."""
        if is_unknown(value) or value == MISSING:
            return self.words.unknown
        if isinstance(value, bool):
            return self.words.yes if value else self.words.no
        return self.number(value) if isinstance(value, int | float) else str(value)

    def shown(self, value: Any, form: str, at: datetime, currency: str | None) -> str:
        """A value of a feature in one of the forms that texts ask for."""
        if form in self.words.forms:
            return self.count(form, value)
        return self._forms[form](value, at, currency)

    @cached_property
    def _forms(self) -> Mapping[str, Callable[[Any, datetime, str | None], str]]:
        return {
            "number": lambda value, *_: self.number(value),
            "share": lambda value, *_: self.share(value),
            "text": lambda value, *_: self.text(value),
            "money": lambda value, _, currency: self.money(value, currency),
            "change": lambda value, *_: self.share(abs((1 + value) / (1 - value) - 1)),
            "date": lambda value, at, _: self.date(at + timedelta(days=math.floor(value))),
        }

    @cached_property
    def _parsed(self) -> dict[tuple[str, str], tuple[tuple[str, str | None, str], ...]]:
        """Every phrase as literal text, the feature after it and its form."""
        return {
            (meaning, name): tuple((literal, field, form or "") for literal, field, form, _ in Formatter().parse(text))
            for meaning, words in self.words.meanings.items()
            for name, text in words.phrases.items()
        }

    def say(
        self, meaning: str, phrase: str, values: Mapping[str, Any], window: int, at: datetime, currency: str | None
    ) -> str:
        """A phrase with its values.

        Parameters
        ----------
        meaning, phrase : str
            Which.
        values : mapping of str to any
            By the features' names without windows.
        window : int
            Days of the window of its first feature.
        at : datetime
            The prediction time, from which dates are counted.
        currency : str or None
            Of amounts.
        """
        parts = []
        for literal, field, form in self._parsed[meaning, phrase]:
            parts.append(literal)
            if field is not None:
                parts.append(self.shown(window if field == WINDOW else values[field], form, at, currency))
        return "".join(parts)

    def title(self, meaning: str) -> str:
        """What a meaning is called; nothing where it has no words of its own."""
        return self.words.meanings[meaning].title if meaning in self.words.meanings else ""


@cache
def read_language(code: str) -> Language:
    """Read a language's words.

    Raises
    ------
    UnknownName
        If it is not one of `LANGUAGES`.
    """
    if code not in LANGUAGES:
        raise UnknownName("language", code, LANGUAGES)
    return Language(code, Words.model_validate(yaml.safe_load((WORDS / f"{code}.yaml").read_text("utf-8"))))
