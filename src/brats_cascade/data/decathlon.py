"""Reads the order of the modalities and the label values from the Medical Segmentation Decathlon's dataset.json."""

import json
from collections.abc import Mapping
from pathlib import Path

from brats_cascade import MODALITIES
from brats_cascade.data._file import read_file
from brats_cascade.errors import UserError

MAX_BYTES = 2**24  # size limit of dataset.json, which also lists the cases
# The order in Task01, used if a folder has no dataset.json.
USUAL = {"flair": 0, "t1": 1, "t1c": 2, "t2": 3}
_NAMES = {
    "flair": "flair",
    **dict.fromkeys(("t1", "t1w"), "t1"),
    **dict.fromkeys(("t1gd", "t1c", "t1ce"), "t1c"),
    **dict.fromkeys(("t2", "t2w"), "t2"),
}
# Label value -> a word in its description; note that "non-enhancing" also contains "enhancing".
_LABELS = {1: "edema", 2: "non-enhancing", 3: "enhancing"}


def read_channels(folder: Path) -> tuple[Mapping[str, int], str]:
    """Reads the order of the modalities from dataset.json in the folder that holds imagesTr; the file may be missing.

    Returns:
        Modality -> index along the fourth axis; and what is wrong with the file, or "".
    """
    path = folder / "dataset.json"
    if not path.exists():
        return USUAL, ""
    try:
        content = json.loads(read_file(path, most=MAX_BYTES))
        channels = {_NAMES[str(name).lower()]: int(place) for place, name in content["modality"].items()}
        numbers = {int(number): str(text).lower() for number, text in content.get("labels", {}).items()}
    except UserError as error:
        return USUAL, str(error)
    except (RecursionError, ValueError, KeyError, AttributeError, TypeError) as error:
        kind = f"{type(error).__name__}: {error}"
        return USUAL, f"{path}: expected the dataset.json of Task01_BrainTumour, found {kind}; download it again"
    if set(channels) != set(MODALITIES) or sorted(channels.values()) != [0, 1, 2, 3]:
        found = ", ".join(f"{place} {name}" for name, place in channels.items())
        return USUAL, f"{path}: expected the modalities FLAIR, T1w, t1gd and T2w, found {found}; download it again"
    as_usual = set(numbers) - {0} == set(_LABELS) and "non" not in numbers[3]
    if numbers and not (as_usual and all(word in numbers[number] for number, word in _LABELS.items())):
        return (
            channels,
            f"{path}: expected labels 1 edema, 2 non-enhancing, 3 enhancing, found {numbers}; use a listing",
        )
    return channels, ""
