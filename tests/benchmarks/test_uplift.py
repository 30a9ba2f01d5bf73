"""How often the intervals of uplift miss nothing where there is nothing: `make bench`.

`PATRON_BENCH_EXPERIMENTS=2000` draws as many experiments.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from models.decision.qini import uplift_estimates
from models.decision.uplift import LEARNERS
from training.uplift import check_balance, place_forward

EXPERIMENTS = int(os.environ.get("PATRON_BENCH_EXPERIMENTS", "400"))
FALSE_ALARM = 0.001


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.benchmark(group="intervals of 90 % in experiments without any difference between customers")
def test_intervals_miss_zero_in_one_of_ten(benchmark: Any, no_difference: Callable[[int], Any], name: str) -> None:
    def missed() -> dict[str, float]:
        found = []
        for seed in range(EXPERIMENTS):
            drawn = no_difference(seed)
            fold = np.random.default_rng(seed + 10_000).permutation(len(drawn.outcome)) % 5
            place, seen = place_forward(name, drawn, fold, 0), fold > 0
            qini = uplift_estimates(place[seen], drawn.outcome[seen], drawn.treated[seen], drawn.customer[seen])["qini"]
            balance = check_balance(drawn.rows, drawn.treated, fold)
            found.append((qini.low_90 > 0, qini.high_90 < 0, not balance.is_random))
        names = ("found where there is none", "found to be worse than by lot", "taken for not random")
        return dict(zip(names, (sum(each) / EXPERIMENTS for each in zip(*found, strict=True)), strict=True))

    shares = benchmark.pedantic(missed, rounds=1)
    benchmark.extra_info |= shares
    print(f"\n{name}, {EXPERIMENTS} experiments: {shares}")  # noqa: T201 - the benchmark's result
    both = (shares["found where there is none"] + shares["found to be worse than by lot"]) * EXPERIMENTS
    low, high = (binom.ppf(level, EXPERIMENTS, 0.1) for level in (FALSE_ALARM / 2, 1 - FALSE_ALARM / 2))
    assert low <= both <= high
