"""Why a customer has a score: contributions of features, summed by what the features mean, and said in words.

Features that tell the same story (the last order and the usual time between orders) count as one reason, so that three
reasons are three stories. The sum of a group's contributions is exact: it is what the group adds to the score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit, logit

from features.describe import in_words
from features.meaning import OWN_PREFIX, can_influence, meaning_of, window_of
from features.spec import Feature, FeatureSet
from models.base import Array
from models.families import FAMILIES, RANKED, Task
from models.persistence import Kept
from serving.phrases import FACTORS, PHRASES, choose, is_unknown
from serving.wording import Language, read_language

Which = Literal["all", "top", "none"]
WHICH: tuple[Which, ...] = ("all", "top", "none")
"""Whose reasons are told: everybody's, those of the top decile, nobody's."""
REASONS = 3
TOP_PERCENTILE = 90.0
"""From which percentile on a customer is in the top decile."""
PROBABILITIES: tuple[Task, ...] = ("churn", "propensity")
UNWANTED: Mapping[Task, int] = {"churn": 1, "propensity": -1}
"""Whether what raises or what lowers a probability is what one would change."""
EFFECT_UNITS: Mapping[Task, str] = {
    "churn": "probability",
    "clv": "share of the value",
    "segments": "standard deviations",
    "propensity": "probability",
}
REASON_TYPE = pa.struct(
    [
        ("factor", pa.string()),
        ("feature", pa.string()),
        ("value", pa.float64()),
        ("contribution", pa.float64()),
        ("effect", pa.float64()),
        ("can_influence", pa.bool_()),
        ("text", pa.string()),
    ]
)
CHANGE_TYPE = pa.struct(
    [("factor", pa.string()), ("probability", pa.float64()), ("effect", pa.float64()), ("text", pa.string())]
)
LOG_LIMIT = 700.0
LEAST_POINTS = 0.05
LEAST_CHANGE = 0.005
"""A smaller change of a probability would be told as from one percentage to the same."""


class Explains(Protocol):
    """What says of its scores what they are made of: a kept model, or the forecast of customers without an order."""

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Contribution of each factor to each row's score."""

    def reason_values(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Value of each factor of `explain`."""


@dataclass(frozen=True)
class Explained:
    """What scores are explained by.

    Parameters
    ----------
    model : Explains
        What made them.
    features : FeatureSet
        What it takes.
    currency : str or None
        Of amounts.
    """

    model: Explains
    features: FeatureSet
    currency: str | None


@dataclass(frozen=True)
class Account:
    """Why some customers have their scores of one task.

    Parameters
    ----------
    task : {"churn", "clv", "segments", "propensity"}
        Which.
    language : Language
        Of the words.
    currency : str or None
        Of amounts.
    known : mapping of str to Feature
        The model's features.
    groups : mapping of str to tuple of int
        The factors of each meaning, by their place.
    factors : tuple of str
        What contributions are of.
    shares : ndarray of shape (n, factors)
        Contributions.
    scores : ndarray of shape (n,)
        The scores explained.
    values : mapping of str to list
        The factors' values.
    times : list of datetime
        Prediction times.
    """

    task: Task
    language: Language
    currency: str | None
    known: Mapping[str, Feature]
    groups: Mapping[str, tuple[int, ...]]
    factors: tuple[str, ...]
    shares: Array
    scores: Array
    values: Mapping[str, list[Any]]
    times: list[datetime]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The meanings, in the order of the columns of `sums`."""
        return tuple(self.groups)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Columns of `shares` by factor."""
        return {name: place for place, name in enumerate(self.factors)}

    @cached_property
    def sums(self) -> Array:
        """Contribution of each meaning, shape (n, meanings): column by column, so that a lone row sums alike."""
        sums = np.zeros((len(self.shares), len(self.groups)))
        for at, places in enumerate(self.groups.values()):
            for place in places:
                sums[:, at] += self.shares[:, place]
        return sums

    @cached_property
    def effects(self) -> Array:
        """What each meaning changes, shape (n, meanings), against one that is as an average customer's.

        Of a probability the difference to what it would be, of a value the ratio to it less 1, of a segment standard
        deviations.
        """
        if self.task in PROBABILITIES:
            return self.scores[:, None] - self.without
        if self.task == "clv":
            return np.asarray(np.expm1(np.clip(self.sums, -LOG_LIMIT, LOG_LIMIT)), dtype=np.float64)
        return self.sums

    @cached_property
    def without(self) -> Array:
        """The probability if a meaning were as an average customer's, shape (n, meanings)."""
        return np.asarray(expit(logit(self.scores)[:, None] - self.sums), dtype=np.float64)

    @cached_property
    def base(self) -> Array:
        """The probability of a customer of whom everything is average, shape (n,)."""
        return np.asarray(expit(logit(self.scores) - self.sums.sum(axis=1)), dtype=np.float64)

    @cached_property
    def order(self) -> Any:
        """Places of the meanings of each row, the strongest first; ties in the order of the columns."""
        return np.argsort(-np.abs(self.sums), axis=1, kind="stable")

    def reasons(self, row: int) -> list[dict[str, Any]]:
        """The strongest reasons of a row."""
        return [self.reason(row, at) for at in self.order[row][:REASONS] if self.sums[row, at]]

    def reason(self, row: int, at: int) -> dict[str, Any]:
        """One meaning as a reason, said of its strongest feature."""
        meaning = self.names[at]
        contribution, effect = float(self.sums[row, at]), float(self.effects[row, at])
        strongest = self.members(row, at)
        return {
            "factor": meaning,
            "feature": strongest[0],
            "value": _number(self.values[strongest[0]][row]),
            "contribution": contribution,
            "effect": effect,
            "can_influence": can_influence(meaning),
            "text": self._with_effect(self.fact(row, meaning, strongest), contribution, effect),
        }

    def changes(self, row: int) -> list[dict[str, Any]]:
        """What the company can influence and moves a row's probability the unwanted way, the strongest first."""
        language, now = self.language, float(self.scores[row])
        words, found = language.words.changes[self.task], []
        for at in self.order[row]:
            name = self.names[at]
            if can_influence(name) and self.sums[row, at] * UNWANTED[self.task] > 0:
                then = float(self.without[row, at])
                text = words.format(title=language.title(name), then=language.share(then), now=language.share(now))
                found.append({"factor": name, "probability": then, "effect": then - now, "text": text})
        return found

    def labelled_changes(self, row: int) -> list[dict[str, Any]]:
        """The strongest of them worth a word, each labelled an association: they are read without any other label."""
        label = self.language.words.association
        worth = [each for each in self.changes(row) if abs(each["effect"]) >= LEAST_CHANGE]
        return [{**each, "text": f"{each['text']} ({label})"} for each in worth[:REASONS]]

    def members(self, row: int, at: int) -> list[str]:
        """The factors of a meaning, first what moves it most its own way."""
        sign = -1.0 if self.sums[row, at] >= 0 else 1.0
        places = sorted(self.groups[self.names[at]], key=lambda place: sign * self.shares[row, place])
        return [self.factors[place] for place in places]

    def fact(self, row: int, meaning: str, members: Sequence[str]) -> str:
        """What is so of a customer, without what follows from it."""
        values = {name: self.values[name][row] for name in members}
        chosen = choose(PHRASES.get(meaning, ()), members, values)
        if chosen is None:
            return self._plainly(meaning, members[0], values[members[0]], self.times[row])
        phrase, features = chosen
        by_stem = {stem: values[name] for stem, name in features.items()}
        window = window_of(features[phrase.stems[0]]) or 0
        return self.language.say(meaning, phrase.name, by_stem, window, self.times[row], self.currency)

    def _plainly(self, meaning: str, name: str, value: Any, at: datetime) -> str:
        """A feature of which no phrase is true, by its description."""
        feature = self.known.get(name)
        unit = feature.unit if feature else ""
        form = {"days": "day", "share": "share", "currency": "money"}.get(unit, "text")
        if is_unknown(value) or unit == "flag":
            shown = self.language.text(None if is_unknown(value) else bool(value))
        else:
            shown = self.language.shown(value, form, at, self.currency)
        if feature is None or meaning.startswith(OWN_PREFIX):
            return f"{name}: {shown}"
        title = self.language.title(meaning)
        return ", ".join([*([title] if title else []), f"{in_words(feature)}: {shown}"])

    def _with_effect(self, fact: str, contribution: float, effect: float) -> str:
        if not contribution:
            return fact
        up, down = self.language.words.effects[self.task]
        return (up if contribution > 0 else down).format(fact=fact, size=self._size(effect))

    def _size(self, effect: float) -> str:
        size = abs(effect)
        if self.task == "clv":
            return self.language.share(size)
        if self.task == "segments":
            return self.language.count("deviation", size, 1)
        points = size * 100
        if points < LEAST_POINTS:
            return self.language.words.under.format(self.language.count("point", 2 * LEAST_POINTS))
        return self.language.words.by.format(self.language.count("point", points, 1 if points < 1 else 0))


def account_for(
    task: Task,
    explained: Explained,
    frame: pd.DataFrame,
    scores: pd.DataFrame,
    times: list[datetime],
    language: str,
) -> Account:
    """Account for the scores of some rows.

    Parameters
    ----------
    task : {"churn", "clv", "segments", "propensity"}
        Which.
    explained : Explained
        What made the scores.
    frame, scores : pandas.DataFrame of n rows, at least one
        Its features and what it made of them.
    times : list of datetime
        Prediction times.
    language : {"en", "ru", "pl"}
        Of the words.

    Raises
    ------
    UnknownName
        If the language is not one of them.
    """
    contributions = explained.model.explain(frame)
    factors = tuple(map(str, contributions.columns))
    known = {feature.name: feature for feature in explained.features.features}
    groups: dict[str, tuple[int, ...]] = {}
    for place, name in enumerate(factors):
        meaning = meaning_of(known[name]) if name in known else FACTORS.get(name, name)
        groups[meaning] = (*groups.get(meaning, ()), place)
    values = explained.model.reason_values(frame)
    return Account(
        task,
        read_language(language),
        explained.currency,
        known,
        groups,
        factors,
        contributions.to_numpy(),
        scores[RANKED[task]].to_numpy() if task in RANKED else np.zeros(len(frame)),
        {name: values[name].tolist() for name in factors},
        times,
    )


def contribution_unit(kept: Kept) -> str:
    """What a model's contributions are measured in."""
    return FAMILIES[kept.contract.family].reason_unit


def _number(value: Any) -> float | None:
    """A value as a number, where it is one."""
    return float(value) if isinstance(value, int | float) and not is_unknown(value) else None
