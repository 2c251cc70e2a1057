"""Pseudonyms: no name of a case behind ingest, but in the local table; the same ids wherever the key is the same."""

import logging
import shutil

import pandas as pd
import pytest
from tiny import ROOT

from brats_cascade.data.pseudonyms import FILE, VARIABLE, pseudonym, read_key
from brats_cascade.errors import UserError
from brats_cascade.params import load_params
from brats_cascade.project import Project, read_json
from brats_cascade.stages.ingest import ingest
from brats_cascade.stages.split import split
from brats_cascade.stages.validate import validate

SECRET = ("Smith", "John", "Meyer", "Jane", "Doe", "Keller")


@pytest.fixture(scope="module")
def params():
    params = load_params(ROOT / "params.yaml")
    data = params.data.model_copy(update={"source": "in", "pseudonyms": True})
    blocks = {"data": data, "split": params.split.model_copy(update={"validation": 1, "test": 1})}
    return params.model_copy(update={**blocks, "ingest": params.ingest.model_copy(update={"workers": 1})})


def files_with(folder, words) -> list[str]:
    """The files below a folder whose name or content has one of the words."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if any(
            word in str(path.relative_to(folder)) or (path.is_file() and word.encode() in path.read_bytes())
            for word in words
        )
    ]


@pytest.mark.slow
def test_names_stay_in_the_local_table(tmp_path, write_nifti_case, params, monkeypatch, caplog) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    root = tmp_path / "project"
    for seed, name in enumerate(("Smith_John", "Meyer_Jane", "50% Doe", "quiet")):
        write_nifti_case(root / "in" / "HGG", name, seed=seed)
    write_nifti_case(root / "in" / "Keller Anna", "Smith_John", seed=8)  # the same name again
    broken = write_nifti_case(root / "in", "Doe_Jane", seed=9) / "Doe_Jane_t2.nii.gz"
    broken.write_bytes(broken.read_bytes()[:100])
    write_nifti_case(root / "in", "Keller_Jane", seed=10, omit=("t1",))
    shutil.copy(broken, root / "in" / "Doe.nii.gz")  # of no case
    project = Project(root)
    with caplog.at_level(logging.INFO):
        ingest(project, params)
    said = [record.getMessage() for record in caplog.records if record.module == "ingest"]
    assert len([line for line in said if "looks like a person's name" in line]) >= 4
    assert not [line for line in said if any(word in line for word in SECRET)]
    validate(project, params)
    split(project, params)
    table = pd.read_parquet(project.cases)
    key = read_key(root)
    assert table.attrs["originals"][pseudonym("quiet", key=key)] == "quiet" and "names" not in table.attrs
    assert {"Smith_John.Keller Anna", "50% Doe", "Keller_Jane"} < set(table.attrs["originals"].values())
    assert table["case"].str.fullmatch("id-[0-9a-f]{12}").all() and table["patient"].str.startswith("id-").all()
    assert int(table["stored"].sum()) == 5
    verdict = read_json(project.verdict)
    assert len(verdict["set_aside"]) == 2 and "t1 is missing" in str(verdict) and "truncated" in str(verdict)
    assert len(verdict["not_used"]) == 1
    assert len([entry for entry in verdict["warnings"] if "has the same name" in entry["reason"]]) == 2
    assert files_with(project.reports, SECRET) == [] and files_with(root / "metrics", SECRET) == []
    kept = {name.rpartition("/")[2] for name in files_with(root / "data", SECRET)}
    assert kept == {"cases.parquet", "meta.json"}


def test_the_key_decides_the_ids_and_is_its_owners(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    key = read_key(tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert read_key(tmp_path) == key and len(key) == 64
    assert f"/{FILE}" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # in a folder of `dvc queue`
    assert read_key(tmp_path / "other") == key
    monkeypatch.delenv("DVC_ROOT")
    assert read_key(tmp_path / "other") != key
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"absent: no such file, but BRATS_CASCADE_PSEUDONYM_KEY names it"):
        read_key(tmp_path)
    (tmp_path / "absent").write_text("short\n")
    with pytest.raises(UserError, match="expected a key of at least 16 characters, found 5; restore it"):
        read_key(tmp_path)
    assert pseudonym("A", key=b"k" * 16) == "id-1e011f118452"
    assert pseudonym("A", key=b"k" * 16) != pseudonym("B", key=b"k" * 16)


def test_a_key_that_was_not_finished_is_not_left_behind(tmp_path, monkeypatch) -> None:
    for name in (VARIABLE, "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)

    def killed(size: int) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("secrets.token_hex", killed)
        with pytest.raises(KeyboardInterrupt):
            read_key(tmp_path)
    assert not (tmp_path / FILE).exists() and len(read_key(tmp_path)) == 64
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
