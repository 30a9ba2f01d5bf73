"""How long the core takes: `make bench`. Reports and does not gate; a peer runs in the same process where one is."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import ALL, CHURN, CLV
from features.engine.builder import available, build_features, feature_frame
from features.engine.compiled import CompiledFeatures
from features.instants import read_instant
from features.profile import Profile, open_profile
from features.spec import FeatureSet
from models.clv.orders.bgnbd import Histories, fit_bgnbd
from models.contract import Contract, reference_of
from models.families import FAMILIES, OUTPUTS, RANKED, Task
from models.persistence import Kept
from serving.champion import Champion
from serving.scorer import Scorer
from training.rows.leakage import examine
from training.rows.splits import Split
from training.simulation.simulate import simulate

AT = read_instant("2024-06-01")


@pytest.fixture(scope="module", params=[10_000, 100_000])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return open_profile(simulate(tmp_path_factory.mktemp("large"), request.param))


@pytest.mark.benchmark(group="build the whole catalogue for every customer")
def test_build_features(benchmark: Any, large: Profile) -> None:
    rows = benchmark.pedantic(build_features, (large, ALL, [AT]), rounds=3, warmup_rounds=1)
    benchmark.extra_info["customers"] = rows.num_rows


def histories(customers: int) -> pd.DataFrame:
    """Purchase histories over two years, in days, drawn from BG/NBD."""
    generator = np.random.default_rng(0)
    age = generator.integers(30, 730, customers).astype(float)
    rate, dropout = generator.gamma(0.6, 1 / 40, customers), generator.beta(0.8, 2.5, customers)
    count, last = np.zeros(customers), np.zeros(customers)
    clock, active = np.zeros(customers), np.ones(customers, dtype=bool)
    while active.any():
        clock = clock + generator.exponential(1 / rate)
        active = active & (clock <= age)
        count, last = count + active, np.where(active, clock, last)
        active = active & (generator.random(customers) > dropout)
    days = np.maximum(np.ceil(last), (count > 0).astype(float))
    return pd.DataFrame({"frequency": count, "recency_days": np.minimum(days, age), "T_days": age})


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    return histories(200_000)


@pytest.mark.benchmark(group="fit BG/NBD to 200,000 customers, time in days")
def test_fit_bgnbd(benchmark: Any, many: pd.DataFrame) -> None:
    benchmark.pedantic(lambda: fit_bgnbd(Histories.of(many)), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="fit BG/NBD to 200,000 customers, time in days")
def test_fit_bgnbd_with_lifetimes(benchmark: Any, many: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoFitter

        benchmark.pedantic(
            lambda: BetaGeoFitter().fit(many["frequency"], many["recency_days"], many["T_days"]), rounds=1
        )


@pytest.fixture(scope="module")
def scorer(simulated: Profile) -> Scorer:
    champions: dict[Task, Champion] = {}
    names: dict[Task, str] = {"churn": "churn_lightgbm", "clv": "clv_bgnbd", "segments": "segments_kmeans"}
    for task, name in names.items():
        family = FAMILIES[name]
        features = available(simulated, family.feature_set).features
        rows = feature_frame(build_features(simulated, features, [AT]), features)
        rows = rows[rows["frequency"].notna()].reset_index(drop=True)
        target = (rows["days_since_last_order"] > 60).to_numpy().astype(np.float64) if task == "churn" else None
        model = family.make({})
        model.fit(rows, target)
        scores = model.score(rows)
        assert set(OUTPUTS[task]) == set(scores.columns)
        reference = reference_of(scores[RANKED[task]].to_numpy()) if task in RANKED else ()
        contract = Contract.for_features(
            features,
            task=task,
            family=family.name,
            cutoff=AT,
            horizon_days=90,
            gap_days=0,
            label="benchmark",
            customers=len(rows),
            data_digest="",
            is_simulated=True,
            random_state=0,
            package_version="0",
            reference=reference,
        )
        champions[task] = Champion("1", Kept(model, contract))
    return Scorer(champions)


@pytest.mark.parametrize("rows", [1, 1_000])
@pytest.mark.benchmark(group="score features for all three tasks, with reasons")
def test_score_rows(benchmark: Any, simulated: Profile, scorer: Scorer, rows: int) -> None:
    table = build_features(simulated, scorer.features, [AT]).slice(0, rows)
    benchmark(scorer.score, table)


@pytest.mark.parametrize("customers", [1, 500])
@pytest.mark.benchmark(group="features of facts in a request")
def test_request_features(benchmark: Any, simulated: Profile, customers: int) -> None:
    """Of all families' feature sets together: more than any champions need."""
    ids = sorted(simulated.tables["customers"].customer_id.to_pyarrow().to_pylist())[:customers]
    facts: dict[str, list[dict[str, Any]]] = {}
    for name in ("customers", "orders", "events", "surveys", "subscriptions"):
        rows = simulated.tables[name].filter(simulated.tables[name].customer_id.isin(ids)).to_pyarrow().to_pylist()
        facts[name] = [
            {key: float(v) if type(v).__name__ == "Decimal" else v for key, v in row.items()} for row in rows
        ]
    wanted = {feature.name: feature for family in FAMILIES.values() for feature in family.feature_set.features}
    compiled = CompiledFeatures(FeatureSet("families", 1, tuple(wanted.values())))
    benchmark.extra_info["features"] = len(wanted)
    benchmark(compiled.build, facts, AT)


@pytest.mark.benchmark(group="read and check a profile")
def test_open_profile(benchmark: Any, simulated_folder: Path) -> None:
    benchmark.pedantic(open_profile, (simulated_folder,), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="purchase histories of CDNOW")
def test_build_btyd(benchmark: Any, cdnow: Profile) -> None:
    benchmark.pedantic(build_features, (cdnow, CLV, [read_instant("1997-10-01")]), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="look for leaks in 50,000 rows")
def test_examine_leakage(benchmark: Any) -> None:
    generator, rows = np.random.default_rng(0), 50_000
    values = pd.DataFrame({f.name: generator.normal(size=rows) for f in CHURN.features if f.dtype != "string"})
    keys = pd.DataFrame({"customer_id": [f"c{i}" for i in range(rows)], "prediction_time": pd.Timestamp(AT)})
    split = Split("train", keys, values, pd.DataFrame(index=keys.index), "")
    features = CHURN.only(tuple(map(str, values.columns)))
    found = benchmark(examine, split, generator.integers(0, 2, rows).astype(float), features)
    benchmark.extra_info["columns"] = len(found.auc)
