import warnings
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from models.clv.btyd import ClvBgNbd, ClvMbgNbd, ClvParetoNbd
from models.clv.errors import NotInLifetimes
from models.clv.hybrid import ClvHybrid
from models.clv.lifetimes_adapter import from_lifetimes, to_lifetimes

FAMILIES = pytest.mark.parametrize("family", [ClvBgNbd, ClvMbgNbd, ClvParetoNbd])
FITTERS = {ClvBgNbd: "BetaGeoFitter", ClvMbgNbd: "ModifiedBetaGeoFitter", ClvParetoNbd: "ParetoNBDFitter"}


@pytest.fixture(scope="module")
def models(cdnow_sample_rows: pd.DataFrame) -> dict[type[ClvBgNbd], ClvBgNbd]:
    return {family: family(horizon_days=273.0).fit(cdnow_sample_rows) for family in FITTERS}


def triple(rows: pd.DataFrame) -> list[pd.Series]:
    return [rows[name] for name in ("frequency", "recency_days", "T_days")]


@FAMILIES
def test_predictions_of_the_object_handed_over_equal_ours(
    family: type[ClvBgNbd], models: dict[type[ClvBgNbd], ClvBgNbd], cdnow_sample_rows: pd.DataFrame
) -> None:
    model = models[family]
    orders, spend = to_lifetimes(model)
    assert type(orders).__name__ == FITTERS[family]
    scores, customers = model.score(cdnow_sample_rows), triple(cdnow_sample_rows)
    np.testing.assert_allclose(orders.predict(273.0, *customers), scores["expected_orders"], rtol=1e-7)
    np.testing.assert_allclose(
        orders.conditional_probability_alive(*customers), scores["probability_active"], rtol=1e-7
    )
    value = spend.conditional_expected_average_profit(
        cdnow_sample_rows["frequency"], cdnow_sample_rows["monetary_value"].fillna(0.0)
    )
    np.testing.assert_allclose(value, scores["expected_order_value"], rtol=1e-9)


@FAMILIES
def test_an_object_handed_over_and_taken_back_is_the_same(
    family: type[ClvBgNbd], models: dict[type[ClvBgNbd], ClvBgNbd]
) -> None:
    model = models[family]
    orders, spend = map(from_lifetimes, to_lifetimes(model))
    assert orders == model.orders_
    assert spend == model.spend_


@FAMILIES
def test_with_its_rows_the_object_draws_matrices_and_simulates(
    family: type[ClvBgNbd], models: dict[type[ClvBgNbd], ClvBgNbd], cdnow_sample_rows: pd.DataFrame
) -> None:
    orders, _ = to_lifetimes(models[family], cdnow_sample_rows)
    assert f"fitted with {len(cdnow_sample_rows)} subjects" in repr(orders)
    assert orders.conditional_probability_alive_matrix(3, 5).shape == (6, 4)
    few, _ = to_lifetimes(models[family], cdnow_sample_rows.iloc[:5])
    assert {"frequency", "recency", "T"} <= set(few.generate_new_data(size=5).columns)


@FAMILIES
def test_an_object_fitted_in_weeks_is_taken_over_in_days(
    family: type[ClvBgNbd], models: dict[type[ClvBgNbd], ClvBgNbd], cdnow_sample_rows: pd.DataFrame
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        fitter: Any = getattr(lifetimes, FITTERS[family])()
        frequency, recency, age = triple(cdnow_sample_rows)
        # the literature's start for the search that the library leaves to chance
        start = {"initial_params": [0.5, 1.0, 0.6, 1.0]} if family is ClvParetoNbd else {}
        fitter.fit(frequency, recency / 7, age / 7, **start)
    taken = from_lifetimes(fitter, days_per_unit=7.0)
    assert list(taken.parameters) == list(models[family].orders_.parameters)
    assert list(taken.parameters.values()) == pytest.approx(
        list(models[family].orders_.parameters.values()), rel=2e-2 if family is ClvParetoNbd else 1e-3
    )


def fitted_by_the_library(rows: pd.DataFrame) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        return lifetimes.BetaGeoFitter().fit(*triple(rows))


def test_the_summary_has_the_standard_errors_that_the_library_finds(
    models: dict[type[ClvBgNbd], ClvBgNbd], cdnow_sample_rows: pd.DataFrame
) -> None:
    orders, spend = to_lifetimes(models[ClvBgNbd], cdnow_sample_rows)
    pd.testing.assert_frame_equal(orders.summary, fitted_by_the_library(cdnow_sample_rows).summary, rtol=1e-3)
    assert spend.summary["coef"].to_dict() == models[ClvBgNbd].spend_.parameters
    assert spend.summary["se(coef)"].isna().all()  # no curvature is kept of spend


@pytest.mark.parametrize(
    "name",
    [
        "plot_frequency_recency_matrix",
        "plot_probability_alive_matrix",
        "plot_transaction_rate_heterogeneity",
        "plot_dropout_rate_heterogeneity",
        "plot_calibration_purchases_vs_holdout_purchases",
    ],
)
def test_a_plot_of_the_library_shows_what_it_shows_of_its_own_object(
    name: str, models: dict[type[ClvBgNbd], ClvBgNbd], cdnow_sample_rows: pd.DataFrame
) -> None:
    theirs = fitted_by_the_library(cdnow_sample_rows)
    ours, _ = to_lifetimes(models[ClvBgNbd], cdnow_sample_rows)
    x, recency, age = triple(cdnow_sample_rows)
    held_out = {"frequency_cal": x, "recency_cal": recency, "T_cal": age, "frequency_holdout": 1.0}
    others = [pd.DataFrame(held_out).assign(duration_holdout=90.0)] if "holdout" in name else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes.plotting

        shown = []
        for fitter in (ours, theirs):
            axes = getattr(lifetimes.plotting, name)(fitter, *others)
            drawn = [line.get_ydata() for line in axes.lines], [image.get_array() for image in axes.images]
            bars = [bar.get_height() for bar in axes.patches]
            shown.append([np.ravel(each) for each in (*drawn[0], *drawn[1], bars)])
            plt.close("all")
    assert sum(map(len, shown[0])) > 0
    for our, their in zip(*shown, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-3, atol=1e-9)


def test_what_the_library_does_not_have_is_refused_by_name(simulated_rows: dict[str, pd.DataFrame]) -> None:
    hybrid_rows = simulated_rows["clv_hybrid"]
    once = pd.DataFrame(
        {"frequency": np.zeros(9), "recency_days": 0.0, "T_days": 40.0, "monetary_value": np.nan}, dtype=np.float64
    )
    with pytest.raises(NotInLifetimes, match="a model of the kind 'constant rate' has no counterpart"):
        to_lifetimes(ClvBgNbd().fit(once))
    with pytest.raises(NotInLifetimes, match="a model of the kind 'average of BG/NBD, MBG/NBD and Pareto/NBD' has no"):
        to_lifetimes(ClvHybrid().fit(hybrid_rows))
    with pytest.raises(NotInLifetimes, match="a fitted DataFrame has no counterpart"):
        from_lifetimes(once)
