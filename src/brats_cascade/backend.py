"""Starts Keras with the chosen backend and fixed settings, silences libraries, and disables all telemetry."""

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

# Packages that TensorFlow and Keras import if they are installed. They are not needed here and delay every start by 3 s.
NOT_NEEDED = ("jax", "matplotlib", "sklearn")
# KERAS_BACKEND -> the extra of this project that installs it.
BACKENDS = {"tensorflow": "brats-cascade", "jax": "brats-cascade[jax]"}
# One of these is set in each of several processes that train together.
CLUSTER = ("TF_CONFIG", "KERAS_DISTRIBUTION_PROCESS_ID")


def keep_quiet() -> None:
    """Disables telemetry and reduces logging in this process and its children; settings made by the user are kept."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def start_backend() -> None:
    """Imports Keras and its backend (KERAS_BACKEND, by default TensorFlow) and initialises the devices."""
    import_backend()
    if not any(name in os.environ for name in CLUSTER):  # join a cluster before any computation
        _look_for_devices()


@cache
def _look_for_devices() -> None:
    import keras

    with _chatter_kept_back():
        keras.ops.zeros(1)


def import_backend() -> None:
    """Imports Keras and its backend without initialising a device.

    The user's keras.json is ignored; it may name another backend, image layout or number format.

    Raises:
        UserError: KERAS_BACKEND is not supported or not installed.
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
    """Raises this process's limit of open files to the hard limit, because a training keeps three files per case open."""
    with contextlib.suppress(OSError, ValueError):  # refused
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def check_backend() -> str:
    """The backend named by KERAS_BACKEND; imports nothing, and raises as `import_backend` does.

    By default it is TensorFlow or, where only JAX is installed (the requirements of a model registered under JAX), JAX.
    """
    installed = (name for name in BACKENDS if importlib.util.find_spec(name) is not None)
    backend = os.environ.get("KERAS_BACKEND") or next(installed, "tensorflow")
    if backend not in BACKENDS:
        raise UserError(
            f"KERAS_BACKEND={backend}: expected {' or '.join(BACKENDS)}; run `unset KERAS_BACKEND` to use tensorflow"
        )
    if importlib.util.find_spec(backend) is None:
        raise UserError(f"KERAS_BACKEND={backend}: {backend} is not installed; run: pip install '{BACKENDS[backend]}'")
    return backend


def _import_keras(*, backend: str) -> None:
    os.environ["KERAS_BACKEND"] = backend  # overrides keras.json
    hidden = [name for name in NOT_NEEDED if backend == "tensorflow" and name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import finds no such package
    try:
        with _chatter_kept_back():
            import keras  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
    logging.getLogger("tensorflow").setLevel(logging.WARNING)  # prints where it writes a SavedModel


@contextlib.contextmanager
def _chatter_kept_back() -> Iterator[None]:
    """Holds back what TensorFlow's C++ code writes to stderr before it reads its settings; shown only after a failure."""
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
