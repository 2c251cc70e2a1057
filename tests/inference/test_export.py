"""Every offered format gives the network's own probabilities."""

import errno
import importlib.util
import json

import numpy as np
import pytest

from brats_cascade.commands.export import run
from brats_cascade.errors import UserError
from brats_cascade.inference import export
from brats_cascade.inference.export import FORMATS, largest_difference, load_exported
from brats_cascade.models.build import build_model
from brats_cascade.models.files import Contract, load_trained, save_trained
from brats_cascade.models.two_path import Style

onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in export.ONNX_NEEDS), reason="the extra onnx is not installed"
)


@pytest.mark.parametrize("form", ["keras", "saved_model", pytest.param("onnx", marks=onnx)])
def test_an_exported_cascade_computes_the_same(form, tmp_path):
    style = Style(width=0.04)
    network = build_model("input_cascade", style=style)
    rng = np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign(rng.normal(0, 0.05, weight.shape))
    contract = Contract("input_cascade", (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, style)
    save_trained(tmp_path / "E", network=network, contract=contract)
    path = run(str(tmp_path / "E"), out=tmp_path / "out", form=form)
    assert path == tmp_path / "out" / FORMATS[form]
    assert Contract.from_dict(json.loads((tmp_path / "out" / "model.json").read_text())) == contract
    batch = rng.normal(size=(3, 70, 67, 4)).astype(np.float32)  # another shape than the check's
    expected = network.predict_on_batch(batch)
    assert expected.shape == (3, 6, 3, 5) and expected.std() > 1e-3
    np.testing.assert_allclose(load_exported(path, form=form)(batch), expected, atol=1e-5)
    with pytest.raises(UserError, match="is there already"):
        run(str(tmp_path / "E"), out=tmp_path / "out", form=form)


def test_another_network_is_told_apart(trained):
    first, second = (load_trained(trained(seed=seed))[0] for seed in (0, 1))
    assert largest_difference(first, other=first.predict_on_batch, patch=33) == 0
    assert largest_difference(first, other=second.predict_on_batch, patch=33) > 1e-3


def test_a_wrong_export_is_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "largest_difference", lambda *args, **kwargs: 0.5)
    with pytest.raises(UserError, match=r"differ by 0\.5 from the network"):
        run(str(trained()), out=tmp_path / "out", form="keras")


@pytest.mark.parametrize("form", ["keras", "saved_model"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(form, trained, tmp_path, monkeypatch):
    import tensorflow

    full = {
        "keras": OSError(errno.ENOSPC, "No space left on device"),
        "saved_model": tensorflow.errors.ResourceExhaustedError(
            None, None, "{{node x}} a/part-0; No space left on device"
        ),
    }
    write = export._write

    def until_full(*args, **kwargs):
        write(*args, **kwargs)
        raise full[form]

    monkeypatch.setattr(export, "_write", until_full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\); free some space"):
        run(str(trained()), out=tmp_path / "out", form=form)
    assert not (tmp_path / "out" / FORMATS[form]).exists()


def test_wrong_options_are_one_line(trained, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="--format: expected one of keras, saved_model, onnx, received 'pmml'"):
        run(str(trained()), out=tmp_path, form="pmml")
    monkeypatch.setattr(export, "ONNX_NEEDS", ("no_such_package",))
    with pytest.raises(UserError, match=r"no_such_package not installed; run: pip install 'brats-cascade\[onnx\]'"):
        run(str(trained()), out=tmp_path, form="onnx")
