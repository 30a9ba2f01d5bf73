from pathlib import Path

import pytest

from serving.settings import Settings


def test_state_lies_in_the_working_folder_wherever_home_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATRON_HOME", raising=False)
    monkeypatch.setenv("HOME", "/nobody")
    assert Settings().home == Path(".patron")


def test_environment_names_the_state_folder_and_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATRON_HOME", str(tmp_path))
    assert Settings().home == tmp_path
    assert Settings().tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert Settings().tracking_uri == "http://tracker:5000"


def test_the_environment_names_the_language_of_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATRON_LANGUAGE", raising=False)
    assert Settings().language == "en"
    monkeypatch.setenv("PATRON_LANGUAGE", "pl")
    assert Settings().language == "pl"
