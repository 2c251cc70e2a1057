"""Starting Keras: its backend, its settings whatever the user's own are, no chatter; and every dependency's telemetry off."""

import contextlib
import importlib.util
import logging
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from functools import cache

from brats_cascade.errors import UserError

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# What TensorFlow's and Keras's packages import where they find it, two seconds at every start, and need for nothing here.
NOT_NEEDED = ("jax", "sklearn")
# KERAS_BACKEND -> what of this project brings it.
BACKENDS = {"tensorflow": "brats-cascade", "jax": "brats-cascade[jax]"}
# One of these is set for each of several processes that train together.
CLUSTER = ("TF_CONFIG", "KERAS_DISTRIBUTION_PROCESS_ID")


def keep_quiet() -> None:
    """Switches telemetry off and logs down, for this process and its children; what the user has set stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def start_backend() -> None:
    """Imports Keras and its backend (KERAS_BACKEND, by default TensorFlow) and lets it look for devices."""
    import_backend()
    if not any(name in os.environ for name in CLUSTER):  # a cluster is joined before anything computes
        _look_for_devices()


@cache
def _look_for_devices() -> None:
    import keras

    with _chatter_kept_back():
        keras.ops.zeros(1)


def import_backend() -> None:
    """Imports Keras and its backend, and touches no device.

    The user's keras.json may name another backend, image layout or number format for other work of theirs: none counts here.

    Raises:
        UserError: KERAS_BACKEND names none that these networks run on, or one that is not installed.
    """
    keep_quiet()
    if "keras" not in sys.modules:
        _allow_open_files()
        _import_keras(backend=check_backend())
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)


def _allow_open_files() -> None:
    """Raises this process's limit as far as its user may: a training keeps three files of each case open."""
    with contextlib.suppress(OSError, ValueError):  # refused
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def check_backend() -> str:
    """The backend that KERAS_BACKEND names, by default TensorFlow; imports nothing, and raises what `import_backend` does."""
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in BACKENDS:
        raise UserError(
            f"KERAS_BACKEND={backend}: expected {' or '.join(BACKENDS)}; run `unset KERAS_BACKEND` to use tensorflow"
        )
    if importlib.util.find_spec(backend) is None:
        raise UserError(f"KERAS_BACKEND={backend}: {backend} is not installed; run: pip install '{BACKENDS[backend]}'")
    return backend


def _import_keras(*, backend: str) -> None:
    os.environ["KERAS_BACKEND"] = backend  # goes before keras.json
    hidden = [name for name in NOT_NEEDED if backend == "tensorflow" and name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import finds no such package
    try:
        with _chatter_kept_back():
            import keras  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
    logging.getLogger("tensorflow").setLevel(logging.WARNING)  # says where it writes a SavedModel


@contextlib.contextmanager
def _chatter_kept_back() -> Iterator[None]:
    """TensorFlow's C++ code writes to file descriptor 2 before it reads any setting: shown only if something fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as chatter:
        screen = os.dup(2)
        os.dup2(chatter.fileno(), 2)
        try:
            yield
        except Exception:
            chatter.seek(0)
            os.write(screen, chatter.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)
