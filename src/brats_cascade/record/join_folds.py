"""The folds of a cross-validation put together: each case once, the scores over all of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from brats_cascade.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def join_folds(
    rows: Sequence[dict[str, Any]], *, tables: Sequence["pd.DataFrame"], name: str, seed: int
) -> tuple["pd.DataFrame", dict[str, Any]]:
    """Folds together.

    Args:
        rows: What is told of each fold, `record["folds"]`.
        tables: The unseen cases of each, in the same order.
        name: Of the experiment.
        seed: Of the bootstrap.

    Returns:
        All cases with their fold, by name, and the record's "scores", "folds" and "git_commit".

    Raises:
        UserError: A case is in two folds.
    """
    import pandas as pd

    from brats_cascade.evaluation.summary import summarise

    own = [table.assign(fold=row["fold"]) for row, table in zip(rows, tables, strict=True)]
    cases = pd.concat(own, ignore_index=True).sort_values("case", ignore_index=True)
    twice = cases[cases["case"].duplicated(keep=False)]
    if len(twice):
        where = ", ".join(f"{row.case} in fold {row.fold}" for row in twice.itertuples())
        raise UserError(f"{name}: every case must be in one fold, received {where}; train these folds anew")
    commits = ", ".join(sorted({row["git_commit"] for row in rows}))
    return cases, {"scores": summarise(cases, seed=seed), "folds": list(rows), "git_commit": commits}
