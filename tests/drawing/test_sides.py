"""The patient's left is on the right of every picture, whatever the orientation of his files."""

import nibabel
import numpy as np
import pytest
from layouts import BRATS_AFFINE, tiny_volumes

from brats_cascade.data.images import read_image, to_canonical
from brats_cascade.drawing.overlays import montage, overlay

RAS = np.diag([1.0, 1.0, 1.0, 1.0])  # the first axis runs to the patient's right
LAS = np.array(
    [[-1.0, 0, 0, 11], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
)  # the same places, stored from right to left


def pixels(figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


@pytest.fixture
def patient(tmp_path):
    """(affine) -> canonical image and labels of one patient, read from files; tumour in his left half alone."""
    images, _ = tiny_volumes()
    labels = np.zeros((12, 14, 10), np.uint8)
    labels[2:5, 5:9, 3:7] = 4  # x = 2 to 4 of 0 to 11, which runs to the right: his left

    def read(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        canonical = []
        for voxels in (*images.values(), labels):
            stored = voxels if affine[0, 0] > 0 else voxels[::-1]
            nibabel.Nifti1Image(stored.astype(np.int16), affine).to_filename(tmp_path / "v.nii")
            image = read_image(tmp_path / "v.nii")
            canonical.append(to_canonical(image.array, affine=image.affine))
        return np.stack(canonical[:4], axis=-1).astype(np.float32), canonical[4].astype(np.uint8)

    return read


def test_the_patients_left_is_on_the_right_and_mirrored_files_give_the_same_pictures(patient) -> None:
    assert BRATS_AFFINE[0, 0] < 0  # BraTS stores its volumes as LAS or LPS: the mirrored case is the usual one
    drawn = []
    for affine in (RAS, LAS):
        image, labels = patient(affine)
        drawn.append((pixels(overlay(image, prediction=labels)), pixels(montage(image, labels=labels, panels=(1, 2)))))
    for one, other in zip(*drawn, strict=True):
        np.testing.assert_array_equal(one, other)
    figure = overlay(image, prediction=labels)
    shown = pixels(figure)
    coloured = (shown.max(axis=-1) - shown.min(axis=-1)) > 60
    for axes in figure.axes:
        box = axes.get_window_extent()
        columns = np.flatnonzero(coloured[20:-40, int(box.x0) : int(box.x1)].any(axis=0))
        assert columns.size and columns.mean() > 0.55 * box.width


@pytest.mark.parametrize(("axis", "letters"), [("axial", "RL"), ("coronal", "RL"), ("sagittal", "AP")])
def test_letters_stand_on_every_panel(patient, axis, letters) -> None:
    image, labels = patient(RAS)
    for figure in (
        overlay(image, prediction=labels, axis=axis),
        montage(image, labels=labels, axis=axis, panels=(1, 2)),
    ):
        for axes in figure.axes:
            places = {text.get_text(): text.get_position()[0] for text in axes.texts}
            assert places[letters[0]] < 0.5 < places[letters[1]]
