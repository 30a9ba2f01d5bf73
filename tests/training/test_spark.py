"""Training on a profile that Spark reads is training on the same tables that DuckDB reads."""

from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import pytest

import training.rows.past
from features.catalogue import CLV
from features.profile import Profile, open_profile
from models.clv.btyd import ClvBgNbd
from models.families import FAMILIES
from training.clv import ClvJob
from training.config import TrainConfig
from training.fit import fit
from training.rows.past import past_rows

pytestmark = pytest.mark.exhaustive

CUTOFF = datetime(1997, 10, 1, tzinfo=UTC)
SETTINGS = TrainConfig(horizon_days=90, cutoff=CUTOFF)
MOST = 3_000


@pytest.fixture(scope="module")
def elsewhere(cdnow_sample: Profile, on_spark: Callable[..., str]) -> Profile:
    """The CDNOW sample, read by Spark."""
    return open_profile(on_spark({name: table.to_pyarrow() for name, table in cdnow_sample.tables.items()}))


def test_sample_of_very_many_customers_is_the_same_on_spark(
    cdnow_sample: Profile, elsewhere: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.rows.past, "MOST_PAST_ROWS", MOST)
    (past, days, told), expected = (
        past_rows(SETTINGS, profile, CLV, 2_357, 273, CUTOFF) for profile in (elsewhere, cdnow_sample)
    )
    assert expected[0] is not None
    assert past is not None
    taken = past.keys["customer_id"].nunique()
    assert told == (
        f"what followed earlier was learned from {taken:,} of 2,357 customers, a sample by a hash of their ids",
    )
    assert (days, told) == expected[1:]
    for name in ("keys", "rows", "outcome"):
        pd.testing.assert_frame_equal(getattr(past, name), getattr(expected[0], name))


def test_refit_to_counts_of_spark_is_that_of_duckdb(cdnow_sample: Profile, elsewhere: Profile) -> None:
    job, family = ClvJob(), FAMILIES["clv_mbgnbd"]
    models = [
        job.learn(family, SETTINGS, job.prepare_refit(family, SETTINGS, profile))
        for profile in (elsewhere, cdnow_sample)
    ]
    assert models[0].state() == models[1].state()


def test_run_on_spark_is_the_run_on_duckdb(cdnow_sample: Profile, elsewhere: Profile) -> None:
    (found,), (expected,) = (fit("clv", profile, SETTINGS, "clv_bgnbd") for profile in (elsewhere, cdnow_sample))
    of_time = ("seconds", "megabytes", "milliseconds", "bytes", "size", "latency", "cost")
    names = [name for name in expected.metrics if not any(word in name for word in of_time)]
    assert {name: found.metrics[name] for name in names} == {name: expected.metrics[name] for name in names}
    assert found.grade == expected.grade
    assert found.warnings == expected.warnings
    model, same = found.final.model, expected.final.model
    assert isinstance(model, ClvBgNbd)
    assert model.state() == same.state()
    assert found.final.contract.reference == expected.final.contract.reference
