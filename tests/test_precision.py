"""The warning about bfloat16 where a device only emulates it."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brats_cascade import precision
from brats_cascade.config import load_params

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _measured_anew() -> Iterator[None]:
    precision.bfloat16_times.cache_clear()
    yield
    precision.bfloat16_times.cache_clear()


def _takes(times: float):
    return lambda *, training: times


@pytest.mark.parametrize(("times", "warned"), [(6.5, True), (1.05, False), (0.5, False)])
def test_a_slow_precision_is_told_and_no_other(times: float, warned: bool, caplog, monkeypatch) -> None:
    monkeypatch.setattr(precision, "bfloat16_times", _takes(times))
    precision.warn_if_slow("bfloat16", training=True)
    shown = ["training in bfloat16 takes 6.5 times as long as in float32 on this device; take float32 here"]
    assert caplog.messages == (shown if warned else [])


def test_nothing_is_measured_on_a_gpu(caplog, monkeypatch) -> None:
    monkeypatch.setattr(precision, "accelerators", lambda: ["H200"])
    monkeypatch.setattr(precision, "bfloat16_times", _takes(6.5))
    precision.warn_if_slow("bfloat16", training=True)
    assert caplog.messages == []


def test_float32_measures_nothing(monkeypatch) -> None:
    monkeypatch.setattr(precision, "_seconds", None)  # would fail
    precision.warn_if_slow("float32", training=True)


def test_costs_and_savings_in_words() -> None:
    assert (
        precision.in_words(0.5, training=False)
        == "prediction in bfloat16 is 2.0 times as fast as in float32 on this device"
    )
    assert "about as fast" in precision.in_words(1.04, training=True)


@pytest.mark.parametrize("training", [True, False])
def test_the_ratio_is_that_of_the_shortest_runs_after_the_first(
    training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [100, 9, 6, 7, 100, 2, 3, 4]  # seconds; bfloat16 first, the first of each to warm up
    ticks = iter([tick for second in runs for tick in (0, second)])
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(ticks))
    assert precision.bfloat16_times(training=training) == 6 / 2
    assert precision.bfloat16_times(training=training) == 3  # once a process: no tick is left


def test_the_measurement_leaves_keras_numbering_as_it_was() -> None:
    import keras

    def number() -> int:
        name: str = keras.layers.Conv2D(1, 1).name
        return int(name.rpartition("_")[2]) if name != "conv2d" else 0

    before = number()
    assert precision.bfloat16_times(training=False) > 0
    assert number() == before + 1


@pytest.mark.parametrize(
    ("stage", "words", "wanted"),
    [
        ("train", ["two_path"], ("bfloat16", True)),
        ("evaluate", ["two_path"], ("bfloat16", False)),
        ("train", ["x"], None),
    ],
)
def test_a_stage_asks_for_its_own_precision(
    stage: str, words: list[str], wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "pipelines"))
    module, asked = importlib.import_module("_stage"), []
    monkeypatch.setattr(precision, "warn_if_slow", lambda name, *, training: asked.append((name, training)))
    monkeypatch.setattr(sys, "argv", [f"pipelines/{stage}.py"])
    params = load_params(ROOT / "params.yaml")
    module._warn_of_slow_precision(params, words)
    assert asked == []  # float32 needs no measurement
    entry = params.experiments["two_path"]
    entry = entry.model_copy(update={"train": entry.train.model_copy(update={"precision": "bfloat16"})})
    evaluate = params.evaluate.model_copy(update={"precision": "bfloat16" if stage == "evaluate" else "float32"})
    changed = params.model_copy(update={"experiments": {"two_path": entry}, "evaluate": evaluate})
    module._warn_of_slow_precision(changed, words)
    assert asked == ([wanted] if wanted else [])
    monkeypatch.setenv("TF_CONFIG", "{}")
    module._warn_of_slow_precision(changed, words)
    assert asked == ([wanted] if wanted else [])  # a cluster is joined before anything computes
