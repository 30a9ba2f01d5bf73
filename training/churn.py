"""Training for churn: no order in the label window, among customers who have ordered before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

import numpy as np
import pandas as pd

from features.builder import available, build_features
from features.catalogue import CLV
from features.instants import days, write_instant
from features.population import population_by_orders, population_feature
from features.profile import Profile
from features.spec import FeatureSet
from models.base import Array, Model
from models.families import Family, Task
from training.completion import Seen, complete_labels
from training.config import TrainConfig
from training.errors import NothingToTrain
from training.labels import future_orders
from training.metrics import churn_loss, churn_metrics
from training.splits import Split, held_out, training_times, window_words
from training.task import Measured, Prepared, TaskJob, by_age, by_frequency, keyed_frame, with_future

HISTORY = ("frequency", "days_since_last_order", "T_days")
CALIBRATED, WELL_CALIBRATED = 0.05, 0.03


class ChurnJob(TaskJob):
    """Non-contractual churn."""

    task: ClassVar[Task] = "churn"
    primary: ClassVar[str] = "log_loss"

    def prepare(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        """Make rows at several prediction times before the cutoff, and at the cutoff itself to evaluate on."""
        found = available(profile, wanted)
        times = training_times(config, profile.known_from, cutoff)
        past = _rows(config, profile, found.features, times, cutoff, "train")
        out = held_out(past.keys["customer_id"], config.validation_share, config.random_state)
        splits = {"train": past.where(~out), "validation": replace(past.where(out), name="validation", left_out={})}
        if evaluate:
            splits["holdout"] = self.holdout(config, profile, found.features, cutoff)
        label = f"no order in {config.horizon_days} days" + (
            f" from {config.gap_days} days after the prediction time" if config.gap_days else ""
        )
        notes = (*_cut_short(past, config), *_populations(past, cutoff))
        return Prepared(cutoff, found.features, found.absent, splits, label, warnings=notes)

    def holdout(self, config: TrainConfig, profile: Profile, features: FeatureSet, cutoff: datetime) -> Split:
        """Everyone eligible at the cutoff, and whether they ordered in the whole label window after it."""
        split = _rows(config, profile, features, [cutoff], profile.known_until, "holdout")
        unseen = held_out(split.keys["customer_id"], config.validation_share, config.random_state)
        return replace(split, outcome=split.outcome.assign(unseen=unseen))

    def learn(self, family: Family, config: TrainConfig, prepared: Prepared) -> Model:
        """Fit to the training rows; stop and calibrate on the held-out customers."""
        settings = {**_seed(family, config), **config.model}
        train, validation = prepared.splits["train"], prepared.splits["validation"]
        aside = None
        if len(validation.rows):
            aside = (validation.rows, validation.outcome["churned"].to_numpy())
        return family.make(settings).fit(train.rows, train.outcome["churned"].to_numpy(), aside)

    def measure(self, model: Model, split: Split, config: TrainConfig, prepared: Prepared) -> Measured:
        """Ranking and calibration of the probability."""
        del config, prepared
        scores = model.score(split.rows)
        churned, probability = split.outcome["churned"].to_numpy(), scores["probability_churned"].to_numpy()
        return Measured(churn_metrics(churned, probability), churn_loss(churned, probability), scores)

    def churned_share(self, split: Split) -> Array | None:
        """The label, a probability where the window was cut short."""
        return split.outcome["churned"].to_numpy(dtype=np.float64)

    def slices(self, split: Split) -> dict[str, pd.Series]:
        """By repeat orders, age, whether the customer was ever learned from, and whether surveys went unanswered."""
        groups = {"frequency": by_frequency(split), "age": by_age(split)}
        if "unseen" in split.outcome:
            groups["customer"] = split.outcome["unseen"].map({True: "never learned from", False: "learned from"})
        if "survey_asked_count_365d" in split.rows:
            asked, rate = split.rows["survey_asked_count_365d"], split.rows["survey_response_rate_365d"]
            words = np.where(asked == 0, "not asked", np.where(rate > 0, "responder", "silent"))
            groups["survey"] = pd.Series(words)
        return groups

    def is_calibrated(self, metrics: Mapping[str, float], *, strictly: bool) -> bool:
        """Expected calibration error at most 0.05, strictly 0.03."""
        return metrics["expected_calibration_error"] <= (WELL_CALIBRATED if strictly else CALIBRATED)

    def evidence(self, split: Split) -> int:
        """Rows of the rarer outcome."""
        churned = float(split.outcome["churned"].sum())
        return int(min(churned, len(split.outcome) - churned))

    def reference_scores(self, model: Model, prepared: Prepared) -> Array | None:
        """Churn probabilities at the latest training time."""
        train = prepared.splits["train"]
        latest = (train.keys["prediction_time"] == train.keys["prediction_time"].max()).to_numpy()
        return model.score(train.where(latest).rows)["probability_churned"].to_numpy()


def _seed(family: Family, config: TrainConfig) -> dict[str, int]:
    return {"random_state": config.random_state} if "random_state" in family.build().get_params() else {}


def _rows(
    config: TrainConfig,
    profile: Profile,
    features: FeatureSet,
    times: Sequence[datetime],
    known_until: datetime,
    name: str,
) -> Split:
    """Features and labels of the eligible customers at some prediction times."""
    history = tuple(f for f in CLV.features if f.name not in features.names)
    population = population_feature(profile) or population_by_orders  # without orders, the builder says what is missing
    work = FeatureSet("work", 0, (*features.features, *history, population))
    keys, rows = keyed_frame(build_features(profile, work, times), work)
    eligible = rows["frequency"].notna().to_numpy()
    if not eligible.any():
        raise NothingToTrain(
            "nobody to learn churn from",
            f"no customer had ordered before {write_instant(max(times))}",
            "Choose a later --cutoff.",
        )
    populations = rows[population.name]
    left_out = {str(name): int(count) for name, count in populations[~eligible].value_counts().sort_index().items()}
    keys, rows = keys[eligible].reset_index(drop=True), rows[eligible].reset_index(drop=True)
    future = future_orders(profile, times, config.horizon_days, config.gap_days, known_until)
    wait = with_future(keys, future)["days_to_order"].to_numpy()
    start = keys["prediction_time"] + pd.Timedelta(days=config.gap_days)
    seen_days = (pd.Timestamp(known_until) - start).dt.total_seconds().to_numpy() / 86_400
    observed = np.minimum(seen_days, float(config.horizon_days))
    churned = complete_labels(Seen.of(rows, wait, observed), float(config.horizon_days))
    outcome = rows[list(HISTORY)].assign(
        churned=churned, observed_days=observed, population=populations[eligible].reset_index(drop=True)
    )
    window = window_words(min(times) + days(config.gap_days), config.horizon_days, known_until)
    if len(times) > 1:
        last = window_words(max(times) + days(config.gap_days), config.horizon_days, known_until)
        window = f"{window} to {last}"
    return Split(name, keys, rows[list(features.names)], outcome, window, left_out)


def _populations(past: Split, cutoff: datetime) -> list[str]:
    """Say who is not learned from, and who is although they had left already."""
    said, former, before = [], past.by_population().get("former", 0), write_instant(cutoff)
    if left_out := sum(past.left_out.values()):
        counts = ", ".join(f"{count:,} {name}" for name, count in past.left_out.items())
        said.append(
            f"{left_out:,} rows before {before} of customers without an order ({counts}) are left out: only who has "
            "ordered can churn"
        )
    if former:
        said.append(
            f"{former:,} of {len(past.keys):,} rows before {before} are of customers who were former already; they are "
            "learned from, since they are scored, too"
        )
    return said


def _cut_short(past: Split, config: TrainConfig) -> list[str]:
    """Say when label windows had to be completed."""
    observed = past.outcome["observed_days"]
    if observed.min() >= config.horizon_days:
        return []
    return [
        f"the history before the cutoff does not hold whole label windows of {config.horizon_days} days: "
        f"{observed.min():.0f} to {observed.max():.0f} days of them were seen, the rest is estimated from how "
        "customers came back so far"
    ]
