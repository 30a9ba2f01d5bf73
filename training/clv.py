"""Training for lifetime value: orders and margin over the horizon."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from features.builder import available, build_features
from features.instants import days, write_instant
from features.profile import Profile
from features.spec import FeatureSet
from models.base import Array, Model
from models.clv.bgnbd import Histories
from models.clv.btyd import ClvBgNbd, repeat_value
from models.families import Family, Task
from training.config import TrainConfig
from training.errors import NothingToTrain
from training.labels import future_orders
from training.metrics import clv_metrics, coverage, poisson_deviance, value_coverage
from training.splits import Split, window_words
from training.task import Measured, Prepared, TaskJob, by_age, by_frequency, currency_of, keyed_frame, with_future

DRAWS = 200
CALIBRATED, WELL_CALIBRATED = 0.25, 0.15
WEEK_DAYS = 7.0


class ClvJob(TaskJob):
    """Customer lifetime value."""

    task: ClassVar[Task] = "clv"
    primary: ClassVar[str] = "poisson_deviance_orders"

    def prepare(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        """Make the histories at the cutoff; to compete, the same half a history (or one horizon) earlier."""
        found = available(profile, wanted)
        label = f"orders and margin in {config.horizon_days} days"
        train = _rows(profile, found.features, cutoff, "train")
        splits = {"train": train}
        warnings = _short(config, profile, cutoff)
        inner = None
        if evaluate:
            splits["holdout"] = self.holdout(config, profile, found.features, cutoff)
            inner_splits = _backtest(config, profile, found.features, cutoff)
            if inner_splits:
                earlier = inner_splits["train"].keys["prediction_time"].iloc[0].to_pydatetime()
                inner = Prepared(earlier, found.features, found.absent, inner_splits, label)
                splits["validation"] = inner_splits["validation"]
            else:
                warnings.append("low evidence: too few customers had come back for a backtest before the cutoff")
        return Prepared(
            cutoff,
            found.features,
            found.absent,
            splits,
            label,
            currency_of(profile),
            tuple(warnings),
            inner,
        )

    def holdout(self, config: TrainConfig, profile: Profile, features: FeatureSet, cutoff: datetime) -> Split:
        """Everyone who had ordered by the cutoff, and what they ordered in the horizon after it."""
        split = _rows(profile, features, cutoff, "train")
        return _with_future(profile, split, config, "holdout", profile.known_until)

    def learn(self, family: Family, config: TrainConfig, prepared: Prepared) -> Model:
        """Fit to the histories at the cutoff."""
        return family.make({**_terms(config), **config.model}).fit(prepared.splits["train"].rows)

    def measure(self, model: Model, split: Split, config: TrainConfig, prepared: Prepared) -> Measured:
        """Orders, value, totals and coverage against what came after."""
        del prepared
        scores = model.score(split.rows)
        orders, value = split.outcome["order_days"].to_numpy(), split.outcome["order_value"].to_numpy()
        expected = scores["expected_orders"].to_numpy()
        order_value = scores["expected_order_value"].to_numpy()
        expected_value = expected * order_value
        none = np.exp(-expected)
        histories = Histories.of(split.rows)
        if isinstance(model, ClvBgNbd):
            none = model.orders_.probability_no_order(histories, model.horizon_days)
        metrics = clv_metrics(orders, value, expected, expected_value, none)
        if isinstance(model, ClvBgNbd):
            generator = np.random.default_rng(config.random_state)
            draws = np.array(
                [model.orders_.draw_orders(histories, model.horizon_days, generator) for _ in range(DRAWS)]
            )
            metrics |= {f"coverage_{level}": coverage(orders, draws, level / 100, generator) for level in (50, 90)}
            bound = {name: relative * order_value for name, relative in model.bounds(histories).value.items()}
            metrics |= {
                f"coverage_{level}_value": value_coverage(
                    value, bound[f"low_{level}"], bound[f"high_{level}"], none, level / 100, generator
                )
                for level in (50, 90)
            }
        return Measured(metrics, poisson_deviance(orders, expected), scores)

    def validate(self, family: Family, model: Model, config: TrainConfig, prepared: Prepared) -> Measured | None:
        """Backtest: fit at the earlier cutoff, measure up to the cutoff."""
        del model
        if prepared.inner is None:
            return None
        shorter = config.model_copy(update={"horizon_days": (prepared.cutoff - prepared.inner.cutoff).days})
        earlier = self.learn(family, shorter, prepared.inner)
        return self.measure(earlier, prepared.inner.splits["validation"], shorter, prepared.inner)

    def slices(self, split: Split) -> dict[str, pd.Series]:
        """By repeat orders and age."""
        return {"frequency": by_frequency(split), "age": by_age(split)}

    def is_calibrated(self, metrics: Mapping[str, float], *, strictly: bool) -> bool:
        """Total of orders within 25 % of what came, strictly 15 %."""
        return abs(metrics["bias_total_orders"]) <= (WELL_CALIBRATED if strictly else CALIBRATED)

    def evidence(self, split: Split) -> int:
        """Customers who ordered again."""
        return int((split.outcome["order_days"] > 0).sum())

    def reference_scores(self, model: Model, prepared: Prepared) -> Array | None:
        """Values of the customers learned from."""
        return model.score(prepared.splits["train"].rows)["clv"].to_numpy()


def likelihoods(model: Model, split: Split) -> dict[str, float]:
    """Log-likelihoods of the fitted distributions on the training rows, orders with time in days and in weeks."""
    if not isinstance(model, ClvBgNbd):
        return {}
    histories = Histories.of(split.rows)
    in_days = model.orders_.log_likelihood(histories)
    in_weeks = in_days + float(histories.frequency.sum() * np.log(WEEK_DAYS))
    spend = repeat_value(split.rows)
    spends = (histories.frequency > 0) & (spend > 0)
    return {
        "log_likelihood_orders": in_days,
        "log_likelihood_orders_weeks": in_weeks,
        "log_likelihood_value": model.spend_.log_likelihood(histories.frequency[spends], spend[spends]),
    }


def _terms(config: TrainConfig) -> dict[str, Any]:
    return {
        "horizon_days": float(config.horizon_days),
        "annual_discount_rate": config.annual_discount_rate,
        "margin_rate": config.margin_rate,
        "annual_cost_to_serve": config.annual_cost_to_serve,
    }


def _rows(profile: Profile, features: FeatureSet, at: datetime, name: str) -> Split:
    """Histories of everyone who has ordered before an instant."""
    keys, rows = keyed_frame(build_features(profile, features, [at]), features)
    eligible = rows["frequency"].notna().to_numpy()
    if not eligible.any():
        raise NothingToTrain(
            "nobody to learn lifetime value from",
            f"no customer had ordered before {write_instant(at)}",
            "Choose a later --cutoff.",
        )
    keys, rows = keys[eligible].reset_index(drop=True), rows[eligible].reset_index(drop=True)
    return Split(name, keys, rows, rows[["frequency", "T_days"]].copy(), f"before {write_instant(at)}")


def _backtest(config: TrainConfig, profile: Profile, features: FeatureSet, cutoff: datetime) -> dict[str, Split]:
    """Histories half a history (or one horizon) before the cutoff and what followed; empty if nobody had come back."""
    back = min(config.horizon_days, (cutoff - profile.known_from).days // 2)
    try:
        earlier = _rows(profile, features, cutoff - days(back), "train")
    except NothingToTrain:
        return {}
    if back < 1 or not (earlier.rows["frequency"] > 0).any():
        return {}
    shorter = config.model_copy(update={"horizon_days": back, "gap_days": 0})
    return {"train": earlier, "validation": _with_future(profile, earlier, shorter, "validation", cutoff)}


def _with_future(profile: Profile, split: Split, config: TrainConfig, name: str, known_until: datetime) -> Split:
    """The same rows with what was ordered in the horizon after them, as far as known by then."""
    at = split.keys["prediction_time"].iloc[0].to_pydatetime()
    future = future_orders(profile, [at], config.horizon_days, config.gap_days, known_until)
    outcome = pd.concat([split.outcome, with_future(split.keys, future)], axis=1)
    return Split(name, split.keys, split.rows, outcome, window_words(at + days(config.gap_days), config.horizon_days))


def _short(config: TrainConfig, profile: Profile, cutoff: datetime) -> list[str]:
    """Say when the horizon reaches further than the history."""
    history = (cutoff - profile.known_from).days
    if config.horizon_days <= history:
        return []
    return [f"low evidence: the horizon of {config.horizon_days} days is longer than the history of {history} days"]
