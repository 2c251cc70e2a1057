"""Two devices and two worker processes: the losses and weights of one device at the same global batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from brats_cascade.errors import UserError
from brats_cascade.training.devices import ONE_DEVICE, open_devices

SCRIPT = Path(__file__).with_name("worker.py")


def _start(kind: str, *, out: Path, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", **variables}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), kind, str(out)], env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def _end(process: subprocess.Popen[str]) -> None:
    try:
        log = process.communicate(timeout=500)[0]
    finally:
        process.kill()
    assert process.returncode == 0, log


def _same(found: Path, expected: Path) -> None:
    with np.load(found) as one, np.load(expected) as other:
        assert set(one) == set(other) and len(one["rows"]) == 3
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "one.npz"
    _end(_start("one", out=out))
    return out


@pytest.mark.slow
def test_two_worker_processes_train_as_one(alone: Path, tmp_path: Path) -> None:
    """TensorFlow's multi-worker strategy, for real: two processes that reduce their gradients over the loopback."""
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in (first, second)]
    started = []
    for number in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": number}}
        started.append(_start("workers", out=tmp_path / f"{number}.npz", TF_CONFIG=json.dumps(config)))
    try:
        for process in started:
            _end(process)
    finally:
        for process in started:
            process.kill()
            process.communicate()
    _same(tmp_path / "0.npz", alone)
    assert not (tmp_path / "1.npz").exists()  # only the first worker writes


@pytest.mark.slow
def test_two_devices_of_one_host_train_as_one(alone: Path, tmp_path: Path) -> None:
    _end(_start("local", out=tmp_path / "local.npz"))
    _same(tmp_path / "local.npz", alone)


def test_one_device_is_the_default() -> None:
    assert open_devices("one") is ONE_DEVICE
    assert ONE_DEVICE.writes and ONE_DEVICE.reduction == "mean_with_sample_weight"


def test_workers_need_their_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match=r"train\.devices: workers needs the variable TF_CONFIG"):
        open_devices("workers")
    with pytest.raises(ValueError, match="received 'cluster'"):
        open_devices("cluster")
