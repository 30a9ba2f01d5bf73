"""Without Java or without the extra, whatever asks for Spark says so in one line."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "telco" / "profile.yaml"
BY_SPARK = ("spark:///nowhere", f"spark://{EXAMPLE}")
NO_PYSPARK = "import sys; sys.modules['pyspark'] = sys.modules['py4j'] = None; import patron; patron.main()"
needs_pyspark = pytest.mark.skipif(
    find_spec("pyspark") is None and not os.environ.get("PATRON_REQUIRE_EXTRAS"), reason="Spark is an extra"
)
pytestmark = pytest.mark.exhaustive
Ask = Callable[..., str]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Ask for features of a profile in a process of its own; give the one line it says."""

    def said(profile: str, code: str = "import patron; patron.main()", **environment: str) -> str:
        lacking = {"JAVA_HOME", "SPARK_REMOTE", "PYSPARK_SUBMIT_ARGS", "MASTER", *environment}
        known = {name: value for name, value in os.environ.items() if name not in lacking}
        done = subprocess.run(
            [sys.executable, "-c", code, "features", profile, "--at", "2019-01-02", "-o", "features"],
            cwd=tmp_path,
            env=known | {"PYTHONPATH": str(ROOT)} | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        problem = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert (done.returncode, done.stdout, len(problem)) == (1, "", 1), done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "features").exists()
        return problem[0]

    return said


@needs_pyspark
@pytest.mark.parametrize("profile", BY_SPARK)
def test_without_java_on_the_path_the_remedy_is_named(ask: Ask, tmp_path: Path, profile: str) -> None:
    line = ask(profile, PATH=str(tmp_path))
    assert line.startswith("error: Apache Spark cannot start: there is no Java on the PATH. Allowed: ")
    assert "openjdk-17-jre-headless" in line


@needs_pyspark
def test_a_java_home_without_java_is_named(ask: Ask, tmp_path: Path) -> None:
    assert f"there is no Java in {tmp_path}. Allowed: " in ask(BY_SPARK[0], JAVA_HOME=str(tmp_path))


@needs_pyspark
def test_a_java_that_does_not_start_is_refused(ask: Ask, tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "java"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    line = ask(BY_SPARK[0], JAVA_HOME=str(tmp_path))
    assert "Apache Spark cannot start: [JAVA_GATEWAY_EXITED]" in line


@pytest.mark.parametrize("profile", BY_SPARK)
def test_without_pyspark_the_extra_is_named(ask: Ask, profile: str) -> None:
    line = ask(profile, NO_PYSPARK)
    assert "is not installed. Allowed: " in line
    assert "pip install 'patron[spark]'" in line
