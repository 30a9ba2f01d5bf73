"""Rows and whose they are: features beside their keys, and what came of a key laid beside it."""

import numpy as np
import pandas as pd
import pyarrow as pa

from features.engine.builder import feature_frame
from features.spec import FeatureSet


def keyed_frame(table: pa.Table, features: FeatureSet) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a feature table into its keys and its features as models take them."""
    keys = pd.DataFrame(
        {
            "customer_id": table.column("customer_id").to_pylist(),
            "prediction_time": table.column("prediction_time").to_pandas(),
        }
    )
    return keys, feature_frame(table, features)


def with_future(keys: pd.DataFrame, future: pd.DataFrame) -> pd.DataFrame:
    """Lay what was ordered afterwards beside the keys: 0 order days and value, NaN days to order, where nothing was."""
    keyed = keys.assign(prediction_time=keys["prediction_time"].astype("datetime64[us, UTC]"))
    later = future.assign(prediction_time=future["prediction_time"].astype("datetime64[us, UTC]"))
    joined = keyed.merge(later, on=["customer_id", "prediction_time"], how="left", validate="one_to_one")
    filled = joined[["order_days", "order_value", "days_to_order"]].fillna({"order_days": 0.0, "order_value": 0.0})
    return filled.astype(np.float64)
