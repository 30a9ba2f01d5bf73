"""The gate before every training: columns that give the outcome away are named, and refused unless allowed.

======================================  ===============================================================================
a column is suspected when              limit
======================================  ===============================================================================
it is the company's action              over `campaigns`, or events of a kind that the company sends: AUC above 0.90
it is there for one class only          filled for at most 2 % of one class and at least 98 % of the other
it is another model's output            a column of the company's own whose name says so (score, risk, probability,
                                        predicted, ...): AUC above 0.75
it was recorded after the outcome       an attribute without a time (`ingested_at`, or its own `_known_from`) of which
                                        a level, or having any, stands for one class: 99 % pure, odds 50 times
                                        those of all, 50 customers
it alone separates the classes          AUC above 0.98, or a threshold or level that catches 90 % of one
                                        class, 99 % pure, with at most 10 % of the other class
it is an identifier                     text with a level a customer; whole numbers, all different, in the order of ids
======================================  ===============================================================================

Numbers over the customer's own order history are measured and never refused: a label about orders is legitimately told
by how long a customer has been silent, nearly without error where most customers left years ago, and every order lies
before the prediction time by construction of the snapshot.

References
----------
Kaufman, S., Rosset, S., Perlich, C. and Stitelman, O. (2012). Leakage in Data Mining: Formulation, Detection, and
Avoidance. ACM Transactions on Knowledge Discovery from Data 6(4), section 4.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from features.profile import Profile
from features.spec import Feature, FeatureSet
from models.base import Array
from training.config import TrainConfig
from training.errors import LeakageSuspected
from training.rows.origin import company_actions, dated_attributes, is_order_history, is_prediction, tables_of
from training.rows.separation import CAUGHT, PURE, Classes, Levels, level_rates
from training.rows.splits import Split

MOST_AUC, MOST_ACTION_AUC, MOST_PREDICTION_AUC = 0.98, 0.90, 0.75
MOST_FEW, LEAST_MANY = 0.02, 0.98
LEAST_ODDS = 50.0
LEAST_CUSTOMERS = 50
"""Of either class, below which a figure proves nothing."""
LEAST_LEVEL_SHARE, LEAST_RANK_CORRELATION = 0.9, 0.999
MOST_ROWS = 50_000
"""Rows looked at: a leak shows in them as well as in millions."""

Found = tuple[str, str, str]
"""Rule, figure and limit."""


@dataclass(frozen=True)
class Suspect:
    """A column that may give the outcome away.

    Parameters
    ----------
    column, rule : str
        Which, and what is wrong with it.
    found, allowed : str
        The figure and its limit.
    split : str
        The rows it was found on.
    """

    column: str
    rule: str
    found: str
    allowed: str
    split: str

    def words(self) -> str:
        """Column, rule, figure and limit in one clause."""
        return f"{self.column!r} {self.rule} (on the {self.split} rows: {self.found}; allowed: {self.allowed})"


@dataclass(frozen=True)
class Examined:
    """What was found on one split.

    Parameters
    ----------
    split : str
        Its name.
    rows, customers : int
        How many were looked at.
    auc : mapping of str to float
        How well each column alone separates the classes; empty without labels or with too few of a class.
    suspects : tuple of Suspect
        At most one a column.
    """

    split: str
    rows: int
    customers: int
    auc: Mapping[str, float]
    suspects: tuple[Suspect, ...]


@dataclass(frozen=True)
class Checked:
    """What the gate looked at and let pass.

    Parameters
    ----------
    examined : tuple of Examined
        By split.
    """

    examined: tuple[Examined, ...] = ()

    @property
    def suspected(self) -> dict[str, Suspect]:
        """Suspected columns, each with the first thing found; of a fit that was not refused, all were allowed."""
        found: dict[str, Suspect] = {}
        for part in self.examined:
            for suspect in part.suspects:
                found.setdefault(suspect.column, suspect)
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each column that was suspected and allowed."""
        return tuple(f"leakage allowed by the settings: {suspect.words()}" for suspect in self.suspected.values())

    def document(self) -> list[dict[str, Any]]:
        """What was looked at and found, for the run's artifact."""
        return [
            {
                "split": part.split,
                "rows": part.rows,
                "customers": part.customers,
                "auc": {name: round(auc, 4) for name, auc in part.auc.items()},
                "suspects": [vars(suspect) for suspect in part.suspects],
            }
            for part in self.examined
        ]

    def and_then(self, later: "Checked") -> "Checked":
        """Add what was found on the rows of the last fit."""
        return Checked((*self.examined, *(replace(part, split=f"refit {part.split}") for part in later.examined)))


def check_leakage(
    profile: Profile, features: FeatureSet, splits: Sequence[tuple[Split, Array | None]], config: TrainConfig
) -> Checked:
    """Refuse to train on columns that give the outcome away.

    Parameters
    ----------
    profile : Profile
        Tells where the columns come from.
    features : FeatureSet
        The columns.
    splits : sequence of (Split, ndarray or None)
        Rows to look at, with how much of each row churned, where that is known. The holdout belongs here: an attribute
        exported today tells the latest outcomes best.
    config : TrainConfig
        `leakage` and `leakage_allowed`.

    Returns
    -------
    Checked
        What was looked at; suspects in it were allowed by the settings.

    Raises
    ------
    LeakageSuspected
        If a column is suspected and not allowed.
    """
    actions, dated = company_actions(profile, features), dated_attributes(profile, features.features)
    checked = Checked(tuple(examine(split, share, features, actions=actions, dated=dated) for split, share in splits))
    refused = [suspect for name, suspect in checked.suspected.items() if name not in config.leakage_allowed]
    if refused and config.leakage == "refuse":
        raise LeakageSuspected([suspect.column for suspect in refused], [suspect.words() for suspect in refused])
    return checked


def examine(
    split: Split,
    share: Array | None,
    features: FeatureSet,
    *,
    actions: Collection[str] = (),
    dated: Collection[str] = (),
) -> Examined:
    """Look at every column of a split.

    Parameters
    ----------
    split : Split
        Keys and columns.
    share : ndarray of shape (n,) or None
        1 where the customer churned, 0 where not, between where that is a probability; None: columns are only looked
        at as identifiers.
    features : FeatureSet
        What the columns are.
    actions : collection of str
        Columns that measure what the company did.
    dated : collection of str
        Attributes of customers that come with the time at which they became known.
    """
    chosen = np.unique(np.linspace(0, len(split.rows) - 1, min(MOST_ROWS, len(split.rows))).astype(np.int64))
    keys, rows = split.keys.iloc[chosen].reset_index(drop=True), split.rows.iloc[chosen].reset_index(drop=True)
    classes = Classes.of(share[chosen], keys["customer_id"]) if share is not None else None
    if classes is not None and classes.smaller < LEAST_CUSTOMERS:
        classes = None
    latest = (keys["prediction_time"] == keys["prediction_time"].max()).to_numpy()
    ids = keys["customer_id"][latest].reset_index(drop=True)
    auc: dict[str, float] = {}
    suspects = []
    for feature in features.features:
        column = rows[feature.name]
        found = identifies(feature, column[latest].reset_index(drop=True), ids)
        if classes is not None:
            told = Telling.of(feature, column, classes)
            auc[feature.name] = told.auc
            known_late = feature.name not in dated and tables_of(feature) == {"customers"}
            found = next(told.suspicions(is_action=feature.name in actions, known_late=known_late), found)
        if found:
            suspects.append(Suspect(feature.name, *found, split.name))
    return Examined(split.name, len(rows), int(keys["customer_id"].nunique()), auc, tuple(suspects))


@dataclass(frozen=True)
class Telling:
    """What one column tells of the outcome.

    Parameters
    ----------
    feature : Feature
        The column.
    levels : Levels
        Its values; of text, in no order.
    ranked : Levels
        What it is ranked by: its values, or the churn rates of a text's levels.
    auc : float
        How well that separates the classes.
    """

    feature: Feature
    levels: Levels
    ranked: Levels
    auc: float

    @classmethod
    def of(cls, feature: Feature, column: pd.Series, classes: Classes) -> "Telling":
        """Count a column's values by class."""
        levels = Levels.of(column, classes)
        if feature.dtype != "string":
            return cls(feature, levels, levels, levels.auc())
        rates = level_rates(column, classes)
        return cls(feature, levels, rates, rates.auc(either_way=False))

    def suspicions(self, *, is_action: bool, known_late: bool) -> Iterator[Found]:
        """What speaks against it, the most specific first."""
        if is_action and self.auc > MOST_ACTION_AUC:
            limit = f"AUC up to {MOST_ACTION_AUC:.2f}"
            yield "is the company's action, not the customer's", f"AUC {self.auc:.3f}", limit
        if is_order_history(self.feature):
            return
        if is_prediction(self.feature) and self.auc > MOST_PREDICTION_AUC:
            yield (
                "looks like the output of another model",
                f"by its name, and AUC {self.auc:.3f}",
                f"AUC up to {MOST_PREDICTION_AUC:.2f}",
            )
        filled = 1 - self.levels.missing / np.array(self.levels.totals)
        if filled.min() <= MOST_FEW and filled.max() >= LEAST_MANY:
            shares = f"filled for {filled[0]:.1%} of those churned and {filled[1]:.1%} of those not"
            yield "is there for one class only", shares, f"filled for over {MOST_FEW:.0%} of both, or gaps in both"
        if known_late and (rule := self.levels.exclusive(LEAST_ODDS, LEAST_CUSTOMERS)):
            yield "looks recorded after the outcome", str(rule), f"less than {PURE:.0%} pure"
        rule = self.levels.near_perfect()
        if rule is None and self.ranked is not self.levels and (group := self.ranked.near_perfect()):
            rule = replace(group, where="a group of its levels")
        if rule:
            limit = f"less than {CAUGHT:.0%} caught or less than {PURE:.0%} pure"
            yield "alone separates the classes", str(rule), limit
        if self.auc > MOST_AUC:
            yield "alone separates the classes", f"AUC {self.auc:.3f}", f"AUC up to {MOST_AUC:.2f}"


def identifies(feature: Feature, column: pd.Series, ids: pd.Series) -> Found | None:
    """Whether a column tells customers apart rather than what they are like; spans of time never do."""
    filled = column.notna().to_numpy()
    values, customers = column[filled], int(filled.sum())
    if customers < LEAST_CUSTOMERS:
        return None
    if feature.dtype == "string":
        levels = values.nunique()
        if levels < LEAST_LEVEL_SHARE * customers:
            return None
        limit = f"below {LEAST_LEVEL_SHARE:.0%} as many levels as customers"
        return "is an identifier", f"{levels:,} levels for {customers:,} customers", limit
    numbers = values.to_numpy(dtype=np.float64)
    if feature.unit == "days" or not np.array_equal(numbers, np.floor(numbers)) or values.nunique() < customers:
        return None
    texts = ids[filled]
    placed = pd.DataFrame({"width": texts.str.len(), "text": texts, "number": numbers}).sort_values(["width", "text"])
    along = np.corrcoef(placed["number"].rank(), np.arange(customers))[0, 1]
    if abs(along) < LEAST_RANK_CORRELATION:
        return None
    return "is an identifier", f"{customers:,} different whole numbers in the order of customer_id", "repeated values"
