import json
import zipfile

import keras
import numpy as np
import pytest
from limits import small_files

from brats_cascade.errors import UserError
from brats_cascade.models import files
from brats_cascade.models.build import build_model
from brats_cascade.models.layers import Maxout
from brats_cascade.models.two_path import Style


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """The same network saved on two days, into folders of the same name in two projects."""
    style = Style(width=0.03)
    contract = files.Contract("two_path", (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, None)
    network = build_model("two_path", style=style)
    folders = [tmp_path / day / "models/E" for day in ("one", "other")]
    for folder, date in zip(folders, ("2026-01-01@00:00:00", "2026-01-02@12:34:56"), strict=True):
        metadata = json.dumps({"keras_version": keras.__version__, "date_saved": date})
        config = keras.src.saving.saving_lib._serialize_model_as_json(network)[0]
        monkeypatch.setattr(
            keras.src.saving.saving_lib, "_serialize_model_as_json", lambda _, m=metadata, c=config: (c, m)
        )
        files.save_trained(folder, network=network, contract=contract)
    return network, folders


def test_equal_weights_are_equal_files_whenever_they_are_saved(saved):
    _, (one, other) = saved
    assert (one / "model.keras").read_bytes() == (other / "model.keras").read_bytes()
    with zipfile.ZipFile(one / "model.keras") as archive:
        assert sorted(archive.namelist()) == archive.namelist()
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert json.loads(archive.read("metadata.json")) == {"keras_version": keras.__version__}


def test_the_network_comes_back_from_its_archive(saved):
    network, (folder, _) = saved
    loaded, contract = files.load_trained(folder)
    assert contract.classes == (0, 1, 2, 3, 4)
    for mine, theirs in zip(loaded.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_record_comes_back_as_it_was():
    style = Style(width=0.03)
    contract = files.Contract("mf_cascade", (0, 1, 2, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, Style(width=0.06))
    assert files.Contract.from_dict(json.loads(json.dumps(contract.as_dict()))) == contract


def test_a_network_of_the_time_when_maxout_1_meant_no_relu_is_refused(tmp_path):
    image = keras.Input((None, None, 4))
    linear = Maxout(1, name="local1_maxout")(keras.layers.Conv2D(5, 1)(image))
    network = keras.Model(image, keras.layers.Softmax()(linear), name="two_path")
    style = Style(width=0.03, maxout=1)
    contract = files.Contract("two_path", (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, None)
    files.save_trained(tmp_path, network=network, contract=contract)
    with pytest.raises(UserError, match=r"model\.keras: .* older version, for which maxout 1 .* train again$"):
        files.load_trained(tmp_path)


WRONG = {
    "axis": 9, "clip": 7, "zscore": "nothing", "architecture": "resnet", "classes": [0, 1, 9], "modalities": ["t1", "pet"],
    "n4": "maybe", "style.precision": "float8", "style.width": 1e6, "style.maxout": 0, "style.l2": float("nan"),
    "style.dropout": 1.0, "style.depth": 3, "cnn1_style": 4, "data": [1], "format": 2,
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG.items())
def test_a_record_that_no_training_writes_is_refused_by_name(tmp_path, key, value):
    contract = files.Contract("two_path", (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2"), 0.01, Style(width=0.03), None)
    record = json.loads(json.dumps(contract.as_dict()))
    inner = record["style"] if key.startswith("style.") else record
    inner[key.removeprefix("style.")] = value
    (tmp_path / "model.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=rf"model\.json: not a model's record \({key}.*\); restore it or train again$"):
        files.load_trained(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"clip": NaN}', "[" * 100000, "\ud800"])
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "model.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=r"model\.json: not a model's record"):
        files.load_trained(tmp_path)


def test_a_network_that_its_record_does_not_describe_is_refused(saved):
    from brats_cascade.models.fold import load_for_inference

    _, (folder, _) = saved
    record = json.loads((folder / "model.json").read_text())
    style = record["style"]
    for other in ({"classes": [0, 1]}, {"architecture": "unet"}, {"style": {**style, "width": 0.06}}):
        (folder / "model.json").write_text(json.dumps({**record, **other}))
        with pytest.raises(
            UserError, match=r"not the network that model\.json describes .*; restore both or train again"
        ):
            load_for_inference(folder, precision="float32")


def test_a_damaged_archive_is_refused_wherever_the_damage_is(saved):
    network, (folder, _) = saved
    path = folder / "model.keras"
    whole, image = path.read_bytes(), np.random.default_rng(0).normal(size=(1, 40, 40, 4)).astype(np.float32)
    expected = network.predict_on_batch(image)
    for number in range(12):
        damaged = bytearray(whole)
        damaged[number * len(whole) // 12 + 7] ^= 0xFF
        path.write_bytes(damaged)
        try:
            loaded, _ = files.load_trained(folder)
        except UserError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
        else:
            np.testing.assert_array_equal(loaded.predict_on_batch(image), expected)


def test_a_record_without_some_settings_of_a_style_has_the_defaults():
    record = {"architecture": "unet", "classes": [0, 1], "modalities": ["t1"], "clip": 0.01, "style": {}}
    assert files.Contract.from_dict({**record, "cnn1_style": None}).style == Style()


def test_a_network_that_does_not_fit_on_the_disk_leaves_the_earlier_one(saved):
    network, (folder, other) = saved
    _, contract = files.load_trained(folder)
    with small_files(20_000), pytest.raises(OSError, match="File too large") as caught:
        files.save_trained(folder, network=network, contract=contract)
    assert caught.value.filename == str(folder / "model.keras")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }
