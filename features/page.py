"""HTML pages: how their templates are read, and how a page is written whole or not at all."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from features.errors import OutputUnwritable
from features.files import replacing


def templates(folder: Path, **filters: Callable[..., Any]) -> jinja2.Environment:
    """Templates of a folder; what is put into them is escaped, and what is missing is an error.

    Parameters
    ----------
    folder : Path
        Where they lie.
    **filters : callable
        Filters by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({"code": code} | filters)
    return environment


def code(text: str) -> Markup:
    """A text with what stands between backticks as code.

    Examples
    --------
    >>> str(code("`a` < b"))
    '<code>a</code> &lt; b'
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def write_whole(file: Path, text: str) -> Path:
    """Write a page.

    Raises
    ------
    OutputUnwritable
        If it cannot be written; what stood there is as it was.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputUnwritable(str(file), error.strerror or str(error)) from error
    return file
