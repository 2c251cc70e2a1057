"""brats-cascade export: a trained network for other programs."""

import os
from pathlib import Path


def run(model: str, *, out: Path, form: str) -> Path:
    """Exports a network.

    Args:
        model: Folder models/EXPERIMENT or MLflow URI.
        out: Folder for the files.
        form: A key of `inference.formats.FORMATS`.

    Returns:
        What was written.

    Raises:
        UserError: As `open_models` and `export_network`.
    """
    from brats_cascade.backend import check_backend, start_backend

    check_backend()
    os.environ["KERAS_BACKEND"] = "tensorflow"  # JAX cannot export windows of any side; weights are the same in both
    start_backend()
    from brats_cascade.commands.model import open_models
    from brats_cascade.inference.formats import export_network

    [member], _ = open_models([model], precision="float32")
    return export_network(member.network, contract=member.contract, out=out, form=form)
