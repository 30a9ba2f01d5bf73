"""Money is told in the currency that a champion learned from, and never of amounts in another."""

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.instants import read_instant
from features.profile import Profile
from serving.answers import ClvRow
from serving.batch import score_profile
from serving.currency import currency_of
from serving.errors import CurrencyDiffers, MalformedRequest
from serving.explain_schemas import ExplainRequest
from serving.gate import validate
from serving.manifest import SCORES
from serving.online import Online, task_rows
from serving.plan_config import Rules
from serving.plan_source import customers_of_profile
from serving.schemas import ScoreRequest
from serving.scorer import Scorer
from serving.store import OnlineStore

AT = read_instant("1997-10-01")
REFUSED = "amounts are in 'USD', and the model of clv learned from amounts in 'EUR'. Allowed: amounts in 'EUR'"
Make = Callable[..., Profile]
Orders = Callable[..., pd.DataFrame]


def learned_in(currency: str | None, scorer: Scorer) -> Scorer:
    """The same champions, had what they learned from been in that currency."""
    return Scorer(
        {
            task: replace(
                champion,
                kept=replace(champion.kept, contract=champion.contract.model_copy(update={"currency": currency})),
            )
            for task, champion in scorer.champions.items()
        }
    )


@pytest.fixture(scope="module")
def euro(cdnow_scorer: Scorer) -> Scorer:
    return learned_in("EUR", cdnow_scorer)


@pytest.fixture(scope="module")
def profile_in(make_profile: Make, make_orders: Orders) -> Callable[[str | None], Profile]:
    """Two customers whose orders are in a currency, or in none that is named."""

    def make(currency: str | None) -> Profile:
        orders = make_orders(("a", "1997-01-05", 20.0), ("a", "1997-04-05", 30.0), ("b", "1997-02-01", 10.0))
        return make_profile(orders.assign(currency=currency) if currency else orders)

    return make


def request_in(*currencies: str | None, **more: Any) -> dict[str, Any]:
    """A request of a customer for each currency."""
    profiles = [
        {
            "customer": {"customer_id": f"c{i}"},
            "orders": [{"order_id": f"o{i}", "event_time": "1997-03-01T00:00:00Z", "value": 5.0, "currency": currency}],
        }
        for i, currency in enumerate(currencies)
    ]
    return {"prediction_time": AT.isoformat(), "profiles": profiles, **more}


def test_the_currency_of_a_profile_is_the_one_of_its_amounts(
    profile_in: Callable[[str | None], Profile], make_profile: Make, make_orders: Orders
) -> None:
    assert [currency_of(profile_in(code)) for code in ("USD", None)] == ["USD", None]
    people = pd.DataFrame({"customer_id": ["a"], "currency": ["CHF"]})
    orders = make_orders(("a", "1997-01-05", 20.0))
    assert currency_of(make_profile(orders, customers=people)) is None  # no amount stands beside it
    assert currency_of(make_profile(orders, customers=people.assign(acquisition_cost=1.5))) == "CHF"


def test_a_profile_in_another_currency_is_refused_and_nothing_is_written(
    euro: Scorer, profile_in: Callable[[str | None], Profile], tmp_path: Path
) -> None:
    with pytest.raises(CurrencyDiffers, match=REFUSED) as refused:
        score_profile(profile_in("USD"), AT, tmp_path / "out", euro, tmp_path / "online.sqlite")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CurrencyDiffers, match=REFUSED):
        customers_of_profile(profile_in("USD"), AT, euro, Rules())


@pytest.mark.parametrize(
    ("learned", "found", "said"), [("EUR", "EUR", "EUR"), ("EUR", None, "EUR"), (None, "USD", None), (None, None, None)]
)
def test_scores_say_what_money_is_in_as_far_as_the_champion_knows(
    learned: str | None,
    found: str | None,
    said: str | None,
    cdnow_scorer: Scorer,
    profile_in: Callable[[str | None], Profile],
    tmp_path: Path,
) -> None:
    manifest = score_profile(profile_in(found), AT, tmp_path / "out", learned_in(learned, cdnow_scorer))
    assert manifest.models["clv"]["currency"] == said
    assert pq.read_table(tmp_path / "out" / SCORES)["currency"].to_pylist() == [said, said]


def test_a_request_in_another_currency_is_refused_as_a_bad_request(euro: Scorer, tmp_path: Path) -> None:
    online = Online(euro, OnlineStore(tmp_path / "none.sqlite"))
    with pytest.raises(CurrencyDiffers, match=REFUSED) as refused:
        online.score(ScoreRequest.model_validate(request_in("USD")), ["clv"])
    assert refused.value.status == HTTPStatus.BAD_REQUEST
    with pytest.raises(CurrencyDiffers, match=REFUSED):
        online.explain(ExplainRequest.model_validate(request_in("USD")))


def test_currencies_mixed_between_the_customers_of_a_request_are_refused() -> None:
    import json

    with pytest.raises(MalformedRequest, match=r"currency is mixed \('EUR', 'USD'\), allowed: one currency"):
        validate(json.dumps(request_in("EUR", "USD", None)).encode())


def test_every_answer_of_value_says_its_currency(euro: Scorer, cdnow_scorer: Scorer, tmp_path: Path) -> None:
    for scorer, said in ((euro, "EUR"), (cdnow_scorer, None)):
        online = Online(scorer, OnlineStore(tmp_path / "none.sqlite"))
        for found in ("EUR", None):
            scored = online.score(ScoreRequest.model_validate(request_in(found)), ["clv"]).scores
            (row,) = [ClvRow.model_validate(row) for row in task_rows("clv", scored)]
            assert row.currency == said
            (told,) = online.explain(ExplainRequest.model_validate(request_in(found)))["rows"]
            assert told["clv"]["currency"] == said


def test_rows_kept_from_a_run_in_another_currency_are_refused(
    euro: Scorer, cdnow_scorer: Scorer, profile_in: Callable[[str | None], Profile], tmp_path: Path
) -> None:
    path = tmp_path / "online.sqlite"
    asked = ScoreRequest(customer_ids=["a"])
    score_profile(profile_in("USD"), AT, tmp_path / "out", cdnow_scorer, path)
    with pytest.raises(CurrencyDiffers, match=REFUSED):
        Online(euro, OnlineStore(path)).score(asked)
    score_profile(profile_in("EUR"), AT, tmp_path / "out", euro, path)
    assert Online(euro, OnlineStore(path)).score(asked).scores.num_rows == 1
