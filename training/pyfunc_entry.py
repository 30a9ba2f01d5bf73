"""What MLflow loads: the model folder, through Patron's own reader, as installed. Written by path, never pickled."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from models.persistence import Kept, load


class PatronModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined,misc]
    """Features in, scores out; the same numbers as from the service and the batch job."""

    kept: Kept

    def load_context(self, context: Any) -> None:
        """Read the model folder, verified against its manifest."""
        self.kept = load(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows with the model's feature columns."""
        texts = [f.name for f in self.kept.contract.features if f.dtype == "string"]
        rows = model_input.astype(dict.fromkeys(texts, object)).reset_index(drop=True)
        return self.kept.score(rows.where(rows.notna(), None) if texts else rows)


mlflow.models.set_model(PatronModel())
