"""A trained network on disk: model.keras beside model.json, which says all that the weights do not."""

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras

from brats_cascade.errors import UserError, one_line
from brats_cascade.models.build import CNN1_OF, build_model, load_network
from brats_cascade.models.contract import Contract
from brats_cascade.shared import write_json, written_whole

NETWORK, CONTRACT = "model.keras", "model.json"
METADATA = "metadata.json"  # in the archive, by Keras


def save_trained(folder: Path, *, network: keras.Model, contract: Contract) -> None:
    """Writes model.keras and model.json into a folder; equal weights give equal files."""
    with written_whole(folder / NETWORK) as draft:
        network.save(draft)
        _without_dates(draft)
    write_json(folder / CONTRACT, contract.as_dict())


def _without_dates(path: Path) -> None:
    """Writes a Keras archive again without the time at which it was written, in its members' order by name."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members[METADATA])
    metadata.pop("date_saved", None)
    members[METADATA] = json.dumps(metadata).encode()
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # dated 1980, the first day that an archive knows
    path.write_bytes(plain.getvalue())


def load_trained(path: Path, *, precision: str | None = None) -> tuple[keras.Model, Contract]:
    """Reads a trained network.

    Args:
        path: The folder, or the model.keras in it.
        precision: "float32" or "bfloat16" to compute in; None as it was trained.

    Returns:
        The network and its contract.

    Raises:
        UserError: A file is missing or damaged; names it.
    """
    folder = path if path.is_dir() else path.parent
    record = folder / CONTRACT
    try:
        contract = Contract.from_dict(dict(json.loads(record.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise UserError(
            f"{record}: not found; expected a folder that training wrote, with {NETWORK} and {CONTRACT}, as models/EXPERIMENT"
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{record}: not a model's record ({one_line(error)}); restore it or train again") from None
    file = folder / NETWORK if path.is_dir() else path
    network = load_network(file)
    with describing(file, contract=contract):
        name, outputs = network.name, network.outputs[-1].shape[-1]
        if (name, outputs) != (contract.architecture, len(contract.classes)):
            raise ValueError(f"it is {name} with {outputs} classes")
        if precision is not None:
            network = in_precision(network, contract=contract, precision=precision)
    return network, contract


@contextlib.contextmanager
def describing(file: Path, *, contract: Contract) -> Iterator[None]:
    """A block in which a network from a file is taken for what its contract describes.

    Raises:
        UserError: It is another one.
    """
    try:
        yield
    except ValueError as error:
        described = f"{contract.architecture} with {len(contract.classes)} classes, width {contract.style.width:g}"
        raise UserError(
            f"{file}: not the network that {CONTRACT} describes ({described}): {one_line(error)}; restore both or train again"
        ) from None


def in_precision(network: keras.Model, *, contract: Contract, precision: str) -> keras.Model:
    """The same weights in a network that computes in another precision ("float32" or "bfloat16")."""
    shape = {"modalities": len(contract.modalities), "classes": len(contract.classes)}
    cnn1 = None
    if contract.cnn1_style is not None:
        cnn1 = build_model(
            CNN1_OF[contract.architecture], style=replace(contract.cnn1_style, precision=precision), **shape
        )
    style = replace(contract.style, precision=precision)
    twin = build_model(contract.architecture, style=style, cnn1=cnn1, **shape)
    twin.set_weights(network.get_weights())
    return twin


def weights_digest(network: keras.Model) -> str:
    """A hash of a network's weights, in the network's own order; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for value in network.get_weights():
        digest.update(value.tobytes())
    return digest.hexdigest()
