"""Where Patron keeps its state and which words it uses, read from the environment once.

What else stands there is read where it is used: what a profile.yaml names and what Spark needs in `features.reading`,
the switches of the command in `patron.py`; `serving.probe` hands all of it on to the server.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Places and limits.

    Parameters
    ----------
    home : Path
        State folder (`PATRON_HOME`): MLflow store, online store, cached models, outputs without a place of their own.
    mlflow_tracking_uri : str, optional
        MLflow store (`MLFLOW_TRACKING_URI`); by default a SQLite file in the state folder.
    language : {"en", "ru", "pl"}
        Of reasons in words (`PATRON_LANGUAGE`), unless a request or a command names another.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    home: Path = Field(default=Path(".patron"), alias="PATRON_HOME")
    mlflow_tracking_uri: str | None = Field(default=None, alias="MLFLOW_TRACKING_URI")
    language: str = Field(default="en", alias="PATRON_LANGUAGE")

    @property
    def tracking_uri(self) -> str:
        """The MLflow store in use."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.home.resolve()}/mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Artifacts of a database store."""
        return self.home / "artifacts"

    @property
    def cache(self) -> Path:
        """Models fetched from the registry."""
        return self.home / "models"

    @property
    def online_store(self) -> Path:
        """What `customer_ids` are looked up in."""
        return self.home / "online.sqlite"

    @property
    def uplift(self) -> Path:
        """What campaigns were found to change."""
        return self.home / "uplift"

    @property
    def scores(self) -> Path:
        """The last batch scores, unless told where."""
        return self.home / "scores"
