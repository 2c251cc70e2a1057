import numpy as np
import pandas as pd
import pytest
from limits import small_files
from matplotlib.colors import to_hex

from brats_cascade.data.preprocess import AXES
from brats_cascade.drawing.figures import (
    REGION_COLOURS,
    class_weight_figure,
    dice_strip,
    learning_curves,
    slice_curve,
    write_figures,
)
from brats_cascade.drawing.overlays import best_slice, montage, montage_slices, overlay
from brats_cascade.report.cohort_figure import intensity_figure, patch_figure


def history():
    rows = [(1, i, 10 * (i + 1), 3 - i, 3.1 - i, 0.1 * i, 0.05 * i, np.nan) for i in range(3)]
    rows += [(2, i, 30 + 5 * (i + 1), 0.9, 1.0, 0.5, 0.4, 0.3) for i in range(2)]
    columns = ["phase", "check", "step", "loss", "validation_loss"]
    return pd.DataFrame(rows, columns=[*columns, "validation_complete", "validation_core", "validation_enhancing"])


def slices():
    return pd.DataFrame(
        {"slice": range(6), "complete_f1": [np.nan, 0.5, 0.8, 0.9, 0.4, np.nan], "core_f1": [np.nan] * 6,
         "enhancing_f1": [np.nan] * 6, "truth_pixels": [0, 10, 30, 20, 5, 0], "predicted_pixels": [0, 8, 30, 20, 0, 0]}
    )  # fmt: skip


def test_learning_curves_show_every_check_and_the_start_of_phase_two():
    left, right = learning_curves(history(), title="two_path").axes
    assert [line.get_label() for line in left.lines[:2]] == ["training", "validation"]
    assert left.lines[0].get_ydata().tolist() == [3, 2, 1, 0.9, 0.9]
    assert left.lines[2].get_xdata()[0] == 30
    assert [to_hex(line.get_color()).upper() for line in right.lines[:3]] == list(REGION_COLOURS.values())


def test_the_slice_curve_shows_the_slices_with_tumour():
    axes = slice_curve(slices()).axes[0]
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    assert axes.lines[0].get_ydata().tolist() == [0.5, 0.8, 0.9, 0.4]


@pytest.mark.parametrize("axis", AXES)
def test_the_slice_curve_tells_which_way_the_slices_run(axis):
    towards = ("inferior to superior", "posterior to anterior", "left to right")  # of the canonical frame
    assert slice_curve(slices(), axis=axis).axes[0].get_xlabel() == f"slice ({axis}: {towards[AXES[axis][0]]})"


def test_class_weights_leave_absent_labels_out():
    weights = pd.DataFrame({"case": ["a", "b"], "weight_0": [0.6, 0.7], "weight_4": [np.nan, 30.0]})
    left, right = class_weight_figure(weights).axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["background", "enhancing"]
    assert [bar.get_width() for bar in right.patches] == [1.0, 0.5]


def test_the_strip_marks_the_mean_of_every_experiment():
    table = pd.DataFrame({"case": ["a", "b"], "grade": ["high", "low"]})
    for region, dice in (("complete", [0.8, 0.6]), ("core", [0.5, 0.3]), ("enhancing", [0.2, 0.0])):
        table[f"{region}_dice"] = dice
    figure = dice_strip({"one": table, "two": table[:1]})
    assert [axes.get_title() for axes in figure.axes] == ["complete", "core", "enhancing"]
    first = figure.axes[0]
    assert [text.get_text() for text in first.get_yticklabels()] == ["one", "two"]
    marks = [line.get_xdata() for line in first.lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(marks, [[0.7, 0.7], [0.8, 0.8]])
    bottom, top = first.get_ylim()
    assert bottom > top  # the first experiment stands on top, as in the table


@pytest.mark.slow
@pytest.mark.parametrize("with_truth", [True, False])
def test_an_overlay_has_a_panel_per_modality_and_outlines_in_the_regions_colours(with_truth, tmp_path):
    image = np.zeros((3, 20, 24, 4), np.float32)
    image[:, 2:18, 2:22] = np.random.default_rng(0).normal(size=(3, 16, 20, 4))
    labels = np.zeros((3, 20, 24), np.uint8)
    labels[1, 5:12, 5:12], labels[1, 7:10, 7:10] = 2, 4
    before = image.copy()
    figure = overlay(image, truth=labels if with_truth else None, prediction=labels, first_slice=40, title="case A")
    assert len(figure.axes) == (8 if with_truth else 4)
    assert "case A" in figure.get_suptitle() and "slice 41" in figure.get_suptitle()
    panel = figure.axes[0]
    assert [to_hex(item.get_edgecolor()[0]).upper() for item in panel.collections] == list(REGION_COLOURS.values())
    assert panel.get_ylim()[0] < panel.get_ylim()[1]  # rows run posterior to anterior: anterior up
    path = write_figures(tmp_path / "new", figures={"overlay": figure})["overlay"]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert np.array_equal(image, before)


def test_the_best_slice():
    labels = np.zeros((5, 4, 4), np.uint8)
    labels[3, :2] = 1
    empty = np.zeros_like(labels)
    assert best_slice(labels, empty, slices=5) == best_slice(empty, labels, slices=5) == 3
    assert best_slice(None, empty, slices=5) == 2


@pytest.mark.slow
def test_a_montage_spreads_its_slices_over_the_tumour():
    image = np.zeros((30, 20, 24, 4), np.float32)
    image[:, 2:18, 2:22] = np.random.default_rng(0).normal(size=(30, 16, 20, 4))
    labels = np.zeros((30, 20, 24), np.uint8)
    assert montage_slices(image[..., 0], labels=labels, count=4) == [0, 10, 19, 29]  # no tumour: over the brain
    labels[10:17, 5:12, 5:12] = 2
    assert montage_slices(image[..., 0], labels=labels, count=24) == list(range(10, 17))
    assert montage_slices(image[..., 0], labels=labels, count=3) == [10, 13, 16]
    figure = montage(image, labels=labels, first_slice=5, panels=(2, 4), title="case A", axis="coronal")
    assert [axes.texts[-1].get_text() for axes in figure.axes if axes.get_visible()] == [str(n) for n in range(15, 22)]
    assert "case A" in figure.get_suptitle() and "coronal" in figure.get_suptitle()


def test_the_letters_of_an_overlay_follow_the_axis():
    image = np.ones((2, 8, 8, 4), np.float32)
    for axis, letters in (("coronal", ["R", "L"]), ("sagittal", ["A", "P"])):
        figure = overlay(image, axis=axis)
        assert [text.get_text() for text in figure.axes[0].texts] == letters
        assert f"{axis} slice" in figure.get_suptitle()


def test_intensities_span_the_cases_and_the_labels_of_a_set_sum_to_all_of_it():
    spread = {"min": 2.0, "median": 5.0, "max": 9.0}
    axes = intensity_figure({"flair": {"p01": spread}, "t1": {"p99": spread}}).axes[0]
    assert axes.lines[0].get_xdata().tolist() == [2, 9] and axes.lines[1].get_xdata().tolist() == [5]
    assert axes.get_xscale() == "log"
    shares = patch_figure({"phase1": {"0": 30, "2": 10}}).axes[0].patches
    assert [bar.get_width() for bar in shares] == [75, 25] and [bar.get_x() for bar in shares] == [0, 75]


def test_a_figure_that_does_not_fit_on_the_disk_is_named_and_not_half_there(tmp_path):
    figure = slice_curve(slices(), title="a")
    with small_files(100), pytest.raises(OSError, match="File too large") as caught:
        write_figures(tmp_path / "figures", figures={"a": figure})
    assert caught.value.filename == str(tmp_path / "figures/a.png")
    assert not list((tmp_path / "figures").iterdir())
