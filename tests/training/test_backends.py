"""The same weights and batches under TensorFlow, JAX and another user's Keras settings: the same losses and gradients."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from backend_steps import steps
from processes import unmeasured

SCRIPT = Path(__file__).with_name("backend_steps.py")


def _run(out: Path, *architectures: str, **changes: str) -> dict[str, np.ndarray]:
    environment = unmeasured(**{"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", **changes})
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(out), *architectures], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with np.load(out) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """Under TensorFlow, in this process."""
    return steps()


@pytest.mark.slow
def test_the_users_own_keras_settings_change_nothing(expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    settings = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-3, "backend": "torch"}
    (tmp_path / "keras.json").write_text(json.dumps(settings), encoding="utf-8")
    found = _run(tmp_path / "out.npz", "local_cascade", KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    assert {"local_cascade-batch/loss", "two_path-none/loss", "training/losses"} <= set(found) <= set(expected)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_jax_gives_the_losses_and_gradients_of_tensorflow(expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    found = _run(tmp_path / "out.npz", KERAS_BACKEND="jax", XLA_FLAGS="--xla_backend_optimization_level=0")
    assert set(found) == set(expected) and len(found) > 60
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
    losses = [float(value) for name, value in expected.items() if name.endswith("/loss")]
    assert len(losses) == 7 and min(losses) > 0.5
    gradients = [np.abs(value).max() for name, value in expected.items() if name.endswith("/0")]
    assert min(gradients) > 1e-3
