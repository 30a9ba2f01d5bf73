"""A file is written whole or not at all, by however many at once."""

import os
from pathlib import Path

import pytest

from features.files import replacing, write_new


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_takes_the_place_of_another_once_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("earlier")
    with replacing(file) as partial:
        partial.write_text("later")
        assert file.read_text() == "earlier"
    assert (file.read_text(), names_in(tmp_path)) == ("later", ["a.txt"])


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("earlier")

    def fail() -> None:
        with replacing(file) as partial:
            partial.write_text("half")
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError):
        fail()
    assert (file.read_text(), names_in(tmp_path)) == ("earlier", ["a.txt"])


def test_two_writers_do_not_write_into_each_others_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with replacing(file) as one, replacing(file) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (file.read_text(), names_in(tmp_path)) == ("one", ["a.txt"])


def test_whoever_may_read_a_new_file_may_read_this_one(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a.txt") as partial:
            partial.write_text("text")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_new_file_is_never_written_over_another(tmp_path: Path) -> None:
    write_new(tmp_path / "a.txt", "mine")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a.txt", "theirs")
    assert ((tmp_path / "a.txt").read_text(), names_in(tmp_path)) == ("mine", ["a.txt"])


def test_a_new_file_that_cannot_be_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_new(tmp_path / "a.txt", "text")
    assert names_in(tmp_path) == []
