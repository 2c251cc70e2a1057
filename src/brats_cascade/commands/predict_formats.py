"""What `predict` writes beside `<case>_seg.nii.gz` for other programs."""

from collections.abc import Sequence

from brats_cascade.commands.options import PredictOptions
from brats_cascade.data.case import Case
from brats_cascade.errors import UserError
from brats_cascade.inference.finished import target

FORMATS = ("nifti", "dicom-seg")


def start_formats(options: PredictOptions, *, cases: Sequence[Case]) -> None:
    """Writes what stands for all cases, and refuses what cannot be written."""
    from brats_cascade.inference.dicom_seg import check_dicom
    from brats_cascade.inference.labelled import start_bids, write_colours

    if options.form not in FORMATS:
        raise UserError(f"--format: expected {' or '.join(FORMATS)}, got {options.form!r}")
    if options.form == "dicom-seg":
        check_dicom(cases)
    if options.bids is not None:
        if options.bids.resolve().is_relative_to(options.out.resolve()):
            raise UserError(
                f"--bids {options.bids}: lies in --out, where its copies would be scored, too; choose another"
            )
        start_bids(options.bids, cases=cases)
    if options.colours:
        write_colours(options.out, schemes=[case.scheme for case in cases])


def write_formats(case: Case, *, options: PredictOptions) -> None:
    """Writes the other formats of a case that `predict` has written."""
    from brats_cascade.inference.dicom_seg import write_dicom_seg
    from brats_cascade.inference.labelled import put_bids

    segmentation = target(case.name, kind="seg", out=options.out)
    if options.form == "dicom-seg":
        write_dicom_seg(options.out / f"{case.name}_seg.dcm", segmentation=segmentation, case=case)
    if options.bids is not None:
        put_bids(options.bids, segmentation=segmentation, case=case)
