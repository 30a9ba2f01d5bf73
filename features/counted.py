"""Purchase histories and spend counted where the tables lie: what arrives is distinct patterns, not customers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from features.btyd import T_days, frequency, monetary_value, recency_days
from features.builder import feature_rows
from features.profile import Profile
from features.spec import Feature, FeatureSet

CUSTOMERS = "customers"


def count_histories(profile: Profile, prediction_time: datetime) -> pd.DataFrame:
    """Count the customers of each distinct purchase history.

    Parameters
    ----------
    profile : Profile
        With orders; on any engine.
    prediction_time : datetime
        Aware; what was known by then counts.

    Returns
    -------
    pandas.DataFrame
        `frequency`, `recency_days` and `T_days` of everyone who had ordered, each pattern once and in their order, and
        `customers`, how many have it; all float64.

    Raises
    ------
    FeaturesUnavailable
        If the profile lacks a table or column that histories need.
    """
    return _counted(profile, prediction_time, (frequency, recency_days, T_days))


def count_spend(profile: Profile, prediction_time: datetime) -> pd.DataFrame:
    """Count the customers of each distinct number of repeat order days and their mean value.

    Parameters
    ----------
    profile, prediction_time
        See `count_histories`.

    Returns
    -------
    pandas.DataFrame
        `frequency`, `monetary_value` (NaN without a repeat order day) and `customers`, as of `count_histories`.

    Raises
    ------
    FeaturesUnavailable
        If the profile lacks a table or column that they need.
    """
    return _counted(profile, prediction_time, (frequency, monetary_value))


def _counted(profile: Profile, prediction_time: datetime, features: Sequence[Feature]) -> pd.DataFrame:
    rows = feature_rows(profile, FeatureSet("counted", 1, tuple(features)), [prediction_time])
    names = [feature.name for feature in features]
    ordered = rows.filter(rows[frequency.name] >= 0)
    counted = ordered.group_by(names).aggregate(**{CUSTOMERS: ordered.count()}).order_by(names)
    answer: Any = profile.backend.to_pyarrow(counted)
    return pd.DataFrame(answer.to_pandas().astype("float64"))
