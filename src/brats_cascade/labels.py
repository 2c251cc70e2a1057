"""The five labels, the three regions, and how each release numbers its labels (REFERENCE.md sections 1 and 6).

Inside the project a label volume is always canonical: uint8 with the paper's five labels. Each release's own numbers
exist only at the edge, where files are read and written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

BACKGROUND, NECROSIS, EDEMA, NON_ENHANCING, ENHANCING = range(5)

LABELS: Mapping[int, str] = MappingProxyType(
    {
        BACKGROUND: "everything else",
        NECROSIS: "necrosis",
        EDEMA: "edema",
        NON_ENHANCING: "non-enhancing tumour",
        ENHANCING: "enhancing tumour",
    }
)

REGIONS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "complete": (NECROSIS, EDEMA, NON_ENHANCING, ENHANCING),
        "core": (NECROSIS, NON_ENHANCING, ENHANCING),
        "enhancing": (ENHANCING,),
    }
)


@dataclass(frozen=True)
class LabelScheme:
    """How a release numbers its labels."""

    name: str  # written into every case's record
    to_canonical: Mapping[int, int]  # the release's number -> canonical label; other numbers are unknown labels
    from_canonical: Mapping[int, int]  # every canonical label -> the release's number, that of a merged one too

    @property
    def canonical_labels(self) -> tuple[int, ...]:
        """The canonical labels that this scheme can tell apart, ascending."""
        return tuple(sorted(set(self.to_canonical.values())))

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that this scheme can tell: none of their numbers stands for a label outside the region too."""

        def own(labels: Iterable[int]) -> set[int]:
            return {self.from_canonical[label] for label in labels}

        return tuple(name for name, labels in REGIONS.items() if not own(labels) & own(set(LABELS) - set(labels)))


# BRATS 2012: 1 edema, 2 core. Of the core it is not known which part enhances, so it is kept as necrosis: that scores
# complete and core rightly, and the region enhancing is not available (`regions`).
EDEMA_CORE = LabelScheme("edema-core", {0: 0, 1: 2, 2: 1}, {0: 0, 1: 2, 2: 1, 3: 2, 4: 2})
# BRATS 2013 and 2015 use the paper's own five labels.
FIVE = LabelScheme("five", {i: i for i in range(5)}, {i: i for i in range(5)})
# BraTS 2017-2021: necrosis and non-enhancing tumour are one label, 1; 3 does not occur.
MERGED = LabelScheme("merged", {0: 0, 1: 1, 2: 2, 4: 4}, {0: 0, 1: 1, 2: 2, 3: 1, 4: 4})
# BraTS 2023 on: as MERGED, with enhancing tumour at 3.
MERGED_2023 = LabelScheme("merged-2023", {0: 0, 1: 1, 2: 2, 3: 4}, {0: 0, 1: 1, 2: 2, 3: 1, 4: 3})
# Medical Segmentation Decathlon Task01: 1 edema, 2 non-enhancing (with necrosis), 3 enhancing.
DECATHLON = LabelScheme("decathlon", {0: 0, 1: 2, 2: 1, 3: 4}, {0: 0, 1: 2, 2: 1, 3: 2, 4: 3})

SCHEMES: Mapping[str, LabelScheme] = MappingProxyType(
    {scheme.name: scheme for scheme in (FIVE, EDEMA_CORE, MERGED, MERGED_2023, DECATHLON)}
)


def recode(labels: np.ndarray, *, table: Mapping[int, int]) -> np.ndarray:
    """Replaces every label (integers in 0..255, any shape) by what the table says, uint8; a ValueError for one it lacks."""
    present = np.unique(labels)
    unknown = [value for value in present.tolist() if value not in table]  # 2.9 is not 2
    if unknown:
        raise ValueError(f"unknown labels {unknown}: expected a subset of {sorted(table)}")
    lookup = np.zeros(256, dtype=np.uint8)
    for old, new in table.items():
        lookup[old] = new
    return lookup[labels.astype(np.uint8)]


def region_mask(labels: np.ndarray, *, region: str) -> np.ndarray:
    """Says where a region, a key of REGIONS, is in canonical labels of any shape."""
    return np.isin(labels, REGIONS[region])


def class_lookup(classes: Sequence[int]) -> np.ndarray:
    """Table from canonical label to the class number of a network that knows only some of the labels.

    A cohort of a merged release holds no label 3, so its network has four outputs; `classes` names them in order: the
    canonical labels, of which 3 may be missing. Non-enhancing tumour then joins necrosis, as it did in the release.

    Returns:
        uint8 array (256): index it with labels. Numbers that are no label give 0.
    """
    if tuple(classes) not in {(0, 1, 2, 3, 4), (0, 1, 2, 4)}:
        raise ValueError(f"expected classes (0, 1, 2, 3, 4) or (0, 1, 2, 4), received {tuple(classes)}")
    lookup = np.zeros(256, dtype=np.uint8)
    for number, label in enumerate(classes):
        lookup[label] = number
    if NON_ENHANCING not in classes:
        lookup[NON_ENHANCING] = lookup[NECROSIS]
    return lookup
