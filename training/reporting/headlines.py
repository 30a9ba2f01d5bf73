"""What is told first of each task's champion: metric, words, and how to read it."""

from collections.abc import Mapping

from models.families import Task
from training.evaluation.levels import LEVELS

_OF_PROBABILITIES = (
    ("roc_auc", "AUC: how well customers are ranked", "0.5 is chance, 1 is flawless"),
    ("log_loss", "Log loss: the score the grade is made of", "lower is better"),
    ("brier", "Brier score", "lower is better"),
    (
        "expected_calibration_error",
        "Calibration error",
        f"0 is perfect; trusted up to {LEVELS['churn'].trusted[1]:g}",
    ),
)
_TOTAL_TRUSTED = f"trusted within {LEVELS['clv'].trusted[1]:g}"
HEADLINES: Mapping[Task, tuple[tuple[str, str, str], ...]] = {
    "churn": (
        *_OF_PROBABILITIES,
        ("lift_top_decile", "Churn rate of the top tenth over that of all", "higher is better"),
        ("empc", "Expected maximum profit a customer (value 200, offer 10, contact 1)", "higher is better"),
    ),
    "clv": (
        ("poisson_deviance_orders", "Deviance of orders: the score the grade is made of", "lower is better"),
        ("rmse_orders", "Root mean squared error, orders", "lower is better"),
        ("log_loss_no_order", "Log loss of 'no order at all'", "lower is better"),
        ("mae_value", "Mean absolute error, money", "lower is better"),
        ("gini_value", "Gini: how well customers are ranked by value", "1 is flawless"),
        ("bias_total_orders", "Total of orders, expected over actual - 1", _TOTAL_TRUSTED),
        ("coverage_50", "Share of customers inside their 50 % interval", "0.50 is right"),
        ("coverage_90", "Share of customers inside their 90 % interval", "0.90 is right"),
    ),
    "segments": (
        ("silhouette", "Silhouette one horizon later: the score the grade is made of", "higher is better"),
        (
            "stability_ari",
            "Same segments again from resampled customers",
            f"1 is the same; trusted from {LEVELS['segments'].trusted[0]:g}",
        ),
        ("separation_value", "Share of the variance of later spending between segments", "higher is better"),
        ("smallest_share", "Share of the smallest segment", "tiny segments are of no use"),
    ),
    "propensity": (
        *_OF_PROBABILITIES,
        ("lift_top_decile", "How often the top tenth does it, over how often all do", "higher is better"),
    ),
}
"""Metric, words and how to read it."""
SUBSCRIPTION_HEADLINES = (
    ("log_loss_renewals", "Log loss of the renewals paid: the score the grade is made of", "lower is better"),
    ("log_loss_survival", "Log loss of 'still subscribed at the end'", "lower is better"),
    ("survival_rate", "Share really still subscribed at the end", "what happened"),
    ("expected_survival_rate", "Share expected to be", "as close as can be to what happened"),
    ("rmse_orders", "Root mean squared error, paid periods", "lower is better"),
    ("mae_value", "Mean absolute error, money", "lower is better"),
    ("bias_total_orders", "Total of paid periods, expected over actual - 1", _TOTAL_TRUSTED),
    ("coverage_90", "Share of customers inside their 90 % interval", "0.90 is right"),
)
"""Of champions of lifetime value that forecast subscriptions."""
TITLES: Mapping[Task, str] = {
    "churn": "Who will leave",
    "clv": "What customers are worth",
    "segments": "Who is alike",
    "propensity": "Who will do it",
}
