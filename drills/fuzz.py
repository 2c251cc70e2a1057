"""Random damage to input files: 10,000 of each kind."""

import resource

from drills import ROOT
from drills.common import Drill, Findings, Task

TIMES = 10_000


def run_nifti(task: Task) -> Findings:
    """Six forms of NIfTI."""
    from fuzzing import NIFTI

    return _images(task, names=NIFTI, rounds=task.times(-(-TIMES // len(NIFTI))))


def run_metaimage(task: Task) -> Findings:
    """Headers changed word by word, and bytes anywhere."""
    from fuzzing import METAIMAGE
    from fuzzing_headers import fuzz_headers

    tally = fuzz_headers(task.folder, rounds=task.times(TIMES // 2), seed=task.seed)
    found = _images(task, names=METAIMAGE, rounds=task.times(TIMES // 10))
    _add(found, "header, plain or compressed, read as SimpleITK reads it", tally)
    return found


def run_params(task: Task) -> Findings:
    """params.yaml with other bytes and with other values."""
    from fuzzing_texts import fuzz_params

    tally = fuzz_params(
        task.folder / "params.yaml", shipped=ROOT / "params.yaml", rounds=task.times(TIMES), seed=task.seed
    )
    found = Findings()
    _add(found, "params.yaml", tally)
    return found


def run_listings(task: Task) -> Findings:
    """Tables of cases."""
    from fuzzing_texts import LISTINGS, fuzz_listing

    found = Findings()
    for name in LISTINGS:
        folder = task.folder / name
        folder.mkdir()
        rounds = task.times(-(-TIMES // len(LISTINGS)))
        _add(found, name, fuzz_listing(folder, name=name, rounds=rounds, seed=task.seed))
    return found


def _images(task, *, names, rounds):
    from fuzzing import fuzz, sound_files

    found, sound = Findings(), sound_files(task.folder)
    for name in names:
        seed = task.seed + 1000 * len(found.rows)  # not the same damage to each form
        _add(found, name, fuzz(task.folder, sound={name: sound[name]}, rounds=rounds, seed=seed))
    return found


def _add(found, what, tally):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = {"file": what, "refused in one line": tally.refused, "read": tally.read}
    row |= {"slowest, CPU s": round(tally.slowest, 2), "largest memory so far, MB": round(peak)}
    found.add(row, tried=tally.tried, faults=tally.faults)


_FAULT = (
    "A fault is anything but a volume or one line that names the file: another exception, a crash, a message of several "
    "lines, more than 5 s of CPU time, a volume with more axes or voxels than declared"
)
DRILLS = {
    "fuzz_nifti": Drill(
        "Damaged NIfTI files",
        f"Bytes are cut, flipped, overwritten or doubled, mostly in the header. {_FAULT}.",
        run_nifti,
    ),
    "fuzz_metaimage": Drill(
        "Damaged MetaImage files",
        "Damage as for NIfTI, and headers with changed words, lines or characters, whose volumes are compared with those that "
        f"SimpleITK reads. {_FAULT}, different voxels or position, or a second file that was opened.",
        run_metaimage,
    ),
    "fuzz_params": Drill(
        "Damaged params.yaml",
        "Half of the files have changed bytes; in the other half, values have another type, are out of range, missing or "
        "renamed. A fault is anything but valid parameters or one line that names the file.",
        run_params,
    ),
    "fuzz_listings": Drill(
        "Damaged tables of cases",
        "Bytes of `cases.csv`, `cases.json` and a Decathlon `dataset.json` are changed. A fault is anything but cases with "
        "one-line problems, or one line that names the table.",
        run_listings,
    ),
}
