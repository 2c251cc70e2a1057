"""`precision: auto` in the train stage: what is computed in is what every record names."""

import json
from pathlib import Path

import pytest
from tiny import change

from brats_cascade import precision
from brats_cascade.models.files import load_trained
from brats_cascade.params import load_params
from brats_cascade.project import Project
from brats_cascade.stages.train import train
from brats_cascade.tracking.store import open_store


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "wanted"), [("avx2", "float32"), ("avx2 avx512_bf16", "bfloat16")])
def test_every_record_names_the_precision_that_was_used(flags: str, wanted: str, make_project, monkeypatch) -> None:
    root: Path = make_project("auto")
    change(root, train={"precision": "auto", "steps": 2, "phase2_steps": 0, "checks": 1})
    (root / "cpuinfo").write_text(f"model name\t: Some CPU\nflags\t\t: {flags}\n")
    monkeypatch.setattr(precision, "CPU_INFO", root / "cpuinfo")
    train(Project(root), load_params(root / "params.yaml"), "two_path")
    model = root / "models" / "two_path"
    record = json.loads((model / "record.json").read_text())
    _, contract = load_trained(model)
    client, experiment = open_store(root)
    [run] = client.search_runs([experiment])
    assert record["params"]["train.precision"] == wanted
    assert [style.precision for style in contract.styles] == [wanted]
    assert run.data.params["train.precision"] == wanted
    made_in = client.download_artifacts(run.info.run_id, "environment.json", str(root))
    assert json.loads(Path(made_in).read_text())["precision"] == wanted
