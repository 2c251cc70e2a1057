"""Stages that start in no time: python pipelines/_warm.py dvc repro (what `make repro` runs).

Every stage is a process of its own and would import TensorFlow, Keras and MLflow anew, 5 s each, two minutes over twelve
experiments. Here one process imports them once and forks itself for each stage that asks (`run_warm`); the stage that DVC
started waits for it and passes signals on. Without that process, on another system than Linux, or with another backend than
TensorFlow, a stage runs in its own process as ever: nothing but the time differs.

The forked process has imported none of the project's code but `brats_cascade.backend`: what is edited meanwhile counts. It
ends when the stage that asked ends, however that is.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path

VARIABLE = "BRATS_CASCADE_WARM"  # the socket's path
SIGNALS = (signal.SIGINT, signal.SIGTERM)
HEAVY = (
    "pandas", "scipy.ndimage", "matplotlib.figure", "matplotlib.backends.backend_agg", "mlflow.keras",
    "mlflow.store.tracking.sqlalchemy_store",
)  # fmt: skip


def run_warm() -> int | None:
    """Has this script, with its arguments, run by the warm process.

    Returns:
        Its exit status; None if there is no such process, and the caller has to do its work itself.
    """
    path, backend = os.environ.get(VARIABLE), os.environ.get("KERAS_BACKEND", "tensorflow")
    if not path or backend != "tensorflow":
        return None
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(path)
        except OSError:
            return None
        request = {"argv": sys.argv, "cwd": str(Path.cwd()), "environ": dict(os.environ)}
        text = json.dumps(request).encode()
        socket.send_fds(link, [len(text).to_bytes(8, "big")], [0, 1, 2])
        link.sendall(text)
        answers = link.makefile("r")
        process = int(answers.readline() or 0)
        if not process:
            return None
        for number in SIGNALS:
            signal.signal(number, lambda received, _: os.kill(process, received))
        status = answers.readline()
    if not status:
        sys.stderr.write(f"error: {' '.join(sys.argv)}: its process was killed; run the same command again\n")
    return int(status or 1)


def main(command: list[str]) -> int:
    """Runs a command with a warm process beside it, and gives its exit status."""
    if sys.platform != "linux":
        return subprocess.call(command)
    with tempfile.TemporaryDirectory(prefix="brats-cascade-") as folder:  # of this user alone: mode 0700
        path = Path(folder) / "warm"
        words = [sys.executable, __file__, "--serve", str(path), str(os.getpid())]
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        # A terminal's Ctrl-C reaches the command by itself; it decides what happens.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with subprocess.Popen(
                command, env=os.environ | {VARIABLE: str(path)}, preexec_fn=_heed_interrupts
            ) as process:
                signal.signal(signal.SIGTERM, lambda *_: process.terminate())
                return process.wait()
        finally:
            server.terminate()
            server.wait()


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def serve(path: str, *, parent: int) -> None:
    """Forks this process for every stage that asks, until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fork = multiprocessing.get_context("fork")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        door.settimeout(1)
        while os.getppid() == parent:
            multiprocessing.active_children()  # forgets those that have ended
            with contextlib.suppress(TimeoutError):
                link, _ = door.accept()
                _import_heavy()
                with link, warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of threads: they are OpenBLAS's, which heeds forks
                    fork.Process(target=_stage, args=(link, door)).start()


def _import_heavy() -> None:
    """Imports what stages need, once; no device is touched, as a fork could not go on with it."""
    if "tensorflow" not in sys.modules:
        from brats_cascade.backend import import_backend

        import_backend()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's of its own type hints
            for name in HEAVY:
                importlib.import_module(name)


def _stage(link: socket.socket, door: socket.socket) -> None:
    """In the forked process: becomes the stage that asked."""
    door.close()
    os.setpgid(0, 0)  # signals come through the stage that asked, once
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    link.settimeout(None)
    size, given, _, _ = socket.recv_fds(link, 8, 3)
    for place, number in enumerate(given):
        os.dup2(number, place)
        os.close(number)
    text = link.makefile("rb").read(int.from_bytes(size, "big"))
    request = json.loads(text)
    link.sendall(f"{os.getpid()}\n".encode())
    threading.Thread(target=_end_with, args=(link,), daemon=True).start()
    os.environ.clear()
    os.environ.update(request["environ"])
    del os.environ[VARIABLE]
    os.chdir(request["cwd"])
    sys.argv = request["argv"]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    status = 1
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        if isinstance(ending.code, str):
            sys.stderr.write(f"{ending.code}\n")
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    link.sendall(f"{status}\n".encode())


def _end_with(link: socket.socket) -> None:
    """Waits until the stage that asked is gone, and goes too."""
    with contextlib.suppress(OSError):
        link.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], parent=int(sys.argv[3]))
    elif not sys.argv[1:]:
        sys.exit(__doc__)
    elif shutil.which(sys.argv[1]) is None:
        sys.exit(f"error: {sys.argv[1]}: no such command; expected one such as `dvc repro`")
    else:
        sys.exit(main(sys.argv[1:]))
