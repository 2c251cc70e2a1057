"""Labels, regions and the schemes of the releases."""

import numpy as np
import pytest

from brats_cascade.labels import (
    DECATHLON,
    EDEMA_CORE,
    FIVE,
    MERGED,
    MERGED_2023,
    SCHEMES,
    class_lookup,
    recode,
    region_mask,
)

ALL = np.arange(5, dtype=np.uint8)


def test_regions_are_the_papers() -> None:
    assert region_mask(ALL, region="complete").tolist() == [False, True, True, True, True]
    assert region_mask(ALL, region="core").tolist() == [False, True, False, True, True]
    assert region_mask(ALL, region="enhancing").tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_a_scheme_survives_there_and_back(scheme) -> None:
    own = np.array(sorted(scheme.to_canonical), dtype=np.uint8)
    canonical = recode(own, table=scheme.to_canonical)
    assert canonical.tolist() == [scheme.to_canonical[int(value)] for value in own]
    np.testing.assert_array_equal(recode(canonical, table=scheme.from_canonical), own)


WHOLE = [FIVE, MERGED, MERGED_2023, DECATHLON]


@pytest.mark.parametrize("scheme", WHOLE, ids=lambda scheme: scheme.name)
def test_every_region_means_the_same_in_every_scheme(scheme) -> None:
    """Writing canonical labels in a release's numbers and reading them back keeps every region, whatever was merged."""
    again = recode(recode(ALL, table=scheme.from_canonical), table=scheme.to_canonical)
    for region in ("complete", "core", "enhancing"):
        np.testing.assert_array_equal(region_mask(again, region=region), region_mask(ALL, region=region))


def test_2012_tells_edema_from_core_and_not_what_enhances() -> None:
    own = recode(ALL, table=EDEMA_CORE.from_canonical)
    assert own.tolist() == [0, 2, 1, 2, 2]
    again = recode(own, table=EDEMA_CORE.to_canonical)
    for region in ("complete", "core"):
        np.testing.assert_array_equal(region_mask(again, region=region), region_mask(ALL, region=region))
    assert EDEMA_CORE.regions == ("complete", "core")
    assert all(scheme.regions == ("complete", "core", "enhancing") for scheme in WHOLE)


def test_the_decathlon_numbers() -> None:
    """1 edema, 2 non-enhancing (with necrosis), 3 enhancing."""
    np.testing.assert_array_equal(recode(np.array([0, 1, 2, 3]), table=DECATHLON.to_canonical), [0, 2, 1, 4])


def test_what_comes_back_is_of_one_byte() -> None:
    assert recode(np.array([0, 4], dtype=np.int16), table=MERGED.to_canonical).dtype == np.uint8
    assert class_lookup((0, 1, 2, 4)).dtype == np.uint8


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown labels \[7\]"):
        recode(np.array([0, 7]), table=MERGED.to_canonical)
    with pytest.raises(ValueError, match=r"unknown labels \[2\.9\]"):  # is not cut down to 2
        recode(np.array([0, 2.9]), table=MERGED.to_canonical)


def test_class_numbers_of_four_and_five_classes() -> None:
    assert class_lookup((0, 1, 2, 3, 4))[ALL].tolist() == [0, 1, 2, 3, 4]
    assert class_lookup((0, 1, 2, 4))[ALL].tolist() == [0, 1, 2, 1, 3]
    with pytest.raises(ValueError, match="received"):
        class_lookup((0, 1, 4))
