"""Keeping a fitted model as text files under a SHA-256 manifest, and reading it back only when nothing has changed.

A folder holds ``contract.json``, ``state.json``, native text files such as ``booster.txt``, perhaps ``curve.json``, and
``manifest.json`` with the hash of each. The hashes are checked before any file is parsed: LightGBM ends the whole
process on a truncated text model.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from models.base import Model, State
from models.churn.curve import ChurnCurve
from models.contract import Contract
from models.errors import ModelDamaged
from models.families import family

MANIFEST, CONTRACT, STATE, CURVE = "manifest.json", "contract.json", "state.json", "curve.json"


@dataclass(frozen=True)
class Kept:
    """A fitted model with its contract, and with the curve of when customers leave where one could be learned."""

    model: Model
    contract: Contract
    curve: ChurnCurve | None = None


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
    if kept.curve is not None:
        files[CURVE] = json.dumps(kept.curve.state(), indent=1, sort_keys=True, allow_nan=False)
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
    """
    texts = _verified(folder)
    contract = Contract.model_validate_json(texts.pop(CONTRACT))
    curve = ChurnCurve.from_state(json.loads(texts.pop(CURVE))) if CURVE in texts else None
    state = State(json.loads(texts.pop(STATE)), texts)
    return Kept(family(contract.family).build.from_state(state), contract, curve)


def _verified(folder: Path) -> dict[str, str]:
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
