"""Logged models open where they are meant to: in a Python that has their own requirements and no checkout of this project."""

import json
import re

import mlflow
import numpy as np
import pytest
from clean_python import link_packages, run_clean

from brats_cascade import tracking
from brats_cascade.inference.arrays import segment_array
from brats_cascade.inference.postprocess import OFF
from brats_cascade.inference.segment import Member
from brats_cascade.models.files import load_trained
from brats_cascade.tracking.registry import register_champion

PIXELS = """
import importlib.util, json, sys, numpy, mlflow.keras, mlflow.pyfunc
assert importlib.util.find_spec("brats_cascade") is None
place, given, out = sys.argv[1:]
image = numpy.load(given)
network, served = mlflow.keras.load_model(place), mlflow.pyfunc.load_model(place)
answers = {"keras": network.serve(image), "pyfunc": served.predict(image)}
assert importlib.util.find_spec("brats_cascade") is None
numpy.savez(out, **{name: numpy.asarray(answer) for name, answer in answers.items()})
"""
CHAMPION = """
import importlib.util, sys, numpy, pandas, mlflow.pyfunc
assert importlib.util.find_spec("brats_cascade") is None
place, given, folder, out = sys.argv[1:]
model = mlflow.pyfunc.load_model(place)
answers = [model.predict(pandas.DataFrame(row)) for row in ({"image": [numpy.load(given).tolist()]}, {"case": [folder]})]
numpy.save(out, numpy.array(answers[0]["labels"][0]))
print(answers[1]["segmentation"][0][:4])
"""


@pytest.fixture
def own_store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fetched(uri, *, out):
    """The logged model's folder and what it asks pip for."""
    place = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(out))
    lines = (out / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9-]+==[0-9.]+", line) for line in lines), lines  # no path, no host
    return place, lines


@pytest.mark.slow
def test_a_network_opens_in_mlflow_without_this_project(own_store, trained, tmp_path):
    network, contract = load_trained(trained())
    with tracking.start_run("E", root=own_store, finish=True) as run:
        uri = run.log_model(network, metadata=contract.as_dict(), folder=trained())
        assert run.online
    place, lines = fetched(uri, out=tmp_path / "model")
    image = np.random.default_rng(0).normal(size=(2, 38, 41, 4)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    packages = link_packages(tmp_path / "packages", requirements=lines)
    run_clean(packages, PIXELS, place, str(tmp_path / "image.npy"), str(tmp_path / "out.npz"), cwd=tmp_path)
    expected = network.predict_on_batch(image)
    with np.load(tmp_path / "out.npz") as answers:
        assert set(answers) == {"keras", "pyfunc"}
        for answer in answers.values():
            assert answer.shape == (2, 6, 9, 5)
            np.testing.assert_allclose(answer, expected, atol=1e-5)


@pytest.mark.slow
def test_the_champion_opens_in_mlflow_without_this_project(own_store, trained, write_nifti_case, tmp_path):
    scores = tmp_path / "E.json"
    scores.write_text(json.dumps({"postprocess": {}}))
    with tracking.start_run("E", tags={"experiment": "E"}, root=own_store, finish=True) as run:
        pass
    given = {"scores": scores, "card": "# card", "tags": {"experiment": "E"}, "root": own_store}
    assert register_champion(trained(), run_id=run.id, **given) == "1"
    place, lines = fetched("models:/brats-cascade@champion", out=tmp_path / "model")
    image = np.zeros((4, 9, 8, 4))
    image[:, 1:8, 1:7] = np.random.default_rng(0).integers(50, 900, (4, 7, 6, 4))
    np.save(tmp_path / "image.npy", image)
    case = write_nifti_case(tmp_path / "in", "Brats18_A_1")
    packages = link_packages(tmp_path / "packages", requirements=lines)
    words = [place, str(tmp_path / "image.npy"), str(case), str(tmp_path / "out.npy")]
    assert run_clean(packages, CHAMPION, *words, cwd=tmp_path).splitlines()[-1] == "H4sI"  # gzip, in base64
    expected = segment_array(image.astype(np.float32), member=Member(*load_trained(trained())), rule=OFF)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    assert expected.any()
