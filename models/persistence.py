"""Keeping a fitted model as text files under a SHA-256 manifest, and reading it back only when nothing has changed.

A folder holds ``contract.json``, ``state.json``, native text files such as ``booster_0.txt``, perhaps
``prospects.json``, ``curve.json`` or ``margins.json``, and ``manifest.json`` with the hash of each. The hashes are
checked before any file is parsed: LightGBM ends the whole process on a truncated text model.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.spec import FeatureSet
from models.base import Model, State
from models.churn.curve import ChurnCurve
from models.clv.margins import RATE, Margins, at_own_margin
from models.clv.prospects import Prospects
from models.contract import Contract
from models.errors import ModelDamaged, ModelUnreadable
from models.families import family

MANIFEST, CONTRACT, STATE = "manifest.json", "contract.json", "state.json"
PROSPECTS, CURVE, MARGINS = "prospects.json", "curve.json", "margins.json"
MISREAD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""How reading ends of what was written whole, but not as it is written now."""


@dataclass(frozen=True)
class Kept:
    """A fitted model with its contract.

    Parameters
    ----------
    model : Model
        Fitted.
    contract : Contract
        What it promises.
    prospects : Prospects, optional
        The forecast of customers without an order that goes with a model of lifetime value.
    curve : ChurnCurve, optional
        When customers leave, that goes with a model of churn.
    margins : Margins, optional
        The margin rate of each customer, that goes with a model of lifetime value.
    """

    model: Model
    contract: Contract
    prospects: Prospects | None = None
    curve: ChurnCurve | None = None
    margins: Margins | None = None

    @property
    def model_features(self) -> FeatureSet:
        """Of the features that the contract names, those that the model itself takes.

        Raises
        ------
        ModelIncompatible
            If the installed catalogue lacks one or defines it differently.
        """
        others = self.margins.columns if self.margins else ()
        features = self.contract.installed_features()
        return features.only(tuple(name for name in features.names if name not in others))

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Score rows with the features that the contract names; see `Model.score`."""
        if self.margins is None:
            return self.model.score(rows)
        return at_own_margin(self.model, self._own(rows), self.margins.rates(rows))

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Contribution of each factor to each row's score, the margin rate among them; see `Model.explain`."""
        if self.margins is None:
            return self.model.explain(rows)
        return self.model.explain(self._own(rows)).assign(**{RATE: self.margins.log_ratios(rows)})

    def reason_values(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Value of each factor of `explain`; see `Model.reason_values`."""
        if self.margins is None:
            return self.model.reason_values(rows)
        return self.model.reason_values(self._own(rows)).assign(**{RATE: self.margins.rates(rows)})

    def _own(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The columns of the model itself."""
        return rows.drop(columns=list(self.margins.columns)) if self.margins else rows


def save(kept: Kept, folder: Path) -> Path:
    """Write a model into a folder.

    Parameters
    ----------
    kept : Kept
        Fitted model and contract.
    folder : Path
        Made if missing; must hold nothing else.

    Returns
    -------
    Path
        The folder.
    """
    state = kept.model.state()
    files = {
        CONTRACT: kept.contract.model_dump_json(indent=1),
        STATE: json.dumps(state.parameters, indent=1, sort_keys=True, allow_nan=False),
        **state.texts,
    }
    if kept.prospects is not None:
        files[PROSPECTS] = json.dumps(kept.prospects.state(), indent=1, sort_keys=True, allow_nan=False)
    if kept.curve is not None:
        files[CURVE] = json.dumps(kept.curve.state(), indent=1, sort_keys=True, allow_nan=False)
    if kept.margins is not None:
        files[MARGINS] = json.dumps(kept.margins.state(), indent=1, sort_keys=True, allow_nan=False)
    return write_verified(files, folder)


def write_verified(files: Mapping[str, str], folder: Path) -> Path:
    """Write text files, `CONTRACT` and `STATE` among them, under a manifest of their hashes; see `save`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(files.items())}
    (folder / MANIFEST).write_text(json.dumps(hashes, indent=1))
    return folder


def load(folder: Path) -> Kept:
    """Read a model back.

    Parameters
    ----------
    folder : Path
        As `save` wrote it.

    Returns
    -------
    Kept
        Scores as on the day it was saved, bit for bit.

    Raises
    ------
    ModelDamaged
        If a file is missing, new or changed.
    ModelUnreadable
        If another version of Patron wrote it, in another way.
    """
    texts = read_verified(folder)
    try:
        return _kept(texts)
    except MISREAD as error:
        raise ModelUnreadable(str(folder), error) from error


def _kept(texts: dict[str, str]) -> Kept:
    """A model from its text files."""
    contract = Contract.model_validate_json(texts.pop(CONTRACT))
    prospects = Prospects.from_state(json.loads(texts.pop(PROSPECTS))) if PROSPECTS in texts else None
    curve = ChurnCurve.from_state(json.loads(texts.pop(CURVE))) if CURVE in texts else None
    margins = Margins.from_state(json.loads(texts.pop(MARGINS))) if MARGINS in texts else None
    state = State(json.loads(texts.pop(STATE)), texts)
    return Kept(family(contract.family).build.from_state(state), contract, prospects, curve, margins)


def read_verified(folder: Path) -> dict[str, str]:
    """Read the text files of a folder back, if nothing has changed; see `load`.

    Raises
    ------
    ModelDamaged
        If a file is missing, new or changed.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise ModelDamaged(str(folder), f"{MANIFEST} is missing") from None
    except ValueError:
        raise ModelDamaged(str(folder), f"{MANIFEST} is not JSON") from None
    if not isinstance(manifest, dict) or not {CONTRACT, STATE} <= set(manifest):
        raise ModelDamaged(str(folder), f"{MANIFEST} does not list {CONTRACT} and {STATE}")
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if present != set(manifest):
        odd = sorted(present ^ set(manifest))
        raise ModelDamaged(str(folder), f"{odd[0]!r} is {'not in the manifest' if odd[0] in present else 'missing'}")
    texts = {}
    for name, expected in manifest.items():
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != expected:
            raise ModelDamaged(str(folder), f"{name!r} does not have the SHA-256 of the manifest")
        texts[name] = content.decode()
    return texts
