"""Explanations are of scores that there are, and of no others."""

from pathlib import Path
from typing import Any

import pytest

from features.instants import read_instant
from serving.explain import explain
from serving.online import Online
from serving.schemas import ScoreRequest
from serving.scorer import NO_VALUE, Scorer
from serving.store import OnlineStore

AT = read_instant("1997-10-01")


@pytest.mark.parametrize(("value", "has_value"), [(0.0, False), (5.0, True)])
def test_a_customer_without_a_value_has_no_explanation_of_one(
    value: float, has_value: bool, cdnow_scorer: Scorer, tmp_path: Path
) -> None:
    order: dict[str, Any] = {"order_id": "o", "event_time": "1997-03-01T00:00:00Z", "value": value}
    profiles = [{"customer": {"customer_id": "a"}, "orders": [order]}]
    request = ScoreRequest.model_validate({"prediction_time": AT, "profiles": profiles})
    table = Online(cdnow_scorer, OnlineStore(tmp_path)).features(request, ["clv"])
    scored, found = explain(cdnow_scorer, table, ["clv"], "en")
    assert scored.scores.num_rows == has_value
    assert ("clv" in found.get("a", {})) == has_value
    assert [each["reason"] for each in scored.excluded.to_pylist()] == ([] if has_value else [NO_VALUE])
