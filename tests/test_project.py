"""What holds the project together: README, MLproject, lock file, packaging."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from models.families import TASKS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BY_CI = {"make demo", "make test"}
SERVERS = ("patron serve", "mlflow ui")


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    """Every shell command of the README, in order, without comments."""
    lines = [line.split(" #")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line]


def environment(home: Path, **more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PATRON_", "COV_"))}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(home / "bentoml")}
    return {**clean, **quiet, "PATH": path, "PATRON_HOME": str(home), **more}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files, as a user has them after cloning."""
    folder = tmp_path_factory.mktemp("clone") / "patron"
    skipped = shutil.ignore_patterns(".git", ".venv", ".patron", "__pycache__", ".*_cache", ".hypothesis", "mlruns")
    shutil.copytree(ROOT, folder, ignore=skipped)
    return folder


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_ci_runs_the_readmes_two_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    for command in BY_CI:
        assert command in script


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.server
def test_every_command_of_the_readme_works_in_order(clone: Path, tmp_path: Path) -> None:
    from serving.probe import free_port

    ports = {"3000": str(free_port()), "5000": str(free_port())}
    running: list[subprocess.Popen[bytes]] = []
    env = environment(clone / ".patron")
    try:
        for command in commands():
            if command in BY_CI:
                continue
            line = command.replace("127.0.0.1:3000", f"127.0.0.1:{ports['3000']}")
            line = line.replace("--port 3000", f"--port {ports['3000']}")
            if command.startswith(SERVERS):
                line += f" --port {ports['5000']}" if command.startswith("mlflow ui") else ""
                with (tmp_path / f"server{len(running)}.log").open("w") as log:
                    running.append(
                        subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=clone, env=env, stdout=log, stderr=log)
                    )
                serves = command.startswith("patron serve")
                wait_until_up(ports["3000" if serves else "5000"], serves)
                continue
            done = subprocess.run(
                ["bash", "-c", line], cwd=clone, env=env, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            if command.startswith("curl"):
                row = json.loads(done.stdout)["rows"][0]
                assert row["churn"]["probability_churned"] >= 0
        client = next(block for block in blocks("python") if "SyncHTTPClient" in block)
        script = client.replace("127.0.0.1:3000", f"127.0.0.1:{ports['3000']}")
        said = subprocess.run(
            [sys.executable, "-c", script], cwd=clone, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert said.returncode == 0, said.stderr
        assert 0 <= float(said.stdout.split()[0]) <= 1
    finally:
        for server in running:
            server.terminate()
        for server in running:
            server.wait(timeout=30)
    assert (clone / "report.html").is_file()
    assert (clone / "scores" / "scores.parquet").is_file()


def wait_until_up(port: str, has_readyz: bool) -> None:
    """Wait until a server answers, and a service is ready."""
    import time
    import urllib.request

    address = f"http://127.0.0.1:{port}/{'readyz' if has_readyz else ''}"
    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"nothing answers on {address}")


def test_the_readmes_feature_can_be_declared_as_shown() -> None:
    example = next(block for block in blocks("python") if "windowed" in block)
    names: dict[str, Any] = {}
    exec(compile(example, "README", "exec"), names)
    assert [feature.name for feature in names["large_order_count"]] == [
        "large_order_count_30d",
        "large_order_count_90d",
    ]


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


ENTRIES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
NOT_IN_MLPROJECT = {
    "as_json", "quarantine", "html", "describe",  # what is printed, and side files
    "assignments", "refit",  # a config says as much
    "engine", "host", "learned", "simulated",
}  # fmt: skip


def commands_of(group: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command of the program by its words, those of groups among them."""
    found: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found |= commands_of(command, (*words, name)) if inner else {(*words, name): command}
    return found


def parsed(entry: str) -> tuple[tuple[str, ...], Any]:
    """The words of the command that an entry point runs, and what it makes of its parameters."""
    import patron

    settings = {
        name: given.get("default", f"a_{name}") if isinstance(given, dict) else f"a_{name}"
        for name, given in ENTRIES[entry].get("parameters", {}).items()
    }
    python, _, program, *rest = shlex.split(ENTRIES[entry]["command"].format(**settings))
    assert (python, program) == ("python", "patron")
    words, command = next(
        (words, command)
        for words, command in commands_of(typer.main.get_group(patron.app)).items()
        if tuple(rest[: len(words)]) == words
    )
    return words, command.make_context(entry, rest[len(words) :])


def test_every_command_and_every_task_has_an_mlproject_entry_point() -> None:
    import patron

    run = {parsed(entry)[0] for entry in ENTRIES}
    assert run == set(commands_of(typer.main.get_group(patron.app)))
    trained = {context.params["task"] for words, context in map(parsed, ENTRIES) if words == ("train",)}
    assert trained == set(TASKS)


def test_entry_points_together_set_every_option_of_their_command() -> None:
    import patron

    is_set: dict[tuple[str, ...], set[str]] = {}
    for words, context in map(parsed, ENTRIES):
        given = {name for name in context.params if context.get_parameter_source(name).name == "COMMANDLINE"}
        is_set[words] = is_set.get(words, set()) | given
    known = commands_of(typer.main.get_group(patron.app))
    left_out = {words: {each.name for each in known[words].params} - given for words, given in is_set.items()}
    left_out["plan",].remove("profile")  # stands beside scores; the entry point plans from a profile
    assert {words: names for words, names in left_out.items() if names - NOT_IN_MLPROJECT} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "parameters"),
    [
        ("simulate", {"output": "made", "customers": "300"}),
        ("check", {"profile": "features/data/cdnow"}),
        ("features", {"profile": "features/data/cdnow", "at": "1997-10-01", "output": "features.parquet"}),
    ],
)
def test_an_mlproject_entry_point_runs(clone: Path, tmp_path: Path, entry: str, parameters: dict[str, str]) -> None:
    env = environment(tmp_path / "home", MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/mlflow.db")
    options = [part for name, value in parameters.items() for part in ("-P", f"{name}={value}")]
    command = ["mlflow", "run", ".", "-e", entry, "--env-manager", "local", *options]
    done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert not parameters.get("output") or (clone / parameters["output"]).exists()


def test_lock_names_no_index_and_hashes_everything() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index-url" not in lock
    pinned = re.findall(r"^[a-z0-9][\w.-]*==", lock, flags=re.MULTILINE)
    assert len(pinned) > 100
    assert lock.count("--hash=sha256:") >= len(pinned)


def test_changelog_has_an_open_unreleased_section() -> None:
    assert re.search(r"^## Unreleased$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)


def test_bundled_data_names_its_origin_and_licence() -> None:
    origin = (ROOT / "features" / "data" / "cdnow" / "README.md").read_text()
    assert "lifetimes" in origin
    assert "MIT License" in origin


def test_the_page_of_the_backtest_shows_every_log_and_no_path_of_a_machine() -> None:
    page = (ROOT / "docs" / "backtest.md").read_text()
    titles = re.findall(r"^## ([^:\n]+): cutoff ", page, flags=re.MULTILINE)
    assert titles == ["CDNOW", "Complete Journey", "Simulated, seed 3"]
    assert page.count("\n| clv_hybrid | ") == 2 * len(titles)  # its figures, and its calibration
    assert re.findall(r"'/\w+/", page) == []
