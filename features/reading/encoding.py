"""Text files in other encodings than UTF-8: which one a file seems to be in, and a copy that the engine reads.

The engine reads UTF-8 only; anything else is written once, chunk by chunk, into a temporary file.
"""

import codecs
import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

UTF_8 = "utf-8"
GUESSED = ("windows-1252", "windows-1250", "windows-1251", "cp850")
"""Encodings that nothing in a file proves: Western, Polish and Czech, Russian, of DOS."""
_MARKS = {
    codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF32_LE: "utf-32",  # starts with the mark of utf-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CHUNK = 1 << 20
_ASCII = bytes(range(128))
_FOREIGN_WORD = re.compile(rb"[\xa8\xb8\xc0-\xff]{3,}")
_POLISH_LETTER = re.compile(rb"(?<=[A-Za-z\xc0-\xff])[\xb3\xb9](?=[a-z\xe0-\xff])")


class Misfit(UnicodeError):
    """The bytes of a file are not text in the encoding it is read in."""


def is_encoding(name: str) -> bool:
    """Whether text can be read in an encoding of that name.

    Examples
    --------
    >>> is_encoding("windows-1252"), is_encoding("excel"), is_encoding("zip")
    (True, False, False)
    """
    try:
        return isinstance("a".encode(name).decode(name), str)
    except (LookupError, ValueError):
        return False


def is_gzip(path: Path) -> bool:
    """Whether a file's name says that it is compressed."""
    return path.suffix.lower() == ".gz"


def head(path: Path, encoding: str) -> str:
    """The first lines of a text file, at least its header.

    Raises
    ------
    Misfit
        If they are not in that encoding.
    OSError, EOFError, zlib.error
        If the file cannot be read.
    """
    return next(_decoded(path, encoding))


@contextmanager
def in_utf8(path: Path, encoding: str) -> Iterator[Path]:
    """A text file in UTF-8: itself, or a copy for as long as it is needed.

    Raises
    ------
    Misfit
        If it is in another encoding than it is said to be.
    OSError, EOFError, zlib.error
        If it cannot be read, or the copy not be written.
    """
    if _is_utf8(encoding):
        yield path
        return
    if _proves_utf8(path):
        raise Misfit(f"it is UTF-8 throughout, not {encoding}")
    with TemporaryDirectory(prefix="patron-text-") as folder:
        copy = Path(folder, "text.csv")
        with copy.open("w", encoding=UTF_8, newline="") as file:
            file.writelines(_decoded(path, encoding))
        yield copy


def require_fit(path: Path, encoding: str) -> None:
    """Read a whole file as text.

    Raises
    ------
    Misfit
        If a byte of it is not of that encoding.
    """
    for _ in _decoded(path, encoding):
        pass


def likely_encoding(path: Path) -> str:
    """The encoding that a text file seems to be in; a guess if it is one of `GUESSED`.

    Raises
    ------
    OSError, EOFError, zlib.error
        If it cannot be read.
    """
    with _bytes(path) as file:
        start = file.read(4096)
    if marked := next((name for mark, name in _MARKS.items() if start.startswith(mark)), None):
        return marked
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):  # of Latin text every other byte is 0
        if start[offset::2].count(0) > len(start) / 4:
            return name
    try:
        require_fit(path, UTF_8)
    except Misfit:
        return _guess(path)
    return UTF_8


def _guess(path: Path) -> str:
    """By words of nothing but letters beyond ASCII, by letters that are signs elsewhere, then whatever fits."""
    seen: set[int] = set()
    foreign = polish = beyond = 0
    with _bytes(path) as file:
        while chunk := file.read(_CHUNK):
            high = chunk.translate(None, _ASCII)
            seen.update(high)
            beyond += len(high)
            foreign += sum(map(len, _FOREIGN_WORD.findall(chunk)))
            polish += len(_POLISH_LETTER.findall(chunk))
    western, polish_czech, russian, dos = GUESSED
    first = russian if 2 * foreign > beyond else polish_czech if polish else western
    return next((name for name in (first, western, polish_czech) if _fits(bytes(seen), name)), dos)


def _fits(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in (UTF_8, "utf-8-sig")


def _proves_utf8(path: Path) -> bool:
    """Whether a file has letters beyond ASCII, all written as UTF-8, which no other text is by chance."""
    try:
        return sum(not text.isascii() for text in _decoded(path, UTF_8)) > 0  # read to its end
    except Misfit:
        return False


def _bytes(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb") if is_gzip(path) else path.open("rb"))


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in chunks, without the mark at its start."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, start = 1, "\ufeff"
    with _bytes(path) as file:
        ended = False
        while not ended:
            chunk = file.read(_CHUNK)
            ended = not chunk
            try:
                text = decoder.decode(chunk, final=ended)
            except UnicodeError as error:
                raise Misfit(f"it is not {encoding}: {_place(error, line)}") from None
            line += text.count("\n")
            yield text.removeprefix(start)
            start = start if not text else ""


def _place(error: UnicodeError, line: int) -> str:
    """Where a chunk that starts in a line is no text; without a mark, all of it may be none."""
    if not isinstance(error, UnicodeDecodeError):
        return str(error)
    before = error.object[: error.start].decode(error.encoding, "ignore")
    return f"byte 0x{error.object[error.start]:02x} in line {line + before.count(chr(10))}"
