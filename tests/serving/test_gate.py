import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.contract import TABLES
from serving.errors import MalformedRequest
from serving.gate import validate
from serving.schemas import MOST_CUSTOMERS, Customer, Event, Order, ScoreRequest, Subscription, Survey

ORDER = {"order_id": "1", "event_time": "2024-01-01T00:00:00Z", "value": 5.0}
SURVEY = {"metric": "nps", "sent_at": "2024-01-01T00:00:00Z"}
SUBSCRIPTION = {"subscription_id": "s", "started_at": "2024-01-01T00:00:00Z"}


def body(**facts: Any) -> dict[str, Any]:
    return {"prediction_time": "2024-06-01T00:00:00Z", "profiles": [{"customer": {"customer_id": "a"}, **facts}]}


def refusal(content: Any) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(MalformedRequest) as problem:
        validate(raw)
    return str(problem.value)


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (Customer, "customers"),
        (Order, "orders"),
        (Event, "events"),
        (Survey, "surveys"),
        (Subscription, "subscriptions"),
    ],
)
def test_request_fields_are_the_contracts_columns(model: Any, table: str) -> None:
    assert set(model.model_fields) == set(TABLES[table].by_name)
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert required | {"customer_id"} == set(TABLES[table].required) | {"customer_id"}


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ({}, ["the body", "customer_ids", "profiles"]),
        ({"customer_ids": ["a"], "profiles": []}, ["profiles", "a list of 0"]),
        ({"customer_ids": []}, ["customer_ids", "a list of 0", "at least 1"]),
        ({"customer_ids": ["a", "a"]}, ["customer_id", "more than once"]),
        ({"customer_ids": ["a"] * (MOST_CUSTOMERS + 1)}, ["customer_ids", f"at most {MOST_CUSTOMERS}"]),
        ({"customer_ids": ["a"], "prediction_time": "2024-01-01T00:00:00Z"}, ["prediction_time"]),
        ({"customer_ids": ["a"], "colour": 1}, ["colour", "not permitted"]),
        ({"customer_ids": [None]}, ["customer_ids[0]", "null"]),
        (body(orders=[{**ORDER, "value": -5}]), ["profiles[0].orders[0]", "is_return", ">= 0"]),
        (body(orders=[{**ORDER, "value": "much"}]), ["profiles[0].orders[0].value", '"much"', "number"]),
        (body(orders=[{**ORDER, "value": 1e15}]), ["profiles[0].orders[0].value", "1000000000000000"]),
        (body(orders=[{**ORDER, "event_time": "2024-01-01T00:00:00"}]), ["orders[0].event_time", "timezone"]),
        (body(orders=[{**ORDER, "event_time": "soon"}]), ["orders[0].event_time", '"soon"']),
        (body(orders=[{**ORDER, "event_time": "2024-01-01"}]), ["orders[0].event_time", '"2024-01-01"', "offset"]),
        (body(orders=[{**ORDER, "event_time": 1704067200}]), ["orders[0].event_time", "1704067200", "ISO 8601"]),
        (body(orders=[{**ORDER, "event_time": "1704067200000"}]), ["orders[0].event_time", "ISO 8601"]),
        (body(orders=[{**ORDER, "event_time": "1066-10-14T09:00:00Z"}]), ["orders[0].event_time", "1900 to 2199"]),
        (body(orders=[{**ORDER, "ingested_at": 5}]), ["orders[0].ingested_at", "ISO 8601"]),
        ({"prediction_time": "2024-01-01T00:00:00", "profiles": []}, ["prediction_time", "offset"]),
        ({"prediction_time": 1704067200, "profiles": []}, ["prediction_time", "1704067200", "ISO 8601"]),
        (body(orders=[{"order_id": "1", "value": 5}]), ["orders[0].event_time", "found nothing", "required"]),
        (body(orders=[ORDER, ORDER]), ["profiles[0]", "orders.order_id", "once"]),
        (body(orders=[{**ORDER, "customer_id": "b"}]), ["profiles[0]", "another customer_id"]),
        (
            body(orders=[{**ORDER, "currency": "EUR"}, {**ORDER, "order_id": "2", "currency": "USD"}]),
            ["currency", "mixed"],
        ),
        (body(orders=[{**ORDER, "price": 1}]), ["orders[0].price", "not permitted"]),
        (body(surveys=[{**SURVEY, "metric": "mood"}]), ["surveys[0]", "nps, csat, ces"]),
        (body(surveys=[{**SURVEY, "score": 11, "responded_at": "2024-01-02T00:00:00Z"}]), ["surveys[0]", "0 to 10"]),
        (body(surveys=[{**SURVEY, "score": 7.5, "responded_at": "2024-01-02T00:00:00Z"}]), ["surveys[0].score", "7.5"]),
        (body(surveys=[{**SURVEY, "score": 7}]), ["surveys[0]", "responded_at"]),
        (body(surveys=[{**SURVEY, "responded_at": "2023-01-02T00:00:00Z"}]), ["surveys[0]", "before sent_at"]),
        (
            body(subscriptions=[{**SUBSCRIPTION, "ended_at": "2023-01-01T00:00:00Z"}]),
            ["subscriptions[0]", "before started_at"],
        ),
        (b"{not json", ["the body", "not JSON"]),
        (b"", ["the body", "not JSON"]),
        (b"[1, 2]", ["the body", "a list of 2"]),
        (b'{"customer_ids": ["a"], "prediction_time": NaN}', ["prediction_time", "NaN"]),
    ],
)
def test_a_malformed_request_is_one_line_that_says_where_and_what(content: Any, parts: list[str]) -> None:
    message = refusal(content)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_date_as_prediction_time_is_midnight_utc() -> None:
    read = [
        validate(json.dumps({**body(orders=[ORDER]), "prediction_time": text}).encode()).prediction_time
        for text in ("2024-12-31", "2024-12-31T00:00:00Z", "2024-12-31T02:00:00+02:00")
    ]
    assert read == [datetime(2024, 12, 31, tzinfo=UTC)] * 3


def test_infinite_amounts_are_refused() -> None:
    raw = json.dumps(body(orders=[{**ORDER, "value": 5.0}])).replace("5.0", "1e999").encode()
    assert "orders[0].value" in refusal(raw)


def test_a_long_value_is_not_repeated_whole() -> None:
    assert len(refusal(body(orders=[{**ORDER, "event_time": "x" * 5000}]))) < 400


def test_pydantic_errors_do_not_repeat_the_input_in_logs() -> None:
    with pytest.raises(ValidationError) as problem:
        ScoreRequest.model_validate({"customer_ids": ["secret-id"], "x": 1})
    assert "secret-id" not in str(problem.value)


def test_refunds_marked_as_returns_are_accepted() -> None:
    request = validate(json.dumps(body(orders=[{**ORDER, "value": -5, "is_return": True}])).encode())
    assert request.facts()["orders"][0]["value"] == -5


def test_whole_number_ids_are_read_as_text() -> None:
    assert validate(b'{"customer_ids": [42]}').customer_ids == ["42"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(["customer_ids", "prediction_time", "profiles", "customer", "orders", "customer_id", "value"])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(keys, json_values, max_size=5) | json_values)
def test_any_json_is_accepted_or_refused_in_one_line(content: Any) -> None:
    try:
        validate(json.dumps(content).encode())
    except MalformedRequest as problem:
        assert "\n" not in str(problem)  # noqa: PT017 - both outcomes are allowed
