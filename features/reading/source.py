"""Where rows come from, as a person writes it down."""

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from features.errors import listed
from features.reading.encoding import GUESSED, UTF_8, is_encoding

SPARK_SCHEME = "spark://"


def several(value: object) -> object:
    """Take one text for several."""
    return (value,) if isinstance(value, str) else value


class Strict(BaseModel):
    """What a person writes down, with no name in it that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known_names(cls, data: object) -> object:
        names = [info.alias or name for name, info in cls.model_fields.items()]
        unknown = [key for key in data if key not in names] if isinstance(data, dict) else []
        if unknown:
            raise ValueError(f"unknown name {listed(unknown)}; allowed: {', '.join(names)}")
        return data


class Source(Strict):
    """Where rows come from: files, a table of a DuckDB file, or a table behind a connection URL.

    Parameters
    ----------
    files : tuple of str
        Parquet or CSV files, or globs of them, relative to the mapping; their rows are taken together.
    delimiter : str
        What separates the columns of a CSV file.
    encoding : str
        What a CSV file's letters are written in, by any name Python knows: ``windows-1252`` as Excel saves CSV in
        Western Europe, ``windows-1250`` Polish and Czech, ``windows-1251`` Russian, ``latin-1``, ``utf-16``.
    duckdb : str
        A DuckDB file, relative to the mapping.
    url : str
        An Ibis connection URL, such as ``postgres://patron:${PGPASSWORD}@host/shop``; or, for Apache Spark, a database
        of its catalog, ``spark://crm``, or a folder of Parquet tables, ``spark://s3a://bucket/lake``.
    table : str
        The table behind `duckdb` or `url`, ``schema.table`` where it is not in the default schema.
    """

    files: tuple[str, ...] = ()
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = UTF_8
    duckdb: str = ""
    url: str = ""
    table: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        return {"files": data} if isinstance(data, str | list) else data

    _files = field_validator("files", mode="before")(several)

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        if not is_encoding(encoding):
            raise ValueError(f"allowed: utf-8, utf-16, latin-1, {', '.join(GUESSED)} or another that Python knows")
        return encoding

    @model_validator(mode="after")
    def _one_kind(self) -> "Source":
        if sum(map(bool, (self.files, self.duckdb, self.url))) != 1:
            raise ValueError("allowed: exactly one of files, duckdb, url")
        if bool(self.table) == bool(self.files):
            raise ValueError("allowed: table with duckdb or url, and only there")
        return self
