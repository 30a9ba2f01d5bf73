"""An attribute that became known later than the prediction time is empty online as it is in the batch job."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import AttributeUnusable
from features.instants import read_instant
from features.profile import Profile, profile_from_tables
from serving.batch import score_profile
from serving.champion import Champion
from serving.manifest import SCORES
from serving.online import Online
from serving.probe import facts_of
from serving.schemas import ScoreRequest
from serving.scorer import Scorer
from serving.store import OnlineStore
from training.config import TrainConfig
from training.fit import fit

KNOWN = read_instant("2024-07-01")
MOMENT = timedelta(microseconds=1)
DATED = ("tier", "region", "acquisition_channel")


@pytest.fixture(scope="module")
def quick(simulated: Profile) -> Scorer:
    """A champion that is fitted in no time."""
    config = TrainConfig(horizon_days=90, refit=False, stability_cutoffs=0)
    return Scorer({"churn": Champion("1", fit("churn", simulated, config, "churn_logistic")[0].final)})


@pytest.fixture(scope="module")
def dated(simulated: Profile) -> Profile:
    """The simulated customers, of whom every second has attributes that became known at one instant."""
    tables = {name: simulated.backend.to_pyarrow(table) for name, table in simulated.tables.items()}
    people = tables["customers"]
    since = pa.array([KNOWN if i % 2 else None for i in range(people.num_rows)], pa.timestamp("us", "UTC"))
    for name in DATED:
        people = people.append_column(f"{name}_known_from", since)
    return profile_from_tables(tables | {"customers": people})


def asked(profile: Profile, at: datetime, ids: list[str]) -> ScoreRequest:
    """A request as an application sends it, through JSON."""
    body = {"prediction_time": at.isoformat(), "profiles": facts_of(profile, ids)}
    return ScoreRequest.model_validate_json(json.dumps(body))


@pytest.mark.parametrize("at", [KNOWN - MOMENT, KNOWN, KNOWN + MOMENT], ids=["before", "at", "after"])
def test_online_is_batch_to_the_last_bit(at: datetime, dated: Profile, quick: Scorer, tmp_path: Path) -> None:
    score_profile(dated, at, tmp_path / "out", quick, tmp_path / "online.sqlite", "all")
    batch = pq.read_table(tmp_path / "out" / SCORES).sort_by("customer_id")
    batch = batch.take(list(range(0, batch.num_rows, 150)) + list(range(1, batch.num_rows, 150)))
    batch = batch.sort_by("customer_id")
    ids = batch["customer_id"].to_pylist()
    online = Online(quick, OnlineStore(tmp_path / "online.sqlite"))
    request = asked(dated, at, ids)
    found = online.features(request, quick.champions).sort_by("customer_id")
    assert ("missing" in found["tier"].to_pylist()) == (at < KNOWN)
    assert found.equals(OnlineStore(tmp_path / "online.sqlite").rows(ids, quick.features))
    assert online.score(request).scores.sort_by("customer_id").equals(batch)


@pytest.fixture
def facts() -> Callable[..., dict[str, Any]]:
    """The row of a customer with these attributes, as a request gives it at `KNOWN`."""

    def make(own: tuple[str, ...] = (), **attributes: Any) -> dict[str, Any]:
        customer = {"customer_id": "a", **attributes}
        body = {"prediction_time": KNOWN.isoformat(), "profiles": [{"customer": customer}]}
        (row,) = ScoreRequest.model_validate_json(json.dumps(body)).facts(own)["customers"]
        return row

    return make


@pytest.mark.parametrize(
    ("since", "plan"),
    [
        ("2024-07-01T00:00:00Z", "pro"),
        ("2024-07-01T02:00:00+02:00", "pro"),
        (None, "pro"),
        ("2024-07-01T00:00:00.000001Z", None),
    ],
)
def test_a_column_of_the_companys_own_may_have_a_time_as_well(
    since: str | None, plan: str | None, facts: Callable[..., dict[str, Any]]
) -> None:
    row = facts(plan="pro", plan_known_from=since)
    assert (row["plan"], "plan_known_from" in row) == (plan, False)


@pytest.mark.parametrize("since", ["soon", "2024-07-01", "2024-07-01T00:00:00", 1_719_792_000, True])
def test_what_is_no_time_is_named(since: object, facts: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(
        AttributeUnusable, match=r"'tier_known_from': .* is no time. Allowed: an ISO 8601 time"
    ) as refused:
        facts(tier="gold", tier_known_from=since)
    assert "\n" not in str(refused.value)


def test_a_column_that_a_model_takes_as_it_stands_is_no_time(facts: Callable[..., dict[str, Any]]) -> None:
    assert facts(("plan_known_from",), plan="pro", plan_known_from="soon")["plan_known_from"] == "soon"
