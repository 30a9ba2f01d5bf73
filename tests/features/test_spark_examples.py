"""Every example under `examples/` gives on Spark the columns that it gives on DuckDB, bit for bit."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from features.catalogue import ALL
from features.engine.builder import available, build_features
from features.errors import LayoutUnwritable
from features.instants import read_instant
from features.profile import Profile, open_profile

pytestmark = pytest.mark.exhaustive

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TABLES_OF_LINES = ("transactions", "demographics", "campaigns", "coupon_redemptions")
EVERY_NTH_HOUSEHOLD = 12
Compare = Callable[..., tuple[Profile, pa.Table]]


@pytest.fixture
def compare(spark: Any, assert_same_columns: Callable[[pa.Table, pa.Table], None], tmp_path: Path) -> Compare:
    """Open an example on both engines and hold every feature that it allows side by side."""

    def both(example: str, *times: str) -> tuple[Profile, pa.Table]:
        here, there = (open_profile(f"{engine}{EXAMPLES / example}", tmp_path / "aside") for engine in ("", "spark://"))
        assert (here.backend.name, there.backend.name) == ("duckdb", "pyspark")
        given = available(here, ALL)
        assert available(there, ALL) == given
        at = [read_instant(time) for time in times]
        expected = build_features(here, given.features, at)
        assert_same_columns(expected, build_features(there, given.features, at))
        assert (there.digest, there.counts, there.findings) == (here.digest, here.counts, here.findings)
        return there, expected

    return both


def test_cdnow_gives_the_same_columns(compare: Compare) -> None:
    _, table = compare("cdnow", "1997-10-01")
    assert table.num_rows == 23_570


def test_the_clickstream_gives_the_same_columns(compare: Compare) -> None:
    _, table = compare("clickstream", "2024-07-01")
    assert table.num_rows == 600


def test_contoso_with_its_quarantine_gives_the_same_columns(compare: Compare) -> None:
    profile, table = compare("contoso", "2019-04-01")
    assert table.num_rows == 5_000
    assert profile.counts["orders"].out_of_scope == 16


def test_the_telco_table_gives_the_same_columns(compare: Compare) -> None:
    profile, table = compare("telco", "2019-01-02")
    assert table.num_rows == 7_043
    assert profile.labels is not None
    assert profile.labels.count().to_pyarrow().as_py() == 7_043


def test_households_of_the_complete_journey_give_the_same_columns(
    complete_journey: Path,
    compare: Compare,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = tmp_path / "sample"
    sample.mkdir()
    for path in complete_journey.glob("*.parquet"):
        if path.stem in TABLES_OF_LINES:
            rows = pd.read_parquet(path)
            rows[rows["household_id"] % EVERY_NTH_HOUSEHOLD == 0].to_parquet(sample / path.name)
        else:
            (sample / path.name).symlink_to(path)
    monkeypatch.setenv("COMPLETE_JOURNEY", str(sample))
    _, table = compare("complete_journey", "2017-10-01", "2018-01-01")
    assert table.num_rows > 2 * 190


def test_what_was_laid_out_for_spark_goes_with_its_profile(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    profile = open_profile(f"spark://{EXAMPLES / 'telco' / 'profile.yaml'}")
    assert [path.name for path in sorted(next(tmp_path.glob("patron-spark-*")).iterdir())] == [
        "customers.parquet",
        "subscriptions.parquet",
    ]
    del profile
    gc.collect()
    assert not list(tmp_path.glob("patron-spark-*"))


def test_a_folder_that_cannot_take_the_tables_is_named_in_one_line(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = str(tmp_path / "gone")
    monkeypatch.setattr("features.reading.tables.mkdtemp", lambda prefix: gone)
    with pytest.raises(LayoutUnwritable, match="Set TMPDIR") as refused:
        open_profile(f"spark://{EXAMPLES / 'telco'}")
    assert gone in str(refused.value)
    assert "\n" not in str(refused.value)
