"""Names a sound case's files so that they belong to no case; each way returns how many volumes, and the reason."""

import shutil

NIFTI = ("flair", "t1", "t1ce", "t2", "seg")


def _rename_all(case, change):
    for path in sorted(case.iterdir()):
        path.rename(path.with_name(change(path.name)))


def renamed_folder(case):
    case.rename(case.with_name("patient 1"))
    return 5, "expected in a folder called Brats18_A_1, not patient 1: rename the folder"


def nested(case):
    for path in sorted(case.iterdir()):
        folder = path.with_name(path.name.removesuffix(".gz"))
        folder.mkdir()
        path.rename(folder / path.name)
    return 5, "one folder too deep: move it to the folder above"


def numbered(case):
    _rename_all(case, lambda name: name.replace(".nii.gz", " (1).nii.gz"))
    return 5, "name looks like that of a second copy: remove it, or rename it to Brats18_A_1_"


def numbered_by_a_browser(case):
    _rename_all(case, lambda name: name.replace(".nii.gz", ".nii (1).gz"))
    return 5, "name looks like that of a second copy: remove it, or rename it to Brats18_A_1_"


def bare(case):
    _rename_all(case, lambda name: name.removeprefix("Brats18_A_1_"))
    return 5, "name does not contain the case name: rename it to Brats18_A_1_"


def truth_alone(case):
    for part in NIFTI[:-1]:
        (case / f"Brats18_A_1_{part}.nii.gz").unlink()
    return (
        1,
        "a ground truth without its scans: add Brats18_A_1_flair.nii.gz, Brats18_A_1_t1.nii.gz, Brats18_A_1_t1ce.nii.gz",
    )


def foreign(case):
    _rename_all(case, lambda name: name.replace(".nii.gz", ".nrrd"))
    return 5, "files with this ending are not supported: convert it to .nii.gz"


def other_ending(case):
    _rename_all(case, lambda name: name.replace(".nii.gz", ".mha"))
    return 5, "files of brats2017 end in .nii.gz or .nii: convert it"


def packed(case):
    shutil.rmtree(case)
    case.with_name("Brats18.zip").write_bytes(b"PK")
    return 1, "it is an archive: unpack it"


def nonsense(case):
    _rename_all(case, lambda name: "scan " + name.replace("_", " "))
    return 5, "fits no known layout: rename it, or name it in a listing"


# What is wrong, in words -> what is done to the folder of a case, Brats18_A_1 in the layout of 2017.
LEFT_OUT = {
    "a folder that was renamed": renamed_folder,
    "files in folders of their own names": nested,
    "(1) in the name": numbered,
    "(1) before .gz": numbered_by_a_browser,
    "file names without the case name": bare,
    "a ground truth alone": truth_alone,
    "a format that is not read": foreign,
    "a different ending from that of the release": other_ending,
    "an archive": packed,
    "names that fit no layout": nonsense,
}
