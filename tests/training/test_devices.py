"""Two devices and two worker processes: the losses and weights of one device at the same global batch."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from processes import unmeasured
from worker import main

from brats_cascade.errors import UserError
from brats_cascade.training.batches import Batch
from brats_cascade.training.devices import ONE_DEVICE, Sharded, open_devices

SCRIPT = Path(__file__).with_name("worker.py")


def _start(kind: str, *, out: Path, **variables: str) -> subprocess.Popen[str]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", **variables}
    environment = unmeasured(**quiet) if kind == "one" else {**os.environ, **quiet}
    shared = out.parent / "shared" if kind == "workers" else out.with_suffix("")
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), kind, str(out), str(shared)], env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def _end(process: subprocess.Popen[str]) -> str:
    try:
        log = process.communicate(timeout=500)[0]
    finally:
        process.kill()
    assert process.returncode == 0, log
    return log


def _end_all(processes: list[subprocess.Popen[str]]) -> list[str]:
    try:
        return [_end(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _addresses() -> list[str]:
    """Two free ports of the loopback."""
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in (first, second)]


def _same(found: Path, expected: Path) -> None:
    with np.load(found) as one, np.load(expected) as other:
        assert set(one) == set(other) and len(one["rows"]) == 3
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In this process."""
    out = tmp_path_factory.mktemp("alone") / "one.npz"
    main("one", str(out), str(out.with_suffix("")))
    return out


@pytest.mark.slow
@pytest.mark.long
def test_two_worker_processes_of_which_one_is_killed_go_on_and_train_as_one(alone: Path, tmp_path: Path) -> None:
    """TensorFlow's multi-worker strategy, for real: two processes that reduce their gradients over the loopback."""

    def start(**of_second: str) -> list[subprocess.Popen[str]]:
        cluster = {"worker": _addresses()}
        configs = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": number}}) for number in range(2)]
        outs = [tmp_path / f"{number}.npz" for number in range(2)]
        return [
            _start("workers", out=outs[0], TF_CONFIG=configs[0]),
            _start("workers", out=outs[1], TF_CONFIG=configs[1], **of_second),
        ]

    first, second = start(DIES_IN_ROUND="2")
    try:
        assert second.wait(500) == -signal.SIGKILL
        log = first.communicate(timeout=120)[0]
    finally:
        first.kill()
        second.communicate()
    assert first.returncode > 0, log  # it does not wait for the lost one for ever
    assert not (tmp_path / "0.npz").exists() and (tmp_path / "shared" / "checkpoint.npz").is_file()
    assert all("resuming from phase" in log for log in _end_all(start()))  # both, with the same command
    _same(tmp_path / "0.npz", alone)
    assert not (tmp_path / "1.npz").exists()  # only the first worker writes


@pytest.mark.slow
@pytest.mark.long
def test_two_devices_of_one_host_train_as_one(alone: Path, tmp_path: Path) -> None:
    _end(_start("local", out=tmp_path / "local.npz"))
    _same(tmp_path / "local.npz", alone)


@pytest.mark.slow
@pytest.mark.long
def test_jax_trains_on_two_devices_and_in_two_processes_as_on_one(tmp_path: Path) -> None:
    quick = "--xla_backend_optimization_level=0"  # compiling takes most of the time
    jax = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": quick}
    out = {name: tmp_path / f"{name}.npz" for name in ("one", "local", "0", "1")}
    _end(_start("one", out=out["one"], **jax))
    _end(_start("local", out=out["local"], **{**jax, "XLA_FLAGS": f"{quick} --xla_force_host_platform_device_count=2"}))
    _same(out["local"], out["one"])
    cluster = {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(_addresses()),
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    }
    numbers = ("0", "1")
    _end_all([_start("workers", out=out[one], KERAS_DISTRIBUTION_PROCESS_ID=one, **cluster, **jax) for one in numbers])
    _same(out["0"], out["one"])
    assert not out["1"].exists()  # only the first process writes


def test_each_process_gives_its_own_windows_and_refuses_what_does_not_share_out() -> None:
    seen: list[list[int]] = []

    def train(inputs, targets, *, sample_weight, return_dict):
        assert list(inputs[:, 0, 0, 0]) == list(targets[:, 0, 0, 0]) == list(sample_weight[:, 0, 0])
        seen.append(targets[:, 0, 0, 0].tolist())
        return {"loss": 0.5}

    def batch(windows: int) -> Batch:
        numbers = np.arange(windows).reshape(-1, 1, 1)
        return Batch([numbers[..., None]], numbers, numbers)

    trainer = SimpleNamespace(train_on_batch=train)
    steps = [Sharded(devices=4, processes=2, number=number).stepper(trainer) for number in range(2)]
    assert [step(batch(8)) for step in steps] == [0.5, 0.5]
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(UserError, match=r"train\.batch: expected a multiple of the 4 devices, received a batch of 6"):
        steps[0](batch(6))


def test_one_device_is_the_default() -> None:
    assert open_devices("one") is ONE_DEVICE
    assert ONE_DEVICE.writes and ONE_DEVICE.reduction == "mean_with_sample_weight"


def test_workers_need_their_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match=r"train\.devices: workers needs the variable TF_CONFIG"):
        open_devices("workers")
