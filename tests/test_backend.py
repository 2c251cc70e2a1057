"""Starting Keras: packages that nothing here needs are kept out, and only while it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import unmeasured

from brats_cascade import backend
from brats_cascade.errors import UserError

CODE = """
import json, sys
from brats_cascade.backend import NOT_NEEDED, start_backend
start_backend()
kept_out = [name for name in NOT_NEEDED if name not in sys.modules]
import keras, sklearn
print(json.dumps([kept_out, keras.backend.backend(), float(keras.ops.sum(keras.ops.ones(3))), sklearn.__name__]))
"""


@pytest.mark.slow
def test_packages_that_nothing_needs_are_not_imported_at_the_start_and_can_be_later() -> None:
    environment = {name: value for name, value in unmeasured().items() if name != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [["jax", "matplotlib", "sklearn"], "tensorflow", 3.0, "sklearn"]
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["export", "sweep"])
def test_a_backend_that_the_networks_do_not_run_on_is_refused_on_one_line(command: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()  # a project's folder, which sweep asks for first
    words = {"export": ["--model", "models/x", "--out", "out"], "sweep": ["--trials", "1"]}[command]
    done = subprocess.run(
        [sys.executable, "-m", "brats_cascade.cli", command, *words],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: KERAS_BACKEND=torch: expected tensorflow or jax; run `unset KERAS_BACKEND` to use tensorflow"
    ]


def test_a_backend_that_is_not_installed_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(
        UserError, match=r"KERAS_BACKEND=jax: jax is not installed; run: pip install 'brats-cascade\[jax\]'"
    ):
        backend.check_backend()


@pytest.mark.parametrize(
    ("present", "chosen"), [(["tensorflow", "jax"], "tensorflow"), (["tensorflow"], "tensorflow"), (["jax"], "jax")]
)
def test_without_a_choice_an_installed_backend_is_taken(monkeypatch, present, chosen):
    """As in an environment that was made from the requirements of a model that was registered under JAX."""
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: name if name in present else None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert backend.check_backend() == chosen
