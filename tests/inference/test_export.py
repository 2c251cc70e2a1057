"""Every offered format gives the network's own probabilities, where its README says that it opens."""

import errno
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clean_python import link_packages, run_clean

from brats_cascade.commands.export import run
from brats_cascade.errors import UserError, ending_in_one_line
from brats_cascade.inference import formats
from brats_cascade.inference.formats import FORMATS, largest_difference, readme
from brats_cascade.models.build import build_model
from brats_cascade.models.files import Contract, load_trained, save_trained
from brats_cascade.models.two_path import Style

onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in formats.ONNX_NEEDS), reason="the extra onnx is not installed"
)


FORMS = ["keras", "saved_model", pytest.param("onnx", marks=onnx)]
# What each README names as needed, here as pip would install it; the keras form needs this project, too.
NEEDED = {
    "keras": ("keras", "tensorflow"),
    "saved_model": ("tensorflow",),
    "onnx": ("onnxruntime",),
}
CALLS = {
    "keras": "network.predict_on_batch(batch)",
    "saved_model": "network.serve(batch).numpy()",
    "onnx": "network.run(None, {network.get_inputs()[0].name: batch})[0]",
}


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    """A tiny InputCascadeCNN as training writes it, and its probabilities of a batch of another shape than the check's."""
    style = Style(width=0.04)
    network = build_model("input_cascade", style=style)
    rng = np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign(rng.normal(0, 0.05, weight.shape))
    contract = Contract("input_cascade", (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, style)
    folder = tmp_path_factory.mktemp("models") / "E"
    save_trained(folder, network=network, contract=contract)
    batch = rng.normal(size=(3, 70, 67, 4)).astype(np.float32)
    expected = network.predict_on_batch(batch)
    assert expected.shape == (3, 6, 3, 5) and expected.std() > 1e-3
    return folder, contract, batch, expected


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_an_exported_cascade_opens_elsewhere_as_its_readme_says_and_computes_the_same(form, cascade, tmp_path):
    folder, contract, batch, expected = cascade
    out = tmp_path / "out"
    path = run(str(folder), out=out, form=form)
    assert path == out / FORMATS[form]
    assert Contract.from_dict(json.loads((out / "model.json").read_text())) == contract
    packages = link_packages(tmp_path / "packages", requirements=NEEDED[form])
    if form == "keras":
        (packages / "brats_cascade").symlink_to(Path(formats.__file__).parents[1])
    np.save(out / "batch.npy", batch)
    [code] = re.findall("```python\n(.*?)```", (out / "README.md").read_text(), flags=re.DOTALL)
    more = f"batch = np.load('batch.npy')\nnp.savez('out.npz', readme=probabilities, batch={CALLS[form]})"
    run_clean(packages, code + more, cwd=out)
    with np.load(out / "out.npz") as answers:
        assert answers["readme"].shape == (1, 1, 1, 5)
        np.testing.assert_allclose(answers["batch"], expected, atol=1e-5)
    with pytest.raises(UserError, match="already exists"):
        run(str(folder), out=out, form=form)


def test_the_readme_names_the_order_of_modalities_and_labels(cascade):
    contract = replace(cascade[1], classes=(0, 1, 2, 4), modalities=("t1", "flair", "t2", "t1c"))
    text = " ".join(readme(contract, form="saved_model").split())
    assert "Channels: t1, flair, t2, t1c." in text
    assert "0 everything else, 1 necrosis and non-enhancing tumour, 2 edema, 3 enhancing tumour." in text
    assert "(batch, rows - 64, columns - 64, 4)" in text


@pytest.mark.slow
def test_another_network_is_told_apart(trained):
    first, second = (load_trained(trained(seed=seed))[0] for seed in (0, 1))
    assert largest_difference(first, other=first.predict_on_batch, patch=33) == 0
    assert largest_difference(first, other=second.predict_on_batch, patch=33) > 1e-3


def test_a_wrong_export_is_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "largest_difference", lambda *args, **kwargs: 0.5)
    with pytest.raises(UserError, match=r"differ by 0\.5 from the network"):
        run(str(trained()), out=tmp_path / "out", form="keras")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "saved_model"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(form, trained, tmp_path, monkeypatch, capsys):
    import keras
    import tensorflow

    full = {
        "keras": ("save", OSError(errno.ENOSPC, "No space left on device")),
        "saved_model": (
            "export",
            tensorflow.errors.ResourceExhaustedError(None, None, "{{node x}} a/part-0; No space left on device"),
        ),
    }
    model, (method, error) = str(trained()), full[form]
    write = getattr(keras.Model, method)

    def until_full(*args, **kwargs):
        write(*args, **kwargs)
        raise error

    monkeypatch.setattr(keras.Model, method, until_full)
    with pytest.raises(SystemExit), ending_in_one_line():
        run(model, out=tmp_path / "out", form=form)
    assert re.search(rf"{FORMATS[form]}: .*No space left on device.*; free some space", capsys.readouterr().err)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_disk_that_is_full_after_the_network_leaves_no_export_without_its_readme(trained, tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(formats, "write_text", full)
        run(str(trained()), out=tmp_path / "out", form="keras")
    assert run(str(trained()), out=tmp_path / "out", form="keras").is_file()


def test_the_name_of_a_file_is_no_folder_to_export_to(trained, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(FileExistsError):
        run(str(trained()), out=tmp_path / "out", form="keras")
    assert (tmp_path / "out").read_text() == "mine"


def test_wrong_options_are_one_line(trained, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="--format: expected one of keras, saved_model, onnx, received 'pmml'"):
        run(str(trained()), out=tmp_path, form="pmml")
    monkeypatch.setattr(formats, "ONNX_NEEDS", ("no_such_package",))
    with pytest.raises(
        UserError, match=r"not installed; run: pip install 'brats-cascade\[onnx\]', or take --format saved"
    ):
        run(str(trained()), out=tmp_path, form="onnx")


def test_a_network_of_whole_cases_is_refused(tmp_path: Path) -> None:
    style = Style(width=0.1)
    contract = Contract("coarse_cascade", (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, style)
    with pytest.raises(UserError, match="coarse_cascade reads whole cases"):
        formats.export_network(
            build_model("coarse_cascade", style=style), contract=contract, out=tmp_path, form="saved_model"
        )
    assert not list(tmp_path.iterdir())
