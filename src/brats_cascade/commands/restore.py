"""brats-cascade restore-runs: the runs behind a page of results, in this project's MLflow."""

from pathlib import Path

from tqdm import tqdm

from brats_cascade.record.crossval_result import with_again
from brats_cascade.record.kept import kept_again, kept_crossvals, kept_results, kept_run
from brats_cascade.record.restore import restore_crossval, restore_result
from brats_cascade.record.results import in_order


def run(name: str, *, root: Path) -> int:
    """Makes a run of every result kept in docs/results/NAME that MLflow does not hold; killed, it goes on.

    Args:
        name: Of the page.
        root: The project's root.

    Returns:
        The number of runs made.

    Raises:
        UserError: No results were kept, or MLflow cannot be reached.
    """
    folder = root / "docs/results"
    own, _ = kept_run(folder / name)
    results = in_order([*own, *kept_results(folder / name, like=own[0], but=[one.name for one in own])])
    made = 0
    for one in tqdm(results, desc="experiments", unit="run"):
        pictures = sorted(folder.glob(f"{name}_{one.name}_*.jpg"))
        made += restore_result(one, name=name, pictures=pictures, root=root)
    crossvals = kept_crossvals(folder / name, like=own[0])
    again = kept_again(folder / name, crossvals=crossvals)
    for folds in tqdm(with_again(crossvals, again=again), desc="cross-validations", unit=""):
        made += restore_crossval(folds, name=name, root=root)
    return made
