import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import log_loss, silhouette_score

from features.catalogue import FEATURE_SETS
from features.errors import UnknownName
from models.base import Model, State
from models.contract import Contract
from models.errors import ParameterOutOfRange, UnknownParameter, WrongColumns
from models.families import (
    FAMILIES,
    MOST,
    OUTPUTS,
    RANGES,
    RANKED,
    TASKS,
    Family,
    Outcome,
    Task,
    families_of,
    family,
)
from models.persistence import Kept, load, save
from models.segments.base import log_rfm

Array = npt.NDArray[np.float64]
Rows = dict[str, pd.DataFrame]
Fitted = Callable[[str], Model]
Answers = Callable[[str, str], pd.DataFrame]

ALL = pytest.mark.parametrize("name", FAMILIES)
RIVALS = pytest.mark.parametrize(
    "name", [name for name, family in FAMILIES.items() if not family.is_baseline and family.outcome == "orders"]
)
METHODS = pytest.mark.parametrize("method", ["score", "explain"])


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal to the last bit."""
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def rows_of(name: str, rows: Rows) -> pd.DataFrame:
    return rows[FAMILIES[name].feature_set.name]


def as_text(state: State) -> str:
    return json.dumps([state.parameters, dict(state.texts)], sort_keys=True)


def changed(name: str, value: Any) -> Any:
    return 7 if value is None else min(value + 1, RANGES.get(name, (0, MOST))[1])


@pytest.fixture(scope="module")
def answers(fitted: Fitted, simulated_rows: Rows) -> Answers:
    """What a fitted family answers of all the simulated customers, asked once; not to be changed."""
    return cache(lambda name, method: getattr(fitted(name), method)(rows_of(name, simulated_rows)))


@ALL
def test_clone_is_unfitted_and_has_the_same_settings(name: str, fitted: Fitted) -> None:
    model = fitted(name)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "columns_")


@ALL
def test_every_setting_is_kept_as_given(name: str) -> None:
    wanted = {setting: changed(setting, value) for setting, value in FAMILIES[name].build().get_params().items()}
    assert FAMILIES[name].make(wanted).get_params() == wanted
    assert FAMILIES[name].build().set_params(**wanted).get_params() == wanted


@pytest.mark.parametrize(
    ("name", "setting", "found", "allowed"),
    [
        ("clv_hybrid", "trees", "abc", "a whole number from 1 to 100000"),
        ("clv_hybrid", "trees", 0, "a whole number from 1 to 100000"),
        ("clv_hybrid", "trees", 2.5, "a whole number from 1 to 100000"),
        ("clv_hybrid", "num_leaves", 1, "a whole number from 2 to 131072"),
        ("clv_hybrid", "learning_rate", float("nan"), "a number from 1e-06 to 10"),
        ("clv_hybrid", "margin_rate", True, "a number from -1e"),
        ("churn_lightgbm", "feature_fraction", 7, "a number from 0.001 to 1"),
        ("clv_bgnbd", "penalty", "abc", "a number from 0 to 1e"),
    ],
)
def test_settings_that_no_model_can_take_are_refused_by_name(
    name: str, setting: str, found: object, allowed: str
) -> None:
    with pytest.raises(ParameterOutOfRange, match=f"^{setting} is {found!r}. Allowed: {re.escape(allowed)}"):
        family(name).make({setting: found})


@ALL
def test_settings_survive_the_state(name: str, fitted: Fitted) -> None:
    model = fitted(name)
    assert FAMILIES[name].build.from_state(model.state()).get_params() == model.get_params()


@ALL
def test_refit_equals_a_fresh_fit(name: str, fitted: Fitted, fit_family: Callable[..., Model]) -> None:
    refit = fit_family(name, model=fit_family(name, upto=400))
    assert as_text(refit.state()) == as_text(fitted(name).state())
    assert refit.warnings_ == fitted(name).warnings_


@ALL
def test_same_seed_gives_the_same_scores(
    name: str, fit_family: Callable[..., Model], simulated_rows: Rows, answers: Answers
) -> None:
    assert_same(fit_family(name).score(rows_of(name, simulated_rows)), answers(name, "score"))


@ALL
def test_fit_and_score_leave_the_rows_as_they_were(
    name: str, fit_family: Callable[..., Model], simulated_rows: Rows
) -> None:
    rows = rows_of(name, simulated_rows)
    before = rows.copy(deep=True)
    model = fit_family(name, upto=300)
    model.score(rows)
    model.explain(rows)
    assert_same(rows, before)


@ALL
@METHODS
def test_a_model_made_again_from_json_answers_the_same(
    name: str, method: str, fitted: Fitted, simulated_rows: Rows, answers: Answers
) -> None:
    rows, state = rows_of(name, simulated_rows), fitted(name).state()
    parameters = json.loads(json.dumps(state.parameters, allow_nan=False))
    again = FAMILIES[name].build.from_state(State(parameters, dict(state.texts)))
    assert_same(getattr(again, method)(rows), answers(name, method))


@ALL
@METHODS
def test_a_model_saved_and_loaded_answers_the_same(
    name: str,
    method: str,
    fitted: Fitted,
    simulated_rows: Rows,
    answers: Answers,
    make_contract: Callable[..., Contract],
    tmp_path: Path,
) -> None:
    rows = rows_of(name, simulated_rows)
    contract = make_contract(FAMILIES[name].feature_set, task=FAMILIES[name].task, family=name)
    kept = load(save(Kept(fitted(name), contract), tmp_path / "model"))
    assert kept.contract == contract
    assert_same(getattr(kept.model, method)(rows), answers(name, method))


@ALL
def test_a_model_made_again_remembers_warnings_columns_and_parameters(name: str, fitted: Fitted) -> None:
    model = fitted(name)
    again = FAMILIES[name].build.from_state(model.state())
    assert (again.columns_, again.warnings_) == (model.columns_, model.warnings_)
    assert again.fitted_parameters() == model.fitted_parameters()
    assert as_text(again.state()) == as_text(model.state())


@ALL
@METHODS
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_row_is_answered_the_same_in_a_batch_of_any_size(
    name: str, method: str, size: int, fitted: Fitted, simulated_rows: Rows, answers: Answers
) -> None:
    rows, answer, together = rows_of(name, simulated_rows), getattr(fitted(name), method), answers(name, method)
    for start in range(0, len(rows), max(size, 20)):  # of small batches some from everywhere
        part = rows.iloc[start : start + size]
        assert_same(answer(part), together.iloc[start : start + size].reset_index(drop=True))


@ALL
@METHODS
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_row_is_answered_the_same_in_any_company_and_order(
    name: str, method: str, fitted: Fitted, simulated_rows: Rows, answers: Answers, data: st.DataObject
) -> None:
    rows, answer = rows_of(name, simulated_rows), getattr(fitted(name), method)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=30))
    assert_same(answer(rows.iloc[chosen]), answers(name, method).iloc[chosen].reset_index(drop=True))


@ALL
@METHODS
def test_row_order_is_irrelevant(
    name: str, method: str, fitted: Fitted, simulated_rows: Rows, answers: Answers
) -> None:
    rows, answer = rows_of(name, simulated_rows), getattr(fitted(name), method)
    shuffled = np.random.default_rng(0).permutation(len(rows))
    assert_same(answer(rows.iloc[shuffled]), answers(name, method).iloc[shuffled].reset_index(drop=True))


@ALL
@METHODS
def test_index_of_the_rows_is_irrelevant(name: str, method: str, fitted: Fitted, simulated_rows: Rows) -> None:
    rows, answer = rows_of(name, simulated_rows).iloc[:20], getattr(fitted(name), method)
    assert_same(answer(rows.set_index(pd.Index(range(90, 110)))), answer(rows))


@ALL
@METHODS
def test_memory_layout_of_the_rows_is_irrelevant(
    name: str, method: str, fitted: Fitted, simulated_rows: Rows, answers: Answers
) -> None:
    rows, answer = rows_of(name, simulated_rows), getattr(fitted(name), method)
    numbers = rows.select_dtypes("float64")
    strided = pd.DataFrame(np.ascontiguousarray(numbers.to_numpy()), columns=numbers.columns, copy=False)
    for text in rows.select_dtypes(object):
        strided.insert(list(map(str, rows.columns)).index(str(text)), text, rows[text])
    assert strided.iloc[:, 0].to_numpy().strides != (8,)
    assert_same(answer(strided), answers(name, method))


@ALL
def test_no_rows_are_answered_with_no_rows(name: str, fitted: Fitted, simulated_rows: Rows) -> None:
    rows, model = rows_of(name, simulated_rows), fitted(name)
    for answer in (model.score, model.explain, model.reason_values):
        none, some = answer(rows.iloc[:0]), answer(rows.iloc[:5])
        assert len(none) == 0
        assert list(none.columns) == list(some.columns)
    assert model.score(rows.iloc[:0]).dtypes.equals(model.score(rows.iloc[:5]).dtypes)


@ALL
def test_scores_are_the_columns_of_the_task_without_gaps(name: str, simulated_rows: Rows, answers: Answers) -> None:
    rows, scores = rows_of(name, simulated_rows), answers(name, "score")
    promised = OUTPUTS[FAMILIES[name].task]
    assert list(scores.columns) == list(promised)
    assert scores.index.equals(pd.RangeIndex(len(rows)))
    for column, kind in promised.items():
        assert all(isinstance(value, kind) for value in scores[column].tolist()), column
    assert np.isfinite(scores.select_dtypes("number").to_numpy()).all()


@ALL
def test_scores_keep_the_range_their_names_promise(name: str, answers: Answers) -> None:
    scores = answers(name, "score").select_dtypes("number")
    steps = scores.columns.str.contains("_from_")  # money against an average customer, of either sign
    assert (scores.loc[:, ~steps] >= 0).all(axis=None)
    probabilities = scores.filter(regex="^probability")
    assert (probabilities <= 1).all(axis=None)


@ALL
def test_explanations_are_finite_and_every_factor_has_a_value(
    name: str, fitted: Fitted, simulated_rows: Rows, answers: Answers
) -> None:
    rows, model, shares = rows_of(name, simulated_rows), fitted(name), answers(name, "explain")
    assert np.isfinite(shares.to_numpy(dtype=np.float64)).all()
    assert shares.index.equals(pd.RangeIndex(len(rows)))
    assert set(shares.columns) <= set(model.reason_values(rows).columns)


def without_one(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns=rows.columns[1])


def with_one_more(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(shoe_size=42.0)


def with_one_twice(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows, rows.iloc[:, [1]]], axis=1)


def with_two_swapped(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[[rows.columns[1], rows.columns[0], *rows.columns[2:]]]


@ALL
@pytest.mark.parametrize("method", ["score", "explain", "reason_values"])
@pytest.mark.parametrize(
    ("breaks", "problem"),
    [
        (without_one, "missing '{1}'."),
        (with_one_more, "not known to the model 'shoe_size'."),
        (with_one_twice, "more than once '{1}'."),
        (with_two_swapped, "column 0 is '{1}' where the model has '{0}'."),
    ],
    ids=["missing", "extra", "repeated", "reordered"],
)
def test_other_columns_are_refused_by_name(
    name: str,
    method: str,
    breaks: Callable[[pd.DataFrame], pd.DataFrame],
    problem: str,
    fitted: Fitted,
    simulated_rows: Rows,
) -> None:
    rows = rows_of(name, simulated_rows).iloc[:3]
    with pytest.raises(WrongColumns) as refused:
        getattr(fitted(name), method)(breaks(rows))
    assert problem.format(*rows.columns) in str(refused.value)


@ALL
def test_an_unknown_setting_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(UnknownParameter) as refused:
        FAMILIES[name].make({"colour": "red"})
    known = FAMILIES[name].build().get_params()
    assert f"family '{name}' has no parameter 'colour'. Allowed: " in str(refused.value)
    assert all(repr(setting) in str(refused.value) for setting in known)
    assert known or "none" in str(refused.value)


@ALL
def test_a_family_stands_under_its_name_on_a_feature_set_of_the_catalogue(name: str) -> None:
    found = family(name)
    assert found.name == name
    assert found.task in TASKS
    assert FEATURE_SETS[found.feature_set.name] is found.feature_set


@pytest.mark.parametrize(("task", "outcome"), [*((task, "orders") for task in TASKS), ("clv", "subscriptions")])
def test_a_task_has_exactly_one_baseline_an_outcome_and_at_least_one_rival(task: Task, outcome: Outcome) -> None:
    assert len(families_of(task, baseline=True, outcome=outcome)) == 1
    rivals = families_of(task, baseline=False, outcome=outcome)
    assert rivals
    assert len(families_of(task, outcome=outcome)) == 1 + len(rivals)


def test_every_family_says_by_which_of_its_features_a_customer_is_known() -> None:
    known_by = {"orders": "frequency", "subscriptions": "subscription_spell_days"}
    assert all(known_by[family.outcome] in family.feature_set.names for family in FAMILIES.values())


@pytest.mark.parametrize("task", RANKED)
def test_customers_are_ranked_by_a_score_of_the_task(task: Task) -> None:
    assert OUTPUTS[task][RANKED[task]] is float


def test_an_unknown_family_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"unknown family 'churn_oracle'\. Allowed: 'churn_lightgbm', 'churn_l"):
        family("churn_oracle")


def log_losses(model: Model, rows: pd.DataFrame, learned: int, outcome: Array) -> float:
    scores = model.score(rows.iloc[learned:])
    return float(log_loss(outcome[learned:], scores.iloc[:, 0]))


def poisson_deviance(model: Model, rows: pd.DataFrame, learned: int, orders: Array) -> float:
    expected = model.score(rows.iloc[learned:])["expected_orders"].to_numpy()
    actual = orders[learned:]
    logs = np.where(actual > 0, actual * np.log(np.maximum(actual, 1) / expected), 0)
    return float(2 * np.mean(logs - actual + expected))


def spread(model: Model, rows: pd.DataFrame, learned: int) -> float:
    aside = rows.iloc[learned:]
    return -float(silhouette_score(log_rfm(aside), model.score(aside)["segment_id"]))


@RIVALS
def test_a_family_beats_or_ties_the_baseline_of_its_task_on_customers_never_seen(
    name: str,
    fit_family: Callable[..., Model],
    simulated_rows: Rows,
    churned: Array,
    order_days_after: Callable[[int], Array],
) -> None:
    learned = 1_000
    rival: Family = families_of(FAMILIES[name].task, baseline=True)[0]
    losses = []
    for contender in (name, rival.name):
        model, rows = fit_family(contender, upto=learned), rows_of(contender, simulated_rows)
        if rival.task in {"churn", "propensity"}:
            losses.append(log_losses(model, rows, learned, churned))
        elif rival.task == "clv":
            losses.append(poisson_deviance(model, rows, learned, order_days_after(180)))
        else:
            losses.append(spread(model, rows, learned))
    assert losses[0] <= losses[1]
