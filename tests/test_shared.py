"""Entries of a folder that several processes share: what one uses stays, the rest is kept below a size."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from limits import small_files

from brats_cascade.inference.volumes import keep_volumes, read_volumes, region_volumes
from brats_cascade.shared import TakenError, claimed, in_use, write_json, written_whole

# One worker after another makes its entry, in pieces, while the others make theirs with room for two entries at most.
WORKER = """
import sys, time
from pathlib import Path
from brats_cascade.shared import in_use

folder, name = Path(sys.argv[1]), sys.argv[2]
for round in range(5):
    own = folder / f"{name}{round % 2}"
    with in_use(own, limit=2500):
        own.mkdir(exist_ok=True)
        for number in range(10):
            (own / f"{number}.npy").write_bytes(b"x" * 100)
            time.sleep(0.003)
        assert len(list(own.iterdir())) == 10, own
"""


def _put(entry: Path, *, size: int, used: int) -> Path:
    entry.mkdir(parents=True)
    (entry / "maps.npy").write_bytes(b"x" * size)
    os.utime(entry, (used, used))
    return entry


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    old, older, new = (_put(tmp_path / name, size=100, used=used) for name, used in (("b", 2), ("a", 1), ("c", 3)))
    with in_use(tmp_path / "d", limit=250):
        assert (older.exists(), old.exists(), new.exists()) == (False, True, True)
        _put(tmp_path / "d", size=100, used=4)
    assert (old.exists(), new.exists()) == (False, True)
    with in_use(new, limit=250):
        pass
    file = tmp_path / "file.npz"
    with in_use(file, limit=250):
        file.write_bytes(b"x" * 100)
    assert not (tmp_path / "d").exists() and new.exists() and file.exists()  # `new` was used again since


def test_what_is_in_use_stays_whatever_its_size(tmp_path: Path) -> None:
    entries = [tmp_path / name for name in "abc"]
    ready, done = threading.Barrier(4), threading.Event()

    def hold(entry: Path) -> None:
        with in_use(entry, limit=1):
            _put(entry, size=100, used=1)
            ready.wait(20)
            done.wait(20)

    threads = [threading.Thread(target=hold, args=(entry,)) for entry in entries]
    for thread in threads:
        thread.start()
    ready.wait(20)
    with in_use(tmp_path / "d", limit=1):
        assert all((entry / "maps.npy").is_file() for entry in entries)
    done.set()
    for thread in threads:
        thread.join()
    with in_use(tmp_path / "d", limit=1):
        assert not any(entry.exists() for entry in entries)
        assert {path.name for path in (tmp_path / ".locks").iterdir()} == {".turn", "d"}


@pytest.mark.slow
def test_four_processes_do_not_delete_what_another_writes(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WORKER, str(tmp_path)]
    workers = [subprocess.Popen([*words, name], stderr=subprocess.PIPE, text=True) for name in "abcd"]
    for worker in workers:
        errors = worker.communicate(timeout=60)[1]
        assert worker.returncode == 0, errors
    with in_use(tmp_path / "e", limit=2500):  # two that end at once may each find the other still in use
        pass
    sizes = [sum(path.stat().st_size for path in entry.iterdir()) for entry in tmp_path.glob("[a-d]?")]
    assert 1000 <= sum(sizes) <= 2500


@pytest.mark.slow
def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    _put(tmp_path / "a", size=100, used=1)
    code = (
        "import sys, time; from pathlib import Path; from brats_cascade.shared import in_use\n"
        "with in_use(Path(sys.argv[1]), limit=1): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with in_use(tmp_path / "b", limit=1):
            assert (tmp_path / "a").exists()
        process.send_signal(signal.SIGKILL)
    with in_use(tmp_path / "b", limit=1):
        assert not (tmp_path / "a").exists()


def test_without_locks_nothing_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(tmp_path / "a", size=100, used=1)

    def no_locks(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("brats_cascade.shared.fcntl.flock", no_locks)
    with in_use(tmp_path / "b", limit=1):
        assert (tmp_path / "a").exists()


def test_a_file_is_replaced_as_a_whole_or_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.csv"
    with written_whole(path) as draft:
        draft.write_text("old")
        assert draft.suffix == ".csv" and not path.exists()
    with written_whole(path) as draft:
        draft.write_text("new")
        written, kept = draft.stat().st_ino, path.read_text()
    assert (kept, path.read_text(), path.stat().st_ino) == ("old", "new", written)  # moved there, not copied
    with pytest.raises(OSError, match="full"), written_whole(path) as draft:
        draft.write_text("half")
        raise OSError("full")
    assert path.read_text() == "new" and list(path.parent.iterdir()) == [path]


HOLDER = """
import pathlib, sys, time
from brats_cascade.shared import claimed

with claimed(pathlib.Path(sys.argv[1])):
    print("claimed", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_one_process_claims_a_file_and_a_kill_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "claimed\n"
        with pytest.raises(TakenError, match=f"^{holder.pid}$"), claimed(path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with claimed(path):
            assert path.read_text() == str(os.getpid())


def test_a_file_that_does_not_fit_is_named_and_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"name": "é"})
    assert path.read_text(encoding="utf-8") == '{\n  "name": "é"\n}\n'
    with small_files(1000), pytest.raises(OSError, match="File too large") as caught:
        write_json(path, ["x" * 2000])
    assert caught.value.filename == str(path)
    assert path.stat().st_size == 19 and list(tmp_path.iterdir()) == [path]


WRITER = """
import pathlib, sys, time
from brats_cascade.shared import written_whole

with written_whole(pathlib.Path(sys.argv[1])) as draft:
    draft.write_text("half")
    print(draft, flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_the_draft_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WRITER]
    killed, living = (
        subprocess.Popen([*words, str(tmp_path / name)], stdout=subprocess.PIPE, text=True)
        for name in ("a.nii", "b.nii")
    )
    with killed, living:
        assert killed.stdout is not None and living.stdout is not None
        left, used = (Path(process.stdout.readline().strip()) for process in (killed, living))
        killed.kill()
        killed.wait()
        elsewhere = left.with_name(left.name.replace(left.name.split(".")[2][:8], "0" * 8))
        elsewhere.write_text("of another host")
        assert left.is_file() and used.is_file()
        with written_whole(tmp_path / "c.nii") as draft:
            draft.write_text("whole")
        assert not left.exists() and used.is_file() and elsewhere.is_file()
        living.kill()


def test_a_json_file_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("fsync"), sync(number)))
    monkeypatch.setattr(Path, "replace", lambda own, other: (done.append("replace"), replace(own, other)))
    write_json(tmp_path / "state.json", {"a": "\u00e9"})
    assert done == ["fsync", "replace"] and (tmp_path / "state.json").read_text() == '{\n  "a": "\u00e9"\n}\n'


def test_rows_from_several_commands_at_once_all_stay(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for place in range(10):
            volumes = region_volumes(np.zeros((1, 1, 1), np.uint8), voxel_mm3=1, scheme="five")
            keep_volumes(tmp_path / "out", rows=[{"case": f"{number}{place}", **volumes}])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_volumes(tmp_path / "out")) == [f"{number}{place}" for number in range(4) for place in range(10)]
