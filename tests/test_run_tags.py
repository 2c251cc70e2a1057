"""What a training's run is tagged with."""

from pathlib import Path

import pytest

from brats_cascade.params import SplitParams, load_params
from brats_cascade.project import Project
from brats_cascade.stages.train_entry import tags_of
from brats_cascade.tracking.champion import barred

SPLIT = {"seed": 1, "validation": 2, "test": 3}


@pytest.mark.parametrize(
    ("changes", "fold"),
    [
        ({}, "none"),
        ({"fold": 3}, "none"),
        ({"folds": 5, "fold": 3}, "3 of 5"),
        ({"folds": 5, "fold": 3, "test_release": "brats2018"}, "none"),
        ({"folds": 5, "fold": 3, "lists": {"validation": ["a"], "test": ["b"]}}, "none"),
    ],
)
def test_a_run_is_one_of_a_fold_only_where_the_split_is(tmp_path, changes, fold):
    """A test release and lists override folds (docs/params.md); folds cannot be champion."""
    shipped = load_params(Path(__file__).parents[1] / "params.yaml")
    params = shipped.model_copy(update={"split": SplitParams.model_validate(SPLIT | changes)})
    entry = shipped.experiments["two_path"]
    tags = tags_of(Project(tmp_path), params, entry, name="two_path", facts={"train": [{"release": "r"}]})
    assert tags["fold"] == fold and bool(barred(tags)) == (fold != "none")
