"""A large profile is copied by number of customer; nothing that comes out may tell."""

from collections.abc import Mapping
from datetime import timedelta

import duckdb
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pytest

from features.catalogue import ALL, CHURN, CLV
from features.engine import builder, numbered
from features.engine.builder import available, build_features
from features.profile import Profile, profile_from_tables
from features.snapshot import Snapshot
from features.spec import Feature, FeatureSet


def copies_in(profile: Profile) -> list[str]:
    found = profile.backend.raw_sql("SELECT table_name FROM information_schema.tables").fetchall()
    return [name for (name,) in found if name.startswith("numbered_")]


def both_ways(profile: Profile, features: FeatureSet, times: int, monkeypatch: pytest.MonkeyPatch) -> list[pa.Table]:
    ends = [profile.known_until - timedelta(days=100 * i) for i in range(times)]
    built = []
    for least in (10**9, 1):
        monkeypatch.setattr(numbered, "WORTH_A_COPY", least)
        built.append(build_features(profile, features, ends))
    return built


@pytest.mark.parametrize("times", [1, 3])
def test_a_copy_gives_every_feature_bit_for_bit(
    simulated: Profile, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, copied = both_ways(simulated, available(simulated, ALL).features, times, monkeypatch)
    assert plain.num_rows > 100 * times
    assert copied.schema == plain.schema
    assert copied.combine_chunks().equals(plain.combine_chunks())


@pytest.mark.exhaustive
@pytest.mark.parametrize("feature", ALL.features, ids=lambda feature: feature.name)
def test_a_copy_holds_what_each_feature_reads(
    simulated: Profile, feature: Feature, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = FeatureSet("alone", 1, (feature,))
    plain, copied = both_ways(simulated, alone, 2, monkeypatch)
    assert copied.combine_chunks().equals(plain.combine_chunks())


def test_a_copy_takes_columns_of_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    at = pd.Timestamp("2024-01-01", tz="UTC")
    own = {"it's": ["x"], 'say "x"': ["y"], "back\\slash": ["z"]}
    tables = {
        "customers": pd.DataFrame({"customer_id": ["a"], **own}),
        "orders": pd.DataFrame({"customer_id": ["a"], "order_id": ["1"], "event_time": [at], "value": [1.0]}),
    }
    plain, copied = both_ways(profile_from_tables(tables), CLV, 2, monkeypatch)
    assert copied.combine_chunks().equals(plain.combine_chunks())


def test_copies_are_gone_afterwards_also_after_an_error(simulated: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbered, "WORTH_A_COPY", 1)
    wanted = available(simulated, CHURN).features
    seen: list[str] = []

    def fail(*_: object) -> pa.Table:
        seen.extend(copies_in(simulated))
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(builder, "arrow_features", fail)
        with pytest.raises(RuntimeError, match="out of luck"):
            build_features(simulated, wanted, [simulated.known_until])
    assert seen
    assert not copies_in(simulated)


def test_only_what_is_large_and_read_twice_is_copied(simulated: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not numbered.is_worth_a_copy(simulated, ["orders", "order_days"], 2)  # it is small
    monkeypatch.setattr(numbered, "WORTH_A_COPY", 1)
    assert not numbered.is_worth_a_copy(simulated, ["orders"], 1)
    assert numbered.is_worth_a_copy(simulated, ["orders"], 2)
    assert numbered.is_worth_a_copy(simulated, ["orders", "order_days"], 1)


def test_only_the_columns_that_features_read_are_copied(simulated: Profile) -> None:
    def declare(tables: Mapping[str, ir.Table]) -> ir.Table:
        return builder.feature_expression(Snapshot(tables, 0), CLV.features)

    with numbered.numbered(simulated, CLV.features, declare) as copied:
        assert set(copied.tables) == {"customers", "orders"}
        orders = next(name for name in copies_in(simulated) if name.endswith("orders_read"))
        read = set(simulated.backend.table(orders, database=("temp", "main")).columns)
        assert {"customer_id", "event_time", "value"} <= read
        assert not {"channel", "order_id"} & read
        with pytest.raises(duckdb.Error, match="column channel was not expected to be read"):
            simulated.backend.execute(copied.tables["orders"].channel.max())
        assert copied.names.to_pylist() == sorted(copied.names.to_pylist())
