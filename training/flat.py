"""Training on an outcome known from elsewhere: one row a customer, no dates, and every row predicted from others.

Customers whose outcome has no date have no future to evaluate on. They are dealt into folds; each fold is predicted by
models that learned from the other folds alone, and the split of these predictions is named `cv`. Few customers are
dealt several times, and figures are the mean. Customers who are equal in every column are dealt together: a copy in
another fold would be recognised, not predicted.
"""

from datetime import datetime

import numpy as np
import pandas as pd

from features.attributes import own_columns, own_features
from features.catalogue import ALL
from features.eligibility import Eligible
from features.engine.builder import available, build_features
from features.flat import FlatTable
from features.profile import Profile
from features.reading.conform import NO_WORDS, YES_WORDS
from features.spec import FeatureSet
from models.base import Array, Model
from models.families import Family, family
from models.persistence import Kept
from training.churn import HISTORY, ChurnJob
from training.config import TrainConfig
from training.errors import LabelUnusable, NothingToTrain
from training.rows.duplicates import people_of, said_of_copies
from training.rows.folds import averaged, deals_of, folds_of, learned_from, out_of_fold
from training.rows.groups import group_features
from training.rows.keyed import keyed_frame
from training.rows.splits import Split
from training.rows.usable import require_columns, require_outcomes
from training.search import with_search
from training.task import Measured, Prepared

CV = "cv"


class LabelJob(ChurnJob):
    """Churn as a label says that stands beside the customers."""

    evaluated_on = CV
    refits = False

    def concerns(self, config: TrainConfig) -> tuple[str, Eligible]:
        """Everyone in the table."""
        return config.label, "known"

    def cutoff(self, config: TrainConfig, profile: Profile) -> datetime:
        """When the customers were as the table says."""
        return config.cutoff or profile.known_until

    def is_dated(self, config: TrainConfig, profile: Profile) -> bool:
        """Whether that is known."""
        return config.cutoff is not None or not isinstance(profile, FlatTable)

    def prepare(
        self, config: TrainConfig, profile: Profile, wanted: FeatureSet, cutoff: datetime, *, evaluate: bool
    ) -> Prepared:
        """Make one row a customer with a label; all are predicted in `cv`, the model learns from `train`."""
        del evaluate
        found = profile.features if isinstance(profile, FlatTable) else _of_any_kind(profile, wanted)
        features = found.only(tuple(name for name in found.names if name not in config.leave_out))
        answers, words = read_label(profile, config.label)
        groups = group_features(profile, config)
        wanted = FeatureSet("work", 0, (*features.features, *groups))
        keys, rows = keyed_frame(build_features(profile, wanted, [cutoff]), wanted)
        churned = keys["customer_id"].map(answers).to_numpy(dtype=np.float64)
        known = ~np.isnan(churned)
        if not known.any():
            said = f"none of {len(keys):,} customers has a value in {config.label!r}"
            raise NothingToTrain("nobody to learn churn from", said, "Fill the label.")
        keys, rows = keys[known].reset_index(drop=True), rows[known].reset_index(drop=True)
        absent: dict[str, str] = {}
        require_columns(rows[[name for name in own_columns(features.features) if name in rows]])
        if not isinstance(profile, FlatTable):
            same = [name for name in features.names if rows[name].nunique() < 2]
            absent = dict.fromkeys(same, "any difference between customers")
            features = features.only(tuple(name for name in features.names if name not in absent))
        beside = [name for name in (*HISTORY, *(group.name for group in groups)) if name in rows]
        outcome = rows[beside].assign(churned=churned[known], person=people_of(keys, rows[list(features.names)]))
        everyone = Split(CV, keys, rows[list(features.names)], outcome, "none: the label has no date")
        notes = [f"{(~known).sum():,} customers without a label are left out"] if not known.all() else []
        notes += said_of_copies(keys, everyone.people)
        splits = {CV: everyone, **learned_from(everyone)}
        return Prepared(cutoff, features, absent, splits, words, warnings=tuple(notes))

    def require_enough(self, prepared: Prepared) -> None:
        """Refuse too few customers of either outcome."""
        everyone = prepared.splits[CV]
        require_outcomes([(everyone.keys["customer_id"], everyone.outcome["churned"].to_numpy())], prepared.label)

    def evaluate(self, recipe: Family, model: Model, config: TrainConfig, prepared: Prepared) -> Measured:
        """Predict every fold by a model that learned from the others."""
        del model
        rows = prepared.splits[CV]

        def learn(part: Prepared) -> Model:
            return self.learn(recipe, with_search(self, recipe, config, part, lambda _: None)[0], part)

        found = [out_of_fold(self, rows, folds_of(rows, deal), prepared, learn) for deal in deals_of(rows, config)]
        return averaged([self.measured(scores, rows) for scores in found])

    def prevalence(self, config: TrainConfig, prepared: Prepared) -> Array:
        """The rate of the outcome in the other folds."""
        rows = prepared.splits[CV]
        fold, churned = folds_of(rows, config), rows.outcome[self.outcome].to_numpy(dtype=np.float64)
        rates = np.array([churned[fold != number].mean() for number in range(config.folds)])
        return np.asarray(rates[fold], dtype=np.float64)

    def measure_rival(self, rival: Kept, profile: Profile, config: TrainConfig, prepared: Prepared) -> Measured:
        """Fit the champion's recipe to the same folds: the champion itself may have learned from every row."""
        del profile
        columns = tuple(feature.name for feature in rival.contract.features)
        features = prepared.features.only(columns)
        if set(features.names) != set(columns):
            rival.contract.installed_features()
        rows = prepared.splits[CV]
        same = Split(CV, rows.keys, rows.rows[list(features.names)], rows.outcome, rows.window)
        settings = config.model_copy(update={"model": dict(rival.model.get_params())})
        part = Prepared(prepared.cutoff, features, {}, {CV: same}, prepared.label)
        return self.evaluate(family(rival.contract.family), rival.model, settings, part)


def _of_any_kind(profile: Profile, wanted: FeatureSet) -> FeatureSet:
    """Every feature that a mapped profile can give, and the company's own columns: a label need not be about orders."""
    own = own_features(profile.tables, profile.backend)
    taken = {feature.name.lower() for feature in own}  # engines tell names apart whatever their case
    found = available(profile, ALL).features
    return FeatureSet(wanted.name, wanted.version, (*(f for f in found.features if f.name.lower() not in taken), *own))


def read_label(profile: Profile, label: str) -> tuple[pd.Series, str]:
    """Read who has the outcome.

    Parameters
    ----------
    profile : Profile
        With `labels`.
    label : str
        The column.

    Returns
    -------
    pandas.Series, str
        1 or 0 by customer id, without customers whose label is empty; and what 1 means, in words.

    Raises
    ------
    LabelUnusable
        If there is no such label, or it has other than two values of which one can be told to be the outcome.
    """
    given = [name for name in profile.labels.columns if name != "customer_id"] if profile.labels is not None else []
    if profile.labels is None or label not in given:
        raise LabelUnusable(
            label, f"the labels are {', '.join(given) or 'none'}", "a label of the profile or the table"
        )
    frame = profile.backend.to_pyarrow(profile.labels.select("customer_id", label)).to_pandas()
    told = frame.dropna().astype({"customer_id": str})
    twice = told["customer_id"][told["customer_id"].duplicated()]
    if len(twice):
        raise LabelUnusable(label, f"customer {twice.iloc[0]!r} has it more than once", "one label a customer")
    texts = told[label].astype(str)
    values = sorted(texts.unique())
    yes = [value for value in values if value.lower() in YES_WORDS]
    no = [value for value in values if value.lower() in NO_WORDS]
    if len(values) > 2 or len(yes) + len(no) < len(values):
        shown = ", ".join(map(repr, values[:5])) + (", ..." if len(values) > 5 else "")
        allowed = f"two values, one of {', '.join(YES_WORDS)} and one of {', '.join(NO_WORDS)}"
        raise LabelUnusable(label, f"it has {len(values):,} values ({shown})", allowed)
    answers = pd.Series(np.isin(texts, yes).astype(np.float64), index=told["customer_id"].to_numpy())
    return answers, f"{label} = {yes[0] if yes else 'yes'}"
