"""How long lifetime values with their intervals take for a million customers: `make bench`."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.clv.btyd import ClvBgNbd


def many(customers: int) -> pd.DataFrame:
    """Purchase histories over two years: most customers ordered once, some often."""
    generator = np.random.default_rng(0)
    age = generator.integers(30, 730, customers).astype(np.float64)
    x = np.minimum(generator.negative_binomial(0.5, 0.2, customers), age - 1)
    recency = np.where(x > 0, np.maximum(np.ceil(age * generator.beta(4, 2, customers)), x), 0.0)
    value = np.where(x > 0, np.round(generator.gamma(6, 5, customers), 2), np.nan)
    return pd.DataFrame({"frequency": x, "recency_days": recency, "T_days": age, "monetary_value": value})


@pytest.mark.parametrize("customers", [100_000, 1_000_000])
@pytest.mark.benchmark(group="value customers over a year, with intervals of 50 and 90 %")
def test_score_with_intervals(benchmark: Any, customers: int) -> None:
    rows = many(customers)
    model = ClvBgNbd().fit(rows.iloc[:50_000])
    scores = benchmark.pedantic(model.score, (rows,), rounds=1)
    assert (scores["clv_low_90"] <= scores["clv_high_90"]).all()
    benchmark.extra_info["customers"] = customers
