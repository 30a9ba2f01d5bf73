"""Folders that are replaced as a whole or left as they were."""

import shutil
from pathlib import Path


def swap_folder(made: Path, folder: Path, aside: Path) -> None:
    """Put a new folder in an old one's place; put the old one back if that fails.

    Parameters
    ----------
    made : Path
        The new folder, complete.
    folder : Path
        Its place; what stands there goes.
    aside : Path
        A free name on the same file system.

    Raises
    ------
    OSError
        If it cannot be moved; everything is then as before.
    """
    if not folder.exists():
        made.rename(folder)
        return
    folder.rename(aside)
    try:
        made.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()
