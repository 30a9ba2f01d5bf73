from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from training.config import TrainConfig, make_config, read_assignments
from training.errors import ConfigInvalid


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def _write(text: str) -> Path:
        file = tmp_path / "config.yaml"
        file.write_text(text)
        return file

    return _write


def one_line(refused: pytest.ExceptionInfo[ConfigInvalid]) -> str:
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_no_settings_give_the_documented_defaults() -> None:
    assert make_config() == TrainConfig(
        cutoff=None,
        horizon_days=90,
        gap_days=0,
        prediction_times=4,
        validation_share=0.2,
        margin_rate=1.0,
        annual_discount_rate=0.1,
        annual_cost_to_serve=0.0,
        observed_margin=False,
        random_state=0,
        refit=True,
        leakage="refuse",
        leakage_allowed=(),
        model={},
    )


def test_file_sets_fields_and_model_settings(write: Callable[[str], Path]) -> None:
    found = make_config(write("horizon_days: 30\nrefit: false\nmodel:\n  num_leaves: 7\n"))
    assert (found.horizon_days, found.refit, found.model) == (30, False, {"num_leaves": 7})


def test_empty_file_leaves_the_defaults(write: Callable[[str], Path]) -> None:
    assert make_config(write("")) == TrainConfig()


def test_assignments_are_read_as_yaml() -> None:
    found = make_config(assignments={"validation_share": "0.5", "refit": "no", "model.C": "2.0"})
    assert (found.validation_share, found.refit, found.model) == (0.5, False, {"C": 2.0})


def test_assignments_win_over_the_file_setting_by_setting(write: Callable[[str], Path]) -> None:
    file = write("horizon_days: 30\ngap_days: 5\nmodel: {num_leaves: 7, learning_rate: 0.2}\n")
    found = make_config(file, {"horizon_days": "60", "model.num_leaves": "15"})
    assert (found.horizon_days, found.gap_days) == (60, 5)
    assert found.model == {"num_leaves": 15, "learning_rate": 0.2}


def test_named_arguments_win_over_file_and_assignments(write: Callable[[str], Path]) -> None:
    cutoff = datetime(2024, 5, 1, tzinfo=UTC)
    found = make_config(
        write("horizon_days: 30\nrefit: true\n"),
        {"horizon_days": "60", "cutoff": "2020-01-01T00:00:00Z"},
        cutoff=cutoff,
        horizon_days=45,
        refit=False,
    )
    assert (found.cutoff, found.horizon_days, found.refit) == (cutoff, 45, False)


def test_arguments_not_given_leave_the_others_alone(write: Callable[[str], Path]) -> None:
    assert make_config(write("horizon_days: 30\n"), horizon_days=None, refit=None).horizon_days == 30


@pytest.mark.parametrize("text", ["1997-10-01", "1997-10-01T00:00:00Z", "1997-10-01T02:00:00+02:00"])
def test_cutoff_is_a_date_at_midnight_utc_or_a_time_with_offset(text: str, write: Callable[[str], Path]) -> None:
    expected = datetime(1997, 10, 1, tzinfo=UTC)
    assert make_config(assignments={"cutoff": text}).cutoff == expected
    assert make_config(write(f"cutoff: {text}\n")).cutoff == expected


def test_cutoff_without_offset_is_refused() -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make_config(assignments={"cutoff": "1997-10-01T12:00:00"})
    assert "'cutoff'" in one_line(refused)
    assert "1997-10-01" in one_line(refused)


def test_logged_config_reads_back_as_the_same_config(write: Callable[[str], Path]) -> None:
    original = make_config(
        assignments={"model.num_leaves": "9", "gap_days": "3"}, cutoff=datetime(2024, 5, 1, tzinfo=UTC)
    )
    assert make_config(write(yaml.safe_dump(original.model_dump(mode="json")))) == original


@pytest.mark.parametrize(
    ("text", "columns"),
    [("tier", ("tier",)), ("[tier, region]", ("tier", "region")), ("tier, region", ("tier", "region")), ("[]", ())],
)
def test_columns_allowed_although_suspected_are_one_name_or_a_list(text: str, columns: tuple[str, ...]) -> None:
    assert make_config(assignments={"leakage_allowed": text}).leakage_allowed == columns


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("horizon_days", "0", "1"),
        ("horizon_days", "4000", "3650"),
        ("horizon_days", "30.5", "a whole number"),
        ("gap_days", "-1", "0"),
        ("prediction_times", "25", "24"),
        ("validation_share", "0", "0"),
        ("validation_share", "0.9", "0.9"),
        ("margin_rate", "1.5", "1"),
        ("annual_discount_rate", "-0.1", "0"),
        ("annual_cost_to_serve", "-1", "0"),
        ("observed_margin", "perhaps", "true or false"),
        ("random_state", "-1", "0"),
        ("refit", "maybe", "true or false"),
        ("leakage", "ignore", "'refuse' or 'allow'"),
        ("leakage_allowed", "5", "a list"),
        ("model", "5", "a mapping"),
        ("cutoff", "soon", "date"),
    ],
)
def test_value_out_of_range_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make_config(assignments={name: value})
    message = one_line(refused)
    assert f"setting {name!r}" in message
    assert value in message
    assert allowed in message.split("Allowed:")[1]


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make_config(assignments={"horizon": "30"})
    message = one_line(refused)
    assert "setting 'horizon' is 30" in message
    assert all(name in message for name in TrainConfig.model_fields)


def test_unknown_name_in_the_file_lists_the_known_ones(write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigInvalid, match=r"setting 'horizon' is 30\. Allowed: one of cutoff, horizon_days"):
        make_config(write("horizon: 30\n"))


def test_dotted_name_of_an_unknown_owner_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match=r"setting 'data\.gap' is '3'\. Allowed: .*model\.<setting"):
        make_config(assignments={"data.gap": "3"})


def test_assignment_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make_config(assignments={"model.num_leaves": "[1, 2"})
    message = one_line(refused)
    assert "'model.num_leaves'" in message
    assert "[1, 2" in message


@pytest.mark.parametrize("text", ["model: 5\n", "model: []\n", "model: text\n"])
def test_model_settings_onto_a_model_that_is_no_mapping_are_refused(text: str, write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make_config(write(text), {"model.num_leaves": "7"})
    assert "setting 'model'" in one_line(refused)


def test_empty_model_in_the_file_takes_assignments(write: Callable[[str], Path]) -> None:
    assert make_config(write("model:\n"), {"model.num_leaves": "7"}).model == {"num_leaves": 7}


def test_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make_config(tmp_path / "nowhere.yaml")
    message = one_line(refused)
    assert "nowhere.yaml" in message
    assert "a file that exists" in message


def test_folder_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make_config(tmp_path)
    assert str(tmp_path) in one_line(refused)


@pytest.mark.parametrize("content", [b"horizon_days: [1, 2", b"\xff\xfe\x00broken", b"a: b: c"])
def test_file_that_is_no_yaml_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigInvalid) as refused:
        make_config(file)
    assert "a YAML file" in one_line(refused)


@pytest.mark.parametrize("text", ["- horizon_days\n- 30\n", "just words\n", "42\n"])
def test_file_that_is_no_mapping_is_refused(text: str, write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigInvalid, match="a YAML mapping of settings to values"):
        make_config(write(text))


def test_config_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TrainConfig().horizon_days = 7


def test_assignment_texts_are_split_at_the_first_equals_sign() -> None:
    assert read_assignments(["model.note=a=b", " gap_days = 3 "]) == {"model.note": "a=b", "gap_days": "3"}


@pytest.mark.parametrize("text", ["horizon_days", "=30", ""])
def test_assignment_without_name_or_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        read_assignments([text])
    message = one_line(refused)
    assert repr(text) in message
    assert "name=value" in message


def test_flat_names_are_those_of_an_mlflow_run() -> None:
    assert make_config(horizon_days=30).flat() == {
        "data.horizon_days": 30,
        "data.gap_days": 0,
        "data.prediction_times": 4,
        "data.validation_share": 0.2,
        "random_state": 0,
        "leakage": "refuse",
        "leakage_allowed": "",
        "leave_out": "",
        "target": "non_contractual",
        "eligible": "",
    }


@pytest.mark.parametrize("name", ["horizon_days", "margin_rate", "annual_discount_rate", "random_state"])
def test_what_every_family_is_told_is_no_setting_of_a_model(name: str) -> None:
    # the run would say one horizon and its model forecast another
    with pytest.raises(ConfigInvalid, match=f"setting 'model.{name}' is 30. Allowed: {name} itself, which every"):
        make_config(assignments={f"model.{name}": "30"})


@pytest.mark.parametrize("name", ["margin_rate", "horizon_days", "annual_cost_to_serve"])
def test_true_is_no_number(name: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"setting {name!r} is True. Allowed: a number"):
        make_config(assignments={name: "true"})
    assert make_config(assignments={"observed_margin": "true"}).observed_margin
