"""Training for churn: rows at several prediction times, with whether each customer left afterwards."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

import numpy as np
import pandas as pd

from features.catalogue import CLV
from features.eligibility import Eligible
from features.engine.builder import available, build_features
from features.instants import days, write_instant
from features.population import population_feature
from features.profile import Profile
from features.spec import FeatureSet
from models.base import Array, Model
from models.families import RANKED, Family, Task
from training.config import TrainConfig
from training.curve import curve_metrics, curve_rows, fit_curve
from training.errors import NothingToTrain
from training.evaluation.intervals import with_intervals
from training.evaluation.metrics import churn_loss
from training.evaluation.profit import profit_metrics
from training.rows.completion import complete_labels
from training.rows.duplicates import people_of, said_of_copies
from training.rows.ended import require_answers
from training.rows.groups import USUAL, group_features, groups_in
from training.rows.keyed import keyed_frame
from training.rows.outcomes import Outcome, churn_outcome
from training.rows.own_columns import own_columns_of, said_of_time
from training.rows.splits import PERSON, Split, held_out, training_times, window_words
from training.rows.usable import require_measurable, require_outcomes
from training.task import Measured, Prepared, TaskJob, by_age, by_frequency, by_survey, seed_of

HISTORY = ("frequency", "days_since_last_order", "T_days")
GONE = ("lapsed", "former")


class ChurnJob(TaskJob):
    """Churn, contractual or not, and every other question that is answered with yes or no."""

    task: ClassVar[Task] = "churn"
    primary: ClassVar[str] = "log_loss"
    asks_stability: ClassVar[bool] = True
    outcome: ClassVar[str] = "churned"
    """The column of a split's outcome that holds the answer."""

    def asked(self, config: TrainConfig) -> Outcome:
        """What is asked."""
        return churn_outcome(config)

    def concerns(self, config: TrainConfig) -> tuple[str, Eligible]:
        """The outcome's own name and whom it is for."""
        asked = self.asked(config)
        return asked.name, asked.eligible.name

    def require(self, config: TrainConfig, profile: Profile) -> int:
        """The table in which the answer stands; and the grace that has to pass before it is known."""
        asked = self.asked(config)
        profile.table(asked.table, f"training {self.task}")
        return asked.grace_days

    def cutoff(self, config: TrainConfig, profile: Profile) -> datetime:
        """What separates learning from evaluating; refuses windows for which the answers are missing."""
        cutoff, asked = super().cutoff(config, profile), self.asked(config)
        if asked.clock:
            require_answers(profile, asked.table, asked.clock, config, cutoff)
        return cutoff

    def prepare(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        """Make rows at several prediction times before the cutoff, and at the cutoff itself; and the curve of churn."""
        prepared = self.prepare_rows(config, profile, wanted, cutoff, evaluate=evaluate)
        curved = self.asked(config).is_absence
        return _with_curve(prepared, config, profile, evaluate=evaluate) if curved else prepared

    def prepare_rows(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        """As `prepare`, with the rows alone."""
        asked = self.asked(config)
        kept = tuple(f for f in wanted.features if f.name not in config.leave_out)
        own = own_columns_of(profile, config, (*asked.own_features(), *group_features(profile, config)))
        work = (*kept, *asked.own_features(), *own.features)
        found = available(profile, FeatureSet(wanted.name, wanted.version, work))
        times = training_times(config, profile.known_from, cutoff - days(asked.grace_days))
        past = self._rows(config, profile, found.features, times, cutoff, "train")
        splits = {"train": past}
        if evaluate:
            out = held_out(past.people, config.validation_share, config.random_state)
            aside = replace(past.where(out), name="validation", left_out={})
            splits = {"train": past.where(~out), "validation": aside}
            splits["holdout"] = self.holdout(config, profile, found.features, cutoff)
        notes = (
            *_cut_short(past, config),
            *_who(past, cutoff, asked),
            *said_of_copies(past.keys, past.people),
            *said_of_time(profile, found.features.features),
            *own.notes,
        )
        absent = {**found.absent, **own.absent}
        return Prepared(cutoff, found.features, absent, splits, asked.words(config), warnings=notes)

    def require_enough(self, prepared: Prepared) -> None:
        """Refuse too few customers of either outcome to learn from."""
        parts = [part for name, part in prepared.splits.items() if name in ("train", "validation")]
        told = [(part.keys["customer_id"], part.outcome[self.outcome].to_numpy(dtype=np.float64)) for part in parts]
        require_outcomes(told, prepared.label)
        if (holdout := prepared.splits.get("holdout")) is not None:
            require_measurable("holdout", holdout.outcome[self.outcome].to_numpy(dtype=np.float64), prepared.label)

    def holdout(self, config: TrainConfig, profile: Profile, features: FeatureSet, cutoff: datetime) -> Split:
        """Everyone eligible at the cutoff, and what came of them in the whole label window after it."""
        split = self._rows(config, profile, features, [cutoff], profile.known_until, "holdout")
        unseen = held_out(split.people, config.validation_share, config.random_state)
        return replace(split, outcome=split.outcome.assign(unseen=unseen))

    def learn(self, family: Family, config: TrainConfig, prepared: Prepared) -> Model:
        """Fit to the training rows."""
        settings, train = {**seed_of(family, config), **config.model}, prepared.splits["train"]
        people = pd.Index(pd.factorize(train.people)[0])
        return family.make(settings).fit(train.rows.set_axis(people), train.outcome[self.outcome].to_numpy())

    def measure(self, model: Model, split: Split, config: TrainConfig, prepared: Prepared) -> Measured:
        """Ranking and calibration of the probability."""
        del config, prepared
        return self.measured(model.score(split.rows), split)

    def baselines(self, simplest: Family, config: TrainConfig, prepared: Prepared) -> dict[str, Measured]:
        """The rule of one column, and the rate of all."""
        found = super().baselines(simplest, config, prepared)
        split = prepared.splits[self.evaluated_on]
        rates = pd.DataFrame({RANKED[self.task]: self.prevalence(config, prepared)})
        return {**found, "prevalence": self.measured(rates, split)}

    def prevalence(self, config: TrainConfig, prepared: Prepared) -> Array:
        """The rate of the outcome among the rows learned from, for each row evaluated on."""
        del config
        rate = float(prepared.splits["train"].outcome[self.outcome].mean())
        return np.full(len(prepared.splits[self.evaluated_on].rows), rate)

    def measured(self, scores: pd.DataFrame, split: Split) -> Measured:
        """Ranking and calibration of probabilities that are there already."""
        answer, probability = split.outcome[self.outcome].to_numpy(), scores[RANKED[self.task]].to_numpy()
        metrics = with_intervals(answer, probability, split.people, random_state=0)
        return Measured(metrics, churn_loss(answer, probability), scores, split.people)

    def figures(self, split: Split, scores: pd.DataFrame) -> dict[str, float]:
        """Ranking and calibration with intervals."""
        return self.measured(scores, split).metrics

    def churned_share(self, split: Split) -> Array | None:
        """The label, a probability where the window was cut short."""
        return split.outcome[self.outcome].to_numpy(dtype=np.float64)

    def slices(self, split: Split) -> dict[str, pd.Series]:
        """By repeat orders, tenure, channel, country, whether ever learned from, and whether surveys were answered."""
        groups = {"frequency": by_frequency(split), "tenure": by_age(split)} if "frequency" in split.outcome else {}
        if "unseen" in split.outcome:
            groups["customer"] = split.outcome["unseen"].map({True: "never learned from", False: "learned from"})
        survey = by_survey(split.rows)
        if survey is not None:
            groups["survey"] = survey
        return groups | {USUAL[name]: levels for name, levels in groups_in(split.outcome, USUAL).items()}

    def evidence(self, split: Split) -> int:
        """Rows of the rarer outcome."""
        happened = float(split.outcome[self.outcome].sum())
        return int(min(happened, len(split.outcome) - happened))

    def worth(self, measured: Measured, split: Split, config: TrainConfig) -> dict[str, float]:
        """What contacting those who are likely to leave would earn; nothing where it is not leaving that is asked."""
        if self.task != "churn":
            return {}
        churned, who = split.outcome[self.outcome].to_numpy(dtype=np.float64), pd.factorize(split.people)[0]
        return profit_metrics(churned, measured.scores[RANKED[self.task]].to_numpy(), who, config)

    def reference_scores(self, model: Model, prepared: Prepared) -> Array | None:
        """Probabilities at the latest training time, of those who had not left already: it is them one ranks."""
        train = prepared.splits["train"]
        latest = (train.keys["prediction_time"] == train.keys["prediction_time"].max()).to_numpy()
        if self.task == "churn" and "population" in train.outcome:
            staying = latest & ~train.outcome["population"].isin(GONE).to_numpy()
            latest = staying if staying.any() else latest
        return model.score(train.where(latest).rows)[RANKED[self.task]].to_numpy()

    def _rows(
        self,
        config: TrainConfig,
        profile: Profile,
        features: FeatureSet,
        times: Sequence[datetime],
        known_until: datetime,
        name: str,
    ) -> Split:
        """Features and labels of the eligible customers at some prediction times."""
        asked = self.asked(config)
        population = population_feature(profile)
        told = (*available(profile, CLV).features.features, *asked.history)
        work = {feature.name: feature for feature in (*told, asked.eligible.feature, population) if feature}
        groups = group_features(profile, config)
        work |= {feature.name: feature for feature in (*features.features, *groups)}
        wanted = FeatureSet("work", 0, tuple(work.values()))
        table = build_features(profile, wanted, times)
        eligible = asked.eligible.mask(table).to_numpy(zero_copy_only=False)
        keys, rows = keyed_frame(table, wanted)
        if not eligible.any():
            raise NothingToTrain(
                f"nobody to learn {self.task} from",
                f"no customer {asked.eligible.who} before {write_instant(max(times))}",
                "Choose a later --cutoff.",
            )
        people = rows[population.name] if population else pd.Series("", index=rows.index)
        left_out = {str(level): int(count) for level, count in people[~eligible].value_counts().sort_index().items()}
        keys, rows = keys[eligible].reset_index(drop=True), rows[eligible].reset_index(drop=True)
        wait = _wait(keys, asked.future(profile, times, config, known_until))
        start = keys["prediction_time"] + pd.Timedelta(days=config.gap_days)
        until = pd.Timestamp(known_until) - pd.Timedelta(days=asked.grace_days)
        observed = np.minimum((until - start).dt.total_seconds().to_numpy() / 86_400, float(config.horizon_days))
        age = (keys["prediction_time"] - pd.Timestamp(profile.known_from)).dt.total_seconds().to_numpy() / 86_400
        absent = complete_labels(asked.seen(rows, age, wait, observed), float(config.horizon_days))
        answer = absent if asked.is_absence else 1 - absent
        known = [column for column in (*HISTORY, *(group.name for group in groups)) if column in rows]
        outcome = rows[known].assign(**{self.outcome: answer}, observed_days=observed)
        outcome[PERSON] = people_of(keys, rows[list(features.names)])
        if population:
            outcome["population"] = people[eligible].reset_index(drop=True)
        window = window_words(min(times) + days(config.gap_days), config.horizon_days, known_until)
        return Split(name, keys, rows[list(features.names)], outcome, window, left_out)


def _with_curve(prepared: Prepared, config: TrainConfig, profile: Profile, *, evaluate: bool) -> Prepared:
    """Add when customers will have left; who is silent for one horizon has."""
    names, silence = prepared.features.names, config.horizon_days
    found = fit_curve(profile, names, silence, prepared.cutoff)
    if found is None:
        return prepared
    curve, learned = found
    metrics = {}
    if evaluate:
        seen = curve_rows(profile, names, [prepared.cutoff], silence, profile.known_until)
        metrics = curve_metrics(curve, seen, learned)
    return replace(prepared, curve=curve, curve_metrics=metrics)


def _wait(keys: pd.DataFrame, future: pd.DataFrame) -> Array:
    """Days from the window's start until it happened; NaN where it did not."""
    keyed = keys.assign(prediction_time=keys["prediction_time"].astype("datetime64[us, UTC]"))
    later = future.assign(prediction_time=future["prediction_time"].astype("datetime64[us, UTC]"))
    joined = keyed.merge(later, on=["customer_id", "prediction_time"], how="left", validate="one_to_one")
    return joined["wait_days"].to_numpy(dtype=np.float64)


def _who(past: Split, cutoff: datetime, asked: Outcome) -> list[str]:
    """Say who is not learned from, and who is although they had left already."""
    said, former, before = [], past.by_population().get("former", 0), write_instant(cutoff)
    if left_out := sum(past.left_out.values()):
        counts = ", ".join(f"{count:,} {name}" for name, count in past.left_out.items())
        said.append(f"{left_out:,} rows before {before} {asked.others.format(counts)}")
    if former and asked.is_absence:
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
