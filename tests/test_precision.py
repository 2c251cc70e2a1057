"""The warning about bfloat16 where a device only emulates it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brats_cascade import precision
from brats_cascade.params import load_params
from brats_cascade.stages import script

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _measured_anew() -> Iterator[None]:
    precision.bfloat16_times.cache_clear()
    yield
    precision.bfloat16_times.cache_clear()


def _takes(times: float | None):
    return lambda *, training: times


@pytest.mark.parametrize(("times", "warned"), [(6.5, True), (1.05, False), (0.5, False)])
def test_a_slow_precision_is_told_and_no_other(times: float, warned: bool, caplog, monkeypatch) -> None:
    monkeypatch.setattr(precision, "bfloat16_times", _takes(times))
    precision.warn_if_slow("bfloat16", training=True)
    shown = ["training in bfloat16 takes 6.5 times as long as in float32 on this device; use float32"]
    assert caplog.messages == (shown if warned else [])


def test_nothing_is_measured_on_a_gpu(caplog, monkeypatch) -> None:
    monkeypatch.setattr(precision, "accelerators", lambda: ["H200"])
    monkeypatch.setattr(precision, "bfloat16_times", _takes(6.5))
    precision.warn_if_slow("bfloat16", training=True)
    assert caplog.messages == []


def test_float32_measures_nothing(monkeypatch) -> None:
    monkeypatch.setattr(precision, "_step", None)  # would fail
    precision.warn_if_slow("float32", training=True)


def test_costs_and_savings_in_words() -> None:
    assert (
        precision.in_words(0.5, training=False)
        == "prediction in bfloat16 is 2.0 times as fast as in float32 on this device"
    )
    assert "about as fast" in precision.in_words(1.04, training=True)


@pytest.mark.parametrize(
    ("seconds", "reference", "expected"),
    [
        ([4.0, 4.2, 3.9, 4.1, 4.0], [1.0, 1.0, 1.0, 1.0, 1.0], 4.0),
        ([1.0, 1.0, 1.1, 0.9, 1.0], [2.0, 2.0, 2.2, 1.8, 2.0], 0.5),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [0.25, 0.5, 0.75, 1.0, 1.25], 4.0),  # the load changed, the ratio did not
        ([9.0, 2.0, 2.0, 2.0, 0.1], [1.0, 1.0, 1.0, 1.0, 1.0], 2.0),  # one repeat disturbed to either side
        ([3.9, 0.24, 1.0, 3.0, 0.3], [1.0, 1.0, 1.0, 1.0, 1.0], None),  # from "3.9 times slower" to "4.2 times faster"
        ([2.0, 2.0, 3.2, 3.3, 3.2], [1.0, 1.0, 1.0, 1.0, 1.0], None),  # slower, but by how much?
        ([0.85, 0.85, 1.2, 1.2, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0], None),  # slower or faster?
        ([1.2, 1.0, 1.0, 0.95, 1.05], [1.0, 1.0, 1.0, 1.0, 1.0], 1.0),
    ],
)
def test_a_ratio_is_given_where_the_repeats_agree(seconds, reference, expected: float | None) -> None:
    assert precision.agreed_ratio(seconds, reference=reference) == pytest.approx(expected)


def test_no_verdict_is_no_warning_and_is_said(caplog, monkeypatch) -> None:
    monkeypatch.setattr(precision, "bfloat16_times", _takes(None))
    precision.warn_if_slow("bfloat16", training=True)
    assert caplog.messages == []
    assert precision.in_words(None, training=True).startswith("cannot tell whether training is faster in bfloat16")


def test_both_precisions_are_timed_in_turn_by_cpu_time_and_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = [0.0], []
    cost = {"mixed_bfloat16": 6.0, "float32": 2.0}

    def step(policy: str, *, training: bool):
        def run() -> None:
            order.append(policy)
            clock[0] += 100 if len(order) <= 2 else cost[policy]  # the first of each compiles

        return run

    monkeypatch.setattr(precision, "_step", step)
    monkeypatch.setattr(precision.time, "process_time", lambda: clock[0])
    assert precision.bfloat16_times(training=True) == 3
    assert order == ["mixed_bfloat16", "float32"] * (precision.REPEATS + 1)
    assert precision.bfloat16_times(training=True) == 3 and len(order) == 2 * (precision.REPEATS + 1)


@pytest.mark.slow
def test_the_measurement_leaves_keras_numbering_as_it_was() -> None:
    import keras

    def number() -> int:
        name: str = keras.layers.Conv2D(1, 1).name
        return int(name.rpartition("_")[2]) if name != "conv2d" else 0

    before = number()
    precision.bfloat16_times(training=False)
    assert number() == before + 1


@pytest.mark.parametrize(
    ("stage", "experiment", "wanted"),
    [
        ("train", "two_path", ("bfloat16", True)),
        ("evaluate", "two_path", ("bfloat16", False)),
        ("train", "x", None),
    ],
)
def test_a_stage_asks_for_its_own_precision(
    stage: str, experiment: str, wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(precision, "warn_if_slow", lambda name, *, training: asked.append((name, training)))
    monkeypatch.setattr(sys, "argv", [f"pipelines/{stage}.py"])
    params = load_params(ROOT / "params.yaml")
    script._warn_of_slow_precision(params, experiment)
    assert asked == []  # float32 needs no measurement
    entry = params.experiments["two_path"]
    entry = entry.model_copy(update={"train": entry.train.model_copy(update={"precision": "bfloat16"})})
    evaluate = params.evaluate.model_copy(update={"precision": "bfloat16" if stage == "evaluate" else "float32"})
    changed = params.model_copy(update={"experiments": {"two_path": entry}, "evaluate": evaluate})
    script._warn_of_slow_precision(changed, experiment)
    assert asked == ([wanted] if wanted else [])
    monkeypatch.setenv("TF_CONFIG", "{}")
    script._warn_of_slow_precision(changed, experiment)
    assert asked == ([wanted] if wanted else [])  # a cluster is joined before anything computes
