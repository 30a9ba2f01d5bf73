"""Folders that are replaced as a whole or left as they were, and only where nothing of anybody else's is lost."""

import shutil
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

from features.errors import OutputTaken, listed


def require_replaceable(folder: Path, ours: Collection[str]) -> None:
    """Refuse to replace anything but a folder that an earlier run wrote.

    Parameters
    ----------
    folder : Path
        Where output is to go.
    ours : collection of str
        Patterns of all names that a run writes into it.

    Raises
    ------
    OutputTaken
        If there is a file, or a folder that holds anything else.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputTaken(str(folder), "is a file")
    others = sorted(path.name for path in folder.iterdir() if not any(fnmatch(path.name, name) for name in ours))
    if others:
        raise OutputTaken(str(folder), f"holds {listed(others)}")


def swap_folder(made: Path, folder: Path, aside: Path, ours: Collection[str]) -> None:
    """Put a new folder in an old one's place; put the old one back if that fails.

    Parameters
    ----------
    made : Path
        The new folder, complete.
    folder : Path
        Its place; what an earlier run wrote there goes.
    aside : Path
        A free name on the same file system.
    ours
        See `require_replaceable`.

    Raises
    ------
    OutputTaken
        If something would be lost that no run wrote.
    OSError
        If it cannot be moved; everything is then as before.
    """
    require_replaceable(folder, ours)
    if not folder.exists():
        made.rename(folder)
        return
    folder.rename(aside)
    try:
        made.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
