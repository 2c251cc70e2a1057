"""The two phases on a problem that can be learned in a few steps; what is frozen, shifted, kept and resumed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from settings import train_settings

from brats_cascade.errors import UserError
from brats_cascade.models.build import build_model
from brats_cascade.models.cascade import join_cascade, output_layer, score_model
from brats_cascade.models.two_path import Style
from brats_cascade.training.batches import Batch, TrainingData
from brats_cascade.training.checkpoint import values_of
from brats_cascade.training.fingerprint import Cnn1
from brats_cascade.training.loop import Phase, Training
from brats_cascade.training.phases import shift_bias, train_phases

Validate = Callable[[], dict[str, float]]
ADAM = {"optimizer": "adam", "learning_rate": 0.01, "schedule": "cosine", "clip_norm": 1.0, "output_rate": 1.0}
WATCH = {"checkpoint_steps": 0, "patience": 0, "keep": "best", "ema": 0.0}


class Fixed:
    """Gives the same batch at every step, and says at which steps it was asked."""

    def __init__(self, *, masses=(0.5, 0.1, 0.1, 0.1, 0.2), seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        image = rng.normal(0, 1, (2, 36, 36, 4)).astype(np.float32)
        targets = (image[:, 16:-16, 16:-16, 0] > 0).astype(np.uint8) * 2
        self._batch = Batch([image], targets, np.ones((2, 4, 4), np.float32))
        self._masses = np.array(masses)
        self.asked: list[int] = []

    def batch(self, step: int) -> Batch:
        self.asked.append(step)
        return self._batch

    def label_masses(self) -> np.ndarray:
        return self._masses


def _network(**style) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_model("two_path", style=Style(width=0.05, **style))


def _scores(*scores: float) -> Validate:
    """Validation that gives these scores one after another, and then again and again the last."""
    left = list(scores)

    def validate() -> dict[str, float]:
        score = left.pop(0) if len(left) > 1 else left[0]
        return {"loss": 1.0, "complete": score, "core": score, "enhancing": score}

    return validate


def _training(
    network, folder: Path, *, validate: Validate | None = None, key="x", on_check=None, **changes
) -> Training:
    settings = train_settings(**{**ADAM, **WATCH, **changes})
    return Training(network, settings, validate or _scores(0.5), folder / "checkpoint.npz", key, on_check)


def _train(network, folder: Path, *, steps=(6, 4), checks=2, **changes):
    phases = [Phase(number, Fixed(seed=number), count, checks) for number, count in enumerate(steps, start=1)]
    return train_phases(_training(network, folder, **changes), phases)


@pytest.mark.slow
def test_a_small_problem_is_learned_in_both_phases(cohort, draw_centres, tmp_path: Path) -> None:
    """From patch sets to a network that finds the tumour, through train_experiment as the train stage calls it."""
    from brats_cascade.training.experiment import Experiment, train_experiment

    sets = {"phase1": draw_centres(cohort, count=300, equal=True), "phase2": draw_centres(cohort, count=300)}
    settings = train_settings(
        width=0.1, steps=30, phase2_steps=10, checks=2, batch=4, tile=12, intensity=0.05, weight_power=0.5
    )
    data = TrainingData(cohort, cohort, sets, (0, 1, 2, 3, 4))
    trained = train_experiment(Experiment("two_path", data, settings), folder=tmp_path / "two")
    history = trained.progress.history
    assert [(row["phase"], row["check"], row["step"]) for row in history] == [
        (1, 1, 15),
        (1, 2, 30),
        (2, 1, 35),
        (2, 2, 40),
    ]
    assert history[1]["loss"] < history[0]["loss"] / 2
    assert history[-1]["validation_complete"] > 0.8
    assert 0.7 < history[-1]["validation_tumour_share"] < 1.4
    assert trained.progress.pixels > 1000 and trained.cnn1 is None
    short = settings.model_copy(update={"steps": 8, "phase2_steps": 4})
    cnn1 = Cnn1(trained.network, trained.style)
    cascade = train_experiment(Experiment("mf_cascade", data, short, cnn1), folder=tmp_path / "mf")
    for mine, theirs in zip(
        cascade.network.get_layer("cnn1").get_weights(), trained.network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert cascade.network.output_shape == (None, None, None, 5)


@pytest.mark.slow
def test_phase_2_changes_the_output_layer_alone(tmp_path: Path) -> None:
    frozen = _network()
    start = values_of(frozen.weights)
    phases = [Phase(1, Fixed(seed=1), 1, 1), Phase(2, Fixed(seed=2), 5, 1)]
    seen: list[list[np.ndarray]] = []

    def validate() -> dict[str, float]:
        seen.append(values_of(frozen.weights))
        return {"complete": 1, "core": 1, "enhancing": 1}

    train_phases(_training(frozen, tmp_path, validate=validate), phases)
    after_first, after_second = seen
    changed = {
        weight.path for weight, a, b in zip(frozen.weights, after_first, after_second, strict=True) if (a != b).any()
    }
    assert {path.split("/")[-2] for path in changed} == {"output"}
    assert len(changed) == 2
    moved = [
        path for path, a, b in zip((w.path for w in frozen.weights), start, after_first, strict=True) if (a != b).any()
    ]
    assert len(moved) == len(frozen.weights)  # phase 1 moves them all, batch statistics included


def test_the_bias_moves_by_the_log_of_the_ratio_of_frequencies() -> None:
    network = _network()
    bias = output_layer(network).bias
    bias.assign(np.array([1.0, -2, 0, 3, 0.5]))
    before, after = np.array([0.2, 0.2, 0.2, 0.2, 0.2]), np.array([0.9, 0.01, 0.05, 1e-6, 0.039999])
    image = np.random.default_rng(0).normal(size=(1, 34, 35, 4)).astype(np.float32)
    first = network.predict_on_batch(image)
    shift_bias(network, masses=[before, after])
    moved = keras.ops.convert_to_numpy(bias.value)
    np.testing.assert_allclose(moved, np.array([1, -2, 0, 3, 0.5]) + np.log(after / before), rtol=1e-5)
    # Bayes: the posterior at the new frequencies is the old one times the ratio, normalised
    expected = first * (after / before)
    np.testing.assert_allclose(
        network.predict_on_batch(image), expected / expected.sum(axis=-1, keepdims=True), atol=1e-6
    )


@pytest.mark.slow
def test_start_bias_begins_at_the_log_of_the_label_frequencies(tmp_path: Path) -> None:
    network = _network()
    masses = (0.9, 0.02, 0.05, 0.01, 0.02)
    still = _training(network, tmp_path, learning_rate=1e-12, start="paper")
    train_phases(still, [Phase(1, Fixed(masses=masses), 1, 1)])
    np.testing.assert_allclose(output_layer(network).bias.numpy(), np.log(masses), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("joint", [False, True])
def test_the_wide_kernels_alone_move_at_their_share_of_the_rate(tmp_path: Path, joint: bool) -> None:
    """Adam's first step moves every weight by the rate, in whichever direction its gradient points."""
    keras.utils.set_random_seed(3)
    network = build_model("mf_cascade" if joint else "two_path", style=Style(width=0.05, normalisation="none"))
    names, before = [weight.path for weight in network.trainable_variables], values_of(network.trainable_variables)
    batch = Fixed()
    if joint:  # a wider image for the same outputs
        image = np.random.default_rng(0).normal(0, 1, (2, 56, 56, 4)).astype(np.float32)
        batch._batch = Batch([image], batch._batch.targets, batch._batch.weights)
    down = {"clip_norm": 0.0, "schedule": "constant", "output_rate": 0.125}
    kept = []

    def validate() -> dict[str, float]:
        kept.append(values_of(network.trainable_variables))
        return {"complete": 0.5, "core": 0.5, "enhancing": 0.5}

    train_phases(_training(network, tmp_path, validate=validate, **down), [Phase(1, batch, 1, 1)])
    moved = {name: np.abs(b - a).max() for name, a, b in zip(names, before, kept[0], strict=True)}
    wide = [name for name in names if name.endswith("output/kernel")]
    assert len(wide) == (2 if joint else 1) and len(names) > 2 * len(wide)
    for name, most in moved.items():
        assert most == pytest.approx(0.01 * (0.125 if name in wide else 1), rel=0.02), name


@pytest.mark.slow
def test_the_best_weights_are_kept_or_the_last_and_averages_do_not_disturb_the_training(tmp_path: Path) -> None:
    runs = []
    for options in ({}, {"keep": "last", "ema": 0.9}):
        network, validated, scores = _network(), [], iter([0.1, 0.9, 0.3, 0.2])

        def validate(network=network, validated=validated, scores=scores) -> dict[str, float]:
            validated.append(values_of(network.variables))
            return dict.fromkeys(("complete", "core", "enhancing"), next(scores))

        progress = _train(network, tmp_path / str(len(runs)), steps=(8,), checks=4, validate=validate, **options)
        assert progress.best == pytest.approx(0.9)
        for value, expected in zip(values_of(network.variables), validated[3 if options else 1], strict=True):
            np.testing.assert_array_equal(value, expected)
        runs.append((progress, validated))
    losses = [[row["loss"] for row in progress.history] for progress, _ in runs]
    assert losses[0] == losses[1]
    plain, averaged = (validated for _, validated in runs)
    assert all(not np.array_equal(*pair) for pair in zip(plain[2], averaged[2], strict=True))
    for number, done in ((1, 4), (2, 6), (3, 8)):  # the last step before each round is in the average
        decay = (done / (9 + done)) ** 2
        for before, value, found in zip(averaged[number - 1], plain[number], averaged[number], strict=True):
            np.testing.assert_allclose(found, decay * before + (1 - decay) * value, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_patience_ends_a_phase_and_the_next_one_still_comes(tmp_path: Path) -> None:
    scores = _scores(0.5, 0.4, 0.45, 0.9, 0.9, 0.9)
    progress = _train(_network(), tmp_path, steps=(10, 4), checks=5, validate=scores, patience=2)
    rows = [(row["phase"], row["check"], row["step"]) for row in progress.history]
    assert rows[:4] == [(1, 1, 2), (1, 2, 4), (1, 3, 6), (2, 1, 7)]
    # phase 2 counts on from where phase 1 ended, and has its own patience
    assert [row[0] for row in rows[3:]] == [2, 2, 2]


class StoppedError(Exception):
    pass


class Dying(Fixed):
    """Dies when it is asked for one step of one phase."""

    def __init__(self, *, seed: int, at: int | None) -> None:
        super().__init__(seed=seed)
        self._at = at

    def batch(self, step: int) -> Batch:
        if step == self._at:
            raise StoppedError
        return super().batch(step)


def _scored(network: keras.Model) -> Validate:
    """Scores that depend on the weights and rise and fall, so that the best are not the last."""

    def validate() -> dict[str, float]:
        score = 0.5 + 0.4 * float(np.sin(1e3 * keras.ops.convert_to_numpy(output_layer(network).bias.value).sum()))
        return {"complete": score, "core": score, "enhancing": score}

    return validate


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "at", "ema"), [(1, 5, 0.9), (1, 6, 0.9), (2, 0, 0.0), (2, 4, 0.9)])
def test_a_second_call_goes_on_where_the_first_was_stopped(tmp_path: Path, phase: int, at: int, ema: float) -> None:
    """Stopped between two checkpoints, a rerun ends as the undisturbed run: history, weights, dropout's random state."""

    def train(folder: str, *, dying: bool) -> tuple[list[dict[str, float]], list[np.ndarray]]:
        network = _network(normalisation="dropout", dropout=0.3)
        phases = [
            Phase(number, Dying(seed=number, at=at if dying and number == phase else None), count, 2)
            for number, count in ((1, 7), (2, 5))
        ]
        watch = {"validate": _scored(network), "checkpoint_steps": 2, "ema": ema}
        progress = train_phases(_training(network, tmp_path / folder, **watch), phases)
        return progress.history, values_of(network.weights)

    rows, weights = train("whole", dying=False)
    with pytest.raises(StoppedError):
        train("stopped", dying=True)
    again, found = train("stopped", dying=False)
    assert len(rows) == len(again) == 4
    for one, other in zip(again, rows, strict=True):
        assert {**one, "seconds": 0} == pytest.approx({**other, "seconds": 0}, abs=1e-6)
    for value, expected in zip(found, weights, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)


@pytest.mark.slow
def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    """And has told every row once it was safe."""
    network, told = _network(), []
    progress = _train(network, tmp_path, on_check=lambda rows: told.append(len(rows)))
    assert told == [1, 2, 3, 4]
    again = _network()
    sampler = Fixed()
    phases = [Phase(1, sampler, 6, 2), Phase(2, sampler, 4, 2)]
    second = train_phases(_training(again, tmp_path), phases)
    assert sampler.asked == []
    assert json.dumps(second.history) == json.dumps(progress.history)
    for value, expected in zip(values_of(again.weights), values_of(network.weights), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.slow
def test_a_full_disk_does_not_stop_a_training(tmp_path: Path, monkeypatch, caplog) -> None:
    from brats_cascade.training import checkpoint

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", full)
    progress = _train(_network(), tmp_path, checkpoint_steps=1)
    assert len(progress.history) == 4
    assert not list(tmp_path.rglob("*.npz"))
    assert "checkpoint not written (No space left on device)" in caplog.text


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_says_what_to_do(tmp_path: Path) -> None:
    class Broken(Fixed):
        def batch(self, step: int) -> Batch:
            batch = super().batch(step)
            return replace(batch, weights=batch.weights * np.nan)

    with pytest.raises(UserError, match=r"the loss is nan at step 0 of phase 1.*lower train.learning_rate"):
        train_phases(_training(_network(), tmp_path), [Phase(1, Broken(), 2, 1)])


@pytest.mark.slow
def test_the_scores_of_a_joined_cascade_share_its_weights() -> None:
    keras.utils.set_random_seed(1)
    from brats_cascade.models.cascade import build_cnn2

    cnn1 = build_model("two_path", style=Style(width=0.05))
    cnn2 = build_cnn2("input_cascade", style=Style(width=0.05))
    whole = join_cascade("input_cascade", cnn1=cnn1, cnn2=cnn2)
    scores = score_model(whole)
    image = np.random.default_rng(0).normal(size=(1, 66, 66, 4)).astype(np.float32)
    expected = keras.ops.softmax(scores.predict_on_batch(image))
    np.testing.assert_allclose(whole.predict_on_batch(image), expected, atol=1e-6)
    output_layer(whole).bias.assign(np.array([5.0, 0, 0, 0, 0]))
    changed = keras.ops.softmax(scores.predict_on_batch(image))
    np.testing.assert_allclose(whole.predict_on_batch(image), changed, atol=1e-6)
    assert output_layer(whole) is cnn2.get_layer("output")
