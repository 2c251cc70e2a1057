"""What commands say of settings, models and files that do not fit, for docs/bad-input.md."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brats_cascade.backend import check_backend
from brats_cascade.commands.doctor import versioning
from brats_cascade.commands.model import champion, open_models
from brats_cascade.data.cases import find_cases
from brats_cascade.data.split import release_split
from brats_cascade.errors import UserError
from brats_cascade.evaluation.pairing import pair_labels
from brats_cascade.inference.arrays import segment_array
from brats_cascade.inference.finished import is_finished, refuse_input_folders
from brats_cascade.inference.fit import describe_misfits, find_misfits
from brats_cascade.inference.segment import Member
from brats_cascade.models.files import Contract
from brats_cascade.models.training_data import SeenCase, TrainingData
from brats_cascade.models.two_path import Style
from brats_cascade.params.names import check_experiment_names
from brats_cascade.report.kept import read_record
from brats_cascade.training.batches import TrainingCase
from brats_cascade.training.batches import TrainingData as Cohort
from brats_cascade.training.coarse import cnn2_geometry
from brats_cascade.training.first_cnns import inner_folds
from brats_cascade.training.losses import build_loss

PARAMS = Path("params.yaml")
AXES = ("slice", "row", "column")
SUMMED, LATER = {"classes": 5, "reduction": "sum"}, {"release": "brats2021", "validation": 1, "seed": 1}
RELEASED = pd.DataFrame({"case": ["A"], "patient": ["A"], "grade": ["high"], "release": ["brats2017"]})


def said(call, *words, **options):
    """The line of the UserError that a call ends in."""
    with pytest.raises(UserError) as caught:
        call(*words, **options)
    return str(caught.value)


def misfit(*, release, spacing, case):
    """What predict warns of for a scan of 1 mm of BraTS 2018, patient A, given the model's training."""
    seen = SeenCase(case=case, patient=case, release=release, set="train", voxels="")
    data = TrainingData(source="cohort", spacing={axis: spacing for axis in AXES}, intensities={}, cases=(seen,))
    facts = {"release": "brats2017", "patient": "A", "voxels_hash": "0", **{f"spacing_{axis}": 1.0 for axis in AXES}}
    return f"A: {describe_misfits(find_misfits(data, facts=facts))}"


def refused_arrays():
    """What a served model says of `image`."""
    order = ("flair", "t1", "t1c", "t2")
    member, other = (Member(None, contract(modalities)) for modalities in (order, ("t1", "t2")))
    full = np.random.default_rng(0).uniform(1, 2, (3, 4, 5, 4))
    return [
        ("a served model, an image with two modalities", said(segment_array, full[..., :2], member=member)),
        ("a served model, an image with its skull", said(segment_array, full, member=member)),
        ("a served model that was trained on two modalities", said(segment_array, full, member=other)),
    ]


def unlike_pixels():
    """Two training cases, one with pixels of half the size."""
    volume = np.zeros((1, 1, 1))
    case = TrainingCase("A", volume, volume, volume)
    return [case, replace(case, name="B", spacing=(1.0, 0.5, 0.5))]


def cohort_of(cases):
    """Training data of these cases."""
    return Cohort(cases, cases, {}, (0, 1, 2, 3, 4))


def contract(modalities):
    return Contract("two_path", (0, 1, 2, 3, 4), modalities, 0.01, Style(width=1), None)


def command_lines(monkeypatch, write_nifti_case):
    """(what is wrong, the line); the current folder is an empty one."""
    write_nifti_case(Path("cohort"), "A")
    (case,) = find_cases(Path("cohort"))
    lines = [
        ("a model trained on the phantom, a real scan", misfit(release="phantom", spacing=(2.75, 2.75), case="P")),
        ("a model trained on another voxel size", misfit(release="brats2017", spacing=(1.9, 2.1), case="B")),
        ("a patient that the model was trained on", misfit(release="brats2017", spacing=(1.0, 1.0), case="A")),
        ("predict --out is the folder of the scans", said(refuse_input_folders, [case], out=Path("cohort/A"))),
        (
            "predict --out holds another file of that name",
            said(is_finished, case, out=Path("cohort/A"), kinds=["seg"], options="", overwrite=True),
        ),
        ("predict --model does not exist", said(open_models, ["models/none"], precision="float32")),
        ("predict without --model, and no champion", said(champion).replace(str(Path.cwd()), "project")),
        *refused_arrays(),
        ("evaluate: one file as ground truth and prediction", said(pair_labels, case.truth, prediction=case.truth)),
        ("record --kept of a name that was never recorded", said(read_record, Path("docs/results/mine.json"))),
        ("coarse_cascade, training cases with pixels of different sizes", said(cnn2_geometry, unlike_pixels())),
        ("more inner folds than training patients", said(inner_folds, cohort_of(unlike_pixels()), folds=4, seed=1)),
        (
            "a loss that several devices of TensorFlow cannot share",
            said(build_loss, "cross_entropy_dice", classes=5, reduction="sum"),
        ),
        (
            "a test release without cases",
            said(release_split, RELEASED, release="brats2021", validation=1, seed=1),
        ),
        ("an experiment's name", said(check_experiment_names, {"lr=0.01": {}}, path=PARAMS)),
        ("an experiment's name that is a number", said(check_experiment_names, {2024: {}}, path=PARAMS)),
        ("experiments as a list", said(check_experiment_names, ["a"], path=PARAMS)),
    ]
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    lines.append(("a backend that the networks do not run on", said(check_backend)))
    problems = []
    versioning(Path("zip"), problems)
    return [*lines, ("a project without git", *problems)]
