"""Every feature means something that a reader has a word for."""

import pytest

from features.attributes import attribute
from features.catalogue import CATALOGUE, FEATURE_SETS
from features.meaning import MEANINGS, can_influence, meaning_of, stem_of
from features.occurrences import read_occurrence


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_every_feature_of_every_feature_set_belongs_to_a_meaning(name: str) -> None:
    assert [f.name for f in FEATURE_SETS[name].features if meaning_of(f) not in MEANINGS] == []


def test_what_is_made_for_an_event_belongs_to_the_target() -> None:
    features = read_occurrence("kind = 'app_open'").features()
    assert {meaning_of(feature) for feature in features} == {"target"}


def test_no_feature_has_two_meanings_and_no_meaning_a_feature_there_is_none_of() -> None:
    stems = [stem for meaning in MEANINGS.values() for stem in meaning.stems]
    made = {stem_of(feature.name) for feature in read_occurrence("orders").features()}
    assert len(set(stems)) == len(stems)
    assert set(stems) == {stem_of(name) for name in CATALOGUE} | made


def test_the_last_order_and_the_own_rhythm_are_one_meaning() -> None:
    names = ("days_since_last_order", "order_gap_mean_days", "days_since_last_order_to_gap", "is_late")
    assert {meaning_of(CATALOGUE[name]) for name in names} == {"last_order"}


def test_a_companys_own_column_is_a_meaning_of_its_own_whatever_its_name() -> None:
    assert meaning_of(attribute("frequency", "float64")) == "own.frequency"
    assert not can_influence("own.frequency")


def test_what_the_company_does_can_be_influenced_and_what_customers_do_or_are_cannot() -> None:
    up_to_us = {name for name in MEANINGS if can_influence(name)}
    assert up_to_us == {
        "discounts", "returns", "messages", "campaigns", "service", "survey_answers", "survey_silence", "price",
    }  # fmt: skip
