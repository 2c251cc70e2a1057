"""The five labels, the three regions, and the label scheme of each release.

Inside the project, label volumes are always canonical: uint8 with the paper's five labels. The values of a release are used
only where files are read and written.
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
    """The label values of a release."""

    name: str  # recorded for every case
    to_canonical: Mapping[int, int]  # the release's value -> canonical label; other values are unknown
    from_canonical: Mapping[int, int]  # every canonical label -> the release's value, which merged labels share

    @property
    def canonical_labels(self) -> tuple[int, ...]:
        """The canonical labels that this scheme distinguishes, ascending."""
        return tuple(sorted(set(self.to_canonical.values())))

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that this scheme defines: none of their values also stands for a label outside the region."""

        def own(labels: Iterable[int]) -> set[int]:
            return {self.from_canonical[label] for label in labels}

        return tuple(name for name, labels in REGIONS.items() if not own(labels) & own(set(LABELS) - set(labels)))


# BRATS 2012: 1 edema, 2 core. It is unknown which part of the core enhances, so the core is stored as necrosis: scores of
# complete and core are then correct, and the region enhancing is not available (`regions`).
EDEMA_CORE = LabelScheme("edema-core", {0: 0, 1: 2, 2: 1}, {0: 0, 1: 2, 2: 1, 3: 2, 4: 2})
# BRATS 2013 and 2015 use the paper's five labels.
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
    """Maps every label (integers in 0..255, any shape) through a table, uint8; a ValueError for a label without an entry."""
    present = np.unique(labels)
    unknown = [value for value in present.tolist() if value not in table]  # 2.9 is not 2
    if unknown:
        raise ValueError(f"unknown labels {unknown}: expected a subset of {sorted(table)}")
    lookup = np.zeros(256, dtype=np.uint8)
    for old, new in table.items():
        lookup[old] = new
    return lookup[labels.astype(np.uint8)]


def region_mask(labels: np.ndarray, *, region: str) -> np.ndarray:
    """Where a region, a key of REGIONS, is in canonical labels of any shape."""
    return np.isin(labels, REGIONS[region])


def class_lookup(classes: Sequence[int]) -> np.ndarray:
    """Table from canonical labels to class numbers of a network, which may have only some of the labels.

    A cohort of a merged release has no label 3, so its network has four outputs. `classes` are their canonical labels
    in order, of which 3 may be missing. Non-enhancing tumour is then mapped to necrosis, as in the release.

    Returns:
        uint8 array (256), to be indexed with labels. Values that are no label give 0.
    """
    if tuple(classes) not in {(0, 1, 2, 3, 4), (0, 1, 2, 4)}:
        raise ValueError(f"expected classes (0, 1, 2, 3, 4) or (0, 1, 2, 4), received {tuple(classes)}")
    lookup = np.zeros(256, dtype=np.uint8)
    for number, label in enumerate(classes):
        lookup[label] = number
    if NON_ENHANCING not in classes:
        lookup[NON_ENHANCING] = lookup[NECROSIS]
    return lookup


def as_classes(labels: np.ndarray, *, classes: Sequence[int]) -> np.ndarray:
    """Canonical labels as a network with these classes knows them, uint8; one that merges labels calls 3 necrosis."""
    return np.asarray(classes, dtype=np.uint8)[class_lookup(classes)[labels]]
