"""Lifetime value of subscriptions: trained, measured on what subscriptions really paid, promoted, scored."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CLV_CONTRACTUAL
from features.errors import FeaturesUnavailable, MissingTable
from features.profile import Profile
from models.clv.renewals.shifted_beta_geometric import Outcomes
from models.clv.renewals.subscribers import Subscribers
from models.families import families_of
from training.config import TrainConfig
from training.errors import ConfigInvalid, NothingToTrain
from training.fit import fit
from training.job import against
from training.promote import promote
from training.reporting.survival_plot import draw_survival, kaplan_meier, survival_curve
from training.result import FitResult
from training.rows.labels import future_payments

START = datetime(2022, 1, 1, tzinfo=UTC)
CUTOFF = START + timedelta(days=900)
MONTH = 30.4375


@dataclass(frozen=True)
class Made:
    """Subscriptions as tables."""

    subscriptions: pd.DataFrame

    def profile(self, make_profile: Callable[..., Profile], **tables: pd.DataFrame) -> Profile:
        from features.profile import profile_from_tables

        ids = sorted(
            {customer for frame in (self.subscriptions, *tables.values()) for customer in frame["customer_id"]}
        )
        del make_profile
        return profile_from_tables(
            {"customers": pd.DataFrame({"customer_id": ids}), "subscriptions": self.subscriptions, **tables}
        )


def days_after(days: Any) -> Any:
    return pd.to_datetime(START) + pd.to_timedelta(np.asarray(days, dtype=float), unit="D")


def terms(*rows: tuple[str, float, float | None, float]) -> Made:
    """Customer, start and end in days since START, price a month."""
    ids, begun, ended, price = zip(*rows, strict=True)
    return Made(
        pd.DataFrame(
            {
                "customer_id": ids,
                "subscription_id": [f"s{i}" for i in range(len(rows))],
                "started_at": days_after(begun).astype("datetime64[us, UTC]"),
                "ended_at": days_after([np.nan if end is None else end for end in ended]).astype("datetime64[us, UTC]"),
                "monthly_value": price,
                "currency": "EUR",
            }
        )
    )


@pytest.fixture(scope="module")
def subscribers(make_profile: Callable[..., Profile]) -> Profile:
    """Subscribers of 1,080 days who differ much in loyalty, and one new one at the end."""
    generator = np.random.default_rng(3)
    begun = generator.uniform(0, 1_079, 2_500)
    lasts = generator.geometric(generator.beta(0.6, 3.0, 2_500)) * MONTH
    end = np.where(begun + lasts < 1_080, begun + lasts, np.nan)
    rows = [
        (f"c{i}", b, None if np.isnan(e) else float(e), 10.0 + i % 3)
        for i, (b, e) in enumerate(zip(begun, end, strict=True))
    ]
    return terms(*rows, ("last", 1_079.5, None, 10.0)).profile(make_profile)


@pytest.fixture(scope="module")
def result(subscribers: Profile) -> FitResult:
    return fit("clv", subscribers, TrainConfig(horizon_days=180))[0]


# ---- what happened


def test_what_was_paid_is_counted_renewal_by_renewal(make_profile: Callable[..., Profile]) -> None:
    # Renewals count 33.4375 days after the start and a month each from then on; the window is [900, 1000).
    profile = terms(
        ("stays", 880, None, 10.0),  # renewals on 913.4, 943.9, 974.3
        ("leaves", 880, 945, 10.0),  # two of them
        ("ends on a renewal", 880, 913.4375, 10.0),  # runs until that instant
        ("dearer", 880, 930, 10.0), ("dearer", 930, None, 12.0),
        ("two at once", 880, None, 10.0), ("two at once", 890, 950, 1.0),
        ("pauses", 880, 940, 10.0), ("pauses", 950, None, 10.0),  # not over 943.9
        ("late", 1_500, None, 1.0),
    ).profile(make_profile)  # fmt: skip
    ids = ["stays", "leaves", "ends on a renewal", "dearer", "two at once", "pauses"]
    keys = pd.DataFrame({"customer_id": ids, "prediction_time": pd.Timestamp(CUTOFF)})
    known = Subscribers(
        np.full(6, 20.0), np.ones(6, dtype=bool), np.full(6, 10.0), np.full(6, MONTH), np.full(6, "", dtype=object)
    )
    paid = future_payments(profile, keys, known, 100, profile.known_until)
    assert paid["paid_periods"].tolist() == [3, 2, 1, 3, 3, 2]
    assert paid["paid_value"].tolist() == pytest.approx([30, 20, 10, 10 + 24, 30 + 2, 20])
    assert paid["is_subscribed"].tolist() == [1, 0, 0, 1, 1, 1]


def test_survival_seen_leaves_those_out_whose_future_is_unknown() -> None:
    # Ten at the start, four leave at the first renewal, three are not seen further, one of three leaves at the second.
    outcomes = Outcomes(np.array([4.0, 1.0]), np.array([0.0, 3.0, 2.0]))
    assert kaplan_meier(outcomes).tolist() == pytest.approx([1.0, 0.6, 0.6 * 2 / 3])


# ---- the job


def test_a_profile_of_subscriptions_alone_trains_the_family_of_subscriptions(result: FitResult) -> None:
    assert result.family.name == "clv_contractual"
    assert result.evaluated.contract.currency == "EUR"
    assert "periods paid by subscriptions" in result.evaluated.contract.label
    assert any("expected_orders are periods paid" in warning for warning in result.final.contract.warnings)


def test_it_beats_constant_churn_on_what_subscriptions_really_did(result: FitResult) -> None:
    assert result.skill.low > 0.005
    metrics = result.metrics
    assert abs(metrics["holdout/expected_survival_rate"] - metrics["holdout/survival_rate"]) < 0.04
    assert abs(metrics["holdout/bias_total_value"]) < 0.06
    assert abs(metrics["holdout/coverage_90"] - 0.9) < 0.03
    assert metrics["baseline/log_loss_renewals"] > metrics["holdout/log_loss_renewals"]


def test_measured_are_those_subscribed_at_the_cutoff_and_the_others_are_counted(
    result: FitResult, subscribers: Profile
) -> None:
    holdout = result.prepared.splits["holdout"]
    rows = subscribers.backend.to_pyarrow(subscribers.tables["subscriptions"]).to_pandas()
    begun = rows[rows["started_at"] < result.evaluated.contract.cutoff]
    running = ~(begun["ended_at"] < result.evaluated.contract.cutoff)
    assert len(holdout.rows) == int(running.sum())
    assert holdout.log()["left_out"] == {"former": int((~running).sum())}
    assert len(result.prepared.splits["train"].rows) == len(begun)


def test_what_ends_after_the_cutoff_changes_nothing_of_what_is_learned(
    make_profile: Callable[..., Profile], subscribers: Profile
) -> None:
    rows = subscribers.backend.to_pyarrow(subscribers.tables["subscriptions"]).to_pandas()
    open_ended = rows.assign(ended_at=rows["ended_at"].where(rows["ended_at"] < pd.Timestamp(CUTOFF)))
    settings = TrainConfig(horizon_days=180, cutoff=CUTOFF, refit=False)
    models = [
        fit("clv", Made(frame).profile(make_profile), settings)[0].evaluated.model.state()
        for frame in (rows, open_ended)
    ]
    assert models[0] == models[1]


def test_orders_keep_subscriptions_out_of_the_competition_unless_asked_for(simulated: Profile) -> None:
    names = {family.name for family in families_of("clv")}
    assert not any(name.startswith("clv_contractual") for name in names)
    asked = fit("clv", simulated, TrainConfig(horizon_days=90, refit=False), "clv_contractual")
    assert [each.family.name for each in asked] == ["clv_contractual"]


def test_a_champion_of_orders_is_not_compared_with_one_of_subscriptions(
    simulated: Profile, clv_result: FitResult
) -> None:
    asked = fit("clv", simulated, TrainConfig(horizon_days=90, refit=False), "clv_contractual")[0]
    found = against(asked, "7", clv_result.evaluated, simulated)
    assert found.tags["champion_other_label"] == "true"
    assert "orders and margin in 90 days" in found.tags["champion_not_comparable"]


def test_plans_are_measured_on_the_renewals_of_their_own(make_profile: Callable[..., Profile], tmp_path: Any) -> None:
    generator = np.random.default_rng(5)
    begun = generator.uniform(0, 1_800, 3_000)
    yearly = np.arange(3_000) % 3 == 0
    period = np.where(yearly, 12 * MONTH, MONTH)
    end = begun + generator.geometric(np.where(yearly, 0.35, 0.06)) * period
    made = terms(
        *[(f"c{i}", b, float(e) if e < 1_800 else None, 10.0) for i, (b, e) in enumerate(zip(begun, end, strict=True))],
        ("last", 1_799.5, None, 10.0),
    )
    plans = [*np.where(yearly, "year", "month"), "month"]
    profile = Made(made.subscriptions.assign(plan=plans)).profile(make_profile)
    result = fit("clv", profile, TrainConfig(horizon_days=200, refit=False))[0]
    assert any("plan 'year' are renewed every 12 months" in said for said in result.evaluated.contract.warnings)
    holdout = result.prepared.splits["holdout"]
    is_yearly = (holdout.rows["last_subscription_plan"] == "year").to_numpy()
    assert holdout.outcome["due_periods"][is_yearly].max() == 1
    assert holdout.outcome["due_periods"][~is_yearly].max() == 7
    paid = holdout.outcome["paid_value"] / holdout.outcome["paid_periods"].where(holdout.outcome["paid_periods"] > 0)
    assert set(paid[is_yearly].dropna().round(6)) == {120.0}
    for chosen in (is_yearly, ~is_yearly):
        expected, actual = result.measured.scores["expected_orders"][chosen], holdout.outcome["paid_periods"][chosen]
        assert expected.sum() == pytest.approx(actual.sum(), rel=0.1)
    curve = survival_curve(result)
    assert curve.loc[curve["renewals"] == 1, "fitted"].tolist() == pytest.approx([0.94, 0.65], abs=0.05)
    draw_survival(result, tmp_path)


def test_longer_periods_are_taken_as_set(subscribers: Profile) -> None:
    settings = TrainConfig(horizon_days=180, refit=False, model={"period_days": 91.3125})
    result = fit("clv", subscribers, settings)[0]
    assert result.prepared.splits["holdout"].outcome["due_periods"].max() <= 2
    assert abs(result.metrics["holdout/bias_total_value"]) < 0.2


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"gap_days": 7}, "gap_days"), ({"observed_margin": True}, "observed_margin"),
     ({"margin_by_category": {"a": 0.1}}, "margin_by_category")],
)  # fmt: skip
def test_settings_of_orders_are_refused_by_name(changed: dict[str, Any], words: str, subscribers: Profile) -> None:
    with pytest.raises(ConfigInvalid, match=f"setting '{words}' is .*subscriptions"):
        fit("clv", subscribers, TrainConfig(horizon_days=180, **changed))


def test_without_prices_or_subscriptions_it_is_refused(
    make_profile: Callable[..., Profile], cdnow_sample: Profile, subscribers: Profile
) -> None:
    rows = subscribers.backend.to_pyarrow(subscribers.tables["subscriptions"]).to_pandas()
    with pytest.raises(FeaturesUnavailable, match="monthly_value"):
        fit("clv", Made(rows.drop(columns="monthly_value")).profile(make_profile), TrainConfig(horizon_days=180))
    with pytest.raises(MissingTable, match="subscriptions"):
        fit("clv", cdnow_sample, TrainConfig(horizon_days=90), "clv_contractual")


def test_nobody_running_at_the_cutoff_is_said(make_profile: Callable[..., Profile]) -> None:
    profile = terms(*[(f"c{i}", i, i + 100, 9.0) for i in range(50)], ("late", 400, None, 9.0)).profile(make_profile)
    with pytest.raises(NothingToTrain, match="no subscription was running at 2022-12-"):
        fit("clv", profile, TrainConfig(horizon_days=60))


# ---- onwards


def test_its_plot_is_written_with_its_data(result: FitResult, tmp_path: Any) -> None:
    pictures = draw_survival(result, tmp_path / "plots")
    assert [path.name for path in pictures] == ["survival.png"]
    curve = pd.read_csv(tmp_path / "plots" / "survival.csv")
    assert float((curve["fitted"] - curve["seen"]).abs().iloc[:12].max()) < 0.04
    assert set(pd.read_csv(tmp_path / "plots" / "paid_periods.csv")) == {
        "renewals",
        "rows",
        "actual",
        "expected",
        "baseline",
    }


def test_it_is_tracked_and_promoted(result: FitResult, empty_store: Any) -> None:
    tracked = empty_store.tracker.track(result, register=True)
    assert tracked.model_version == "1"
    decision = promote("clv", empty_store.uri)
    assert decision.promoted, decision.failed
    without = {"last_subscription_plan", "days_to_term"}  # which these subscriptions do not say
    assert {feature.name for feature in result.final.contract.features} == set(CLV_CONTRACTUAL.names) - without
