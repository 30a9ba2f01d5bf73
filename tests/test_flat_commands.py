"""What a flat table is trained with can be reported on and planned with, without a profile."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import patron

PLAN = """\
name: keep
budget: 100
value: fee * 12
actions:
  - {name: call, channel: phone, contact_cost: 4, offer_cost: 20, success_rate: {mean: 0.2, sample_size: 50}}
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Customers who leave by what they pay."""
    generator = np.random.default_rng(2)
    fee = generator.uniform(10, 90, 400).round(2)
    left = generator.random(400) < fee / 100
    frame = pd.DataFrame({"account": [f"k{i}" for i in range(400)], "fee": fee, "left": np.where(left, "yes", "no")})
    file = tmp_path / "table.csv"
    frame.to_csv(file, index=False)
    return file


def test_champion_of_a_flat_table_is_reported_on_and_planned_with(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATRON_HOME", str(tmp_path / "home"))

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["patron", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            patron.main()
        return int(ended.value.code or 0)

    plan, listed, page = tmp_path / "plan.yaml", tmp_path / "list.csv", tmp_path / "report.html"
    plan.write_text(PLAN)
    family = ("--family", "churn_logistic")
    assert run("train", "churn", table, "--label", "left", "--id", "account", *family) == 0
    assert run("promote", "churn") == 0
    assert run("report", table, "-o", page) == 0
    assert "left = yes" in page.read_text()
    assert run("plan", table, "--config", plan, "-o", listed) == 2
    assert "--at" in capsys.readouterr().err
    assert run("plan", table, "--at", "2024-01-01", "--config", plan, "-o", listed) == 0
    contacts = pd.read_csv(listed)
    assert contacts["value"].to_list() == pytest.approx(
        (contacts["customer_id"].map(pd.read_csv(table).set_index("account")["fee"]) * 12).to_list()
    )
    assert contacts["reasons"].str.startswith("fee: ").all()
