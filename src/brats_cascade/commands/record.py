"""brats-cascade record: stores the results of the last run for git as a table, a page and small images."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from brats_cascade.data.names import safe_id
from brats_cascade.errors import UserError
from brats_cascade.report.kept import Record, read_record, write_record
from brats_cascade.report.last_run import record_of_run
from brats_cascade.report.render import put_between
from brats_cascade.report.results import RANKS, best_on_validation, readme_table, results_page
from brats_cascade.shared import write_text

WIDTH = 900  # side of an image, pixels


def run(name: str, *, root: Path, command: str, readme: bool, kept: bool = False) -> Path:
    """Adds the experiments of the last run to docs/results/NAME.{csv,json}, and writes the page docs/results/NAME.md.

    `command` produced the results. `readme` also updates the record's table in README.md, between the marks results-NAME.
    `kept` only regenerates the page.
    """
    if safe_id(name) != name:
        raise UserError(
            f"record {name!r}: expected the name of a page, letters and digits as in real-coarse; give another"
        )
    path = root / f"docs/results/{name}.json"
    if kept:
        record = read_record(path)
    else:
        newer = record_of_run(root, command=command)
        record = read_record(path).joined(newer) if path.is_file() else newer
        write_record(record, path=path)
        for facts in best_on_validation(newer):
            _copy_pictures(root, experiment=facts["experiment"], page=path)
    page, pictures = path.with_suffix(".md"), _pictures(record, page=path)
    write_text(page, results_page(record, name=name, pictures=pictures))
    if readme:
        shown = [path.relative_to(root).as_posix() for path in pictures]
        table = readme_table(record, page=page.relative_to(root).as_posix(), pictures=shown)
        put_between(root / "README.md", part=f"results-{name}", text=table)
    return page


def _copy_pictures(root: Path, *, experiment: str, page: Path) -> None:
    """Makes small JPEG copies of the overlays of the best, the median and the worst case."""
    for rank in RANKS:
        source = root / f"reports/figures/{experiment}/{rank}_overlay.png"
        if source.is_file():
            with Image.open(source) as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((WIDTH, WIDTH))
            picture.save(page.with_name(f"{page.stem}_{experiment}_{rank}.jpg"), quality=85)


def _pictures(record: Record, *, page: Path) -> Sequence[Path]:
    """The images for the page, in the order of the experiments."""
    names = dict.fromkeys(facts["experiment"] for facts in record.experiments)
    paths = [page.with_name(f"{page.stem}_{name}_{rank}.jpg") for name in names for rank in RANKS]
    return [path for path in paths if path.is_file()]
