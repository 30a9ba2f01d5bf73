"""A company's own columns of `customers`, for models with dates: which are learned from, and since when they are known.

A column says one thing of a customer, whenever the customer is asked about. Where `customers` has `ingested_at` a row
counts from then on, its columns with it; an attribute with a time of its own (`tier_known_from`) from that time on.
Where there is neither, what stands there today is taken as known at every prediction time; the run says so, and the
gate (`training.rows.leakage`) looks for columns that tell what came later.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.attributes import OWN, own_features, stated
from features.catalogue import CATALOGUE, PORTRAIT
from features.contract import TABLES
from features.errors import listed
from features.profile import Profile
from features.spec import Feature
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.rows.leakage import MOST_ROWS, identifies
from training.rows.origin import dated_attributes
from training.rows.usable import MOST_LEVELS

NAMES_SHOWN = 20


@dataclass(frozen=True)
class OwnColumns:
    """What of a company's own columns can be learned from.

    Parameters
    ----------
    features : tuple of Feature
        Those, in the order of the table.
    absent : dict of str to str
        Those that say the same of everybody, with what they lack.
    left_out : dict of str to str
        Those that a company may want to change so that they are learned from, with the reason.
    """

    features: tuple[Feature, ...] = ()
    absent: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What a reader of the run should know."""
        return [f"column {name!r} of customers is not learned from: {why}" for name, why in self.left_out.items()]


def require_known(config: TrainConfig, profile: Profile) -> None:
    """Refuse to leave out what is not there: a name misspelt would be learned from.

    Raises
    ------
    ConfigInvalid
        If a name of `leave_out` is neither a feature nor a column of the company's own.
    """
    own = [feature.name for feature in own_features(profile.tables, profile.backend)] if config.leave_out else []
    unknown = [name for name in config.leave_out if name not in CATALOGUE and name not in own]
    if unknown:
        found = f"the profile's own columns ({listed(own, NAMES_SHOWN)})" if own else "the profile has no own columns"
        raise ConfigInvalid("leave_out", ", ".join(unknown), f"features of the catalogue; {found}")


def own_columns_of(profile: Profile, config: TrainConfig, taken: Collection[Feature] = ()) -> OwnColumns:
    """Look at a company's own columns of its customers.

    Parameters
    ----------
    profile : Profile
        The profile; without a column of its own there is nothing to find.
    config : TrainConfig
        `leave_out` is left out without a word.
    taken : collection of Feature
        What the model learns from besides the catalogue, and whose names are taken.
    """
    own = [f for f in own_features(profile.tables, profile.backend) if f.name not in config.leave_out]
    known = (*TABLES["customers"].by_name, *CATALOGUE, *(feature.name for feature in taken))
    names = {name.lower(): name for name in known}  # engines tell names apart whatever their case
    absent: dict[str, str] = {}
    left_out = {
        f.name: f"its name is that of Patron's {names[f.name.lower()]!r}; rename it in profile.yaml"
        for f in own
        if f.name.lower() in names
    }
    own = [feature for feature in own if feature.name not in left_out]
    if not own:
        return OwnColumns(left_out=left_out)
    customers = profile.tables["customers"]
    values = {feature.name: stated(customers[feature.name], feature.dtype) for feature in own}
    rows = profile.backend.to_pyarrow(customers.select("customer_id", **values).order_by("customer_id"))
    for feature in own:
        column = rows.column(feature.name).combine_chunks()
        levels = pc.count_distinct(column).as_py()
        if not levels:
            absent[feature.name] = "any value"
        elif levels == 1 and not column.null_count:
            absent[feature.name] = "any difference between customers"
        elif why := _tells_apart(feature, column, levels, rows.column("customer_id")):
            left_out[feature.name] = why
    found = tuple(f for f in own if f.name not in absent and f.name not in left_out)
    return OwnColumns(found, absent, left_out)


def _tells_apart(feature: Feature, column: pa.Array, levels: int, ids: pa.ChunkedArray) -> str | None:
    """Why a column tells customers apart rather than what they are like, if it does."""
    chosen = np.unique(np.linspace(0, len(column) - 1, min(MOST_ROWS, len(column))).astype(np.int64))
    if found := identifies(feature, column.take(chosen).to_pandas(), ids.take(chosen).to_pandas()):
        return f"it {found[0]}, with {found[1]} (allowed: {found[2]})"
    if feature.dtype == "string" and levels > MOST_LEVELS:
        return f"it has {levels:,} different texts (allowed: at most {MOST_LEVELS:,}); group them"
    return None


def said_of_time(profile: Profile, features: Collection[Feature]) -> list[str]:
    """Say of which columns it is not known since when they were so."""
    stand = [feature.name for feature in features if feature.unit == OWN or feature.name in PORTRAIT]
    dated = dated_attributes(profile, features)
    stand = [name for name in stand if name not in dated]
    if not stand:
        return []
    return [
        f"customers does not say since when {listed(stand, NAMES_SHOWN)} were known (ingested_at): they are taken as "
        "known at every prediction time, as they stand today"
    ]
