from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from models.base import Model
from models.churn.calibration import Platt, choose_calibration, log_odds
from models.churn.lightgbm import ChurnLightGBM
from models.churn.logistic import ChurnLogistic
from models.churn.rule import ChurnRule
from models.encoding import MAXIMUM_LEVELS, Encoder
from models.errors import OneClassOnly, TooFewRows, WrongValues
from models.folds import deal

Array = npt.NDArray[np.float64]
Churn = ChurnLightGBM | ChurnLogistic | ChurnRule
ALL = pytest.mark.parametrize("family", [ChurnLightGBM, ChurnLogistic, ChurnRule])
LEARNERS = pytest.mark.parametrize("family", [ChurnLightGBM, ChurnLogistic])
CHANNELS = {"shop": 0.0, "web": -1.0, "app": 1.0}


def customers(count: int, seed: int) -> tuple[pd.DataFrame, Array]:
    """Customers whose churn probability is known: silence against rhythm, complaints and channel decide it."""
    generator = np.random.default_rng(seed)
    since, gap = generator.exponential(60, count), generator.exponential(40, count) + 5
    complaints = generator.poisson(0.4, count).astype(np.float64)
    channel = generator.choice(list(CHANNELS), count)
    push = np.array([CHANNELS[name] for name in channel])
    truth = expit(np.log(since / gap + 0.1) + complaints + push)
    rows = pd.DataFrame(
        {
            "days_since_last_order": since,
            "order_gap_mean_days": np.where(generator.random(count) < 0.2, np.nan, gap),
            "complaint_count_365d": complaints,
            "last_order_channel": pd.Series(channel, dtype=object),
        }
    )
    return rows, truth


def happened(truth: Array, seed: int) -> Array:
    return (np.random.default_rng(seed).random(len(truth)) < truth).astype(np.float64)


def fit(family: type[Churn], rows: pd.DataFrame, target: Array) -> Model:
    return family().fit(rows, target)


def probability(model: Model, rows: pd.DataFrame) -> Array:
    return model.score(rows)["probability_churned"].to_numpy()


@pytest.fixture(scope="module")
def learned() -> dict[type[Churn], Model]:
    rows, truth = customers(4_000, seed=1)
    target = happened(truth, seed=2)
    return {family: fit(family, rows, target) for family in (ChurnLightGBM, ChurnLogistic, ChurnRule)}


@LEARNERS
def test_soft_targets_are_learned_as_the_probabilities_they_are(family: type[Churn]) -> None:
    rows, truth = customers(4_000, seed=1)
    unseen, expected = customers(1_000, seed=3)
    model = fit(family, rows, truth)
    assert np.abs(probability(model, unseen) - expected).mean() < 0.05


def test_rule_averages_soft_targets_in_each_group() -> None:
    # Two groups of 20 around the median; each rate is shrunk by one customer of the overall rate 0.5.
    rows = pd.DataFrame({"days_since_last_order": np.repeat([10.0, 100.0], 20)})
    target = np.repeat([0.3, 0.7], 20)
    scores = probability(ChurnRule(bins=2).fit(rows, target), rows)
    assert scores[[0, 39]].tolist() == pytest.approx([(20 * 0.3 + 0.5) / 21, (20 * 0.7 + 0.5) / 21])


@LEARNERS
def test_learned_probabilities_beat_the_rule_on_unseen_customers(
    learned: dict[type[Churn], Model], family: type[Churn]
) -> None:
    unseen, truth = customers(4_000, seed=3)
    outcome = happened(truth, seed=4)
    losses = {name: log_loss(outcome, probability(model, unseen)) for name, model in learned.items()}
    assert losses[family] < 0.95 * losses[ChurnRule]


@LEARNERS
def test_learned_probabilities_are_near_the_truth(learned: dict[type[Churn], Model], family: type[Churn]) -> None:
    unseen, truth = customers(4_000, seed=3)
    predicted = probability(learned[family], unseen)
    assert np.abs(predicted - truth).mean() < 0.08
    assert predicted.mean() == pytest.approx(truth.mean(), abs=0.02)


@ALL
@settings(max_examples=30, deadline=None)
@given(
    row=st.tuples(
        st.floats(0, 1e9) | st.just(np.nan),
        st.floats(0, 1e9) | st.just(np.nan),
        st.floats(0, 1e9) | st.just(np.nan),
        st.sampled_from([None, "", "shop", "never seen"]),
    )
)
def test_any_row_gets_a_probability(
    learned: dict[type[Churn], Model], family: type[Churn], row: tuple[float, float, float, str | None]
) -> None:
    rows, _ = customers(1, seed=0)
    rows = pd.DataFrame([row], columns=rows.columns).astype({"last_order_channel": object})
    assert 0 <= probability(learned[family], rows)[0] <= 1
    assert np.isfinite(learned[family].explain(rows).to_numpy(dtype=np.float64)).all()


@LEARNERS
def test_a_name_never_seen_scores_like_any_other_name_never_seen(
    learned: dict[type[Churn], Model], family: type[Churn]
) -> None:
    rows = customers(50, seed=5)[0]
    first, second = (rows.assign(last_order_channel=name) for name in ("kiosk", "fax"))
    for frame in (first, second):
        frame["last_order_channel"] = frame["last_order_channel"].astype(object)
    assert np.array_equal(probability(learned[family], first), probability(learned[family], second))


@LEARNERS
def test_channel_moves_the_probability_the_way_it_truly_does(
    learned: dict[type[Churn], Model], family: type[Churn]
) -> None:
    rows = customers(200, seed=5)[0]
    by_channel = {}
    for name in CHANNELS:
        frame = rows.copy()
        frame["last_order_channel"] = pd.Series([name] * len(rows), dtype=object)
        by_channel[name] = probability(learned[family], frame).mean()
    assert by_channel["web"] < by_channel["shop"] < by_channel["app"]


@ALL
def test_too_few_rows_are_refused_with_the_number_needed(family: type[Churn]) -> None:
    rows, truth = customers(19, seed=1)
    with pytest.raises(TooFewRows, match="too few training rows: found 19, needed at least 20"):
        family().fit(rows, happened(truth, 1))


@ALL
def test_no_target_is_refused(family: type[Churn]) -> None:
    with pytest.raises(TooFewRows, match="found 0"):
        family().fit(customers(50, seed=1)[0])


@ALL
@pytest.mark.parametrize(("outcome", "share"), [(0.0, "0%"), (1.0, "100%"), (0.4, "40%")])
def test_customers_who_all_did_the_same_are_refused(family: type[Churn], outcome: float, share: str) -> None:
    rows, _ = customers(50, seed=1)
    with pytest.raises(OneClassOnly, match=f"{share} of 50 training rows have 'churned'"):
        family().fit(rows, np.full(50, outcome))


@ALL
@pytest.mark.parametrize("wrong", [-0.1, 1.5, np.nan])
def test_a_target_that_is_no_probability_is_refused(family: type[Churn], wrong: float) -> None:
    rows, truth = customers(50, seed=1)
    target = happened(truth, 1)
    target[7] = wrong
    with pytest.raises(WrongValues, match=f"'churned' holds 1 value.*{wrong}.*probabilities from 0 to 1"):
        family().fit(rows, target)


def test_logistic_equals_the_probabilities_of_scikit_learn() -> None:
    rows, truth = customers(500, seed=1)
    target = happened(truth, 2)
    numbers = np.log1p(rows[["days_since_last_order", "order_gap_mean_days", "complaint_count_365d"]].to_numpy())
    scaled = (numbers - np.nanmean(numbers, axis=0)) / np.nanstd(numbers, axis=0)
    levels = rows["last_order_channel"].value_counts().index
    names = np.column_stack([rows["last_order_channel"] == level for level in levels])
    design = np.column_stack([np.nan_to_num(scaled), np.isnan(numbers), names]).astype(np.float64)
    order = np.argsort(-target, kind="stable")
    theirs = LogisticRegression(C=0.7, max_iter=2_000).fit(design[order], target[order])
    ours = ChurnLogistic(C=0.7).fit(rows, target)
    np.testing.assert_allclose(probability(ours, rows), theirs.predict_proba(design)[:, 1], rtol=1e-9)


def test_logistic_weighs_silence_of_its_own() -> None:
    generator = np.random.default_rng(0)
    silent = generator.random(1_000) < 0.5
    rows = pd.DataFrame({"score": np.where(silent, np.nan, generator.normal(size=1_000))})
    target = (generator.random(1_000) < np.where(silent, 0.9, 0.1)).astype(np.float64)
    model = ChurnLogistic().fit(rows, target)
    assert probability(model, pd.DataFrame({"score": [np.nan, 0.0]})).tolist() == pytest.approx([0.9, 0.1], abs=0.05)


def test_logistic_contributions_of_the_training_rows_average_to_zero() -> None:
    rows, truth = customers(500, seed=1)
    model = ChurnLogistic().fit(rows, happened(truth, 2))
    np.testing.assert_allclose(model.explain(rows).mean(), 0.0, atol=1e-12)


@LEARNERS
def test_contributions_and_one_base_for_all_add_up_to_the_log_odds_of_the_score(
    learned: dict[type[Churn], Model], family: type[Churn]
) -> None:
    rows = customers(300, seed=5)[0]
    model = learned[family]
    base = logit(probability(model, rows)) - model.explain(rows).sum(axis=1).to_numpy()
    np.testing.assert_allclose(base, base[0], atol=1e-9)


def test_base_of_the_lightgbm_contributions_is_the_calibrated_mean_of_the_trees(
    learned: dict[type[Churn], Model],
) -> None:
    model = learned[ChurnLightGBM]
    assert isinstance(model, ChurnLightGBM)
    rows = customers(300, seed=5)[0]
    matrix = model.encoder_.transform(rows)
    means = [np.asarray(booster.predict(matrix, pred_contrib=True))[:, -1] for booster in model.boosters_]
    base = model.calibration_.log_odds(np.mean(means, axis=0))
    np.testing.assert_allclose(
        base + model.explain(rows).sum(axis=1), logit(probability(model, rows)), rtol=0, atol=1e-9
    )


def test_rule_explains_by_days_since_the_last_order_alone(learned: dict[type[Churn], Model]) -> None:
    rows = customers(100, seed=5)[0]
    shares = learned[ChurnRule].explain(rows)
    assert (shares.drop(columns="days_since_last_order") == 0).all(axis=None)
    assert (shares["days_since_last_order"].to_numpy() > 0).any()
    assert list(shares.columns) == list(rows.columns)


def test_rule_gives_customers_who_ordered_as_long_ago_the_same_probability(learned: dict[type[Churn], Model]) -> None:
    rows = customers(100, seed=5)[0].assign(days_since_last_order=33.0)
    assert np.unique(probability(learned[ChurnRule], rows)).size == 1


def test_rule_keeps_its_groups_when_some_last_orders_are_unknown() -> None:
    rows, truth = customers(400, seed=1)
    rows.loc[::10, "days_since_last_order"] = np.nan
    model = ChurnRule(bins=4).fit(rows, happened(truth, 2))
    assert np.unique(probability(model, rows)).size == 4
    longest = int(np.nanargmax(rows["days_since_last_order"]))
    assert probability(model, rows)[0] == probability(model, rows)[longest]


def test_rule_without_any_known_last_order_is_the_overall_rate() -> None:
    rows = pd.DataFrame({"days_since_last_order": np.full(40, np.nan)})
    target = np.repeat([0.0, 1.0], 20)
    assert probability(ChurnRule().fit(rows, target), rows).tolist() == pytest.approx([0.5] * 40)


def test_same_seed_gives_the_same_lightgbm_text_and_another_seed_another() -> None:
    rows, truth = customers(600, seed=1)
    target = happened(truth, 2)
    texts = [ChurnLightGBM(maximum_trees=40, random_state=seed).fit(rows, target).state().texts for seed in (3, 3, 4)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_lightgbm_stops_before_it_learns_noise(learned: dict[type[Churn], Model]) -> None:
    generator = np.random.default_rng(0)
    rows = customers(1_000, seed=1)[0]
    noise = fit(ChurnLightGBM, rows, (generator.random(1_000) < 0.5).astype(np.float64))
    assert noise.fitted_parameters()["trees"] < learned[ChurnLightGBM].fitted_parameters()["trees"]
    assert probability(noise, rows).std() < 0.1


def test_lightgbm_on_features_that_say_nothing_gives_everyone_the_overall_rate() -> None:
    rows = pd.DataFrame({"days_since_last_order": np.full(200, 5.0)})
    model = ChurnLightGBM().fit(rows, np.repeat([0.0, 1.0, 1.0, 1.0], 50))
    smoothed = (150 * 151 / 152 + 50 * 1 / 52) / 200  # Platt (1999) puts (n + 1) / (n + 2) and 1 / (n + 2) for 1 and 0
    np.testing.assert_allclose(probability(model, rows), smoothed, atol=1e-6)


def test_few_rows_make_nobody_certain() -> None:
    rows = customers(25, seed=1)[0]
    model = ChurnLightGBM().fit(rows, np.repeat([0.0, 1.0], [2, 23]))
    assert 0.5 < np.max(probability(model, rows)) < 0.99


def test_each_booster_of_lightgbm_stops_on_customers_whose_rows_it_has_not_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, truth = customers(400, seed=1)
    rows.index = pd.Index(np.arange(400) // 4)  # four rows a customer
    seen: list[list[int]] = []
    subset = lightgbm.Dataset.subset

    def spy(self: lightgbm.Dataset, used_indices: list[int], *others: Any) -> lightgbm.Dataset:
        seen.append(sorted({int(rows.index[i]) for i in used_indices}))
        return subset(self, used_indices, *others)

    monkeypatch.setattr(lightgbm.Dataset, "subset", spy)
    ChurnLightGBM(maximum_trees=5).fit(rows, happened(truth, 2))
    learned, unseen = seen[::2], seen[1::2]
    assert [sorted(inside + outside) for inside, outside in zip(learned, unseen, strict=True)] == [[*range(100)]] * 5
    assert sorted(customer for outside in unseen for customer in outside) == [*range(100)]


def test_folds_of_many_rows_are_not_each_left_out_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, truth = customers(500, seed=1)
    monkeypatch.setattr("models.churn.lightgbm.FOLDED_ROWS", 500)
    model = ChurnLightGBM(maximum_trees=5).fit(rows, happened(truth, 2))
    assert list(model.state().texts) == ["booster_0.txt"]


def test_lightgbm_is_calibrated_on_what_each_booster_said_of_customers_it_had_not_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, truth = customers(300, seed=1)
    target = happened(truth, 2)
    told: list[Array] = []

    def spy(log_odds: Array, *others: Any) -> Any:
        told.append(log_odds)
        return choose_calibration(log_odds, *others)

    monkeypatch.setattr("models.churn.lightgbm.choose_calibration", spy)
    model = ChurnLightGBM().fit(rows, target)
    matrix = model.encoder_.transform(rows)
    said = np.array([booster.predict(matrix, raw_score=True) for booster in model.boosters_])
    fold = deal(np.arange(300), target, 5, 0)
    np.testing.assert_allclose(told[0], said[fold, np.arange(300)], rtol=0, atol=1e-12)


def test_lightgbms_probabilities_are_neither_too_bold_nor_too_timid() -> None:
    rows, truth = customers(4_000, seed=11)
    unseen, unseen_truth = customers(4_000, seed=7)
    predicted = probability(ChurnLightGBM().fit(rows, happened(truth, 2)), unseen)
    assert np.polyfit(predicted, unseen_truth, 1)[0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("slope", "intercept"), [(0.4, 1.0), (2.5, -0.7), (1.0, 0.0)])
def test_platt_recovers_a_known_distortion(slope: float, intercept: float) -> None:
    # Targets are the exact probabilities, so that only Platt's smoothing by one customer in 20,000 is left.
    raw = np.random.default_rng(0).normal(0, 1.5, 20_000)
    found = Platt.fit(raw, np.asarray(expit(slope * raw + intercept)))
    assert found.slope == pytest.approx(slope, rel=2e-3)
    assert found.intercept == pytest.approx(intercept, abs=2e-3)


def test_platt_makes_overconfident_scores_mean_what_they_say() -> None:
    # Standard error of the mean outcome in a tenth of 20,000 customers is at most 0.012.
    raw = np.random.default_rng(0).normal(0, 1.0, 20_000)
    outcome = happened(np.asarray(expit(raw)), seed=1)
    calibrated = Platt.fit(3 * raw, outcome).apply(3 * raw)
    for group in np.array_split(np.argsort(raw), 10):
        assert outcome[group].mean() == pytest.approx(calibrated[group].mean(), abs=0.045)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_platt_on_five_rows_of_one_outcome_says_six_in_seven_as_platt_1999(outcome: float) -> None:
    found = Platt.fit(np.linspace(-1, 1, 5), np.full(5, outcome)).apply(np.zeros(1))
    assert found[0] == pytest.approx(6 / 7 if outcome else 1 / 7, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 1)), min_size=1, max_size=50))
def test_platt_keeps_the_order_of_any_scores_and_gives_probabilities(rows: list[tuple[float, float]]) -> None:
    raw, target = np.array(rows).T.copy()
    calibrated = Platt.fit(raw, target).apply(np.sort(raw))
    assert (np.diff(calibrated) >= 0).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


def test_log_odds_are_finite_for_certainty() -> None:
    found = log_odds(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(found).all()
    assert found[1] == 0
    assert found[0] == pytest.approx(-found[2])


def names(*values: str | None) -> pd.DataFrame:
    return pd.DataFrame({"channel": pd.Series(values, dtype=object), "count": np.arange(len(values), dtype=np.float64)})


def test_names_are_coded_by_frequency_then_alphabet() -> None:
    encoder = Encoder.fit(names("web", "app", "shop", "shop", "app", "kiosk", None))
    assert encoder.levels == {"channel": ("app", "shop", "kiosk", "web")}


def test_a_missing_name_is_missing_and_one_never_seen_is_the_code_after_the_last() -> None:
    encoder = Encoder.fit(names("web", "web", "app"))
    codes = encoder.transform(names("app", None, "fax", "web"))[:, 0]
    np.testing.assert_array_equal(codes, [1, np.nan, 2, 0])


def test_only_the_most_frequent_names_have_a_code() -> None:
    many = [f"name{i:03}" for i in range(MAXIMUM_LEVELS + 1)]
    encoder = Encoder.fit(names(*many, *many[1:]))
    assert len(encoder.levels["channel"]) == MAXIMUM_LEVELS
    assert encoder.transform(names(many[0]))[0, 0] == MAXIMUM_LEVELS


def test_a_column_of_names_that_are_all_missing_has_no_codes() -> None:
    encoder = Encoder.fit(names(None, None))
    assert encoder.levels == {"channel": ()}
    assert np.isnan(encoder.transform(names(None))[0, 0])
    assert encoder.transform(names("web"))[0, 0] == 0


def test_an_encoder_survives_its_state() -> None:
    encoder = Encoder.fit(names("web", "app", None))
    assert Encoder.from_state(encoder.state()) == encoder
