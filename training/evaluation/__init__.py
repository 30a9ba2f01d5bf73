"""How good a model is: metrics and their intervals, baselines, backtest, grade, and how groups fare."""
