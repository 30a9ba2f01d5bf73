import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.base import Model
from models.contract import Contract
from models.families import FAMILIES
from models.persistence import Kept, save

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {
    "pickle",
    "cPickle",
    "_pickle",
    "pickletools",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "skops",
}
FORBIDDEN_CALLS = {"read_pickle", "to_pickle"}
ROOMS = ("features", "models", "training", "serving")
SOURCES = [
    *sorted(path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")),
    Path("patron.py"),
]


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module or ""
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in {"import_module", "__import__"}:
            yield str(node.args[0].value)


def pickling(source: str) -> list[str]:
    """What of the pickle family a source imports or calls."""
    found = []
    for node in ast.walk(ast.parse(source)):
        found += [name for name in imported(node) if FORBIDDEN & set(name.split("."))]
        if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_CALLS:
            found.append(node.attr)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.append("allow_pickle")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, joblib as j",
        "from dill import dumps",
        "from sklearn.externals import joblib",
        "import_module('cloudpickle')",
        "def f():\n    __import__('marshal')",
        "frame.to_pickle('x')",
        "np.load('x', allow_pickle=True)",
    ],
)
def test_the_search_finds_every_way_to_pickle(source: str) -> None:
    assert pickling(source)


def test_the_search_lets_other_code_pass() -> None:
    assert not pickling("import json\nfrom pathlib import Path\nfind('pickle')")


def test_every_room_is_searched() -> None:
    assert {path.parts[0] for path in SOURCES} == {*ROOMS, "patron.py"}


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_nothing_of_the_pickle_family_is_used(path: Path) -> None:
    assert pickling((ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_a_saved_folder_holds_plain_text_only(
    name: str, fitted: Callable[[str], Model], make_contract: Callable[..., Contract], tmp_path: Path
) -> None:
    family = FAMILIES[name]
    contract = make_contract(family.feature_set, task=family.task, family=name)
    for path in save(Kept(fitted(name), contract), tmp_path / name).iterdir():
        content = path.read_bytes()
        assert path.suffix in {".json", ".txt"}
        assert not content.startswith(b"\x80")
        assert all(sign.isprintable() or sign in "\n\t" for sign in content.decode("utf-8")), path.name
