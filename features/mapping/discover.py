"""What lies in a folder or a DuckDB file: every table, with how a mapping writes its source."""

import csv
import io
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from features.errors import ProfileNotFound
from features.reading.encoding import GUESSED, UTF_8, head, likely_encoding
from features.reading.source import Source
from features.reading.sources import is_parquet, reason_of

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
DELIMITERS = (",", ";", "\t", "|")


def declared_in(source: Path, beside: Path) -> dict[str, tuple[Source, str]]:
    """Every table there, by a name of its own, with its source and how a mapping writes that.

    Parameters
    ----------
    source : Path
        A folder or a DuckDB file.
    beside : Path
        The folder that paths are relative to.

    Raises
    ------
    ProfileNotFound
        If it is a file and no database.
    """
    declared: dict[str, tuple[Source, str]] = {}
    for name, one, text in (*_tables(source, beside), *_files(source, beside)):
        same = sum(key == name or re.fullmatch(f"{name}_[0-9]+", key) is not None for key in declared)
        declared[f"{name}_{same + 1}" if name in declared else name] = (one, text)
    return declared


def _relative(path: Path, beside: Path) -> str:
    return os.path.relpath(path, beside).replace(os.sep, "/")


def _tables(source: Path, beside: Path) -> Iterator[tuple[str, Source, str]]:
    if source.is_file():
        try:
            with duckdb.connect(str(source), read_only=True) as engine:
                names = [name for (name,) in engine.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        except duckdb.Error as error:
            raise ProfileNotFound(str(source), reason_of(error)) from None
        for name in sorted(names):
            one = Source(duckdb=_relative(source, beside), table=name)
            yield key_of(name), one, f"{{duckdb: {yaml_text(one.duckdb)}, table: {yaml_text(name)}}}"


def _files(source: Path, beside: Path) -> Iterator[tuple[str, Source, str]]:
    for path in sorted(path for path in source.rglob("*") if path.name.lower().endswith(SUFFIXES) and path.is_file()):
        text, (encoding, delimiter) = _relative(path, beside), _written(path)
        said = [f"files: {yaml_text(text)}"]
        said += [f"delimiter: {json.dumps(delimiter)}"] if delimiter != DELIMITERS[0] else []
        said += [f"encoding: {encoding}"] if encoding != UTF_8 else []
        line = f"{{{', '.join(said)}}}" if len(said) > 1 else yaml_text(text)
        if encoding in GUESSED:
            line += f"   # decide: it is not UTF-8; or {', '.join(name for name in GUESSED if name != encoding)}"
        yield key_of(path.name.split(".")[0]), Source(files=(text,), delimiter=delimiter, encoding=encoding), line


def _written(path: Path) -> tuple[str, str]:
    """The encoding of a CSV file, and what separates its columns: of the usual signs the one that finds the most."""
    if is_parquet(path):
        return UTF_8, DELIMITERS[0]
    try:
        encoding = likely_encoding(path)
        header = io.StringIO(head(path, encoding), newline="").readline()
    except (OSError, EOFError, UnicodeError, zlib.error):
        return UTF_8, DELIMITERS[0]  # whoever reads the file says what is wrong with it
    return encoding, max(DELIMITERS, key=lambda sign: len(next(csv.reader([header], delimiter=sign), [])))


def key_of(name: str) -> str:
    """A name in small letters, digits and underscores."""
    return re.sub(r"\W+", "_", name).strip("_").lower() or "table"


def yaml_text(text: str) -> str:
    """Text as YAML takes it, in quotes where it needs them."""
    plain = re.fullmatch(r"[^\W\d][\w ./-]*(?<! )", text) and text.strip().lower() not in (
        "null",
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
    )
    return text if plain else json.dumps(text, ensure_ascii=False)
