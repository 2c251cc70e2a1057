"""brats-cascade export: exports a trained network for other programs."""

import os
from pathlib import Path


def run(model: str, *, out: Path, form: str) -> Path:
    """Exports a network, from a folder models/EXPERIMENT or an MLflow URI, in one of `FORMATS`; returns the path."""
    from brats_cascade.backend import check_backend, start_backend

    check_backend()
    os.environ["KERAS_BACKEND"] = "tensorflow"  # JAX cannot export dynamic window sizes
    start_backend()
    from brats_cascade.commands.model import open_models
    from brats_cascade.inference.formats import export_network
    from brats_cascade.shared import open_folder

    [member], _ = open_models([model], precision="float32")
    open_folder(out)
    return export_network(member.network, contract=member.contract, out=out, form=form)
