"""Training for the lifetime value of subscriptions: how many of the renewals ahead are paid, and what they pay."""

from datetime import datetime
from typing import ClassVar, cast

import numpy as np
import pandas as pd

from features.eligibility import Eligible
from features.engine.builder import available, build_features
from features.errors import FeaturesUnavailable
from features.instants import write_instant
from features.profile import Profile
from features.spec import FeatureSet
from models.base import Array, Model
from models.clv.contractual import ContractualModel, periods_of
from models.clv.orders.tails import Tail
from models.clv.renewals.periods import PLAN, TERM
from models.clv.renewals.subscribers import Subscribers
from models.families import Family, Task
from training.clv import terms_of
from training.config import TrainConfig
from training.errors import ConfigInvalid, NothingToTrain
from training.evaluation.metrics import CLIP, churn_loss, clv_metrics, coverage
from training.rows.keyed import keyed_frame
from training.rows.labels import future_payments
from training.rows.splits import Split, window_words
from training.task import Measured, Prepared, TaskJob, bins, currency_of

OF_ORDERS = {"observed_margin": False, "margin_by_category": {}}
"""Settings that measure the margin of orders, with the value that leaves them out."""


class ContractualJob(TaskJob):
    """Customer lifetime value of subscriptions.

    Everyone who has subscribed is learned from, those still running as censored; measured are those who were running at
    the cutoff, on the renewals that came up in the horizon.
    """

    task: ClassVar[Task] = "clv"
    primary: ClassVar[str] = "log_loss_renewals"

    def concerns(self, config: TrainConfig) -> tuple[str, Eligible]:
        """Everyone who has subscribed."""
        del config
        return "", "subscriber"

    def require(self, config: TrainConfig, profile: Profile) -> int:
        """The subscriptions."""
        del config
        profile.table("subscriptions", f"training {self.task}")
        return 0

    def prepare(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        """Make the subscriptions as known at the cutoff, and what they paid afterwards."""
        _refuse_settings_of_orders(config)
        found = available(profile, wanted)
        if lacking := {name: why for name, why in found.absent.items() if name not in (PLAN, TERM)}:
            raise FeaturesUnavailable(lacking, "training on subscriptions")
        splits = {"train": subscribed_before(profile, found.features, cutoff, "train")}
        if evaluate:
            splits["holdout"] = self.holdout(config, profile, found.features, cutoff)
        label = f"periods paid by subscriptions and their margin in {config.horizon_days} days"
        return Prepared(cutoff, found.features, found.absent, splits, label, currency_of(profile, "subscriptions"))

    def holdout(self, config: TrainConfig, profile: Profile, features: FeatureSet, cutoff: datetime) -> Split:
        """Everyone subscribed at the cutoff, and what became of the renewals in the horizon."""
        split = subscribed_before(profile, features, cutoff, "holdout")
        periods = periods_of(split.rows, _period_set(config))
        running = (split.rows["has_active_subscription"] == 1).to_numpy()
        if not running.any():
            raise NothingToTrain(
                "nobody to measure on",
                f"no subscription was running at {write_instant(cutoff)}",
                "Choose an earlier --cutoff.",
            )
        left_out = {"former": int((~running).sum())}
        split = split.where(running)
        subscribers = Subscribers.of(split.rows, periods)
        paid = future_payments(profile, split.keys, subscribers, config.horizon_days, profile.known_until)
        facts = pd.DataFrame(
            {"renewals": subscribers.renewals, "due_periods": subscribers.due_within(config.horizon_days)}
        )
        outcome = pd.concat([facts, paid], axis=1)
        return Split("holdout", split.keys, split.rows, outcome, window_words(cutoff, config.horizon_days), left_out)

    def learn(self, family: Family, config: TrainConfig, prepared: Prepared) -> Model:
        """Fit to the subscriptions as known at the cutoff."""
        return family.make({**terms_of(config), **config.model}).fit(prepared.splits["train"].rows)

    def measure(self, model: Model, split: Split, config: TrainConfig, prepared: Prepared) -> Measured:
        """Log loss of the number of renewals paid; who stayed, what was paid, totals and coverage."""
        del prepared
        scores = model.score(split.rows)
        paid, value, due = (split.outcome[name].to_numpy() for name in ("paid_periods", "paid_value", "due_periods"))
        expected = scores["expected_orders"].to_numpy()
        tail = cast("ContractualModel", model).order_tail(split.rows)
        none = 1 - tail(np.arange(len(paid)), 1)
        metrics = clv_metrics(paid, value, expected, expected * scores["expected_order_value"].to_numpy(), none)
        stayed, staying = split.outcome["is_subscribed"].to_numpy(), _at_least(tail, due)
        losses = -np.log(np.maximum(_at_least(tail, paid) - _at_least(tail, paid + 1), CLIP))
        metrics |= {
            self.primary: float(losses.mean()),
            "log_loss_survival": float(churn_loss(stayed, staying).mean()),
            "survival_rate": float(stayed.mean()),
            "expected_survival_rate": float(staying.mean()),
        }
        for level in (50, 90):
            generator = np.random.default_rng(config.random_state)
            metrics[f"coverage_{level}"] = coverage(paid, tail, level / 100, generator)
        return Measured(metrics, losses, scores)

    def churned_share(self, split: Split) -> Array | None:
        """1 for customers whose subscription had ended when the horizon did; None on the rows learned from."""
        if "is_subscribed" not in split.outcome:
            return None
        return 1 - split.outcome["is_subscribed"].to_numpy(dtype=np.float64)

    def slices(self, split: Split) -> dict[str, pd.Series]:
        """By renewals made."""
        words = ["below 3 renewals", "3-11 renewals", "12-23 renewals", "24 renewals and more"]
        return {"renewals": bins(split.outcome["renewals"], [3, 12, 24], words)}

    def evidence(self, split: Split) -> int:
        """Customers who left, or who stayed if those are fewer."""
        stayed = int(split.outcome["is_subscribed"].sum())
        return min(stayed, len(split.outcome) - stayed)

    def reference_scores(self, model: Model, prepared: Prepared) -> Array | None:
        """Values of the customers learned from."""
        return model.score(prepared.splits["train"].rows)["clv"].to_numpy()


def subscribed_before(profile: Profile, features: FeatureSet, cutoff: datetime, name: str) -> Split:
    """Everyone who had subscribed before an instant."""
    keys, rows = keyed_frame(build_features(profile, features, [cutoff]), features)
    eligible = rows["subscription_spell_days"].notna().to_numpy()
    words = f"before {write_instant(cutoff)}"
    if not eligible.any():
        raise NothingToTrain(
            "nobody to learn lifetime value from", f"no customer had subscribed {words}", "Choose a later --cutoff."
        )
    keys, rows = keys[eligible].reset_index(drop=True), rows[eligible].reset_index(drop=True)
    return Split(name, keys, rows, rows[["subscription_spell_days"]].copy(), words)


def _period_set(config: TrainConfig) -> float | None:
    """Days from one renewal to the next, where they were set."""
    found = config.model.get("period_days")
    return None if found is None else float(found)


def _at_least(tail: Tail, counts: Array) -> Array:
    """Probability that each row has at least its own number of paid periods."""
    reached = np.ones(len(counts))
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        reached[rows] = tail(rows, int(count))
    return reached


def _refuse_settings_of_orders(config: TrainConfig) -> None:
    """Settings that concern orders would be ignored without a word.

    Raises
    ------
    ConfigInvalid
        If there is one.
    """
    if config.gap_days:
        raise ConfigInvalid("gap_days", config.gap_days, "0 for subscriptions: renewals count from the prediction time")
    for name, absent in OF_ORDERS.items():
        if getattr(config, name) != absent:
            allowed = "margin_rate for subscriptions: what orders earned says nothing of them"
            raise ConfigInvalid(name, getattr(config, name), allowed)
