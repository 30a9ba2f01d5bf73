"""Training for segments: groups of customers who are alike, measured on how they look and what they do later."""

from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from features.engine.builder import available, build_features
from features.instants import days, write_instant
from features.profile import Profile
from features.spec import FeatureSet
from models.base import Array, Model
from models.families import Family, Task
from models.segments.base import log_rfm
from training.config import TrainConfig
from training.errors import NothingToTrain
from training.evaluation.metrics import separation
from training.rows.keyed import keyed_frame, with_future
from training.rows.labels import future_orders
from training.rows.splits import Split, held_out, window_words
from training.task import Measured, Prepared, TaskJob

LATER = "_later"
MOST_ROWS = 3_000
RESAMPLES = 3


class SegmentsJob(TaskJob):
    """Customer segments."""

    task: ClassVar[Task] = "segments"
    primary: ClassVar[str] = "silhouette"
    perfect_loss: ClassVar[float] = -1.0

    def prepare(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        """Make rows at the cutoff; to evaluate, the same customers one horizon later and what they ordered by then."""
        found = available(profile, wanted)
        now = _rows(profile, found.features, cutoff)
        out = held_out(now.keys["customer_id"], config.validation_share, config.random_state)
        aside = now.where(out)
        splits = {
            "train": now.where(~out),
            "validation": Split("validation", aside.keys, aside.rows, aside.outcome, aside.window),
        }
        if evaluate:
            splits["holdout"] = self.holdout(config, profile, found.features, cutoff)
        return Prepared(cutoff, found.features, found.absent, splits, "customers who are alike")

    def holdout(self, config: TrainConfig, profile: Profile, features: FeatureSet, cutoff: datetime) -> Split:
        """Customers at the cutoff, where they stand one horizon later and what they ordered by then."""
        now = _rows(profile, features, cutoff)
        end = cutoff + days(config.gap_days + config.horizon_days)
        later_keys, later = keyed_frame(build_features(profile, features, [end]), features)
        later = later.set_index(later_keys["customer_id"]).loc[now.keys["customer_id"]].reset_index(drop=True)
        future = future_orders(profile, [cutoff], config.horizon_days, config.gap_days, profile.known_until)
        outcome = pd.concat([now.outcome, with_future(now.keys, future), later.add_suffix(LATER)], axis=1)
        window = window_words(cutoff + days(config.gap_days), config.horizon_days)
        return Split("holdout", now.keys, now.rows, outcome, window)

    def learn(self, family: Family, config: TrainConfig, prepared: Prepared) -> Model:
        """Fit to the customers at the cutoff."""
        settings: dict[str, Any] = dict(config.model)
        if "random_state" in family.build().get_params():
            settings.setdefault("random_state", config.random_state)
        return family.make(settings).fit(prepared.splits["train"].rows)

    def measure(self, model: Model, split: Split, config: TrainConfig, prepared: Prepared) -> Measured:
        """How compact and how stable the segments are, and how much of later behaviour they tell apart.

        On the holdout the silhouette is that of the customers one horizon later: segments must still fit then.
        """
        scores = model.score(split.rows)
        later = [name for name in split.outcome if str(name).endswith(LATER)]
        placed = (
            split.outcome[later].rename(columns=lambda name: str(name).removesuffix(LATER)) if later else split.rows
        )
        generator = np.random.default_rng(config.random_state)
        sample = np.sort(generator.choice(len(placed), min(MOST_ROWS, len(placed)), replace=False))
        placed = placed.iloc[sample].reset_index(drop=True)
        widths = _silhouettes(placed, model.score(placed)["segment_id"].to_numpy(), prepared)
        shares = scores["segment_id"].value_counts(normalize=True)
        metrics = {
            "silhouette": float(widths.mean()),
            "stability_ari": _stability(model, prepared.splits["train"].rows, config),
            "smallest_share": float(shares.min()),
            "segments": float(len(shares)),
        }
        if "order_days" in split.outcome:
            groups = scores["segment_id"].to_numpy()
            metrics["separation_orders"] = separation(split.outcome["order_days"].to_numpy(), groups)
            metrics["separation_value"] = separation(split.outcome["order_value"].to_numpy(), groups)
        return Measured(metrics, -widths, scores)

    def slices(self, split: Split) -> dict[str, pd.Series]:
        """None: the loss is that of a sample, and segments are slices themselves."""
        del split
        return {}

    def evidence(self, split: Split) -> int:
        """Customers."""
        return len(split.rows)


def _rows(profile: Profile, features: FeatureSet, at: datetime) -> Split:
    keys, rows = keyed_frame(build_features(profile, features, [at]), features)
    eligible = rows["frequency"].notna().to_numpy()
    if not eligible.any():
        raise NothingToTrain(
            "nobody to find segments of",
            f"no customer had ordered before {write_instant(at)}",
            "Choose a later --cutoff.",
        )
    keys, rows = keys[eligible].reset_index(drop=True), rows[eligible].reset_index(drop=True)
    return Split("train", keys, rows, rows[["frequency"]].copy(), f"before {write_instant(at)}")


def _silhouettes(rows: pd.DataFrame, segments: Array, prepared: Prepared) -> Array:
    """Silhouette width of each row on the training customers' standardised log scale."""
    learned = log_rfm(prepared.splits["train"].rows)
    spread = learned.std(axis=0)
    points = (log_rfm(rows) - learned.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    if len(np.unique(segments)) < 2:
        return np.zeros(len(rows))
    return np.asarray(silhouette_samples(points, segments), dtype=np.float64)


def _stability(model: Model, rows: pd.DataFrame, config: TrainConfig) -> float:
    """Mean adjusted Rand index between the segments and those of the same model fitted to resampled customers."""
    generator = np.random.default_rng(config.random_state)
    sample = rows.iloc[np.sort(generator.choice(len(rows), min(10_000, len(rows)), replace=False))].reset_index(
        drop=True
    )
    segments = model.score(sample)["segment_id"]
    settings = {"clusters": int(model.fitted_parameters()["clusters"])} if model.fitted_parameters() else {}
    agreements = []
    for _ in range(RESAMPLES):
        again = clone(model).set_params(**settings)
        again.fit(sample.iloc[generator.integers(0, len(sample), len(sample))].reset_index(drop=True))
        agreements.append(adjusted_rand_score(segments, again.score(sample)["segment_id"]))
    return float(np.mean(agreements))
