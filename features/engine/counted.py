"""Purchase histories and spend counted where the tables lie: what arrives is distinct patterns, not customers."""

from datetime import datetime
from typing import Any

import pandas as pd

from features.btyd import T_days, frequency, monetary_value, recency_days
from features.engine.builder import feature_rows
from features.profile import Profile
from features.spec import Feature, FeatureSet

CUSTOMERS = "customers"


def count_customers(profile: Profile, prediction_time: datetime) -> pd.DataFrame:
    """Count the customers of each distinct purchase history and mean value.

    Parameters
    ----------
    profile : Profile
        With orders; on any engine.
    prediction_time : datetime
        Aware; what was known by then counts.

    Returns
    -------
    pandas.DataFrame
        `frequency`, `recency_days`, `T_days` and `monetary_value` (NaN without a repeat order day) of everyone who had
        ordered, each pattern once and in their order, and `customers`, how many have it; all float64.

    Raises
    ------
    FeaturesUnavailable
        If the profile lacks a table or column that they need.
    """
    features: tuple[Feature, ...] = (frequency, recency_days, T_days, monetary_value)
    rows = feature_rows(profile, FeatureSet("counted", 2, features), [prediction_time])
    names = [feature.name for feature in features]
    ordered = rows.filter(rows[frequency.name] >= 0)
    counted = ordered.group_by(names).aggregate(**{CUSTOMERS: ordered.count()}).order_by(names)
    answer: Any = profile.backend.to_pyarrow(counted)
    return pd.DataFrame(answer.to_pandas().astype("float64"))
