"""The yardstick learns, and is folded, exported and saved, by the code of the paper's networks."""

from pathlib import Path

import numpy as np
import pytest
from settings import train_settings

from brats_cascade.inference.formats import export_network
from brats_cascade.models.cascade import output_layer
from brats_cascade.models.files import Contract
from brats_cascade.models.fold import for_inference
from brats_cascade.models.two_path import Style
from brats_cascade.training.batches import TrainingData
from brats_cascade.training.experiment import Experiment, train_experiment

CLASSES, THIN = (0, 1, 2, 3, 4), Style(width=0.25)


@pytest.mark.slow
def test_it_learns_in_both_phases_with_every_option_and_is_folded_and_exported(
    cohort, draw_centres, tmp_path: Path
) -> None:
    """As the yardstick it gets whatever the cascades get."""
    sets = {"phase1": draw_centres(cohort, count=400, equal=True), "phase2": draw_centres(cohort, count=400)}
    settings = train_settings(
        width=0.25, steps=80, phase2_steps=6, checks=2, tile=32, class_weights="none", learning_rate=0.01,
        loss="cross_entropy_dice", ema=0.8, keep="last", deformation=0.5, scanner=0.5,
    )  # fmt: skip
    data = TrainingData(cohort, cohort[:1], sets, CLASSES)
    trained = train_experiment(Experiment("unet", data, settings), folder=tmp_path / "work")
    history = trained.progress.history
    assert [row["phase"] for row in history] == [1, 1, 2, 2]
    assert history[-1]["validation_complete"] > 0.8
    assert history[0]["loss"] > 0 and history[1]["loss"] < history[0]["loss"]
    assert [layer.name for layer in trained.network.layers if layer.trainable and layer.weights] == ["output"]
    assert output_layer(trained.network) is trained.network.get_layer("output")
    contract = Contract("unet", CLASSES, ("flair", "t1", "t1c", "t2"), 0.01, THIN, None)
    lean = for_inference(trained.network, contract=contract, precision="float32")
    assert not [layer for layer in lean.layers if layer.name.endswith("_norm")]
    image = np.pad(cohort[1].image, ((0, 0), (32, 32), (32, 32), (0, 0)))
    np.testing.assert_allclose(lean.predict_on_batch(image), trained.network.predict_on_batch(image), atol=1e-4)
    path = export_network(lean, contract=contract, out=tmp_path / "out", form="saved_model")
    assert path.is_dir()
