"""The registered model's code: MLflow runs this file when it loads `models:/brats-cascade@champion`.

A request holds rows with either `case`, the path of a case's folder on the server's machine, or `image`, four modalities as
nested lists (slices, rows, columns, 4) of raw intensities, 0 outside the brain. The answer holds a row for each: for a case its
name and its segmentation in its own geometry and numbers, as base64 of a .nii.gz file; for an image the canonical labels.
"""

import base64
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from brats_cascade.errors import UserError

COLUMNS = ("case", "segmentation", "labels")


class Segmenter(PythonModel):
    """A trained network with its preprocessing and post-processing, behind one `predict`."""

    def load_context(self, context: Any) -> None:
        """Reads the network and its thresholds from the logged folder."""
        from brats_cascade.backend import start_backend

        start_backend()
        from brats_cascade.inference.chosen import read_chosen
        from brats_cascade.inference.postprocess import OFF
        from brats_cascade.inference.segment import Member
        from brats_cascade.models.files import load_trained

        folder = Path(context.artifacts["model"])
        self.member = Member(*load_trained(folder))
        chosen = read_chosen(folder)
        self.thresholds, self.flips = chosen or (OFF, False)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Segments every row of a table with the column case or image, or both.

        Returns:
            Table with the columns case, segmentation and labels.

        Raises:
            UserError: A row has neither, its folder holds no single case, or its image is not four modalities.
        """
        if not {"case", "image"} & set(model_input.columns):  # MLflow drops columns that it does not know
            raise UserError(
                "expected the column case (a folder) or image (nested lists) in every row, received neither"
            )
        rows = []
        for number, row in enumerate(model_input.to_dict("records")):
            if isinstance(row.get("case"), str) and row["case"]:
                rows.append(self._case(Path(row["case"])))
            elif isinstance(row.get("image"), list | np.ndarray):
                rows.append(self._image(row["image"], number=number))
            else:
                raise UserError(
                    f"row {number}: expected a value for case (a folder) or image (nested lists), received none"
                )
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _case(self, folder: Path) -> dict[str, Any]:
        from brats_cascade.data.cases import find_cases
        from brats_cascade.inference.output import write_prediction
        from brats_cascade.inference.predict import predict_case

        cases = find_cases(folder)
        if len(cases) != 1:
            raise UserError(
                f"{folder}: expected the folder of one case, received {len(cases)} cases; send a row for each"
            )
        prediction = predict_case(cases[0], members=[self.member], thresholds=self.thresholds, flips=self.flips)
        with tempfile.TemporaryDirectory(prefix="brats-cascade-") as out:
            data = write_prediction(prediction, case=cases[0], out=Path(out)).read_bytes()
        return {"case": cases[0].name, "segmentation": base64.b64encode(data).decode(), "labels": None}

    def _image(self, image: Any, *, number: int) -> dict[str, Any]:
        from brats_cascade.inference.arrays import segment_array

        try:
            voxels = np.asarray(image, dtype=np.float32)
        except ValueError:
            raise UserError(f"row {number}: image: expected nested lists of equal lengths") from None
        labels = segment_array(
            voxels, member=self.member, thresholds=self.thresholds, flips=self.flips, name=f"row {number}"
        )
        return {"case": f"image {number}", "segmentation": "", "labels": labels.tolist()}


set_model(Segmenter())
