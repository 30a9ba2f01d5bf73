import math
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from features.catalogue import ALL, CATALOGUE, CLV
from features.engine.builder import build_features, feature_frame, write_features
from features.errors import FeaturesUnavailable, OutputUnwritable
from features.instants import read_instant
from features.profile import Profile
from features.spec import FeatureSet

AT = read_instant("2024-01-01")


def test_a_frame_holds_numbers_and_flags_as_floats_and_names_as_text(small_profile: Profile) -> None:
    names = ("frequency", "order_value_30d", "is_csat_silent", "last_order_channel")
    features = FeatureSet("mixed", 1, tuple(CATALOGUE[name] for name in names))
    frame = feature_frame(build_features(small_profile, features, [AT]), features)
    assert list(frame.columns) == list(names)
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "float64", "float64", "object"]
    busy, none, once, _ = frame.to_dict("records")
    assert busy == {"frequency": 3.0, "order_value_30d": 33.33, "is_csat_silent": 0.0, "last_order_channel": "web"}
    assert math.isnan(none["frequency"])
    assert none["last_order_channel"] is None
    assert once["order_value_30d"] == 7.77


def test_a_frame_takes_the_columns_of_the_set_in_its_order(small_profile: Profile) -> None:
    table = build_features(small_profile, ALL, [AT])
    turned = FeatureSet("turned", 1, CLV.features[::-1])
    assert list(feature_frame(table, turned).columns) == list(CLV.names[::-1])


def test_no_prediction_time_gives_an_empty_table_of_the_same_columns(small_profile: Profile) -> None:
    empty = build_features(small_profile, ALL, [])
    assert empty.num_rows == 0
    assert empty.schema == build_features(small_profile, ALL, [AT]).schema


def test_a_parquet_file_holds_the_table_as_built(small_profile: Profile, tmp_path: Path) -> None:
    file = tmp_path / "new" / "features.parquet"
    assert write_features(small_profile, CLV, [AT], file) == 4
    assert pq.read_table(file).equals(build_features(small_profile, CLV, [AT]))
    assert [path.name for path in file.parent.iterdir()] == ["features.parquet"]


def test_a_csv_file_holds_the_same_values(small_profile: Profile, tmp_path: Path) -> None:
    file = tmp_path / "features.csv"
    write_features(small_profile, CLV, [AT], file)
    built = build_features(small_profile, CLV, [AT])
    assert pa_csv.read_csv(file).select(list(CLV.names)).equals(built.select(list(CLV.names)))


def test_writing_twice_gives_the_same_bytes(small_profile: Profile, tmp_path: Path) -> None:
    for name in ("one.parquet", "two.parquet"):
        write_features(small_profile, ALL, [AT], tmp_path / name)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_a_failed_write_leaves_the_earlier_file_as_it_was(
    small_profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(table: pa.Table, where: Path, **_: object) -> None:
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    file = tmp_path / "features.parquet"
    file.write_bytes(b"earlier")
    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OutputUnwritable, match=r"cannot write '.*features\.parquet': No space left on device"):
        write_features(small_profile, CLV, [AT], file)
    assert file.read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["features.parquet"]


def test_a_file_where_a_folder_is_needed_is_refused_in_one_line(small_profile: Profile, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputUnwritable) as refused:
        write_features(small_profile, CLV, [AT], tmp_path / "taken" / "features.parquet")
    assert "\n" not in str(refused.value)


def test_features_that_are_lacking_write_nothing(cdnow_sample: Profile, tmp_path: Path) -> None:
    with pytest.raises(FeaturesUnavailable):
        write_features(cdnow_sample, ALL, [AT], tmp_path / "features.parquet")
    assert list(tmp_path.iterdir()) == []
