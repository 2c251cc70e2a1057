"""A trained network on disk: model.keras beside model.json, which says all that the weights do not."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from brats_cascade.errors import UserError
from brats_cascade.models.build import CNN1_OF, build_model, load_network
from brats_cascade.models.cascade import GEOMETRY, Geometry
from brats_cascade.models.training_data import TrainingData
from brats_cascade.models.two_path import Style

NETWORK, CONTRACT = "model.keras", "model.json"
METADATA = "metadata.json"  # in the archive, by Keras


@dataclass(frozen=True)
class Contract:
    """What a network expects and gives.

    Attributes:
        architecture: A key of GEOMETRY.
        classes: Canonical label of each output.
        modalities: Channels of the image, in order.
        clip: Share of intensities clipped at either end before the z-score.
        style: Of the last CNN.
        cnn1_style: Of a cascade's CNN 1, or None.
        n4: Whether T1 and T1c had their bias field corrected.
        zscore: Over what the z-score was taken, as `prepare_case` has it.
        axis: Across what the slices were cut, likewise.
        data: What it was trained on; None where that was not recorded.
    """

    architecture: str
    classes: tuple[int, ...]
    modalities: tuple[str, ...]
    clip: float
    style: Style
    cnn1_style: Style | None
    n4: bool = False
    zscore: str = "brain"
    axis: str = "axial"
    data: TrainingData | None = None

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a case's files become what the network was trained on; arguments of `prepare_case`."""
        return {"clip": self.clip, "n4": self.n4, "zscore": self.zscore, "axis": self.axis}

    @property
    def geometry(self) -> Geometry:
        """Where the network looks."""
        return GEOMETRY[self.architecture]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Contract":
        """The inverse of `as_dict`.

        Raises:
            TypeError: A key too many or too few.
        """
        plain = dict(values)
        key = "first_style" if "first_style" in plain else "cnn1_style"  # its name in older records
        cnn1, data = plain.pop(key), plain.pop("data", None)
        return cls(
            **{
                **plain,
                "classes": tuple(plain["classes"]),
                "modalities": tuple(plain["modalities"]),
                "style": Style(**plain["style"]),
                "cnn1_style": None if cnn1 is None else Style(**cnn1),
                "data": None if data is None else TrainingData.from_dict(data),
            }
        )


def save_trained(folder: Path, *, network: keras.Model, contract: Contract) -> None:
    """Writes model.keras and model.json into a folder; equal weights give equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    network.save(folder / NETWORK)
    _without_dates(folder / NETWORK)
    (folder / CONTRACT).write_text(json.dumps(contract.as_dict(), indent=2) + "\n", encoding="utf-8")


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
        contract = Contract.from_dict(json.loads(record.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(
            f"{record}: not found; expected a folder that training wrote, with {NETWORK} and {CONTRACT}, as models/EXPERIMENT"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{record}: not a model's record ({error}); restore it or train again") from None
    network = load_network(folder / NETWORK if path.is_dir() else path)
    if precision is None:
        return network, contract
    return in_precision(network, contract=contract, precision=precision), contract


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
