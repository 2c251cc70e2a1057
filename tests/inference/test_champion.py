"""The registered model: one version a change, found by its alias, and the same answers as `predict`."""

import base64
import json
import logging
import os

import mlflow
import nibabel
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from predicting import run

from brats_cascade import PHANTOM, tracking
from brats_cascade.commands.model import champion, open_models
from brats_cascade.data.cases import find_cases
from brats_cascade.errors import UserError
from brats_cascade.inference.arrays import segment_array
from brats_cascade.inference.output import write_prediction
from brats_cascade.inference.postprocess import Thresholds
from brats_cascade.inference.predict import predict_case
from brats_cascade.inference.requests import ROOT
from brats_cascade.inference.segment import Member
from brats_cascade.models.files import load_trained
from brats_cascade.report.card import NOT_A_DEVICE, model_card
from brats_cascade.tracking.champion import Candidate, Contest
from brats_cascade.tracking.registry import ALIAS, CARD, NAME, register_champion

RULE = {"min_component": 3.0, "skull_distance": 0.0, "flatness": 0.0, "skull_volume": 0.0, "operating_point": -0.5}
REGION = {"dice": 0.8, "dice_low": 0.7, "dice_high": 0.9, "ppv": 0.5, "sensitivity": 0.6, "hd95": 7.0}
SUMMARY = {
    "complete": REGION, "core": REGION, "enhancing": REGION, "cases": 4, "patients": 3, "postprocess": RULE,
    "validation": {**{region: {"dice": 0.75} for region in ("complete", "core", "enhancing")}, "dice": 0.75},
}  # fmt: skip


pytestmark = pytest.mark.slow  # the champion of all tests is trained first
EDGE = ((1, 1), (1, 1), (1, 1), (0, 0))  # air around a brain


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return tmp_path_factory.mktemp("project")


@pytest.fixture(autouse=True)
def own_store(project, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(project)


@pytest.fixture(scope="module")
def registered(project, trained):
    """The champion's version, registered twice, and its MLflow run."""
    scores = project / "metrics" / "E" / "summary.json"
    scores.parent.mkdir(parents=True)
    scores.write_text(json.dumps(SUMMARY))
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it, once a model was logged
    with tracking.start_run("E", tags={"experiment": "E"}, root=project, finish=True) as run:
        pass
    given = {"scores": scores, "card": "# card", "tags": {"experiment": "E"}, "root": project}
    first = register_champion(trained(), run_id=run.id, **given)
    again = register_champion(trained(), run_id=run.id, **given)
    return first, again, run, given


def test_an_unchanged_champion_is_registered_once_and_carries_card_and_tags(registered):
    first, again, run, _ = registered
    assert (first, again) == ("1", "1")
    version = run.client.get_model_version_by_alias(NAME, ALIAS)
    assert version.description == "# card" and version.tags["experiment"] == "E"
    assert version.run_id == run.id
    assert CARD in {item.path for item in run.client.list_artifacts(run.id)}
    info = mlflow.models.get_model_info(f"models:/{NAME}@{ALIAS}")
    assert [column.name for column in info.signature.inputs] == ["case", "image"]
    assert info.saved_input_example_info is not None


def test_it_answers_for_a_folder_and_for_arrays_as_predict_does(
    registered, trained, write_nifti_case, tmp_path, monkeypatch
):
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@{ALIAS}")
    folder = write_nifti_case(tmp_path / "in", "Brats18_A_1")
    monkeypatch.setenv(ROOT, str(tmp_path / "in"))
    image = np.zeros((4, 9, 8, 4))
    image[:, 1:8, 1:7] = np.random.default_rng(0).integers(50, 900, (4, 7, 6, 4))
    answers = [
        model.predict(pd.DataFrame(row)).to_dict("records")[0]
        for row in ({"case": [str(folder)]}, {"image": [image.tolist()]})
    ]
    member = Member(*load_trained(trained()))
    [case] = find_cases(folder)
    prediction = predict_case(case, members=[member], thresholds=Thresholds(**RULE))
    expected = write_prediction(prediction, case=case, out=tmp_path / "out")
    (tmp_path / "served.nii.gz").write_bytes(base64.b64decode(answers[0]["segmentation"]))
    served, ours = (nibabel.load(path) for path in (tmp_path / "served.nii.gz", expected))
    assert answers[0]["case"] == "Brats18_A_1"
    np.testing.assert_array_equal(served.affine, ours.affine)
    np.testing.assert_array_equal(np.asarray(served.dataobj), np.asarray(ours.dataobj))
    labels = segment_array(image.astype(np.float32), member=member, thresholds=Thresholds(**RULE))
    np.testing.assert_array_equal(np.array(answers[1]["labels"]), labels)
    assert labels.any() and not labels[:, 0].any()


def test_a_request_without_case_and_image_is_refused(registered):
    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}@{ALIAS}")
    for row, message in (({"cas": ["x"]}, "expected case"), ({"case": ["/"]}, "this server reads no files")):
        with pytest.raises(MlflowException, match=message):  # of any other error, MLflow's server shows the stack trace
            loaded.unwrap_python_model().predict(None, pd.DataFrame(row))


def test_predict_opens_it_by_its_alias_with_the_rule_it_carries(registered, trained):
    [member], chosen = open_models([f"models:/{NAME}@{ALIAS}"], precision="float32")
    assert chosen is not None and not chosen.flips
    assert chosen.thresholds.as_dict() == Thresholds(**RULE).as_dict()
    ours, _ = load_trained(trained())
    for mine, theirs in zip(member.network.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_predict_without_a_model_takes_it(registered, trained, write_nifti_case, tmp_path, capsys):
    case = write_nifti_case(tmp_path / "in", "Brats18_A_1")
    assert run([case], out=tmp_path / "out") == 0
    err = capsys.readouterr().err
    assert (
        f"model models:/{NAME}@{ALIAS}: experiment E, version 1" in err and "below 3 mm3 (chosen on validation)" in err
    )
    own = {"min_component": 3.0, "operating_point": -0.5}
    assert run([case], models=[str(trained())], out=tmp_path / "own", thresholds=own) == 0
    one, other = ((tmp_path / place / "Brats18_A_1_seg.nii.gz").read_bytes() for place in ("out", "own"))
    assert one == other


def test_predict_says_when_another_run_is_better(registered, monkeypatch, capsys):
    better = Candidate("two_path", 0.9, "another", "rate-2")
    monkeypatch.setattr("brats_cascade.tracking.champion.contest", lambda root, experiments: Contest(better))
    assert champion() == f"models:/{NAME}@{ALIAS}"
    assert "not the best finished run on this data and split, which is two_path (0.900" in capsys.readouterr().err


def test_an_alias_that_is_not_there_is_one_line(registered):
    with pytest.raises(UserError, match=r"@nobody: no model could be loaded from MLflow at .*; list what is there"):
        open_models([f"models:/{NAME}@nobody"], precision="float32")


def test_another_network_becomes_version_2(registered, trained):
    _, _, run, given = registered
    assert register_champion(trained(seed=1), run_id=run.id, **given) == "2"
    assert str(run.client.get_model_version_by_alias(NAME, ALIAS).version) == "2"


def test_a_store_that_is_away_costs_one_line(registered, trained, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with caplog.at_level(logging.WARNING):
        assert register_champion(trained(), run_id="x", **registered[3]) is None
    assert [record.getMessage() for record in caplog.records if "could not be set" in record.getMessage()]


def test_the_card_says_what_it_must():
    record = {
        "experiment": "E", "architecture": "two_path", "parameters": 1234, "release": "brats2018", "git_commit": "abc",
        "run_id": "r1", "seed": 1, "params": {"data.source": "/home/me/cohort"}, "data_hashes": {"data/volumes": "feed"},
    }  # fmt: skip
    contract = {"classes": [0, 1, 2, 4], "modalities": ["flair", "t1", "t1c", "t2"], "clip": 0.005}
    card = model_card(record, summary=SUMMARY, contract=contract, sets={"train": 5, "test": 3})
    for text in (NOT_A_DEVICE, "0.800 [0.70, 0.90]", "4 enhancing tumour", "5 cases for training", "r1", "feed", "1,234",
                 "removes components below 3 mm3", "brats2018, from cohort.", "0.5 % of the brain's",
                 "1 necrosis and non-enhancing tumour"):  # fmt: skip
        assert text in card
    assert "/home" not in card
    phantom = record | {"release": PHANTOM}  # wherever the scans lay
    assert "synthetic" in model_card(phantom, summary=SUMMARY, contract=contract, sets={})


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 4, 5)), r"expected an image \(slices, rows, columns, 4\)"),
        (np.zeros((3, 4, 5, 4)), "received zeros only"),
        (np.full((3, 4, 5, 4), np.nan), "expected finite numbers"),
        (np.ones((3, 4, 5, 4)), "constant"),
        (np.random.default_rng(0).normal(size=(3, 4, 5, 4)), "brain fills 100.0% of the volume"),
        (np.pad(np.random.default_rng(0).uniform(1e7, 2e7, (2, 3, 4, 4)), EDGE), "check its scale factor"),
    ],
)
def test_arrays_that_are_no_case_are_one_line(image, message, trained):
    with pytest.raises(UserError, match=message):
        segment_array(image.astype(np.float32), member=Member(*load_trained(trained())))


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan])
def test_a_spacing_that_cannot_be_is_one_line(size, trained):
    with pytest.raises(UserError, match="expected a spacing above 0 mm, received"):
        segment_array(np.ones((3, 4, 5, 4), np.float32), member=Member(*load_trained(trained())), spacing=(size, 1, 1))


def test_a_model_of_other_modalities_is_refused(trained):
    member = Member(*load_trained(trained(modalities=("t1", "flair", "t1c", "t2"))))
    image = np.pad(np.random.default_rng(0).normal(size=(3, 4, 5, 4)), EDGE)
    with pytest.raises(UserError, match="row 3: expected a model for the modalities flair, t1, t1c, t2"):
        segment_array(image.astype(np.float32), member=member, name="row 3")
