"""Random damage to sound files of every format: an ImageError or a volume, never anything else, soon and small.

More of them are tried by `python -m drills` (docs/reliability.md).
"""

import gzip
import resource
from pathlib import Path

import pytest
from fuzzing import METAIMAGE, NIFTI, damaged, fuzz, sound_files
from fuzzing_texts import LISTINGS, fuzz_listing, fuzz_params
from layouts import tiny_volumes, write_layout

from brats_cascade.data.cases import find_cases
from brats_cascade.data.prepare import CaseError, prepare_case
from brats_cascade.params import Recipe

MEGABYTES = 300


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_damaged_files_are_refused_or_read(tmp_path, capfd):
    before = peak_megabytes()
    tally = fuzz(tmp_path, sound=sound_files(tmp_path), rounds=260, seed=1)
    assert not tally.faults
    assert tally.tried == 260 * len(NIFTI + METAIMAGE) >= 2000
    assert min(tally.refused, tally.read) > 0.02 * tally.tried  # the damage is neither always nor never noticed
    assert peak_megabytes() - before < MEGABYTES
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["brats2012", "brats2017", "decathlon"])
def test_damage_anywhere_in_a_case_ends_in_a_case_error(tmp_path, rng, layout):
    images, labels = tiny_volumes(shape=(8, 9, 7))
    write_layout(tmp_path, layout, images=images, labels=labels)
    (case,) = find_cases(tmp_path)
    files = sorted({*case.images.values(), case.truth})
    kept = {path: path.read_bytes() for path in files}
    refused = 0
    for _ in range(50):
        path = files[rng.integers(0, len(files))]
        whole = path.suffix == ".gz"
        broken = damaged(gzip.decompress(kept[path]) if whole else kept[path], rng=rng)
        path.write_bytes(gzip.compress(broken, compresslevel=1) if whole else broken)
        try:
            prepare_case(case, recipe=Recipe(clip=0.01))
        except CaseError as error:
            refused += 1
            assert case.name in str(error) and "\n" not in str(error)
        path.write_bytes(kept[path])
    assert refused > 12
    prepare_case(case, recipe=Recipe(clip=0.01))


@pytest.mark.slow
@pytest.mark.parametrize("name", LISTINGS)
def test_damaged_tables_are_refused_or_read(tmp_path, name):
    tally = fuzz_listing(tmp_path, name=name, rounds=100, seed=20250505)
    assert not tally.faults and tally.tried == 100


def test_damaged_parameters_are_refused_or_read(tmp_path):
    shipped = Path(__file__).parents[2] / "params.yaml"
    tally = fuzz_params(tmp_path / "params.yaml", shipped=shipped, rounds=200, seed=1)
    assert not tally.faults
    assert min(tally.refused, tally.read) > 10
