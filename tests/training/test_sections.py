"""Sections that the model card and the report share."""

import pandas as pd

from training.reporting.sections import Section, backtest_section, proof_sections, with_interval

METRICS = {
    "holdout/skill_over_rule": 0.2,
    "holdout/skill_over_rule_low": 0.1,
    "holdout/skill_over_rule_high": 0.3,
    "holdout/skill_over_prevalence": 0.5,
    "holdout/skill_over_prevalence_low": 0.4,
    "holdout/skill_over_prevalence_high": 0.6,
    "stability/2024_07_04": 0.15,
    "stability/2024_07_04_low": 0.05,
    "stability/2024_07_04_high": 0.25,
    "surveys/skill": 0.01,
    "surveys/skill_low": -0.01,
    "surveys/skill_high": 0.03,
    "surveys/rows": 500.0,
    "surveys/skill_silent": 0.02,
    "surveys/skill_silent_low": 0.0,
    "surveys/skill_silent_high": 0.04,
    "surveys/rows_silent": 200.0,
}


def by_title(fairness: pd.DataFrame | None = None) -> dict[str, Section]:
    found = proof_sections(METRICS, "holdout", pd.DataFrame() if fairness is None else fairness)
    return {section.title: section for section in found}


def test_every_named_baseline_stands_with_its_interval() -> None:
    assert by_title()["Over every named baseline"].rows == (
        ("rule", "20.0% (90 % interval 10.0% to 30.0%)"),
        ("prevalence", "50.0% (90 % interval 40.0% to 60.0%)"),
    )


def test_stability_names_its_cutoffs() -> None:
    assert by_title()["Stability"].rows == (("2024-07-04", "15.0% (90 % interval 5.0% to 25.0%)"),)


def test_surveys_are_told_for_all_and_for_silent_customers() -> None:
    assert by_title()["With and without surveys"].rows == (
        ("all", "500", "1.0% (90 % interval -1.0% to 3.0%)"),
        ("silent", "200", "2.0% (90 % interval 0.0% to 4.0%)"),
    )


def test_out_of_customer_stands_beside_out_of_time_with_what_the_difference_means() -> None:
    ends = {"": 0.012, "_low": 0.01, "_high": 0.014}
    found = {f"out_of_customer/skill_over_out_of_time{end}": value for end, value in ends.items()}
    found |= {"out_of_customer/customers": 23_570.0, "out_of_customer/folds": 5.0, "out_of_customer/brier": 0.1579}
    found |= {"holdout/brier": 0.16, "holdout/brier_low": 0.15, "holdout/brier_high": 0.17, "holdout/roc_auc": 0.77}
    (section,) = proof_sections(found, "holdout", pd.DataFrame())
    assert section.title == "Out of customer"
    assert section.rows == (("Brier score", "0.160 (0.150 to 0.170)", "0.158"),)
    assert "23,570 in 5 folds" in section.words[0]
    assert "1.2% (90 % interval 1.0% to 1.4%) of the loss left out of time: above 0 that is drift" in section.words[0]


def test_groups_are_told_where_any_were_declared() -> None:
    assert "Declared groups" not in by_title()
    row = {"group": "region", "level": "north", "rows": 90, "low_evidence": True, "roc_auc": 0.7}
    ends = {"roc_auc_low": 0.6, "roc_auc_high": 0.8}
    (told,) = by_title(pd.DataFrame([{**row, **ends}]))["Declared groups"].rows
    assert told == ("region = north", "90", "", "", "", "0.700 (0.600 to 0.800)", "", "low evidence")


def test_nothing_is_told_of_what_was_not_looked_at() -> None:
    assert list(proof_sections({"holdout/skill": 0.1}, "holdout", pd.DataFrame())) == []


def test_figure_without_interval_stands_alone() -> None:
    assert with_interval({"a": 0.5, "b": float("nan")}, "a") == "0.500"
    assert with_interval({"a": 0.5, "b": float("nan")}, "b") == with_interval({}, "c") == ""


def test_curve_stands_with_its_concordance_beside_one_curve_for_all() -> None:
    found = {"curve/c_index": 0.81, "curve/integrated_brier": 0.12, "curve/integrated_brier_kaplan_meier": 0.2}
    (section,) = proof_sections(found, "holdout", pd.DataFrame())
    assert section.title == "When customers will have left"
    assert [row[1] for row in section.rows] == ["0.810", "0.120"]
    assert "0.200 of one curve for all" in section.rows[1][2]


def test_every_contender_of_a_backtest_stands_with_who_won_and_by_how_much() -> None:
    contender = {"poisson_deviance_orders": 1.25, "rmse_orders": 2.0, "bias_total_value": -0.1, "coverage_90": None}
    document = {
        "origins": ["2024-03-01", "2024-06-01"],
        "window_days": 90,
        "champion": "clv_hybrid",
        "rival": "clv_bgnbd",
        "skill_over_rival": {"value": 0.2, "low": 0.1, "high": 0.3},
        "best_naive": "segment_mean",
        "skill_over_best_naive": {"value": 0.4, "low": -0.1, "high": 0.6},
        "beats_best_naive": False,
        "table": [
            {"name": "clv_hybrid", "is_naive": False, **contender},
            {"name": "segment_mean", "is_naive": True, **contender},
        ],
    }
    (section,) = backtest_section(document)
    assert section.rows[0] == ("clv_hybrid", "1.250", "2.000", "", "", "-0.100", "")
    assert section.rows[1][0] == "segment_mean (naive)"
    assert len(section.columns) == len(section.rows[0])
    (words,) = section.words
    assert "from 2 earlier cutoffs, over 90 days each" in words
    assert "takes away 20.0% (90 % interval 10.0% to 30.0%) of the deviance of clv_bgnbd" in words
    assert words.endswith("of that of segment_mean, the best naive one, which is not clearly more than none.")
    assert list(backtest_section(None)) == []
