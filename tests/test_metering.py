"""What work costs, where the machine tells it; and what a network was trained in, without a name of host or user."""

import getpass
import json
import socket
from pathlib import Path

import pytest

from brats_cascade import metering
from brats_cascade.costs import cost_of, keep_costs, read_cases, scores_of
from brats_cascade.metering import Meter, by_case
from brats_cascade.provenance import environment


def counter(root, name, *, joules, most=1000):
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(f"{joules * 10**6}\n")
    (folder / "max_energy_range_uj").write_text(f"{most * 10**6}\n")


def test_energy_is_that_of_all_processors_and_their_parts_are_not_counted_twice(tmp_path):
    counter(tmp_path, "intel-rapl:0", joules=10)
    counter(tmp_path, "intel-rapl:0:0", joules=3)
    counter(tmp_path, "intel-rapl:1", joules=990)
    meter = Meter(tmp_path)
    counter(tmp_path, "intel-rapl:0", joules=14)
    counter(tmp_path, "intel-rapl:0:0", joules=99)
    counter(tmp_path, "intel-rapl:1", joules=5)  # gone round
    assert meter.read()["energy_j"] == 4 + 15


def test_no_energy_is_told_where_it_cannot_be_known(tmp_path, monkeypatch):
    assert "energy_j" not in Meter(tmp_path / "none").read()
    counter(tmp_path, "intel-rapl:0", joules=10)
    meter = Meter(tmp_path)
    (tmp_path / "intel-rapl:0/energy_uj").write_text("")
    assert "energy_j" not in meter.read()
    counter(tmp_path, "intel-rapl:0", joules=11)
    monkeypatch.setattr(metering.time, "perf_counter", lambda: meter._started + 2)  # 1000 J may be over in a second
    assert meter.read() == {"seconds": 2, "cpu_seconds": pytest.approx(0, abs=0.5)}


def test_a_gpu_is_held_for_as_long_as_the_work_takes(monkeypatch):
    monkeypatch.setattr(metering, "accelerators", lambda: ["card"])
    monkeypatch.setattr(metering, "_cards", iter([[100.0], [107.5]]).__next__)
    spent = Meter(Path("none")).read()
    assert spent["gpu_seconds"] == spent["seconds"] and spent["energy_j"] == 7.5


def test_the_cost_of_a_case_is_the_mean_over_those_that_were_measured(tmp_path):
    (tmp_path / "metrics/E").mkdir(parents=True)
    (tmp_path / "metrics/E/cases.csv").write_text("case,patient\na,a\nb,b\n")
    spent = by_case({"a": {"seconds": 1, "energy_j": 5}, "b": {"seconds": 3}})
    assert spent == {"seconds": {"a": 1, "b": 3}, "energy_j": {"a": 5}}
    result = scores_of(tmp_path, name="E")
    keep_costs(tmp_path, name="E", what="evaluation", result=result, costs=spent | {"peak_memory_mb": 900})
    cost = {"seconds": 2, "energy_j": 5, "peak_memory_mb": 900, "dice_per_minute": 24}
    assert cost_of(tmp_path, name="E", dice=0.8) == pytest.approx(cost)
    assert read_cases(tmp_path, name="E")["energy_j"].fillna(-1).tolist() == [5, -1]
    (tmp_path / "metrics/E/cases.csv").write_text("case,patient\na,a\n")  # other scores
    assert cost_of(tmp_path, name="E", dice=0.8) == {}


def test_the_environment_names_versions_and_machine_but_no_host_no_user_and_no_path():
    found = environment(backend="jax", precision="bfloat16", commit="abc")
    assert (found["backend"], found["precision"], found["git_commit"]) == ("jax", "bfloat16", "abc")
    assert {"keras", "numpy", "mlflow", "dvc"} <= set(found["packages"]) and " core" in found["machine"]
    words = json.dumps(found).replace('"', " ").replace(",", " ").split()
    assert not {socket.gethostname(), getpass.getuser()} & set(words)
    assert not any(word.startswith("/") or str(Path.home()) == word for word in words)
