import json
import zipfile

import keras
import numpy as np
import pytest

from brats_cascade.models import files
from brats_cascade.models.build import build_model
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


def test_records_from_before_a_key_was_renamed_are_read():
    style = Style(width=0.03)
    contract = files.Contract("mf_cascade", (0, 1, 2, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, Style(width=0.06))
    record = json.loads(json.dumps(contract.as_dict()))
    older = {("first_style" if key == "cnn1_style" else key): value for key, value in record.items()}
    assert "first_style" in older
    assert files.Contract.from_dict(older) == files.Contract.from_dict(record) == contract
