"""Starting Keras's backend without its chatter, and the settings that keep every dependency's telemetry off."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# What TensorFlow's and Keras's packages import where they find it, two seconds at every start, and need for nothing here.
NOT_NEEDED = ("jax", "sklearn")
# One of these is set for each of several processes that train together.
CLUSTER = ("TF_CONFIG", "KERAS_DISTRIBUTION_PROCESS_ID")


def keep_quiet() -> None:
    """Switches telemetry off and logs down, for this process and its children; what the user has set stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def start_backend() -> None:
    """Imports Keras and its backend (KERAS_BACKEND, by default TensorFlow) and lets it look for devices."""
    import_backend()
    if _unused:
        _unused.clear()
        if not any(name in os.environ for name in CLUSTER):  # a cluster is joined before anything computes
            import keras

            with _chatter_kept_back():
                keras.ops.zeros(1)


def import_backend() -> None:
    """Imports Keras and its backend, and touches no device."""
    keep_quiet()
    if "keras" in sys.modules:
        return
    tensorflow = os.environ.setdefault("KERAS_BACKEND", "tensorflow") == "tensorflow"
    hidden = [name for name in NOT_NEEDED if tensorflow and name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import finds no such package
    try:
        with _chatter_kept_back():
            import keras  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
    _unused.add("keras")


_unused: set[str] = set()  # what this module imported and nothing has computed with


@contextlib.contextmanager
def _chatter_kept_back() -> Iterator[None]:
    """TensorFlow's C++ code writes to file descriptor 2 before it reads any setting: shown only if something fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as chatter:
        screen = os.dup(2)
        os.dup2(chatter.fileno(), 2)
        try:
            yield
        except BaseException:
            chatter.seek(0)
            os.write(screen, chatter.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)
