"""The process that has TensorFlow imported: what it runs for a stage is what the stage itself would have run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PIPELINES = Path(__file__).parents[1] / "pipelines"

STAGE = f"""
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {str(PIPELINES)!r})
from _warm import VARIABLE, run_warm
status = run_warm()
if status is not None:
    sys.exit(status)
what = sys.argv[1]
print(what, Path.cwd().name, os.environ.get("OWN"), "tensorflow" in sys.modules, VARIABLE in os.environ, os.getppid())
sys.stdout.flush()
print("to stderr", file=sys.stderr)
if what == "computes":
    from brats_cascade.backend import start_backend
    start_backend()  # as every stage does: what TensorFlow says of devices it does not find is kept back
    import keras
    print(float(keras.ops.sum(keras.ops.ones((3, 4)))), "brats_cascade.config" in sys.modules)
elif what == "exits":
    sys.exit(3)
elif what == "complains":
    sys.exit("a line")
elif what == "raises":
    raise ValueError("broken")
elif what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif what == "waits":
    Path("pid").write_text(str(os.getpid()))
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        with open("interrupts", "a") as file:
            file.write("once ")
        time.sleep(0.5)
        raise
"""


@pytest.fixture(scope="module")
def linux() -> None:
    """Skips on other systems, which have no warm process; that a command runs without one there is tested below."""
    if sys.platform != "linux":
        pytest.skip("no warm process on this system")


@pytest.fixture(scope="module")
def warm(linux: None) -> Iterator[dict[str, str]]:
    """The environment of a command that `_warm.py` runs."""
    code = "import os, sys; print(os.environ['BRATS_CASCADE_WARM'], flush=True); sys.stdin.read()"
    words = [sys.executable, str(PIPELINES / "_warm.py"), sys.executable, "-c", code]
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        path = process.stdout.readline().strip()
        _until(lambda: Path(path).exists())
        yield environment | {"BRATS_CASCADE_WARM": path, "OWN": "mine"}
        process.stdin.close()
        assert process.wait(20) == 0
    assert not Path(path).parent.exists()


@pytest.fixture
def stage(tmp_path: Path, warm: dict[str, str]) -> Callable[..., "subprocess.Popen[str]"]:
    """stage(what, **environment): the script, started in tmp_path."""
    script = tmp_path / "stage.py"
    script.write_text(STAGE)

    def start(what: str, **changes: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(script), what], cwd=tmp_path, env=warm | changes, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return start


def _until(holds: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def _alive(process: int) -> bool:
    """Whether a process runs; one that has ended and is still listed does not."""
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_stage_runs_with_tensorflow_imported_in_its_own_folder_and_environment(stage, tmp_path: Path) -> None:
    parents = set()
    for _ in range(2):
        process = stage("computes")
        out, err = process.communicate(timeout=60)
        first, second = out.splitlines()
        *words, parent = first.split()
        assert words == ["computes", tmp_path.name, "mine", "True", "False"]
        assert second == "12.0 False"
        assert (process.returncode, err) == (0, "to stderr\n")
        parents.add(parent)
    assert len(parents) == 1 and str(os.getpid()) not in parents  # forked from one process, which is not this one


@pytest.mark.parametrize(("what", "status", "last"), [
    ("exits", 3, "to stderr"), ("complains", 1, "a line"), ("raises", 1, "ValueError: broken"),
    ("killed", 1, "its process was killed; run the same command again"),
])  # fmt: skip
def test_how_a_stage_ends_is_how_it_ends_for_dvc(stage, what: str, status: int, last: str) -> None:
    process = stage(what)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert out.startswith(what) and err.splitlines()[-1].endswith(last)


def test_a_killed_stage_leaves_nothing_running(stage, tmp_path: Path) -> None:
    process = stage("waits")
    _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    behind = int((tmp_path / "pid").read_text())
    assert behind != process.pid and _alive(behind)
    process.kill()
    process.communicate(timeout=20)
    _until(lambda: not _alive(behind), seconds=10)


@pytest.mark.parametrize(("number", "status", "said"), [(signal.SIGINT, 130, "once "), (signal.SIGTERM, 1, None)])
def test_signals_reach_the_stage_once(stage, tmp_path: Path, number: int, status: int, said: str | None) -> None:
    process = stage("waits")
    _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    behind = int((tmp_path / "pid").read_text())
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == status
    _until(lambda: not _alive(behind), seconds=10)
    interrupts = tmp_path / "interrupts"
    assert (interrupts.read_text() if interrupts.exists() else None) == said


@pytest.mark.parametrize("changes", [{"BRATS_CASCADE_WARM": "/nowhere"}, {"KERAS_BACKEND": "jax"}])
def test_without_the_process_or_with_another_backend_a_stage_runs_by_itself(stage, changes: dict[str, str]) -> None:
    process = stage("exits", **changes)
    out, err = process.communicate(timeout=60)
    words = out.split()
    assert (process.returncode, words[3], words[5]) == (3, "False", str(os.getpid()))
    assert err == "to stderr\n"


def test_on_other_systems_the_command_runs_by_itself(tmp_path: Path) -> None:
    code = f"import sys; sys.platform = 'darwin'; sys.path.insert(0, {str(PIPELINES)!r})\n"
    code += "import _warm; sys.exit(_warm.main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        "import os, sys; print(os.environ.get('BRATS_CASCADE_WARM'), os.getppid()); sys.exit(7)",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "BRATS_CASCADE_WARM"}
    with subprocess.Popen(
        [sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True, env=environment
    ) as wrapper:
        out, _ = wrapper.communicate(timeout=20)
    assert out.split() == ["None", str(wrapper.pid)] and wrapper.returncode == 7


@pytest.mark.usefixtures("linux")
def test_the_process_ends_with_its_command_and_gives_its_status(tmp_path: Path) -> None:
    words = [sys.executable, str(PIPELINES / "_warm.py"), "sh", "-c", 'echo "$PPID $BRATS_CASCADE_WARM"; exit 7']
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7 and done.stderr == ""
    path = done.stdout.split()[1]
    assert not Path(path).exists() and not _serving(path)


def test_a_command_that_is_not_there_is_one_line() -> None:
    words = [sys.executable, str(PIPELINES / "_warm.py"), "no-such-command"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr == "error: no-such-command: no such command; expected one such as `dvc repro`\n"


@pytest.mark.usefixtures("linux")
def test_a_killed_wrapper_leaves_no_process_behind() -> None:
    words = [sys.executable, str(PIPELINES / "_warm.py"), "sh", "-c", 'echo "$BRATS_CASCADE_WARM $$"; exec sleep 30']
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path, number = process.stdout.readline().split()
        sleeper = int(number)
        _until(lambda: _serving(path))
        process.kill()
        _until(lambda: not _serving(path), seconds=10)
        os.kill(sleeper, signal.SIGTERM)


def _serving(path: str) -> bool:
    """Whether a process serves this socket."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "--serve" in words and path in words:
            return True
    return False
