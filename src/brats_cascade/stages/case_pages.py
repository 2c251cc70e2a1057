"""reports/cases: pages to scroll through test cases with the segmentations of one experiment."""

import shutil

from brats_cascade.costs import read_cases
from brats_cascade.evaluation.summary import pick_cases
from brats_cascade.inference.kinds import target
from brats_cascade.project import Project
from brats_cascade.report.look import scene_of
from brats_cascade.report.viewer import write_cases

MOST = 12  # pages: some megabytes each for real scans


def write_case_pages(project: Project, *, experiment: str | None) -> None:
    """Writes the pages anew: of the best, median and worst test case, then of others in their order, `MOST` at most.

    Without an experiment the list is empty; a case whose segmentation is not there is shown without it.
    """
    folder = project.reports / "cases"
    shutil.rmtree(folder, ignore_errors=True)
    names: list[str] = []
    if experiment is not None:
        cases = read_cases(project.root, name=experiment)
        names = list(dict.fromkeys([*pick_cases(cases).values(), *cases["case"]]))
    files = {name: target(name, kind="seg", out=project.segmentations / str(experiment)) for name in names[:MOST]}
    scenes = (
        scene_of(name, project.volumes / name, prediction=file if file.is_file() else None)
        for name, file in files.items()
    )
    note = (
        f"The best, the median and the worst case, and {MOST - 3} others of {len(names)}." if len(names) > MOST else ""
    )
    write_cases(folder, scenes, title=f"Test cases, {experiment}" if experiment else "Test cases", note=note)
