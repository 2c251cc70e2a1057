"""One experiment from cases to a network: what CNN 1 is, both procedures and samplers, joint training."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imported import modules_imported_by
from settings import train_settings

from brats_cascade.models.build import build_model
from brats_cascade.models.cascade import GEOMETRY
from brats_cascade.models.two_path import Style
from brats_cascade.training import fingerprint
from brats_cascade.training.batches import TrainingCase, TrainingData
from brats_cascade.training.experiment import Experiment, Trained, train_experiment
from brats_cascade.training.fingerprint import Cnn1


@pytest.fixture
def train(cohort, draw_centres, tmp_path: Path) -> Callable[..., Trained]:
    """train(architecture, cnn1=None, folder="work", shared="", **changes of the settings)."""
    sets = {"phase1": draw_centres(cohort, count=200, equal=True), "phase2": draw_centres(cohort, count=200)}

    def call(
        architecture: str,
        *,
        cnn1: Any = None,
        folder: str = "work",
        shared: str = "",
        cases: Sequence[TrainingCase] = cohort,
        validation: Sequence[TrainingCase] = cohort[:1],
        **changes: Any,
    ) -> Trained:
        data, given = TrainingData(cases, validation, sets, (0, 1, 2, 3, 4)), cnn1 and Cnn1(cnn1, Style(width=0.05))
        experiment = Experiment(architecture, data, train_settings(**changes), given)
        return train_experiment(experiment, folder=tmp_path / folder, shared=tmp_path / shared if shared else None)

    return call


@pytest.mark.slow
def test_a_cascade_without_a_first_cnn_trains_its_own_and_keeps_it(train) -> None:
    trained = train("input_cascade")
    assert [row["phase"] for row in trained.progress.history] == [1, 2]
    assert trained.cnn1 is not None and [row["phase"] for row in trained.cnn1.progress.history] == [1, 2]
    alone = train("two_path", folder="alone")  # the same recipe and seed give the same CNN 1
    for mine, theirs in zip(trained.network.get_layer("cnn1").get_weights(), alone.network.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


@pytest.mark.slow
def test_joint_training_moves_both_cnns_and_then_the_last_layer_alone(train) -> None:
    cnn1 = build_model("two_path", style=Style(width=0.05))
    before = cnn1.get_weights()
    trained = train("mf_cascade", cnn1=cnn1, cascade="joint")
    after = trained.network.get_layer("cnn1").get_weights()
    assert trained.network.name == "mf_cascade" and trained.cnn1 is None
    assert [row["phase"] for row in trained.progress.history] == [1, 2]
    moved = [not np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert all(moved)  # every weight of CNN 1, by the gradient that comes through CNN 2
    side = GEOMETRY["mf_cascade"].patch
    assert trained.network.predict_on_batch(np.zeros((1, side, side, 4), np.float32)).shape == (1, 1, 1, 5)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["random", "slices"])
def test_the_earlier_works_procedure_is_one_phase_of_patches(train, order: str) -> None:
    trained = train("two_path", procedure="single", sampler="patches", patch_order=order, batch=16)
    assert [(row["phase"], row["step"]) for row in trained.progress.history] == [(1, 3)]
    assert 0 < trained.progress.pixels <= 3 * 16


@pytest.mark.slow
def test_mixed_precision_computes_in_bfloat16_and_keeps_weights_and_scores_in_float32(train) -> None:
    short = {"cascade": "joint", "phase2_steps": 0}
    exact, mixed = (train("mf_cascade", folder=kind, precision=kind, **short) for kind in ("float32", "bfloat16"))
    for part in ("cnn1", "cnn2"):
        layers = mixed.network.get_layer(part).layers
        assert {layer.compute_dtype for layer in layers if layer.name.endswith("_conv")} == {"bfloat16"}
    assert {str(value.dtype) for value in mixed.network.get_weights()} == {"float32"}
    assert mixed.network.output.dtype == "float32"
    losses = [[row["loss"] for row in trained.progress.history] for trained in (mixed, exact)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05) and losses[0] != losses[1]


@pytest.mark.slow
def test_one_phase_is_taken_from_a_two_phase_training_of_the_same_settings(train, cohort, caplog) -> None:
    """What else makes a phase 1 another one is what changes the fingerprint (below)."""
    alone = train("two_path", folder="alone", phase2_steps=0)  # nothing is shared
    whole = train("two_path", folder="two", shared="kept")
    with caplog.at_level("INFO"):
        taken = train("two_path", folder="one", shared="kept", phase2_steps=0)
        assert "resuming from phase 1, step 3" in caplog.text
        caplog.clear()
        train("two_path", folder="changed", shared="kept", phase2_steps=0, validation=cohort[1:])
        train("two_path", folder="two again", shared="kept")  # a training with both phases always trains
        assert "resuming" not in caplog.text
    assert [row["phase"] for row in alone.progress.history] == [1]
    without = [{**row, "seconds": 0} for row in taken.progress.history]
    assert without == [pytest.approx({**row, "seconds": 0}, abs=1e-6) for row in alone.progress.history]
    assert taken.progress.history == whole.progress.history[:1]
    assert taken.progress.pixels == alone.progress.pixels < whole.progress.pixels
    assert 0 < taken.seconds < whole.seconds and 0 < taken.cpu_seconds < whole.cpu_seconds
    for value, expected in zip(taken.network.get_weights(), alone.network.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)
    assert any(
        not np.array_equal(*pair) for pair in zip(taken.network.get_weights(), whole.network.get_weights(), strict=True)
    )


@pytest.mark.slow
def test_other_settings_or_validation_cases_start_anew(train, cohort, caplog) -> None:
    train("two_path")
    with caplog.at_level("INFO"):
        train("two_path", checkpoint_steps=7)  # does not decide the outcome
        assert "resuming from phase 2, step 2" in caplog.text and "starting a new training" not in caplog.text
        caplog.clear()
        train("two_path", validation=cohort[1:])  # the test patient until now: it chooses other weights
        assert "starting a new training" in caplog.text


def test_all_that_decides_the_outcome_is_in_the_fingerprint(cohort, draw_centres, monkeypatch) -> None:
    sets = {"phase1": draw_centres(cohort, count=50), "phase2": draw_centres(cohort, count=60)}
    other = replace(cohort[1], labels=np.where(cohort[1].labels == 4, np.uint8(2), cohort[1].labels))
    cnn1 = Cnn1(build_model("two_path", style=Style(width=0.05)), Style(width=0.05))
    other_cnn1 = Cnn1(build_model("two_path", style=Style(width=0.05)), Style(width=0.05))
    data = TrainingData(cohort, cohort[:1], sets, (0, 1, 2, 3, 4))
    common = Experiment("mf_cascade", data, train_settings(), cnn1)
    parts: list[dict[str, Any]] = [
        {"train": cohort[:1]}, {"train": [cohort[0], other]}, {"train": cohort[::-1]},
        {"train": [cohort[0], replace(cohort[1], image=cohort[1].image * np.float32(1.001))]},
        {"validation": cohort[1:]}, {"validation": [other]}, {"validation": [replace(cohort[0], name="c")]},
        {"patch_sets": {**sets, "phase1": sets["phase1"][::-1]}}, {"classes": (0, 1, 2, 4)},
    ]  # fmt: skip
    changes: list[dict[str, Any]] = [{"data": replace(data, **part)} for part in parts]
    settings = ({"precision": "bfloat16"}, {"seed": 2}, {"learning_rate": 0.1}, {"width": 0.06})
    changes += [{"settings": train_settings(**change)} for change in settings]
    changes += [{"cnn1": other_cnn1}, {"cnn1": None}, {"cnn1": Cnn1(cnn1.network, Style(width=0.05, l2=0.1))}]
    changes += [{"architecture": "input_cascade"}, {"inner": [(("a",), cnn1)]}, {"inner": [(("a",), other_cnn1)]}]
    found = [fingerprint.fingerprint(replace(common, **change)) for change in [{}, *changes]]
    same = replace(common, settings=train_settings(checkpoint_steps=7, devices="local"))
    assert fingerprint.fingerprint(same) == found[0]
    for computed in ("jax and the same code", "the same backend and other code"):
        monkeypatch.setattr(fingerprint, "computed_with", lambda computed=computed: computed)
        found.append(fingerprint.fingerprint(common))
    assert len(set(found)) == len(changes) + 3


def test_the_fingerprint_holds_every_module_that_training_imports() -> None:
    decisive = modules_imported_by("training/experiment.py") - {"errors.py", "shapes.py", "shared.py"}
    decisive -= {"provenance.py"}  # says how many threads make batches, and a batch depends on its step alone
    decisive = {name for name in decisive if not name.startswith("params/")}  # the settings are in the fingerprint
    assert len(decisive) > 20
    missing = [name for name in decisive if not any(f"{name}/".startswith(f"{part}/") for part in fingerprint.SOURCES)]
    assert missing == []
