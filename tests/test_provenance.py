"""The commit that a number is said to come from, the machine, and the scans."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from brats_cascade.provenance import UNKNOWN, accelerators, card_of, git_commit, gpus, machine, processor_of
from brats_cascade.report.last_run import scans_hash

PRODUCTS = (
    "dvc.lock", "params.yaml", "docs/results/speed.md", "docs/results/speed/case.json", "metrics/two_path.json",
    "metrics/costs/two_path.json",
)  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in (*PRODUCTS, "src/code.py", "docs/how.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    return tmp_path


def test_only_changes_of_what_computes_are_told(repository: Path) -> None:
    commit = next((repository / ".git/refs/heads").iterdir()).read_text().strip()
    for name in PRODUCTS:
        (repository / name).write_text("2")
    (repository / "note.txt").write_text("not tracked")
    assert git_commit(repository) == git_commit(repository / "src") == commit
    (repository / "src/code.py").write_text("2")
    assert git_commit(repository) == f"{commit}+changes"


def test_outside_of_git_the_commit_is_unknown(tmp_path: Path) -> None:
    assert git_commit(tmp_path) == UNKNOWN


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ("fpu sse2 avx2 avx512f avx512_bf16 fma", " with AVX-512 bfloat16"),
        ("avx2 avx512f", " with AVX-512"),
        ("fma avx avx2", " with AVX2"),
        ("fpu sse2", ""),
    ],
)
def test_processors_of_one_name_are_told_apart_by_their_arithmetic(flags: str, shown: str) -> None:
    one = f"processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: {flags}\n"
    other = "processor\t: 1\nmodel name\t: Other\nflags\t\t: amx_bf16\n"
    assert processor_of(f"{one}\n{other}") == f"AMD EPYC{shown}"


def test_a_processor_without_a_name_is_named_by_the_platform() -> None:
    assert processor_of("processor\t: 0\nFeatures\t: fp asimd bf16\n") == ""
    assert machine().endswith(" GiB")


@pytest.mark.parametrize(("cores", "said"), [(1, ", 1 core, "), (2, ", 2 cores, ")])
def test_the_machine_names_the_cores_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, cores: int, said: str
) -> None:
    monkeypatch.setattr("brats_cascade.provenance.usable_cores", lambda: cores)
    assert said in machine()


CASES = {
    "case": ["a", "b"], "patient": ["p", "q"], "voxels_hash": ["1", "2"], "label_0": [9, 8], "label_4": [1, 2],
    "flair_mean": [0.1, 0.2],
}  # fmt: skip


@pytest.fixture
def hash_of(tmp_path: Path):
    def written(**changed: list) -> str:
        pd.DataFrame({**CASES, **changed}).to_parquet(tmp_path / "cases.parquet")
        return scans_hash(tmp_path / "cases.parquet")

    return written


def test_the_same_scans_are_known_on_every_machine(hash_of, tmp_path: Path) -> None:
    here = hash_of()
    assert hash_of(flair_mean=[0.1 + 1e-12, 0.2]) == here  # a sum taken in another order
    pd.DataFrame(CASES).iloc[::-1].to_parquet(tmp_path / "other.parquet")
    assert scans_hash(tmp_path / "other.parquet") == here


@pytest.mark.parametrize("column", ["case", "patient", "voxels_hash", "label_4"])
def test_other_scans_or_labels_are_told_apart(hash_of, column: str) -> None:
    changed = [5, 6] if column == "label_4" else ["x", "y"]
    assert hash_of(**{column: changed}) != hash_of()


def test_excluded_cases_do_not_count(hash_of, tmp_path: Path) -> None:
    hash_of()
    pd.DataFrame(CASES).iloc[:1].to_parquet(tmp_path / "fewer.parquet")
    assert scans_hash(tmp_path / "cases.parquet", excluded=["b"]) == scans_hash(tmp_path / "fewer.parquet") != hash_of()


def test_a_label_that_was_not_counted_is_a_value_of_its_own(hash_of) -> None:
    assert hash_of(label_4=pd.array([None, 2], dtype="Int64")) not in ("", hash_of())


def test_without_the_table_nothing_is_claimed(tmp_path: Path) -> None:
    assert scans_hash(tmp_path / "cases.parquet") == ""


def test_the_gpus_in_use_are_named_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(device_kind="H100", platform="gpu", compute_capability="9.0")
    processor = SimpleNamespace(device_kind="cpu", platform="cpu")
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(local_devices=lambda: [card, card, processor]))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert accelerators() == ["H100", "H100"] and gpus() == [("H100", "9.0")] * 2
    assert machine().endswith(" GiB, H100")
    assert card_of(machine()) == "H100" and card_of("AMD EPYC, 2 cores, 24 GiB") == card_of("a computer") == ""
    details = SimpleNamespace(get_device_details=lambda one: {"device_name": one, "compute_capability": (8, 0)})
    config = SimpleNamespace(list_physical_devices=lambda kind: [f"A100 {kind}"], experimental=details)
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert accelerators() == ["A100 GPU"] and gpus() == [("A100 GPU", "8.0")]
