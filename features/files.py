"""Files that are written whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a name beside a file; what is written under it takes the file's place once the block ends without an error.

    Parameters
    ----------
    path : Path
        The file, in a folder that is there. Until the block ends, and if it fails, it is as it was.

    Yields
    ------
    Path
        A free name of its own for every writer, so that two at once do not write into each other's file.

    Raises
    ------
    OSError
        If it cannot be put there.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex[:12]}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_new(path: Path, text: str) -> None:
    """Write a file where there is none.

    Parameters
    ----------
    path : Path
        The file, in a folder that is there.
    text : str
        What it is to hold, in UTF-8.

    Raises
    ------
    FileExistsError
        If there is one.
    OSError
        If it cannot be written; there is none then.
    """
    path.touch(exist_ok=False)  # from here on the name is ours
    try:
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError:
        path.unlink(missing_ok=True)
        raise
