"""The same weights and batches under TensorFlow and JAX: the same losses and gradients."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("backend_steps.py")


def _run(backend: str, *, out: Path) -> dict[str, np.ndarray]:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, str(SCRIPT), str(out)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(out) as stored:
        return dict(stored)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed (extra: jax)")
def test_jax_gives_the_losses_and_gradients_of_tensorflow(tmp_path: Path) -> None:
    expected, found = (_run(backend, out=tmp_path / f"{backend}.npz") for backend in ("tensorflow", "jax"))
    assert set(found) == set(expected) and len(found) > 60
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
    losses = [float(value) for name, value in expected.items() if name.endswith("/loss")]
    assert len(losses) == 5 and min(losses) > 0.5
    gradients = [np.abs(value).max() for name, value in expected.items() if name.endswith("/0")]
    assert min(gradients) > 1e-3
