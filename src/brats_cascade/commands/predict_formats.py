"""What `predict` writes beside `<case>_seg.nii.gz` for other programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brats_cascade.data.case import Case
from brats_cascade.errors import UserError
from brats_cascade.inference.kinds import target

FORMATS = ("nifti", "dicom-seg")


@dataclass(frozen=True)
class Formats:
    """`form`: one of FORMATS; `bids`: folder for BIDS derivatives, or None; `colours`: whether to write label colours."""

    form: str = "nifti"
    bids: Path | None = None
    colours: bool = False

    def start(self, out: Path, *, cases: Sequence[Case]) -> None:
        """Writes what stands for all cases, and refuses what cannot be written."""
        from brats_cascade.inference.dicom_seg import check_dicom
        from brats_cascade.inference.labelled import start_bids, write_colours

        if self.form not in FORMATS:
            raise UserError(f"--format: expected {' or '.join(FORMATS)}, got {self.form!r}")
        if self.form == "dicom-seg":
            check_dicom(cases)
        if self.bids is not None:
            if self.bids.resolve().is_relative_to(out.resolve()):
                raise UserError(
                    f"--bids {self.bids}: lies in --out, where its copies would be scored, too; choose another"
                )
            start_bids(self.bids, cases=cases)
        if self.colours:
            write_colours(out, schemes=[case.scheme for case in cases])

    def write(self, case: Case, *, out: Path) -> None:
        """Writes the other formats of a case that `predict` has written."""
        from brats_cascade.inference.dicom_seg import write_dicom_seg
        from brats_cascade.inference.labelled import put_bids

        segmentation = target(case.name, kind="seg", out=out)
        if self.form == "dicom-seg":
            write_dicom_seg(out / f"{case.name}_seg.dcm", segmentation=segmentation, case=case)
        if self.bids is not None:
            put_bids(self.bids, segmentation=segmentation, case=case)
