"""Margin rates of customers' own: how they are told, and what they do to what a model scored."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CLV
from features.margins import CategoryMargins
from features.spec import FeatureSet
from models.base import Model
from models.clv.btyd import ClvBgNbd
from models.clv.decomposition import STEPS
from models.clv.margins import Margins, at_own_margin
from models.clv.naive import ClvNaive
from models.contract import Contract
from models.persistence import Kept, load, save

OBSERVED = Margins(0.3, 100.0)


def rows(*amounts: tuple[float | None, float | None], margins: Margins = OBSERVED) -> pd.DataFrame:
    return pd.DataFrame(amounts, columns=list(margins.columns), dtype=np.float64)


def test_own_rate_counts_by_the_credibility_of_the_value_it_rests_on() -> None:
    # 300 of value against k = 100: 3/4 of 150 / 300 and 1/4 of everyone's 0.3.
    assert OBSERVED.rates(rows((300.0, 150.0), (100.0, 50.0)))[0] == pytest.approx(0.45)
    assert OBSERVED.rates(rows((100.0, 50.0)))[0] == pytest.approx(0.4)


def test_customers_of_whom_nothing_is_known_have_everyones_rate() -> None:
    known = rows((None, None), (0.0, 0.0), (-20.0, -8.0), (None, 5.0))
    assert OBSERVED.rates(known).tolist() == [0.3] * 4
    assert Margins(0.3, None).rates(rows((1e6, 9e5))).tolist() == [0.3]


def test_orders_that_lost_money_count_as_earning_nothing() -> None:
    assert OBSERVED.rates(rows((300.0, -90.0), (300.0, 450.0))).tolist() == pytest.approx([0.075, 0.825])


@settings(max_examples=50, deadline=None)
@given(
    value=st.floats(0.01, 1e9),
    own=st.floats(0, 1),
    rate=st.floats(0.01, 1),
    k=st.floats(0, 1e9),
    more=st.floats(1, 1e3),
)
def test_rate_lies_between_everyones_and_the_own_and_nears_the_own_with_evidence(
    value: float, own: float, rate: float, k: float, more: float
) -> None:
    margins = Margins(rate, k)
    little, much = margins.rates(rows((value, own * value), (value * more, own * value * more)))
    assert min(own, rate) - 1e-9 <= little <= max(own, rate) + 1e-9
    assert abs(much - own) <= abs(little - own) + 1e-9


@pytest.mark.parametrize("family", [ClvBgNbd, ClvNaive])
def test_one_rate_for_all_is_the_model_at_that_rate(
    family: type[ClvBgNbd | ClvNaive], cdnow_sample_rows: pd.DataFrame
) -> None:
    some = cdnow_sample_rows.iloc[:300].reset_index(drop=True)
    usual, low = (family(margin_rate=rate, annual_cost_to_serve=3.0).fit(some) for rate in (0.4, 0.1))
    found = at_own_margin(usual, some, np.full(300, 0.1))
    expected = low.score(some)
    told = ["clv_of_average", *STEPS]
    pd.testing.assert_frame_equal(found.drop(columns=told), expected.drop(columns=told), rtol=1e-9)


@pytest.mark.parametrize("name", ["clv_bgnbd", "clv_mbgnbd", "clv_pareto_nbd", "clv_hybrid", "clv_naive"])
def test_value_at_own_margin_is_product_of_its_factors_and_sum_of_its_steps(
    name: str, fitted: Callable[[str], Model], simulated_rows: dict[str, pd.DataFrame]
) -> None:
    model = fitted(name)
    known = simulated_rows["clv_hybrid" if name == "clv_hybrid" else "clv"]
    known = known[known["frequency"].notna()].iloc[:200].reset_index(drop=True)
    rates = np.linspace(0.0, 1.0, len(known))
    before = model.score(known)
    scores = at_own_margin(model, known, rates)
    assert scores["margin_rate"].tolist() == rates.tolist()
    product = scores[list(STEPS.values())].prod(axis=1) + scores["clv_from_cost"]
    np.testing.assert_allclose(product, scores["clv"], rtol=1e-9, atol=1e-9)
    steps = scores[["clv_of_average", *STEPS, "clv_from_cost"]].sum(axis=1)
    np.testing.assert_allclose(steps, scores["clv"], rtol=1e-9, atol=1e-7)
    assert (before["clv_from_margin"] == 0).all()
    assert (scores["clv_low_90"] <= scores["clv_low_50"]).all()
    assert (scores["clv_high_50"] <= scores["clv_high_90"]).all()


def test_subscriptions_have_no_margin_of_orders(
    fitted: Callable[[str], Model], simulated_rows: dict[str, pd.DataFrame]
) -> None:
    model = fitted("clv_contractual")
    known = simulated_rows["clv_contractual"]
    with pytest.raises(TypeError, match="ClvContractual"):
        at_own_margin(model, known, np.ones(len(known)))


SHELVES = Margins(0.3, 100.0, CategoryMargins({"toys": 0.5, 'food & "drink"': 0.2}, 0.1))


@pytest.mark.parametrize("margins", [OBSERVED, SHELVES, Margins(0.3, None)])
def test_margins_are_kept_beside_the_model_and_scored_with_it(
    margins: Margins,
    cdnow_sample_rows: pd.DataFrame,
    make_contract: Callable[..., Contract],
    tmp_path: Path,
) -> None:
    some = cdnow_sample_rows.iloc[:200].reset_index(drop=True)
    model = ClvBgNbd(margin_rate=0.3).fit(some)
    features = FeatureSet(CLV.name, CLV.version, (*CLV.features, *margins.features))
    contract = make_contract(features, task="clv", family="clv_bgnbd")
    kept = load(save(Kept(model, contract, margins=margins), tmp_path / "model"))
    assert kept.margins == margins
    assert kept.contract.installed_features().fingerprint == features.fingerprint
    assert kept.model_features.names == CLV.names
    amounts = {name: np.linspace(0, 200, 200) * share for name, share in zip(margins.columns, (1.0, 0.7), strict=True)}
    known = some.assign(**amounts)
    expected = at_own_margin(model, some, margins.rates(known))
    pd.testing.assert_frame_equal(kept.score(known), expected, check_exact=True)
    ratio = kept.score(known)["margin_rate"] / 0.3
    np.testing.assert_allclose(np.exp(kept.explain(known)["margin_rate"]), ratio, rtol=1e-12)
    assert kept.reason_values(known)["margin_rate"].tolist() == margins.rates(known).tolist()


def test_other_rates_are_other_features() -> None:
    one, same, other = (
        CategoryMargins(margins, 0.1).features()
        for margins in ({"a": 0.2, "b": 0.3}, {"b": 0.3, "a": 0.2}, {"a": 0.2, "b": 0.31})
    )
    assert one[0].identity() == same[0].identity() != other[0].identity()
