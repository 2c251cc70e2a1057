"""A trained network on disk: model.keras, and model.json with everything that the weights do not say."""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras

from brats_cascade.errors import UserError, one_line
from brats_cascade.models.build import CNN1_OF, build_model, load_network
from brats_cascade.models.coarse import COARSE, mean_of, members_of
from brats_cascade.models.contract import Contract
from brats_cascade.models.layers import Maxout
from brats_cascade.models.two_path import Style
from brats_cascade.models.unet import RoundUp
from brats_cascade.shared import write_json, written_whole

NETWORK, CONTRACT = "model.keras", "model.json"
METADATA = "metadata.json"  # Keras's name for it in the archive


def save_trained(folder: Path, *, network: keras.Model, contract: Contract) -> None:
    """Writes model.keras and model.json to a folder; equal weights give equal files."""
    with written_whole(folder / NETWORK) as draft:
        network.save(draft)
        _without_dates(draft)
    write_json(folder / CONTRACT, contract.as_dict())


def _without_dates(path: Path) -> None:
    """Rewrites a Keras archive without time stamps, with its members sorted by name."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members[METADATA])
    metadata.pop("date_saved", None)
    members[METADATA] = json.dumps(metadata).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # dated 1980, the earliest date of the format


def load_trained(path: Path, *, precision: str | None = None) -> tuple[keras.Model, Contract]:
    """Reads a trained network and its contract from its folder, or from the model.keras in it.

    `precision` is "float32" or "bfloat16"; None keeps the precision of the training.

    Raises:
        UserError: A file is missing or damaged; the message names it.
    """
    record = (path if path.is_dir() else path.parent) / CONTRACT
    try:
        contract = Contract.from_dict(dict(json.loads(record.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise UserError(
            f"{record}: not found; expected a folder that training wrote, with {NETWORK} and {CONTRACT}, as models/EXPERIMENT"
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{record}: not a model's record ({one_line(error)}); restore it or train again") from None
    file = path / NETWORK if path.is_dir() else path
    network = load_network(file)
    with describing(file, contract=contract):
        name, outputs = network.name, network.outputs[-1].shape[-1]
        if (name, outputs) != (contract.architecture, len(contract.classes)):
            raise ValueError(f"it is {name} with {outputs} classes")
        if name == COARSE and not isinstance(cnns_of(network)[0].layers[1], RoundUp):
            raise ValueError("it was trained by an older version, whose CNN 1 had cells of 4 mm")
        layers = [layer for part in (network, *network.layers) for layer in getattr(part, "layers", ())]
        if any(isinstance(layer, Maxout) and layer.pieces == 1 for layer in layers):
            raise ValueError("it was trained by an older version, for which maxout 1 meant no ReLU either")
        if precision is not None:
            network = in_precision(network, contract=contract, precision=precision)
    return network, contract


@contextlib.contextmanager
def describing(file: Path, *, contract: Contract) -> Iterator[None]:
    """A block that uses a network from a file as its contract describes it; errors become a UserError that names both files."""
    try:
        yield
    except ValueError as error:
        described = f"{contract.architecture} with {len(contract.classes)} classes, width {contract.style.width:g}"
        raise UserError(
            f"{file}: not the network that {CONTRACT} describes ({described}): {one_line(error)}; restore both or train again"
        ) from None


def in_precision(network: keras.Model, *, contract: Contract, precision: str) -> keras.Model:
    """A network with the same weights that computes in a different precision ("float32" or "bfloat16")."""
    *below, style = contract.styles
    styles = [*(below * (len(cnns_of(network)) - 1)), style]
    twin = build_described(contract, styles=[replace(one, precision=precision) for one in styles])
    twin.set_weights(network.get_weights())
    return twin


def build_described(contract: Contract, *, styles: Sequence[Style]) -> keras.Model:
    """A new network as a contract describes it, with other styles, one for each of its CNNs (`cnns_of`)."""
    architecture, cnn1, (*below, style) = contract.architecture, None, styles
    if below:
        cnn1 = mean_of([build_model(CNN1_OF[architecture], style=own, **contract.shape) for own in below])
    return build_model(architecture, style=style, cnn1=cnn1, **contract.shape)


def cnns_of(network: keras.Model) -> list[keras.Model]:
    """The CNNs of a network: itself, or a cascade's CNN 1 or CNN 1s, and its CNN 2."""
    if network.name not in CNN1_OF:
        return [network]
    return [*members_of(network.get_layer("cnn1")), network.get_layer("cnn2")]


def weights_digest(network: keras.Model) -> str:
    """A hash of a network's weights in the network's own order, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for value in network.get_weights():
        digest.update(value.tobytes())
    return digest.hexdigest()
