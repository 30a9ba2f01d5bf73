"""What is compiled once answers at every time as what is compiled for it."""

import gc
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import ibis
import pandas as pd
import pytest

from features.attributes import own_features
from features.catalogue import ALL, CLV
from features.engine import builder, prepared
from features.engine.builder import available, build_features
from features.profile import Profile
from features.spec import FeatureSet

ORDERS = (("a", "2024-01-05", 10.0), ("a", "2024-02-09", 20.0), ("b", "2024-02-01", 5.0))


@pytest.fixture
def make(make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]) -> Callable[..., Profile]:
    """A profile of some orders."""
    return lambda *rows: make_profile(make_orders(*rows))


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled, as it happens, with nothing known from before."""
    monkeypatch.setattr(prepared, "_kept", {})
    made: list[str] = []
    compile_once = prepared.text_of

    def noted(rows: ibis.Table) -> str:
        made.append(compile_once(rows))
        return made[-1]

    monkeypatch.setattr(prepared, "text_of", noted)
    return made


@pytest.mark.parametrize("days", [(0.4,), (0, 90, 3_000)])
def test_the_whole_catalogue_is_as_if_compiled_for_these_times(
    small_simulated: Profile, days: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = available(small_simulated, ALL).features
    times = [small_simulated.known_until - timedelta(days=before) for before in days]
    once = build_features(small_simulated, wanted, times)
    monkeypatch.setattr(builder, "can_be_prepared", lambda _: False)
    assert once.combine_chunks().equals(build_features(small_simulated, wanted, times).combine_chunks())


def test_a_question_is_compiled_once_for_all_times(make: Callable[..., Profile], texts: list[str]) -> None:
    profile = make(*ORDERS)
    answers = [build_features(profile, CLV, [profile.known_until - timedelta(days=day)]) for day in range(3)]
    assert len(texts) == 1
    assert [answer.column("T_days")[0].as_py() for answer in answers] == [35, 34, 33]
    for day in range(1, 4):
        build_features(profile, CLV, [profile.known_until, profile.known_until - timedelta(days=day)])
    assert len(texts) == 2  # several at once is another question
    build_features(profile, FeatureSet("fewer", 1, CLV.features[:1]), [profile.known_until])
    assert len(texts) == 3


def test_a_like_profile_gives_answers_of_its_own(make: Callable[..., Profile]) -> None:
    one, other = make(*ORDERS), make(*((who, when, value * 2) for who, when, value in ORDERS))
    values = [build_features(each, CLV, [one.known_until]).column("monetary_value")[0].as_py() for each in (one, other)]
    assert values == [20.0, 40.0]


def test_other_tables_of_the_same_profile_are_another_question(make: Callable[..., Profile]) -> None:
    profile = make(*ORDERS)
    assert build_features(profile, CLV, [profile.known_until]).num_rows == 2
    fewer = {name: table.filter(table.customer_id == "b") for name, table in profile.tables.items()}
    assert build_features(replace(profile, tables=fewer), CLV, [profile.known_until]).num_rows == 1


def test_tables_in_memory_are_compiled_each_time(make: Callable[..., Profile], texts: list[str]) -> None:
    profile = make(*ORDERS)
    kept = ibis.memtable({"customer_id": ["a"]}, schema={"customer_id": "string"})
    tables = {name: table.semi_join(kept, "customer_id") for name, table in profile.tables.items()}
    part = replace(profile, tables=tables)
    assert not prepared.can_be_prepared(part)
    assert build_features(part, CLV, [profile.known_until]).column("customer_id").to_pylist() == ["a"]
    assert not texts


def test_nothing_of_a_profile_is_kept(make: Callable[..., Profile], texts: list[str]) -> None:
    profile = make(*ORDERS)
    build_features(profile, CLV, [profile.known_until])
    assert texts
    backend = weakref.ref(profile.backend)
    del profile
    gc.collect()
    assert backend() is None


def test_only_the_latest_questions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "_kept", {})
    monkeypatch.setattr(prepared, "MOST_KEPT", 2)
    asked: list[str] = []

    def ask(question: str) -> None:
        def work_out() -> str:
            asked.append(question)
            return question

        assert prepared.kept(question, work_out) == question

    for question in ("first", "second", "first", "third", "first", "second"):
        ask(question)
    assert asked == ["first", "second", "third", "second"]


def test_own_columns_are_the_same_question_every_time(own_profile: Profile, texts: list[str]) -> None:
    for _ in range(2):
        own = own_features(own_profile.tables, own_profile.backend)
        build_features(own_profile, FeatureSet("own", 1, own), [own_profile.known_until])
    assert own
    assert len(texts) == 1


def test_threads_may_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "_kept", {})
    monkeypatch.setattr(prepared, "MOST_KEPT", 3)
    asked = [turn % 4 for turn in range(40_000)]
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # else each thread is through with a question before the next is let in
    try:
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda question: prepared.kept(question, lambda: question + 1), asked))
    finally:
        sys.setswitchinterval(often)
    assert answers == [question + 1 for question in asked]
    assert len(prepared._kept) == 3
