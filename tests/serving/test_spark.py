"""The batch job on Spark writes what the batch job on one machine writes."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.eligibility import ELIGIBLE
from features.errors import EmptyCohort, OutputUnwritable
from features.instants import read_instant
from features.profile import Profile, open_profile, profile_from_tables
from models.errors import ModelDamaged
from serving.batch import score_profile
from serving.champion import Champion
from serving.errors import CurrencyDiffers
from serving.manifest import EXCLUDED, MANIFEST, SCORES
from serving.plan import make_plan
from serving.plan_config import PlanConfig, Rules
from serving.plan_source import customers_of_profile, customers_of_scores
from serving.scorer import NO_VALUE, Scorer

pytestmark = pytest.mark.exhaustive

AT = read_instant("2024-06-01")
FRAME = "pyspark.sql.classic.dataframe.DataFrame"
LETTER = {"name": "letter", "channel": "post", "contact_cost": 0, "success_rate": {"mean": 0.05, "sample_size": 100}}


@pytest.fixture(scope="module")
def champions(small_simulated: Profile) -> Scorer:
    """A champion of every task, fitted on the small profile."""
    from training.config import TrainConfig
    from training.fit import fit

    config = TrainConfig(horizon_days=90)
    return Scorer(
        {task: Champion("1", fit(task, small_simulated, config)[0].final) for task in ("churn", "clv", "segments")}
    )


@pytest.fixture(scope="module")
def tables(small_simulated: Profile) -> dict[str, pa.Table]:
    """The small profile's tables, and one customer more, who never ordered."""
    tables = {name: table.to_pyarrow() for name, table in small_simulated.tables.items()}
    never = pa.Table.from_pylist([{"customer_id": "never"}], schema=tables["customers"].schema)
    return tables | {"customers": pa.concat_tables([tables["customers"], never])}


@pytest.fixture(scope="module")
def spark_profile(tables: dict[str, pa.Table], on_spark: Callable[..., str]) -> Profile:
    """The same tables as Spark reads them."""
    return open_profile(on_spark(tables))


@pytest.fixture(scope="module")
def runs(
    tables: dict[str, pa.Table], spark_profile: Profile, champions: Scorer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Output folders of the same job on DuckDB and on Spark."""
    from pyspark.sql.classic.dataframe import DataFrame

    from serving.spark import score_on_spark

    folder = tmp_path_factory.mktemp("runs")
    score_profile(profile_from_tables(tables), AT, folder / "duckdb", champions)
    with pytest.MonkeyPatch.context() as patch:
        for way in ("collect", "take", "toLocalIterator", "toPandas"):
            patch.setattr(f"{FRAME}.{way}", brought_here)
        patch.setattr(f"{FRAME}.toArrow", one_row_only(DataFrame.toArrow))
        score_on_spark(spark_profile, AT, folder / "spark", champions)
    return folder / "duckdb", folder / "spark"


def brought_here(*_: Any, **__: Any) -> None:
    raise AssertionError("rows of customers were brought to the driver")


def one_row_only(bring: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    """What a whole table comes to, such as its currency, may come here."""

    def brought(frame: Any) -> pa.Table:
        found = bring(frame)
        assert found.num_rows == 1, "rows of customers were brought to the driver"
        return found

    return brought


def rows(path: Path) -> pa.Table:
    return pq.read_table(path).sort_by("customer_id")


def test_scores_are_those_of_one_machine_bit_for_bit(runs: tuple[Path, Path]) -> None:
    expected, found = (rows(run / SCORES) for run in runs)
    assert found.num_rows > 100
    assert found.column_names == expected.column_names
    for name in expected.column_names:
        assert found.column(name).to_pylist() == expected.column(name).to_pylist(), name


def test_the_same_customers_are_excluded_for_the_same_reason(runs: tuple[Path, Path]) -> None:
    expected, found = (rows(run / EXCLUDED).to_pylist() for run in runs)
    assert found == expected == [{"customer_id": "never", "reason": ELIGIBLE["ordered"].otherwise}]


def test_manifests_agree_and_account_for_every_customer(runs: tuple[Path, Path]) -> None:
    expected, found = (json.loads((run / MANIFEST).read_text()) for run in runs)
    assert found["cohort"] == found["scored"] + found["excluded"]
    assert found["excluded_by_reason"] == {ELIGIBLE["ordered"].otherwise: 1}
    counted = ("cohort", "scored", "excluded", "excluded_by_reason", "population")
    for name in ("prediction_time", *counted, "models", "orders", "acquisition", "equity", "reasons"):
        assert found[name] == expected[name], name


def test_a_profile_on_spark_is_planned_as_its_scores_are(
    runs: tuple[Path, Path], spark_profile: Profile, champions: Scorer
) -> None:
    rules = Rules(quiet_days=7)
    plan = PlanConfig.model_validate({"name": "spring", "actions": [LETTER]})
    found = customers_of_profile(spark_profile, AT, champions, rules)
    expected = customers_of_scores(runs[0] / SCORES, rules, lambda: spark_profile)
    assert found.contacted == expected.contacted
    assert len(found.contacted) > 10
    lists = [make_plan(each, plan).contacts.to_pylist() for each in (found, expected)]
    assert lists[0] == lists[1] != []


def test_the_manifest_hashes_every_file_beside_it(runs: tuple[Path, Path]) -> None:
    folder = runs[1]
    files = json.loads((folder / MANIFEST).read_text())["files"]
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(files) == present - {MANIFEST}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in files.items())


def test_nobody_to_score_is_refused_and_leaves_the_earlier_run(
    spark_profile: Profile, champions: Scorer, runs: tuple[Path, Path]
) -> None:
    from serving.spark import score_on_spark

    before = (runs[1] / MANIFEST).read_bytes()
    with pytest.raises(EmptyCohort, match="2022-01-01"):
        score_on_spark(spark_profile, read_instant("2022-01-01"), runs[1], champions)
    assert (runs[1] / MANIFEST).read_bytes() == before
    assert [path.name for path in runs[1].parent.iterdir() if path.name.startswith(".")] == []


def test_nobody_whose_orders_are_worth_anything_is_refused_as_on_one_machine(
    cdnow_scorer: Scorer, on_spark: Callable[..., str], tmp_path: Path
) -> None:
    from serving.spark import score_on_spark

    free = {
        "customer_id": ["c1", "c2"],
        "order_id": ["1", "2"],
        "event_time": pa.array([read_instant("1997-09-01"), read_instant("1997-09-02")], pa.timestamp("us", "UTC")),
        "value": [0.0, 0.0],
    }
    tables = {"customers": pa.table({"customer_id": ["c1", "c2"]}), "orders": pa.table(free)}
    said = []
    for profile, score in (
        (profile_from_tables(tables), score_profile),
        (open_profile(on_spark(tables)), score_on_spark),
    ):
        with pytest.raises(EmptyCohort) as refused:
            score(profile, AT, tmp_path / "out", cdnow_scorer)
        said.append(str(refused.value))
    assert said[0] == said[1]
    assert f"2 customers known, all with {NO_VALUE}" in said[0]


def test_amounts_in_another_currency_are_refused(
    champions: Scorer, tables: dict[str, pa.Table], on_spark: Callable[..., str], tmp_path: Path
) -> None:
    from serving.spark import score_on_spark

    def in_dollars(table: pa.Table) -> pa.Table:
        if "currency" not in table.column_names:
            return table
        at = table.column_names.index("currency")
        return table.set_column(at, "currency", pa.array(["USD"] * table.num_rows))

    profile = open_profile(on_spark({name: in_dollars(table) for name, table in tables.items()}))
    with pytest.raises(
        CurrencyDiffers, match="amounts are in 'USD', and the model of clv learned from amounts in 'EUR'"
    ):
        score_on_spark(profile, AT, tmp_path / "out", champions)
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_one_line(
    spark_profile: Profile, champions: Scorer, tmp_path: Path
) -> None:
    from serving.spark import score_on_spark

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputUnwritable) as problem:
        score_on_spark(spark_profile, AT, tmp_path / "file" / "out", champions)
    assert "\n" not in str(problem.value)


def test_champions_travel_as_bytes_and_a_damaged_one_is_refused(spark: Any, champions: Scorer) -> None:
    from serving.spark import ship, unship

    shipped = ship(champions)
    assert unship(shipped).features == champions.features
    version, files = shipped["clv"]
    files["state.json"] = files["state.json"].replace(b"0", b"1", 1)
    with pytest.raises(ModelDamaged, match=r"state\.json"):
        unship({"clv": (version, files)})


@pytest.fixture(scope="module")
def mapping(spark_profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A `profile.yaml` that takes every column of the same tables as it is."""
    sources: list[str] = []
    tables: list[str] = []
    for path in sorted(Path(spark_profile.source.removeprefix("spark://")).glob("*.parquet")):
        names = pq.read_schema(path).names
        columns = ", ".join(f"{name}: {name}" for name in names if name != "ingested_at")
        known = "known_from: ingested_at, " if "ingested_at" in names else ""
        sources.append(f"  {path.stem}: {path}")
        tables.append(f"  {path.stem}: {{from: {path.stem}, {known}columns: {{{columns}}}}}")
    file = tmp_path_factory.mktemp("mapping") / "profile.yaml"
    file.write_text("\n".join(["sources:", *sources, "tables:", *tables, ""]))
    return str(file)


@pytest.mark.parametrize("is_mapped", [False, True])
def test_the_command_scores_on_spark_where_the_engine_is_named(
    is_mapped: bool,
    mapping: str,
    spark_profile: Profile,
    champions: Scorer,
    runs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    import patron

    folder = mapping if is_mapped else spark_profile.source.removeprefix("spark://")
    monkeypatch.setenv("PATRON_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("serving.loader.load_champions", lambda *_: champions.champions)
    order = ["score", folder, "--at", "2024-06-01", "-o", str(tmp_path / "out"), "--engine", "spark", "--json"]
    monkeypatch.setattr(sys, "argv", ["patron", *order])
    with pytest.raises(SystemExit) as ended:
        patron.main()
    assert not ended.value.code
    said = capsys.readouterr()
    assert json.loads(said.out)["scored"] == pq.read_table(runs[0] / SCORES).num_rows
    assert "online store is left as it was" in said.err
    assert rows(tmp_path / "out" / SCORES).equals(rows(runs[1] / SCORES))


@pytest.mark.parametrize(
    ("profile", "what"),
    [("postgres://patron:hunter2@host/shop", "a postgres URL"), ("shop.duckdb", "a DuckDB file")],
)
def test_what_spark_cannot_reach_is_refused_not_scored_elsewhere(
    profile: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    import patron

    monkeypatch.setenv("PATRON_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["patron", "score", profile, "--at", "2024-06-01", "--engine", "spark"])
    with pytest.raises(SystemExit) as ended:
        patron.main()
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (1, 1)
    assert said.startswith(f"error: engine 'spark' does not read {what}. Allowed: ")
    assert "hunter2" not in said
