"""Training for lifetime value: orders and margin over the horizon."""

from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from features.catalogue import CLV_HYBRID
from features.engine.builder import available
from features.engine.counted import CUSTOMERS, count_customers
from features.profile import Profile
from features.spec import FeatureSet
from models.base import Array, Model
from models.clv.btyd import ClvBgNbd, repeat_value
from models.clv.histories import Histories
from models.clv.hybrid import ClvHybrid
from models.clv.margins import RATE, at_own_margin
from models.clv.orders.tails import poisson_tail
from models.clv.past import MONTH_DAYS, Past
from models.families import Family, Task
from training.config import TrainConfig
from training.errors import NothingToTrain
from training.evaluation.metrics import clv_metrics, coverage, poisson_deviance, value_coverage
from training.rows.own_columns import OwnColumns, own_columns_of, said_of_time
from training.rows.past import history_days, month_rows, past_rows, rows_before, with_outcome, year_ago_rows, year_rows
from training.rows.prospects import prospect_rows
from training.rows.splits import Split
from training.rows.timeline import timeline
from training.task import Measured, Prepared, TaskJob, by_age, by_frequency, currency_of, seed_of

WEEK_DAYS = 7.0


class ClvJob(TaskJob):
    """Customer lifetime value."""

    task: ClassVar[Task] = "clv"
    primary: ClassVar[str] = "poisson_deviance_orders"

    def require(self, config: TrainConfig, profile: Profile) -> int:
        """Orders, and one of them worth something; see `TaskJob.require`.

        Raises
        ------
        NothingToTrain
            If nobody who orders could be valued.
        """
        days = super().require(config, profile)
        orders = profile.tables["orders"]
        dearest = profile.backend.to_pyarrow(orders.aggregate(value=orders.value.max().cast("float64"))).to_pylist()
        if (dearest[0]["value"] or 0.0) <= 0:
            raise NothingToTrain(
                "no order to value",
                "all orders have a value of 0 or none",
                "Correct orders.value, or train churn, which asks only when orders came.",
            )
        return days

    def prepare(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        """Make the histories at the cutoff; families compete on `training.evaluation.backtest`."""
        prepared = self._without_rows(config, profile, wanted, cutoff, evaluate=evaluate)
        splits = {"train": rows_before(profile, prepared.features, [cutoff], "train")}
        if not evaluate:
            return replace(prepared, splits=splits)
        splits["holdout"] = self.holdout(config, profile, prepared.features, cutoff)
        return replace(prepared, splits=splits, timeline=timeline(profile, splits["holdout"], config, cutoff))

    def prepare_refit(self, family: Family, config: TrainConfig, profile: Profile) -> Prepared:
        """Let the engine count the histories where that is all a family takes, without a row a customer in memory."""
        own_margins = config.observed_margin or config.margin_by_category  # of each customer, and so is its percentile
        if own_margins or not issubclass(family.build, ClvBgNbd):
            return super().prepare_refit(family, config, profile)
        at = profile.known_until
        prepared = self._without_rows(config, profile, family.feature_set, at, evaluate=False)
        return self.prepare_past(config, profile, replace(prepared, counted=count_customers(profile, at)))

    def _without_rows(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        own = own_columns_of(profile, config) if wanted.name == CLV_HYBRID.name else OwnColumns()
        found = available(profile, FeatureSet(wanted.name, wanted.version, (*wanted.features, *own.features)))
        notes = (*_short(config, profile, cutoff), *said_of_time(profile, found.features.features), *own.notes)
        return Prepared(
            cutoff, found.features, {**found.absent, **own.absent}, {},
            f"orders and margin in {config.horizon_days} days", currency_of(profile), notes,
            prospects=prospect_rows(config, profile, cutoff, evaluate=evaluate),
        )  # fmt: skip

    def holdout(self, config: TrainConfig, profile: Profile, features: FeatureSet, cutoff: datetime) -> Split:
        """Everyone who had ordered by the cutoff, and what they ordered in the horizon after it."""
        split = rows_before(profile, features, [cutoff], "train")
        return with_outcome(profile, split, config, "holdout", profile.known_until)

    def prepare_past(self, config: TrainConfig, profile: Profile, prepared: Prepared) -> Prepared:
        """Add rows at earlier prediction times, before the cutoff."""
        known = prepared.splits["train"].rows if prepared.counted is None else prepared.counted
        customers, history, cutoff = prepared.customers, history_days(known), prepared.cutoff
        past, window_days, sampled = past_rows(config, profile, prepared.features, customers, history, cutoff)
        warnings = (*prepared.warnings, *sampled)
        if past is None:
            return replace(prepared, warnings=warnings)
        months = month_rows(config, profile, customers, history, cutoff)
        year = year_rows(config, profile, customers, history, window_days, cutoff)
        year_ago = year_ago_rows(config, profile, customers, history, cutoff)
        return replace(
            prepared, past=past, past_days=window_days, months=months, year=year, year_ago=year_ago, warnings=warnings
        )

    def learn(self, family: Family, config: TrainConfig, prepared: Prepared) -> Model:
        """Fit to the histories at the cutoff, and to what followed earlier prediction times where a family does so."""
        model = family.make({**seed_of(family, config), **terms_of(config), **config.model})
        past = _past_of(prepared, config.horizon_days)
        if isinstance(model, ClvBgNbd) and prepared.counted is not None:
            return model.fit_counted(prepared.counted, past)
        rows = prepared.splits["train"].rows
        return model.fit(rows, past=past) if isinstance(model, ClvBgNbd | ClvHybrid) else model.fit(rows)

    def measure(self, model: Model, split: Split, config: TrainConfig, prepared: Prepared) -> Measured:
        """Orders, value, totals and coverage against what came after."""
        del prepared
        scores = priced(model, split)
        orders, value = split.outcome["order_days"].to_numpy(), split.outcome["order_value"].to_numpy()
        expected = scores["expected_orders"].to_numpy()
        order_value = scores["expected_order_value"].to_numpy()
        expected_value = expected * order_value
        generator = np.random.default_rng(config.random_state)
        if not isinstance(model, ClvBgNbd | ClvHybrid):
            metrics = clv_metrics(orders, value, expected, expected_value, np.exp(-expected))
            tail = poisson_tail(expected)  # the intervals of orders that come at a known rate
            metrics |= {f"coverage_{level}": coverage(orders, tail, level / 100, generator) for level in (50, 90)}
            return Measured(metrics, poisson_deviance(orders, expected), scores)
        tail, relative = model.order_tail(split.rows), model.bounds(split.rows).value
        none = 1 - tail(np.arange(len(orders)), 1)
        metrics = clv_metrics(orders, value, expected, expected_value, none)
        for level in (50, 90):
            low, high = (relative[f"{side}_{level}"] * order_value for side in ("low", "high"))
            metrics[f"coverage_{level}"] = coverage(orders, tail, level / 100, generator)
            metrics[f"coverage_{level}_value"] = value_coverage(value, low, high, none, level / 100, generator)
        return Measured(metrics, poisson_deviance(orders, expected), scores)

    def slices(self, split: Split) -> dict[str, pd.Series]:
        """By repeat orders and age."""
        return {"frequency": by_frequency(split), "age": by_age(split)}

    def evidence(self, split: Split) -> int:
        """Customers who ordered again."""
        return int((split.outcome["order_days"] > 0).sum())

    def reference_scores(self, model: Model, prepared: Prepared) -> Array | None:
        """Values of the customers learned from."""
        counted = prepared.counted
        if counted is not None:
            return np.repeat(model.point(counted[list(model.columns_)]), counted[CUSTOMERS].to_numpy(dtype=np.intp))
        split = prepared.splits["train"]
        if isinstance(model, ClvBgNbd) and RATE not in split.outcome:
            return model.point(split.rows)
        return priced(model, split)["clv"].to_numpy()


def priced(model: Model, split: Split) -> pd.DataFrame:
    """Scores of a split's rows, at margin rates of the customers' own where it holds them."""
    if RATE not in split.outcome:
        return model.score(split.rows)
    return at_own_margin(model, split.rows, split.outcome[RATE].to_numpy())


def _past_of(prepared: Prepared, horizon_days: float) -> Past | None:
    """The rows of the past as models take them."""
    if prepared.past is None:
        return None
    at, window_days = prepared.cutoff, prepared.past_days
    return replace(
        _as_past(prepared.past, window_days, at),
        months=_as_past(prepared.months, MONTH_DAYS, at) if prepared.months else None,
        year=_as_past(prepared.year, window_days, at) if prepared.year else None,
        year_ago=_as_past(prepared.year_ago, horizon_days, at) if prepared.year_ago else None,
    )


def _as_past(split: Split, window_days: float, cutoff: datetime) -> Past:
    order_days, order_value = (split.outcome[name].to_numpy() for name in ("order_days", "order_value"))
    ages = (cutoff - split.keys["prediction_time"]).dt.days.to_numpy(dtype=np.float64)
    return Past(split.rows, float(window_days), order_days, order_value, ages)


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


def terms_of(config: TrainConfig) -> dict[str, Any]:
    """The settings of a model that say on what terms it values."""
    return {
        "horizon_days": float(config.horizon_days),
        "annual_discount_rate": config.annual_discount_rate,
        "margin_rate": config.margin_rate,
        "annual_cost_to_serve": config.annual_cost_to_serve,
    }


def _short(config: TrainConfig, profile: Profile, cutoff: datetime) -> list[str]:
    """Say when the horizon reaches further than the history."""
    history = (cutoff - profile.known_from).days
    if config.horizon_days <= history:
        return []
    return [f"low evidence: the horizon of {config.horizon_days} days is longer than the history of {history} days"]
