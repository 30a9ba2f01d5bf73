"""The gate before training, on frames made by hand, on the bundled data, and end to end with a planted leak."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from features.catalogue import CATALOGUE, CHURN, FEATURE_SETS
from features.profile import Profile, profile_from_tables
from features.snapshot import RELATIONS
from features.spec import Facts, Feature, FeatureSet
from training.config import TrainConfig
from training.errors import LeakageSuspected
from training.fit import fit
from training.job import train
from training.jobs import JOBS
from training.result import FitResult
from training.rows.leakage import Examined, check_leakage, examine
from training.rows.origin import company_actions, dated_attributes
from training.rows.separation import Classes, Levels, level_rates
from training.rows.splits import Split

Array = npt.NDArray[np.float64]
Leaking = tuple[FeatureSet, list[tuple[Split, Array | None]]]

AT = pd.Timestamp("2024-01-01", tz="UTC")
N = 1_000


def column(name: str, source: Any = "customers", dtype: Any = "float64", unit: str = "score") -> Feature:
    """A feature of that name; what it computes is not asked."""
    return Feature(name, source, dtype, unit, "A column of a test.", lambda facts: facts)


def split_of(values: Any, ids: Any = None, times: Any = AT) -> Split:
    series = pd.Series(list(values), dtype=object if any(isinstance(v, str) for v in values) else float, name="x")
    names = ids if ids is not None else [f"c{i}" for i in np.random.default_rng(1).permutation(len(series))]
    keys = pd.DataFrame({"customer_id": names, "prediction_time": times})
    return Split("train", keys, series.to_frame(), pd.DataFrame(index=keys.index), "")


def look(values: Any, share: Array | None, feature: Feature | None = None, **known: Any) -> Examined:
    """Examine one column, called x; its type follows from its values."""
    split = split_of(values, known.pop("ids", None), known.pop("times", AT))
    text = not pd.api.types.is_numeric_dtype(split.rows["x"])
    made = feature or column("x", dtype="string" if text else "float64", unit="name" if text else "score")
    return examine(split, share, FeatureSet("test", 1, (made,)), **known)


def rules(found: Examined) -> list[str]:
    return [suspect.rule for suspect in found.suspects]


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def churned() -> Array:
    """300 of 1,000 customers churned."""
    return (np.arange(N) < 300).astype(float)


def classes_of(share: Array) -> Classes:
    return Classes.of(share, pd.Series([f"c{i}" for i in range(len(share))]))


# how well a column separates


@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_auc_is_the_area_that_scikit_learn_finds_in_the_better_direction(rows: list[tuple[int, bool]]) -> None:
    values, labels = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    area = roc_auc_score(labels, values)
    assert Levels.of(pd.Series(values), classes_of(labels)).auc() == pytest.approx(max(area, 1 - area))


def test_auc_of_missing_values_is_that_of_the_better_side() -> None:
    # pairs (churned, kept): (2, 1) won, (2, none), (none, 1), (none, none) half; none above: 3.5 / 4, below: 1.5 / 4
    labels = np.array([1.0, 0.0, 1.0, 0.0])
    levels = Levels.of(pd.Series([2.0, 1.0, np.nan, np.nan]), classes_of(labels))
    assert levels.auc(either_way=False) == pytest.approx(2.5 / 4)
    apart = Levels.of(pd.Series([2.0, 3.0, np.nan, np.nan]), classes_of(np.array([0.0, 0.0, 1.0, 1.0])))
    assert apart.auc() == 1.0


def test_a_probable_outcome_counts_for_both_classes_in_part() -> None:
    # weights: churned 0.8 + 0.8, kept 0.2 + 0.2 + 1 + 1; a churned one is above both kept ones, level with the rest
    share = np.array([0.8, 0.8, 0.0, 0.0])
    levels = Levels.of(pd.Series([1.0, 1.0, 0.0, 0.0]), classes_of(share))
    assert levels.auc() == pytest.approx((1.6 * 2.0 + 1.6 * 0.4 / 2) / (1.6 * 2.4))


def test_rows_of_one_customer_count_as_one_customer() -> None:
    once = Classes.of(np.array([1.0, 0.0]), pd.Series(["a", "b"]))
    often = Classes.of(np.array([1.0, 0.0, 0.0, 0.0]), pd.Series(["a", "b", "b", "b"]))
    assert (once.churned.sum(), once.kept.sum()) == (often.churned.sum(), often.kept.sum()) == (1.0, 1.0)


def test_level_that_nobody_shares_says_nothing(churned: Array) -> None:
    names = pd.Series([f"level {i}" for i in range(N)], dtype=object)
    assert level_rates(names, classes_of(churned)).auc(either_way=False) == pytest.approx(0.5)


def test_level_of_one_customer_at_four_times_says_nothing(churned: Array) -> None:
    ids = pd.Series([f"c{i}" for i in range(N)] * 4, dtype=object)
    rates = level_rates(ids, Classes.of(np.tile(churned, 4), ids))
    assert rates.auc(either_way=False) == pytest.approx(0.5)


# columns that alone separate the classes


@pytest.mark.parametrize("sign", [1, -1], ids=["rising", "falling"])
def test_number_that_gives_the_outcome_away_is_named_with_its_figure(
    sign: int, churned: Array, generator: np.random.Generator
) -> None:
    found = look(sign * (churned + generator.normal(0, 0.22, N)), churned)
    assert found.auc["x"] > 0.98
    (suspect,) = found.suspects
    assert (suspect.column, suspect.split) == ("x", "train")
    assert suspect.rule == "alone separates the classes"
    assert suspect.words().startswith("'x' alone separates the classes (on the train rows: ")


def test_strong_number_below_the_limit_passes(churned: Array, generator: np.random.Generator) -> None:
    found = look(churned + generator.normal(0, 0.4, N), churned)
    assert 0.94 < found.auc["x"] < 0.98
    assert not found.suspects


def test_threshold_that_catches_nearly_all_of_a_class_and_hardly_anyone_else_is_found(churned: Array) -> None:
    values = np.where(churned == 1, 3.0, 7.0)
    values[:24] = 7.0  # 92 % of those churned are caught, nobody else: AUC 0.96
    found = look(values + np.arange(N) % 3 / 10, churned)
    assert found.auc["x"] < 0.98
    assert found.suspects[0].found == "<= 3.2 catches 92.0% of those churned and is 100.0% pure, 276 customers"


def test_threshold_that_catches_most_of_those_who_stayed_is_found(churned: Array) -> None:
    values = np.where(churned == 1, 3.0, 7.0)
    values[-50:] = 3.0  # 650 of 700 stayers are above, 2 who churned as well
    values[:2] = 7.0
    found = look(values + np.arange(N) % 3 / 10, churned).suspects[0].found
    assert found == "> 3.2 catches 92.9% of those not churned and is 99.7% pure, 652 customers"


@pytest.mark.parametrize(
    ("missing", "words"), [(1.0, "<= 7.2 or missing catches 100.0% of those churned"), (0.0, "<= 7.2 catches 100.0%")]
)
def test_missing_values_are_counted_on_the_side_they_belong_to(missing: float, words: str, churned: Array) -> None:
    values = np.where(churned == 1, 7.0, 9.0) + np.arange(N) % 3 / 10
    values[np.flatnonzero(churned == missing)[:100]] = np.nan
    assert look(values, churned).suspects[0].found.startswith(words)


def test_level_between_others_is_found_without_an_order(churned: Array, generator: np.random.Generator) -> None:
    values = np.where(churned == 1, 5.0, generator.choice([1.0, 9.0], N))
    values[:20] = 1.0
    assert "= 5 catches 93.3% of those churned" in look(values, churned).suspects[0].found


def test_nearly_everyone_churning_is_no_rule(generator: np.random.Generator) -> None:
    share = (np.arange(20_000) >= 150).astype(float)  # 99.25 % churn: any condition is 99 % pure
    assert not look(generator.normal(0, 1, 20_000), share).suspects


def test_text_of_which_one_level_gives_the_outcome_away_is_named(
    churned: Array, generator: np.random.Generator
) -> None:
    values = np.where(churned == 1, "lost", generator.choice(["gold", "silver"], N))
    values[:20] = "gold"
    found = look(values, churned, dated={"x"})
    assert rules(found) == ["alone separates the classes"]
    assert "= 'lost' catches 93.3% of those churned" in found.suspects[0].found


def test_text_of_which_several_levels_give_the_outcome_away_is_named(
    churned: Array, generator: np.random.Generator
) -> None:
    values = np.where(churned == 1, generator.choice(["lost", "gone"], N), generator.choice(["gold", "silver"], N))
    values[:20] = "gold"
    assert "a group of its levels catches 93.3%" in look(values, churned, dated={"x"}).suspects[0].found


def test_text_of_many_levels_by_chance_passes(churned: Array, generator: np.random.Generator) -> None:
    found = look(generator.choice([f"town {i}" for i in range(400)], N), churned)
    assert found.auc["x"] < 0.6
    assert not found.suspects


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_outcomes_make_no_column_suspect(seed: int, simulated_churn: tuple[Split, Array, FeatureSet]) -> None:
    split, share, features = simulated_churn
    found = examine(split, np.random.default_rng(seed).permutation(share), features)
    assert max(found.auc.values()) < 0.6
    assert not found.suspects


def test_too_few_customers_prove_nothing() -> None:
    share = (np.arange(98) < 49).astype(float)
    assert not look(share, share).suspects
    assert look(np.append(share, [0, 1]), np.append(share, [0, 1])).suspects


def test_outcomes_that_are_probable_only_do_not_prove_a_column_that_follows_them(
    generator: np.random.Generator,
) -> None:
    """The completed label is computed from the history, so the history follows it: that is no leak."""
    share = np.where(np.arange(N) < 600, 0.75, 0.0)
    found = look(share + generator.normal(0, 0.01, N), share)
    assert not found.suspects


# one class only, recorded after the outcome


def test_column_filled_for_one_class_only_is_named(churned: Array, generator: np.random.Generator) -> None:
    values = np.where(churned == 1, generator.normal(0, 1, N), np.nan)
    values[0] = np.nan
    found = look(values, churned)
    assert rules(found) == ["is there for one class only"]
    assert found.suspects[0].found == "filled for 99.7% of those churned and 0.0% of those not"


@pytest.mark.parametrize(
    ("dated", "expected"), [({"y"}, ["looks recorded after the outcome"]), ({"x", "y"}, [])], ids=["undated", "dated"]
)
def test_attribute_filled_for_some_of_one_class_is_suspect_unless_its_time_is_known(
    dated: set[str], expected: list[str], churned: Array
) -> None:
    reason: list[str | None] = [None] * N
    reason[:90] = ["price", "service", "moved"] * 30
    assert rules(look(reason, churned, dated=dated)) == expected
    numbers = np.where(np.arange(N) < 90, 1.5, np.nan)
    assert rules(look(numbers, churned, dated=dated)) == expected


def test_level_of_an_attribute_that_stands_for_one_class_is_named(
    churned: Array, generator: np.random.Generator
) -> None:
    tier = generator.choice(["gold", "silver"], N).astype(object)
    tier[:80] = "closed"
    found = look(tier, churned)
    assert rules(found) == ["looks recorded after the outcome"]
    assert found.suspects[0].found == "= 'closed' catches 26.7% of those churned and is 100.0% pure, 80 customers"


def test_level_of_those_who_stay_as_nearly_everyone_does_passes() -> None:
    share = (np.arange(4_000) < 200).astype(float)  # 5 % churn, of the gold tier none of 150
    tier = np.where(np.arange(4_000) < 3_850, "silver", "gold")
    assert not look(tier, share).suspects


def test_facts_with_a_clock_are_not_taken_for_recorded_later(churned: Array) -> None:
    complaint = np.where(np.arange(N) < 90, 1.5, np.nan)
    assert not look(complaint, churned, column("x", source="events")).suspects


# identifiers


@pytest.mark.parametrize("share", [True, False], ids=["labelled", "without labels"])
def test_text_with_a_level_a_customer_is_an_identifier(share: bool, churned: Array) -> None:
    found = look([f"anna{i}@example.org" for i in range(N)], churned if share else None)
    assert rules(found) == ["is an identifier"]
    assert found.suspects[0].found == "1,000 levels for 1,000 customers"


def test_identifier_at_several_prediction_times_is_found(churned: Array) -> None:
    ids = [f"c{i}" for i in range(N)] * 2
    times = [AT] * N + [AT + pd.Timedelta(days=30)] * N
    found = look([f"mail {i}" for i in range(N)] * 2, np.tile(churned, 2), ids=ids, times=times)
    assert rules(found) == ["is an identifier"]


@pytest.mark.parametrize("ids", [range(1, N + 1), [f"c{i:04d}" for i in range(N)], [f"c{i}" for i in range(N)]])
def test_whole_numbers_in_the_order_of_customer_ids_are_an_identifier(ids: Any, churned: Array) -> None:
    share = np.random.default_rng(3).permutation(churned)
    numbers = np.arange(5_000, 5_000 + 7 * N, 7.0)
    assert rules(look(numbers, share, ids=list(map(str, ids)))) == ["is an identifier"]
    assert not look(numbers + 0.5, share, ids=list(map(str, ids))).suspects
    assert not look(np.random.default_rng(4).permutation(numbers), share, ids=list(map(str, ids))).suspects


def test_age_of_customers_who_joined_one_after_the_other_is_no_identifier(churned: Array) -> None:
    share = np.random.default_rng(3).permutation(churned)
    age = column("x", source="order_days", unit="days")
    assert not look(np.arange(N, 0, -1.0), share, age, ids=[f"c{i:04d}" for i in range(N)]).suspects


# the company's actions


@pytest.fixture
def contact(churned: Array, generator: np.random.Generator) -> Array:
    """Strong, and below what any column may reach: AUC between 0.90 and 0.98."""
    return np.asarray(churned + generator.normal(0, 0.45, N))


def test_what_the_company_did_may_separate_less_than_what_customers_do(contact: Array, churned: Array) -> None:
    found = look(contact, churned, column("x", source="events"), actions={"x"})
    assert 0.90 < found.auc["x"] < 0.98
    assert rules(found) == ["is the company's action, not the customer's"]
    assert not look(contact, churned, column("x", source="events")).suspects


def counted(name: str, *kinds: str) -> Feature:
    def build(events: Facts) -> Any:
        chosen = events.kind == kinds[0] if len(kinds) == 1 else events.kind.isin(kinds)
        return events.count(where=chosen)

    return Feature(name, "events", "int64", "events", "Events of some kinds.", build)


def test_campaigns_and_events_that_only_the_company_sends_are_its_actions(
    simulated: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RELATIONS, "campaigns", lambda snapshot: snapshot.spine())
    sent, mixed = counted("sent", "email_sent"), counted("mixed", "email_sent", "email_open")
    both = counted("both", "letter_sent", "outbound_call")
    ratio = Feature("ratio", (sent, both), "float64", "ratio", "One over the other.", lambda one, other: one / other)
    reply = Feature("reply", (sent, mixed), "float64", "ratio", "One over the other.", lambda one, other: one / other)
    declared = FeatureSet("test", 1, (sent, mixed, both, ratio, reply, column("cost", source="campaigns")))
    assert company_actions(simulated, declared) == {"sent", "both", "ratio", "cost"}


def test_what_customers_do_is_nobody_elses_action(simulated: Profile) -> None:
    assert not company_actions(simulated, CHURN)


# legitimate signals


@pytest.fixture(scope="module")
def simulated_churn(store: Any) -> tuple[Split, Array, FeatureSet]:
    """The simulated customers at the cutoff, with what came after."""
    prepared = store.trained["churn"][0].result.prepared
    split = prepared.splits["holdout"]
    return split, split.outcome["churned"].to_numpy(), prepared.features


def old_base(generator: np.random.Generator) -> tuple[Array, Array]:
    """Weekly shoppers, most of whom left years ago: days since the last order, and whether they come back."""
    share = (np.arange(5_000) < 4_000).astype(float)
    return np.where(share == 1, generator.uniform(30, 3_000, 5_000), generator.exponential(7, 5_000)), share


def test_long_silence_is_a_legitimate_sign_however_strong(generator: np.random.Generator) -> None:
    since, share = old_base(generator)
    found = look(since, share, replace(CATALOGUE["days_since_last_order"], name="x"))
    assert found.auc["x"] > 0.98
    assert not found.suspects


def test_what_is_computed_from_order_history_is_as_legitimate(generator: np.random.Generator) -> None:
    since, share = old_base(generator)
    state = np.where(since > 30, "lapsed", "active")
    history = Feature("x", (CATALOGUE["days_since_last_order"],), "string", "name", "State.", lambda since: since)
    assert not look(state, share, history).suspects


def test_attribute_of_an_order_is_suspect_as_any_other(generator: np.random.Generator) -> None:
    since, share = old_base(generator)
    named = replace(CATALOGUE["last_order_channel"], name="x")
    assert rules(look(np.where(since > 30, "closed", "web"), share, named)) == ["alone separates the classes"]


@pytest.mark.parametrize("task", ["churn", "clv", "segments"])
def test_simulated_customers_pass_though_their_churn_is_well_predicted(task: str, store: Any) -> None:
    result: FitResult = store.trained[task][0].result
    labelled = {
        "churn": ["train", "holdout", "refit train"],
        "clv": ["past", "holdout", "refit past"],
        "segments": ["holdout"],
    }
    assert [part.split for part in result.leakage.examined if part.auc] == labelled[task]
    assert not result.leakage.suspected
    assert not any("leakage" in warning for warning in result.warnings)


@pytest.mark.parametrize("task", ["churn", "clv", "segments"])
def test_cdnow_passes(task: Any, cdnow: Profile, utc: Callable[..., datetime]) -> None:
    settings = TrainConfig(cutoff=utc(1997, 10, 1), horizon_days=273)
    job = JOBS[task]
    prepared = job.prepare(settings, cdnow, FEATURE_SETS[task], utc(1997, 10, 1), evaluate=True)
    splits = [(prepared.splits[name], job.churned_share(prepared.splits[name])) for name in ("train", "holdout")]
    checked = check_leakage(cdnow, prepared.features, splits, settings)
    assert not checked.suspected
    assert max(checked.examined[-1].auc.values()) > 0.74


# refused or allowed


@pytest.fixture
def leaking(churned: Array, generator: np.random.Generator) -> Leaking:
    """Two columns that give the outcome away and one that does not."""
    split = split_of(churned)
    rows = pd.DataFrame({"tier": churned, "status": 1 - churned, "age": generator.normal(40, 9, N)})
    features = FeatureSet("test", 1, tuple(column(name) for name in ("tier", "status", "age")))
    return features, [(replace(split, rows=rows), churned)]


def test_every_guilty_column_is_named_in_one_line_with_what_to_do(leaking: Leaking, cdnow_sample: Profile) -> None:
    with pytest.raises(LeakageSuspected) as refused:
        check_leakage(cdnow_sample, *leaking, TrainConfig())
    message = str(refused.value)
    assert "\n" not in message
    assert refused.value.columns == ("tier", "status")
    assert "2 columns" in message
    assert "'tier' alone separates" in message
    assert "'status' alone separates" in message
    assert "catches 100.0% of those churned" in message
    assert "allowed: less than 90% caught or less than 99% pure" in message
    assert "--set leakage_allowed=tier,status or --set leakage=allow" in message


@pytest.mark.parametrize(
    "told", [{"leakage": "allow"}, {"leakage_allowed": ("tier", "status")}], ids=["everything", "by name"]
)
def test_allowed_columns_pass_and_each_is_warned_of(told: Any, leaking: Leaking, cdnow_sample: Profile) -> None:
    checked = check_leakage(cdnow_sample, *leaking, TrainConfig(**told))
    assert list(checked.suspected) == ["tier", "status"]
    assert [warning.split("(")[0] for warning in checked.warnings] == [
        f"leakage allowed by the settings: {name!r} alone separates the classes " for name in ("tier", "status")
    ]


def test_column_that_is_not_named_is_refused_beside_one_that_is(leaking: Leaking, cdnow_sample: Profile) -> None:
    with pytest.raises(LeakageSuspected) as refused:
        check_leakage(cdnow_sample, *leaking, TrainConfig(leakage_allowed=("tier", "age")))
    assert refused.value.columns == ("status",)


@pytest.mark.parametrize(
    ("rows", "tiers", "expected"),
    [
        (None, None, set()),
        (["2023-01-01", None], None, set()),
        (["2023-01-01"] * 2, None, {"tier", "region"}),
        (None, ["2023-01-01", "2023-02-01"], {"tier"}),
        (None, ["2023-01-01", None], set()),
        (None, [None, "2023-01-01"], set()),
        (["2023-01-01", None], [None, "2023-01-01"], {"tier"}),
        (["2023-01-01"] * 2, [None, None], {"tier", "region"}),
    ],
)
def test_attributes_are_dated_if_every_customer_or_every_value_has_a_time(
    rows: Any, tiers: Any, expected: set[str], make_orders: Callable[..., pd.DataFrame]
) -> None:
    customers = pd.DataFrame({"customer_id": ["a", "b"], "tier": ["gold", "silver"], "region": ["north", None]})
    for name, times in (("ingested_at", rows), ("tier_known_from", tiers)):
        if times is not None:
            customers[name] = pd.to_datetime(pd.Series(times), utc=True).astype("datetime64[us, UTC]")
    profile = profile_from_tables({"customers": customers, "orders": make_orders(("a", "2024-01-01T00:00:00Z", 1.0))})
    features = [CATALOGUE[name] for name in ("tier", "region", "frequency")]
    assert dated_attributes(profile, features) == expected


def test_an_attribute_that_a_customer_does_not_have_needs_no_time(make_orders: Callable[..., pd.DataFrame]) -> None:
    known = pd.to_datetime(pd.Series(["2023-01-01", None]), utc=True).astype("datetime64[us, UTC]")
    customers = pd.DataFrame({"customer_id": ["a", "b"], "tier": ["gold", None], "tier_known_from": known})
    profile = profile_from_tables({"customers": customers, "orders": make_orders(("a", "2024-01-01T00:00:00Z", 1.0))})
    assert dated_attributes(profile, [CATALOGUE["tier"]]) == {"tier"}


# end to end


@pytest.fixture(scope="module")
def planted(simulated: Profile, config: TrainConfig) -> Profile:
    """The simulated profile as exported at its end, with the customers lost in the last horizon marked as lost."""
    tables = {name: simulated.backend.to_pyarrow(table).to_pandas() for name, table in simulated.tables.items()}
    for name, frame in tables.items():
        money = [c for c in frame if str(c).endswith(("value", "cost"))]
        tables[name] = frame.astype(dict.fromkeys(money, float))
    orders = tables["orders"]
    since = pd.Timestamp(simulated.known_until) - pd.Timedelta(days=config.horizon_days)
    bought = orders[~orders["is_return"].astype(bool)]
    active = set(bought.loc[bought["event_time"] >= since, "customer_id"])
    lost = ~tables["customers"]["customer_id"].isin(active)
    tables["customers"].loc[lost, "acquisition_channel"] = "lost"
    return profile_from_tables(tables)


@pytest.mark.parametrize("family", ["churn_lightgbm", "churn_logistic"])
def test_attribute_overwritten_for_those_who_left_later_is_refused_by_name(
    family: str, planted: Profile, config: TrainConfig
) -> None:
    with pytest.raises(LeakageSuspected) as refused:
        fit("churn", planted, config, family)
    assert refused.value.columns == ("acquisition_channel",)
    assert "on the holdout rows: = 'lost' catches 100.0% of those churned and is 100.0% pure" in str(refused.value)


def test_refused_training_writes_no_run_and_no_version(planted: Profile, config: TrainConfig, empty_store: Any) -> None:
    with pytest.raises(LeakageSuspected):
        train("churn", planted, config, empty_store.tracker)
    assert not [e for e in empty_store.client.search_experiments() if e.name == "churn"]
    assert not empty_store.client.search_registered_models()


def test_allowed_leak_is_recorded_wherever_the_model_goes(
    planted: Profile, config: TrainConfig, empty_store: Any, tmp_path: Path
) -> None:
    told = config.model_copy(update={"leakage_allowed": ("acquisition_channel",)})
    (trained,) = train("churn", planted, told, empty_store.tracker, "churn_logistic")
    result, client = trained.result, empty_store.client
    said = [warning for warning in trained.document()["warnings"] if "leakage allowed" in warning]
    assert len(said) == 1
    assert "'acquisition_channel'" in said[0]
    assert said[0] in result.evaluated.contract.warnings
    assert said[0] in result.final.contract.warnings
    assert result.final is not result.evaluated
    run = client.get_run(trained.tracked.run_id)
    assert run.data.params["leakage_allowed"] == "acquisition_channel"
    assert run.data.params["leakage"] == "refuse"
    assert run.data.tags["leakage"] == "allowed: acquisition_channel"
    assert client.get_model_version("churn", "1").tags["leakage"] == "allowed: acquisition_channel"
    found = json.loads(Path(client.download_artifacts(run.info.run_id, "leakage.json", str(tmp_path))).read_text())
    assert [part["split"] for part in found] == ["train", "holdout", "refit train"]
    assert next(s["column"] for part in found for s in part["suspects"]) == "acquisition_channel"
    assert found[1]["auc"]["acquisition_channel"] > 0.98


def test_run_without_a_leak_says_what_was_looked_at(store: Any, tmp_path: Path) -> None:
    trained = store.trained["churn"][0]
    run = store.client.get_run(trained.tracked.run_id)
    assert run.data.tags["leakage"] == "none found"
    file = store.client.download_artifacts(run.info.run_id, "leakage.json", str(tmp_path))
    found = json.loads(Path(file).read_text())
    assert found == trained.result.leakage.document()
    assert all(not part["suspects"] for part in found)
    assert set(found[0]["auc"]) == set(trained.result.prepared.features.names)


# what another model has put out


@pytest.mark.parametrize("name", ["Churn Score", "predicted_churn", "RiskClass", "churnProbability"])
def test_output_of_another_model_is_refused_by_name_before_it_separates_the_classes(
    name: str, churned: Array, generator: np.random.Generator
) -> None:
    score = churned * 1.5 + generator.normal(size=N)
    own = look(score, churned, column("x", unit="attribute"))
    assert 0.75 < own.auc["x"] < 0.95
    assert not own.suspects
    split = split_of(score)
    renamed = Split("train", split.keys, split.rows.rename(columns={"x": name}), split.outcome, "")
    (suspect,) = examine(renamed, churned, FeatureSet("test", 1, (column(name, unit="attribute"),))).suspects
    assert (suspect.column, suspect.rule) == (name, "looks like the output of another model")


def test_column_called_a_score_that_tells_little_is_learned_from(
    churned: Array, generator: np.random.Generator
) -> None:
    split = split_of(churned * 0.3 + generator.normal(size=N))
    rows = split.rows.rename(columns={"x": "credit_score"})
    found = examine(
        Split("train", split.keys, rows, split.outcome, ""),
        churned,
        FeatureSet("test", 1, (column("credit_score", unit="attribute"),)),
    )
    assert not found.suspects
    assert found.auc["credit_score"] > 0.55


def test_refusal_can_be_followed_in_a_shell_whatever_the_column_is_called() -> None:
    refusal = str(LeakageSuspected(["Churn Reason"], ["'Churn Reason' is there for one class only"]))
    assert "--set 'leakage_allowed=Churn Reason'" in refusal
