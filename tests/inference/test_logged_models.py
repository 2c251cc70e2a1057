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

OPEN = """
import importlib.util, os, sys, numpy, pandas, mlflow.keras, mlflow.pyfunc
assert importlib.util.find_spec("brats_cascade") is None
network, champion, windows, raw, folder, out = sys.argv[1:]
image = numpy.load(windows)
loaded, served = mlflow.keras.load_model(network), mlflow.pyfunc.load_model(network)
answers = {"keras": loaded.serve(image), "pyfunc": served.predict(image)}
assert importlib.util.find_spec("brats_cascade") is None and not {"nibabel", "SimpleITK"} & set(sys.modules)
os.environ["BRATS_CASCADE_CASES"] = os.path.dirname(folder)
model = mlflow.pyfunc.load_model(champion)
assert importlib.util.find_spec("brats_cascade").origin.startswith(champion)
labels, written = (
    model.predict(pandas.DataFrame(row)) for row in ({"image": [numpy.load(raw).tolist()]}, {"case": [folder]})
)
answers["labels"] = labels["labels"][0]
numpy.savez(out, **{name: numpy.asarray(answer) for name, answer in answers.items()})
print(written["segmentation"][0][:4])
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
def test_a_network_and_the_champion_open_in_mlflow_without_this_project(own_store, trained, write_nifti_case, tmp_path):
    network, contract = load_trained(trained())
    with tracking.start_run("E", tags={"experiment": "E"}, root=own_store, finish=True) as run:
        uri = run.log_model(network, metadata=contract.as_dict(), folder=trained())
        assert run.online
    scores = tmp_path / "E.json"
    scores.write_text(json.dumps({"postprocess": {}}))
    given = {"scores": scores, "card": "# card", "tags": {"experiment": "E"}, "root": own_store}
    assert register_champion(trained(), run_id=run.id, **given) == "1"
    place, needed = fetched(uri, out=tmp_path / "network")
    champion, lines = fetched("models:/brats-cascade@champion", out=tmp_path / "champion")
    assert {line.partition("==")[0] for line in needed} == {"keras", "tensorflow", "mlflow"} and set(needed) <= set(
        lines
    )

    rng = np.random.default_rng(0)
    windows = rng.normal(size=(2, 38, 41, 4)).astype(np.float32)
    raw = np.zeros((4, 9, 8, 4))
    raw[:, 1:8, 1:7] = rng.integers(50, 900, (4, 7, 6, 4))
    np.save(tmp_path / "windows.npy", windows)
    np.save(tmp_path / "raw.npy", raw)
    case = write_nifti_case(tmp_path / "in", "Brats18_A_1")
    packages = link_packages(tmp_path / "packages", requirements=lines)
    paths = [tmp_path / "windows.npy", tmp_path / "raw.npy", case, tmp_path / "out.npz"]
    printed = run_clean(packages, OPEN, str(place), str(champion), *map(str, paths), cwd=tmp_path)
    assert printed.splitlines()[-1] == "H4sI"  # gzip, in base64

    with np.load(tmp_path / "out.npz") as answers:
        for form in ("keras", "pyfunc"):
            assert answers[form].shape == (2, 6, 9, 5)
            np.testing.assert_allclose(answers[form], network.predict_on_batch(windows), atol=1e-5)
        expected = segment_array(raw.astype(np.float32), member=Member(network, contract), thresholds=OFF)
        np.testing.assert_array_equal(answers["labels"], expected)
        assert expected.any()
