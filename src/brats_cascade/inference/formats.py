"""Exports a trained network to a Keras file, TensorFlow's SavedModel or ONNX, and verifies the export.

In every format the network is the same function: float32 (batch, rows, columns, modalities), z-scored, to class
probabilities of a window that is smaller by the patch side minus 1. README.md and model.json next to it contain what a user
needs to know.
"""

import contextlib
import importlib.util
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from brats_cascade.errors import UserError
from brats_cascade.labels import LABELS, NECROSIS, NON_ENHANCING
from brats_cascade.models.files import CONTRACT, NETWORK, Contract, save_trained
from brats_cascade.pages import render
from brats_cascade.shared import write_json, write_text, written_whole

FORMATS = {"keras": NETWORK, "saved_model": "saved_model", "onnx": "model.onnx"}
README = "README.md"
ONNX_NEEDS = ("tf2onnx", "onnx", "onnxruntime")
CLOSE = 1e-5  # largest allowed difference of a probability

Function = Callable[[np.ndarray], np.ndarray]


def export_network(network: keras.Model, *, contract: Contract, out: Path, form: str) -> Path:
    """Exports a network in float32 to a format, a key of FORMATS, and verifies that it computes the same.

    The contract is written next to it as model.json, and explained in README.md.

    Returns:
        The file, or for a SavedModel its folder.

    Raises:
        UserError: The format is unknown, the network does not read windows of a slice, the output exists already, packages
            are missing, TensorFlow cannot write, or the export computes different numbers.
    """
    if form not in FORMATS:
        raise UserError(f"--format: expected one of {', '.join(FORMATS)}, received {form!r}")
    if isinstance(network.input_shape, list):
        raise UserError(
            f"export: {contract.architecture} reads whole cases on grids that depend on the voxel size, which no "
            "format supports; use `brats-cascade predict` or the registered model, or copy models/EXPERIMENT"
        )
    path = out / FORMATS[form]
    if path.exists():
        raise UserError(f"{path}: already exists; remove it or choose another --out")
    absent = [name for name in ONNX_NEEDS if importlib.util.find_spec(name) is None]
    if form == "onnx" and absent:
        raise UserError(
            f"--format onnx: {', '.join(absent)} not installed; run: pip install 'brats-cascade[onnx]', or take "
            "--format saved_model, which needs no code of this project either"
        )
    try:
        _write(network, contract=contract, path=path, form=form)
        write_text(out / README, readme(contract, form=form))
    except Exception as error:
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if not type(error).__module__.startswith("tensorflow."):
            raise
        # TensorFlow raises its own errors for a full disk, with an operation and a path before the reason.
        reason = str(error).split("; ")[-1].split(" [Op:")[0]
        raise UserError(f"{path}: cannot be written ({reason}); free some space or choose another --out") from None
    worst = largest_difference(network, other=load_exported(path, form=form), patch=contract.geometry.patch)
    if not worst <= CLOSE:
        raise UserError(f"{path}: gives probabilities that differ by {worst:.2g} from the network's; do not use it")
    return path


def load_exported(path: Path, *, form: str) -> Function:
    """Loads an exported network as a function of one batch, without this project's classes if the format allows it."""
    if form == "keras":
        from brats_cascade.models.build import load_network

        return load_network(path).predict_on_batch
    if form == "saved_model":
        import tensorflow

        loaded = tensorflow.saved_model.load(str(path))
        return lambda batch: np.asarray(loaded.serve(batch))
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()
    return lambda batch: np.asarray(session.run(None, {given.name: batch})[0])


def largest_difference(network: keras.Model, *, other: Function, patch: int, seed: int = 0) -> float:
    """The largest difference between the probabilities of two networks on a random window that is not square."""
    shape = (2, patch + 6, patch + 11, network.input_shape[-1])
    batch = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    mine = keras.ops.convert_to_numpy(network.predict_on_batch(batch))
    return float(np.abs(mine - keras.ops.convert_to_numpy(other(batch))).max())


def readme(contract: Contract, *, form: str) -> str:
    """The README of an export, with one block of Python that runs in the export's folder."""
    geometry = contract.geometry
    names = {label: LABELS[label] for label in contract.classes}
    if NON_ENHANCING not in names:  # releases since 2017 merge both labels
        names[NECROSIS] += " and non-enhancing tumour"
    return render(
        "export.md.j2",
        package="brats_cascade.inference",
        contract=contract,
        form=form,
        patch=geometry.patch,
        shape=(1, geometry.patch, geometry.patch, len(contract.modalities)),
        before=geometry.before,
        after=geometry.after,
        labels=", ".join(f"{number} {name}" for number, name in enumerate(names.values())),
    )


def _write(network: keras.Model, *, contract: Contract, path: Path, form: str) -> None:
    if form == "keras":
        save_trained(path.parent, network=network, contract=contract)
        return
    patch = contract.geometry.patch
    network(np.zeros((1, patch, patch, network.input_shape[-1]), np.float32))  # Keras exports only called networks
    with warnings.catch_warnings(), written_whole(path) as draft:
        warnings.simplefilter("ignore")  # warnings of the converters about old NumPy and TensorFlow names
        network.export(draft, format="tf_saved_model" if form == "saved_model" else "onnx", verbose=False)
    write_json(path.parent / CONTRACT, contract.as_dict())
