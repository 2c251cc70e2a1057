"""The code of the registered model; MLflow runs this file when it loads `models:/brats-cascade@champion`.

A request has rows with either `case`, the folder of a case inside the folder that the environment variable
BRATS_CASCADE_CASES names (without it, no files are read), or `image`, four modalities as nested lists (slices, rows,
columns, 4) of raw intensities, 0 outside the brain. The response has one row for each: for a case its name and its
segmentation on its own grid with its release's label values, as a base64-encoded .nii.gz file; for an image the canonical
labels.
"""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from brats_cascade.errors import UserError

COLUMNS = ("case", "segmentation", "labels")


class Segmenter(PythonModel):
    """A trained network with its preprocessing and post-processing."""

    def load_context(self, context: Any) -> None:
        """Reads the network and its thresholds from the logged folder."""
        from brats_cascade.backend import start_backend

        start_backend()
        from brats_cascade.inference.chosen import read_chosen
        from brats_cascade.inference.segment import Member
        from brats_cascade.models.files import load_trained

        folder = Path(context.artifacts["model"])
        self.members = [Member(*load_trained(folder))]
        self.chosen = read_chosen(folder)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Segments every row of a table with the columns case, image or both.

        Returns:
            Table with the columns case, segmentation and labels.

        Raises:
            MlflowException: A row cannot be segmented. For this type, MLflow's server shows only the message.
        """
        from brats_cascade.inference.requests import ROOT, answer_row

        root = Path(os.environ[ROOT]) if os.environ.get(ROOT) else None
        rows: list[dict[Any, Any]] = model_input.to_dict("records")
        try:
            answers = [
                answer_row(row, number=number, members=self.members, chosen=self.chosen, root=root)
                for number, row in enumerate(rows)
            ]
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        return pd.DataFrame(answers, columns=list(COLUMNS))


set_model(Segmenter())
