"""Which precision is computed in on which device, and the warning where bfloat16 is emulated."""

from pathlib import Path

import pytest

from brats_cascade import precision
from brats_cascade.errors import UserError
from brats_cascade.models import fold
from brats_cascade.params import load_params
from brats_cascade.project import Project
from brats_cascade.stages.evaluate import evaluate
from brats_cascade.stages.train_entry import on_this_device

ROOT = Path(__file__).parents[1]
WARNING = "this device emulates bfloat16, which can make a training many times slower; use float32 or auto"


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "gpus", list)


def _processor(flags: str, *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str = "flags") -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: Some CPU\n{key}\t\t: {flags}\n")
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")


@pytest.mark.parametrize(
    ("key", "flags", "native"),
    [
        ("flags", "fpu avx avx2 fma", False),
        ("flags", "fpu avx2 avx512f avx512bw", False),
        ("flags", "fpu avx2 avx512f avx512_bf16", True),
        ("flags", "fpu avx2 avx512f amx_bf16", True),
        ("Features", "fp asimd", False),
        ("Features", "fp asimd bf16", True),
    ],
)
def test_auto_is_bfloat16_on_processors_with_instructions_for_it(key, flags, native, tmp_path, monkeypatch) -> None:
    _processor(flags, tmp_path=tmp_path, monkeypatch=monkeypatch, key=key)
    assert precision.settled("auto") == ("bfloat16" if native else "float32")
    assert [precision.settled(given) for given in ("float32", "bfloat16")] == ["float32", "bfloat16"]


def test_arm_processors_need_no_name_and_other_systems_get_float32(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
    assert precision.settled("auto") == "float32"
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd i8mm bf16\n")
    assert precision.settled("auto") == "bfloat16"


@pytest.mark.parametrize(
    ("cards", "native"),
    [
        ([("H200", "9.0")], True), ([("A100", "8.0")] * 2, True), ([("T4", "7.5")], False), ([("V100", "7.0")], False),
        ([("A100", "8.0"), ("T4", "7.5")], False), ([("TPU v4", "")], True), ([("MI300", "gfx942")], True),
    ],
)  # fmt: skip
def test_gpus_decide_by_their_compute_capability_whatever_the_processor(cards, native, tmp_path, monkeypatch) -> None:
    _processor("fpu avx512_bf16" if not native else "fpu avx2", tmp_path=tmp_path, monkeypatch=monkeypatch)
    monkeypatch.setattr(precision, "gpus", lambda: cards)
    assert precision.settled("auto") == ("bfloat16" if native else "float32")


def test_only_emulated_bfloat16_causes_a_warning(tmp_path, monkeypatch, caplog) -> None:
    _processor("fpu avx2", tmp_path=tmp_path, monkeypatch=monkeypatch)
    for given in ("float32", "auto"):
        precision.warn_if_emulated(given)
    assert caplog.messages == []
    precision.warn_if_emulated("bfloat16")
    assert caplog.messages == [WARNING]
    _processor("fpu avx512_bf16", tmp_path=tmp_path, monkeypatch=monkeypatch)
    precision.warn_if_emulated("bfloat16")
    assert caplog.messages == [WARNING]


def test_a_training_gets_the_precision_of_its_device_and_nothing_else_changes(tmp_path, monkeypatch, caplog) -> None:
    _processor("fpu avx512_bf16", tmp_path=tmp_path, monkeypatch=monkeypatch)
    train = load_params(ROOT / "params.yaml").experiments["two_path"].train.model_copy(update={"precision": "auto"})
    found = on_this_device(train)
    assert found == train.model_copy(update={"precision": "bfloat16"})
    _processor("fpu avx2", tmp_path=tmp_path, monkeypatch=monkeypatch)
    assert on_this_device(train).precision == "float32" and caplog.messages == []
    assert on_this_device(found) == found and caplog.messages == [WARNING]


@pytest.mark.parametrize(("native", "wanted"), [(True, "bfloat16"), (False, "float32")])
def test_evaluation_loads_the_network_in_the_precision_of_its_device(native, wanted, tmp_path, monkeypatch) -> None:
    def load(path: Path, *, precision: str) -> None:
        raise UserError(f"{path.name} in {precision}")

    monkeypatch.setattr(fold, "load_for_inference", load)
    monkeypatch.setattr(precision, "native_bfloat16", lambda: native)
    params = load_params(ROOT / "params.yaml")
    params = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"precision": "auto"})})
    with pytest.raises(UserError, match=f"two_path in {wanted}"):
        evaluate(Project(tmp_path), params, "two_path")
