"""CSV as companies' tools save it: other encodings than UTF-8, marks at the start, endings in capitals."""

import codecs
import gzip
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest

from features.errors import (
    MappingInvalid,
    SourceMisencoded,
    SourceUnreadable,
    TableMisencoded,
)
from features.mapping.file import read_mapping
from features.mapping.propose import write_proposal
from features.profile import open_profile
from features.reading.encoding import Misfit, in_utf8, is_encoding, likely_encoding, require_fit

Write = Callable[..., Path]
Rows = Callable[..., list[dict[str, Any]]]

GERMAN, POLISH, RUSSIAN = "Jürgen Groß", "Wałęsa Łódź", "Пермь"
PEOPLE = "Kundennummer;Straße\n7;{}\n"
SALES = "Kundennummer;Nr;Datum;Betrag\n7;1;2024-01-05;10.00\n"
MAPPING = """
sources:
  people: {{files: people.csv, delimiter: ";"{}}}
  sales: {{files: sales.csv, delimiter: ";"}}
times: {{formats: YYYY-MM-DD, zone: UTC}}
tables:
  customers: {{from: people, columns: {{customer_id: Kundennummer, region: Straße}}}}
  orders: {{from: sales, columns: {{customer_id: Kundennummer, order_id: Nr, event_time: Datum, value: Betrag}}}}
"""
FACTS = {
    "customers.csv": "customer_id,region\n7,x\n",
    "orders.csv": "customer_id,order_id,event_time,value\n7,1,2024-01-05T00:00:00Z,5\n",
}


@pytest.fixture
def mapped(tmp_path: Path) -> Callable[[bytes, str], Path]:
    """Write the people as bytes, and a mapping whose source says the encoding, if any."""

    def write(people: bytes, encoding: str) -> Path:
        (tmp_path / "people.csv").write_bytes(people)
        (tmp_path / "sales.csv").write_text(SALES, encoding="utf-8")
        path = tmp_path / "profile.yaml"
        said = f", encoding: {encoding}" if encoding else ""
        path.write_text(MAPPING.format(said), encoding="utf-8")
        return path

    return write


def region(rows_of: Rows, path: Path) -> Any:
    (row,) = rows_of(open_profile(path), "customers", "region")
    return row["region"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "windows-1252"),
        (GERMAN, "latin-1"),
        (GERMAN, "cp850"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-32"),
        (GERMAN, "utf-8-sig"),
        (POLISH + "ß", "windows-1250"),
        (POLISH + "ß", "ISO-8859-2"),
        (RUSSIAN, "utf-16-be"),
        (RUSSIAN, "gb18030"),
    ],
)
def test_a_source_is_read_in_the_encoding_it_names(
    mapped: Callable[[bytes, str], Path], rows_of: Rows, text: str, encoding: str
) -> None:
    assert region(rows_of, mapped(PEOPLE.format(text).encode(encoding), encoding)) == text


def test_the_mark_of_utf_8_that_excel_writes_is_no_letter(mapped: Callable[[bytes, str], Path], rows_of: Rows) -> None:
    assert region(rows_of, mapped(PEOPLE.format(GERMAN).encode("utf-8-sig"), "")) == GERMAN


def test_the_mark_of_utf_16_is_no_letter_where_the_byte_order_is_named(
    mapped: Callable[[bytes, str], Path], rows_of: Rows
) -> None:
    content = codecs.BOM_UTF16_LE + PEOPLE.format(POLISH).encode("utf-16-le")
    assert region(rows_of, mapped(content, "utf-16-le")) == POLISH


def test_compressed_files_are_decoded_and_no_copy_is_left(
    tmp_path: Path, mapped: Callable[[bytes, str], Path], rows_of: Rows
) -> None:
    path = mapped(b"", "windows-1250")
    path.write_text(path.read_text("utf-8").replace("people.csv", "People.CSV.GZ").replace("Straße", "Ulica"), "utf-8")
    content = PEOPLE.format(POLISH).replace("Straße", "Ulica").encode("windows-1250")
    (tmp_path / "People.CSV.GZ").write_bytes(gzip.compress(content))
    before = set(Path(gettempdir()).glob("patron-text-*"))
    assert region(rows_of, path) == POLISH
    assert not set(Path(gettempdir()).glob("patron-text-*")) - before


def test_the_digest_is_over_the_bytes_of_the_source(mapped: Callable[[bytes, str], Path]) -> None:
    digest = open_profile(mapped(PEOPLE.format("aé").encode("latin-1"), "latin-1")).digest
    assert open_profile(mapped(PEOPLE.format("aé").encode("latin-1"), "latin-1")).digest == digest
    assert open_profile(mapped(PEOPLE.format("aè").encode("latin-1"), "latin-1")).digest != digest


def test_letters_that_a_chunk_cuts_in_two_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    text = "x" + "Ж😀" * 400_000 + "\n"  # of 2 and 4 bytes in utf-16, chunks are of 2 ** 20
    path.write_bytes(text.encode("utf-16"))
    with in_utf8(path, "utf-16") as copy:
        assert copy.read_text("utf-8") == text
    assert not copy.exists()


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        (
            "",
            r"it is not utf-8: byte 0xfc in line 3\).* Set sources\.people\.encoding .*to windows-1252",
        ),
        ("ascii", r"it is not ascii: byte 0xfc in line 3"),
        ("shift_jis", r"it is not shift_jis: byte 0xfc in line 3"),
        ("utf-16", r"it is not utf-16: UTF-16 stream does not start with BOM"),
    ],
)
def test_bytes_that_do_not_fit_are_named_with_their_line(
    mapped: Callable[[bytes, str], Path], encoding: str, found: str
) -> None:
    path = mapped("Kundennummer;Ort\n7;x\n8;Jürgen\n9;50€\n".encode("windows-1252"), encoding)
    with pytest.raises(SourceMisencoded, match=rf"source 'people': 'people.csv' cannot be read \({found}") as refused:
        open_profile(path)
    assert "\n" not in str(refused.value)


def test_utf_8_read_as_something_else_is_refused_not_garbled(mapped: Callable[[bytes, str], Path]) -> None:
    path = mapped(PEOPLE.format(GERMAN).encode(), "windows-1252")
    with pytest.raises(SourceMisencoded, match=r"it is UTF-8 throughout, not windows-1252.* to utf-8 if"):
        open_profile(path)


def test_plain_ascii_is_any_of_its_encodings(mapped: Callable[[bytes, str], Path], rows_of: Rows) -> None:
    path = mapped(b"Kundennummer;Street\n7;Main\n", "windows-1252")
    path.write_text(path.read_text("utf-8").replace("Straße", "Street"), "utf-8")
    assert region(rows_of, path) == "Main"


@pytest.mark.parametrize("name", ["excel", "rot13", "zip", "''"])
def test_an_unknown_encoding_is_named_with_its_line(mapped: Callable[[bytes, str], Path], name: str) -> None:
    with pytest.raises(
        MappingInvalid,
        match=rf"line 3, sources\.people\.encoding: found '{name.strip(chr(39))}'\. Allowed: utf-8, utf-16, latin-1",
    ):
        read_mapping(mapped(b"", name))


def test_a_truncated_file_in_another_encoding_is_refused(tmp_path: Path, mapped: Callable[[bytes, str], Path]) -> None:
    path = mapped(b"", "")
    path.write_text(path.read_text("utf-8").replace("people.csv", "people.csv.gz"), "utf-8")
    content = ("Kundennummer;Ort\n" + "".join(f"{i};ü{hash(str(i))}\n" for i in range(200_000))).encode("latin-1")
    (tmp_path / "people.csv.gz").write_bytes(gzip.compress(content)[:-50_000])
    with pytest.raises(SourceUnreadable, match=r"'people.csv.gz' cannot be read"):
        open_profile(path)


@pytest.mark.parametrize(
    ("content", "found", "likely"),
    [
        ("customer_id,region\n7,Köln\n".encode("windows-1252"), "byte 0xf6 in line 2", "windows-1252"),
        ("customer_id,Größe\n7,1\n".encode("windows-1252"), "byte 0xf6 in line 1", "windows-1252"),
        ("customer_id,region\n7,Łódź\n".encode("utf-16"), "byte 0xff in line 1", "utf-16"),
        ("customer_id,region\n7,x\n".encode("utf-16-le"), "byte 0x00 in line 1", "utf-16-le"),
        ("customer_id,region\n7,x\n".encode("utf-16-be"), "byte 0x00 in line 1", "utf-16-be"),
    ],
)
def test_in_a_contract_folder_another_encoding_is_refused_with_the_way_out(
    write_folder: Write, content: bytes, found: str, likely: str
) -> None:
    folder = write_folder({**FACTS, "customers.csv": content})
    with pytest.raises(TableMisencoded, match=rf"'customers.csv' cannot be read \(.*{found}") as refused:
        open_profile(folder)
    assert "Save it as UTF-8, or map it by a profile.yaml" in str(refused.value)
    assert f"{{files: customers.csv, encoding: {likely}}}" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "encoding", "likely"),
    [
        (GERMAN, "utf-8", "utf-8"),
        (GERMAN, "utf-8-sig", "utf-8"),
        (GERMAN, "utf-16", "utf-16"),
        (GERMAN, "utf-32", "utf-32"),
        ("customer;1;2;3", "utf-16-be", "utf-16-be"),
        (GERMAN, "windows-1252", "windows-1252"),
        ("Crème brûlée, cœur, 5 €, 12 m³, São Paulo", "windows-1252", "windows-1252"),
        (POLISH, "windows-1250", "windows-1250"),
        ("Źródło", "windows-1250", "windows-1250"),
        ("Покупатель, город Пермь", "windows-1251", "windows-1251"),
        ("Müller", "cp850", "cp850"),
        ("plain", "ascii", "utf-8"),
        ("", "ascii", "utf-8"),
    ],
)
def test_what_a_file_is_in_is_told_or_guessed(tmp_path: Path, text: str, encoding: str, likely: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(text.encode(encoding))
    assert likely_encoding(path) == likely
    require_fit(path, likely)


def test_a_misfit_is_found_beyond_the_first_chunk(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"0123456789\n" * 200_000 + b"\xfc\n")
    with pytest.raises(Misfit, match="byte 0xfc in line 200001"):
        require_fit(path, "utf-8")


def test_names_of_encodings() -> None:
    assert [name for name in ("cp1252", "UTF16", "latin-1", "hex", "a\0b", "undefined") if is_encoding(name)] == [
        "cp1252",
        "UTF16",
        "latin-1",
    ]


CLIENTS = "ИД клиента;Дата регистрации;Город\n1;13.01.2023;Пермь\n"
BILLS = "Номер заказа;ИД клиента;Дата заказа;Сумма\n1;1;24.02.2024;10\n"


@pytest.mark.parametrize(("encoding", "marked"), [("windows-1251", True), ("utf-16", False), ("utf-8-sig", False)])
def test_init_reads_the_files_as_they_are_and_marks_guesses(
    tmp_path: Path, rows_of: Rows, encoding: str, marked: bool
) -> None:
    (tmp_path / "clients.csv").write_bytes(CLIENTS.encode(encoding))
    (tmp_path / "bills.CSV").write_bytes(BILLS.encode(encoding))
    file, to_decide = write_proposal(tmp_path)
    text = file.read_text(encoding="utf-8")
    assert to_decide == text.count("# decide")
    said = "" if encoding == "utf-8-sig" else f", encoding: {encoding}"
    assert f'bills: {{files: bills.CSV, delimiter: ";"{said}}}' in text
    assert text.count("# decide: it is not UTF-8; or windows-1252, windows-1250, cp850   # 1 rows") == 2 * marked
    assert region_of(open_profile(file), rows_of) == "Пермь"


def region_of(profile: Any, rows_of: Rows) -> Any:
    (row,) = rows_of(profile, "customers", "region")
    return row["region"]


def test_init_marks_a_western_file_as_a_guess(tmp_path: Path) -> None:
    (tmp_path / "kunden.csv").write_bytes("Kundennummer,Region\n7,Köln\n".encode("windows-1252"))
    (tmp_path / "bestellungen.csv").write_text("Bestellnummer,Kundennummer,Bestelldatum,Betrag\n1,7,2024-01-05,3\n")
    text = write_proposal(tmp_path)[0].read_text(encoding="utf-8")
    assert "kunden: {files: kunden.csv, encoding: windows-1252}   # decide: it is not UTF-8; or windows-1250" in text
    assert "bestellungen: bestellungen.csv   # 1 rows" in text
