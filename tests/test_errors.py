"""What ends in one line on stderr and exit status 1, and what keeps its traceback."""

import errno
import io
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tqdm import tqdm

from brats_cascade import cli, interrupted
from brats_cascade.errors import (
    MachineError,
    UserError,
    ending_in_one_line,
    is_trouble,
    naming,
    one_line,
    printable,
    start_log,
)
from brats_cascade.shared import write_text
from brats_cascade.stages import script

PIPELINES = Path(__file__).parents[1] / "pipelines"
FULL = OSError(errno.ENOSPC, "No space left on device")


def wrapped():
    try:
        raise OSError(errno.EROFS, "Read-only file system", "/a/b")
    except OSError as error:
        raise RuntimeError("the page could not be written") from error


def raising(error):
    def stage(*_, **__):
        raise error

    return stage


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (raising(UserError("a:\n b")), "error: a: b\n"),
        (raising(MachineError("disk:\n full")), "error: disk: full\n"),
        (raising(FULL), "error: below {}: No space left on device; free some space, then run the same command again\n"),
        (
            raising(OSError(errno.EMFILE, "x", "/a")),
            "error: /a: Too many open files; raise the limit (ulimit -n), or use fewer workers, then run the same "
            "command again\n",
        ),
        (raising(MemoryError()), "error: below {}: not enough memory; close other programs, or use fewer workers, then "
         "run the same command again\n"),
        (raising(OSError(errno.ENAMETOOLONG, "Too long", "/a")), "error: /a: Too long; give a shorter one\n"),
        (raising(OSError(errno.EISDIR, "Is a folder", "/a")), "error: /a: Is a folder; expected a file; give another name\n"),
        (raising(OSError(errno.EEXIST, "Exists", "/a")), "error: /a: Exists; expected a folder; give another place\n"),
        (raising(OSError(errno.EINVAL, "Invalid", "a:b")), "error: a:b: Invalid; give another name, or another place\n"),
        (wrapped, "error: /a/b: Read-only file system; make the file system writable, then run the same command again\n"),
    ],
)  # fmt: skip
def test_mistakes_and_trouble_of_the_machine_end_in_one_line(capsys, stage, line):
    with pytest.raises(SystemExit) as caught, ending_in_one_line():
        stage()
    assert caught.value.code == 1
    assert capsys.readouterr().err == line.format(Path.cwd())


@pytest.mark.parametrize("error", [ValueError("a"), FileNotFoundError(errno.ENOENT, "no file", "a"), OSError("a")])
def test_other_exceptions_keep_their_traceback(error):
    with pytest.raises(type(error)) as caught, ending_in_one_line():
        raise error
    assert caught.value is error


def test_a_stage_and_a_command_end_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["split.py"])
    monkeypatch.setattr(script, "load_params", lambda path: None)
    with pytest.raises(SystemExit, match="1"):
        script.run(raising(FULL))
    monkeypatch.setattr(cli, "app", raising(FULL))
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    first, second = capsys.readouterr().err.splitlines()
    assert first == second and first.startswith("error: below ") and "No space left on device" in first
    assert not list(tmp_path.rglob("*.json"))  # no note of the cost of a stage that failed


def test_errors_of_writing_are_given_the_name_of_the_file(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(OSError, match="No space") as caught, naming(path):
        raise FULL
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, os.fspath(path))
    with pytest.raises(FileNotFoundError) as other, naming(path, draft=tmp_path / "draft"):
        (tmp_path / "b").read_bytes()
    assert other.value.filename == str(tmp_path / "b")


@pytest.mark.parametrize(
    "error", [None, FileNotFoundError(errno.ENOENT, "as below /proc"), OSError(errno.EINVAL, "as for a name on exFAT")]
)
def test_a_place_where_no_folder_can_be_made_is_one_line(error, tmp_path, monkeypatch, capsys):
    place = tmp_path / "loop/x"
    if error is None:
        place.parent.symlink_to("loop")
    else:
        error.filename = str(place)
        monkeypatch.setattr(Path, "mkdir", raising(error))
    with pytest.raises(SystemExit), ending_in_one_line():
        write_text(place / "table.csv", "")
    assert capsys.readouterr().err.startswith(f"error: {place}: ")


def test_permission_is_the_machines_trouble_in_writing_alone():
    closed = PermissionError(errno.EACCES, "x")
    assert is_trouble(closed) and not is_trouble(closed, reading=True)
    assert is_trouble(OSError(errno.ESTALE, "x"), reading=True)


def test_ctrl_c_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended, ending_in_one_line():
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted; run the same command again to resume\n"


@pytest.mark.slow
@pytest.mark.parametrize("program", [*sorted(path.name for path in PIPELINES.glob("*.py")), "brats_cascade.cli"])
def test_ctrl_c_while_a_program_imports_is_one_line(tmp_path, program):
    for name in ("numpy", "pydantic", "typer"):
        (tmp_path / f"{name}.py").write_text("raise KeyboardInterrupt")
    words = [PIPELINES / program] if program.endswith(".py") else ["-m", program]
    path = os.pathsep.join([str(tmp_path), str(PIPELINES.parent / "src")])
    done = subprocess.run(
        [sys.executable, *words], env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "interrupted; run the same command again to resume\n")


def test_so_is_one_that_a_library_makes_an_error_of_its_own(capsys):
    error = ValueError("Field `architecture`:\n  KeyboardInterrupt: \n")
    interrupted._end(type(error), error, None)
    assert capsys.readouterr().err == "interrupted; run the same command again to resume\n"
    interrupted._end(ValueError, ValueError("a"), None)
    assert capsys.readouterr().err.endswith("ValueError: a\n")


def test_the_line_does_not_stand_behind_a_bar_of_progress(capsys):
    cases = iter(bar := tqdm(range(3), desc="cases"))
    with pytest.raises(SystemExit), ending_in_one_line():
        next(cases)
        raise UserError("a: expected b, found c")
    bar.close()
    assert "error: a: expected b, found c" in capsys.readouterr().err.splitlines()


def test_passwords_in_addresses_are_in_no_message(capsys, monkeypatch):
    """Servers and databases are given as scheme://user:password@host; their errors repeat the address."""
    address = "http://me:s3cret@host:5000/api"
    with pytest.raises(SystemExit), ending_in_one_line():
        raise UserError(f"{address}: not found")
    assert capsys.readouterr().err == "error: http://me:***@host:5000/api: not found\n"
    assert one_line(OSError(f"{address} and postgresql+psycopg://u:p/w@h/d failed")) == (
        "http://me:***@host:5000/api and postgresql+psycopg://u:***@h/d failed"
    )
    assert printable("http://me:s3@cret@host/a?b=c@d") == "http://me:***@host/a?b=c@d"
    assert printable("redis://:s3cret@host") == "redis://:***@host"
    assert printable("postgresql://h/d?user=u&password=s3cret&x=1") == "postgresql://h/d?user=u&password=***&x=1"
    for plain in ("http://host:80/a", "see https://host/a?mail=x@y.z", "journal:a@b", "C://a:b"):
        assert printable(plain) == plain
    handler = logging.StreamHandler(log := io.StringIO())
    monkeypatch.setattr(logging, "basicConfig", lambda level, handlers: handler.setFormatter(handlers[0].formatter))
    start_log(level="info", form="%(message)s")
    handler.handle(logging.LogRecord("a", logging.WARNING, "", 1, "MLflow at %s failed", (address,), None))
    assert log.getvalue() == "MLflow at http://me:***@host:5000/api failed\n"
