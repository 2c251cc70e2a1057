"""Synthetic brains: the MNI152 average anatomy, deformed differently for every patient.

The average T1 and the grey and white matter maps are read from the installed nilearn package, and never copied from it.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from brats_cascade.data.phantom.fields import smooth_noise
from brats_cascade.errors import UserError

# World coordinates (right, anterior, superior; mm) of voxel 0 of nilearn's 1 mm maps; the mid-line is x = 0.
TEMPLATE_ORIGIN = (-98.0, -134.0, -72.0)
# Mean of the template's T1 (0 to 1) in grey matter, white matter and fluid.
T1_MEANS = {"grey": 0.65, "white": 0.87, "csf": 0.27}
# Template attribute -> the part of nilearn's file name that identifies the map.
_FILES = {"grey": "gm", "white": "wm", "t1": "t1"}
# Centre of the brain, mm from voxel 0.
BRAIN_CENTRE_MM = np.array([98.0, 116.0, 80.0], dtype=np.float32)


@dataclass(frozen=True)
class Template:
    """The average brain on its own 1 mm grid, smoothed for sampling at a coarser one.

    Attributes:
        grey: Grey matter probability, float32 (x, y, z), RAS.
        white: White matter probability.
        t1: T1-weighted average, 0 to 1, 0 outside the brain.
    """

    grey: np.ndarray
    white: np.ndarray
    t1: np.ndarray


@dataclass(frozen=True)
class Anatomy:
    """One person's brain without its tumour; all arrays (x, y, z), RAS.

    Attributes:
        grey: Share of grey matter in each voxel, float32; with `white` and `csf` it sums to 1 in the brain, 0 outside.
        white: Share of white matter.
        csf: Share of cerebrospinal fluid.
        brain: Where the brain is, bool.
        detail: What the average T1 shows beyond the three tissues (deep nuclei, tracts), about -0.2 to 0.2.
        position: Where each voxel lies in the average brain: world mm, float32 (3, x, y, z).
    """

    grey: np.ndarray
    white: np.ndarray
    csf: np.ndarray
    brain: np.ndarray
    detail: np.ndarray
    position: np.ndarray


def load_template(spacing: float) -> Template:
    """Reads the average anatomy from the installed nilearn package, without importing it.

    It is smoothed by a Gaussian of 0.3 voxels of the spacing at which it will be sampled.

    Raises:
        UserError: nilearn or its maps are not installed.
    """
    import nibabel as nib

    spec = importlib.util.find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the phantom needs the average brain inside nilearn, which is not installed; run make setup")
    folder = Path(next(iter(spec.submodule_search_locations))) / "datasets" / "data"
    maps = {}
    for name, short in _FILES.items():
        path = folder / f"mni_icbm152_{short}_tal_nlin_sym_09a_converted.nii.gz"
        if not path.is_file():
            raise UserError(
                f"{path.name}: not in {folder}; expected nilearn's own MNI152 maps, reinstall nilearn>=0.12"
            )
        values = np.asarray(nib.load(path).dataobj, dtype=np.float32) / 255  # type: ignore[attr-defined]
        maps[name] = ndimage.gaussian_filter(values, 0.3 * spacing, truncate=3)
    return Template(**maps)


def draw_coordinates(template: Template, *, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Draws a person: the template position of each voxel of a head, float32 (3, x, y, z), mm from voxel 0.

    The head has as many voxels of the given spacing as fit into the template's field of view.

    The map is a small random affine map (rotations up to about 5 degrees, sizes within about 6 %) followed by two smooth
    displacement fields, one at the scale of lobes (4 mm) and one at that of folds (1.2 mm). Gradients stay below 1, so the
    map does not fold over.
    """
    shape = tuple(int(size // spacing) for size in template.t1.shape)
    centred = np.indices(shape, dtype=np.float32) * np.float32(spacing) - BRAIN_CENTRE_MM[:, None, None, None]
    matrix = (_turn(rng.normal(0, 0.035, 3)) * rng.normal(1.02, 0.03, 3)).astype(np.float32)
    coordinates = np.einsum("ij,jxyz->ixyz", matrix, centred) + BRAIN_CENTRE_MM[:, None, None, None]
    for axis in range(3):
        for correlation, amplitude in ((22.0, 2.2), (8.0, 0.9)):
            noise = smooth_noise(shape, correlation=correlation, spacing=spacing, rng=rng)
            coordinates[axis] += np.float32(amplitude) * noise
    return coordinates


def _turn(angles: np.ndarray) -> np.ndarray:
    """Rotation about x, then y, then z, by angles in radians."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


def move_coordinates(coordinates: np.ndarray, *, shift: np.ndarray, spacing: float) -> np.ndarray:
    """Moves tissue: tissue at x - shift(x) moves to x; `shift` is float32 (3, x, y, z), mm."""
    sources = np.indices(coordinates.shape[1:], dtype=np.float32) - shift / np.float32(spacing)
    return np.stack([ndimage.map_coordinates(axis, sources, order=1, mode="nearest") for axis in coordinates])


def anatomy_at(template: Template, *, coordinates: np.ndarray, fluid: float = 1.0) -> Anatomy:
    """Samples the template at the coordinates from `draw_coordinates`.

    An average of many people is blurred. Squaring the three tissue shares and normalising their sum to 1 gives tissue borders
    about as sharp as one person's. `fluid` multiplies the fluid's share before that: above 1, sulci and ventricles are wider.
    """
    grey, white, t1 = (
        ndimage.map_coordinates(values, coordinates, order=1) for values in (template.grey, template.white, template.t1)
    )
    brain = ndimage.binary_fill_holes(ndimage.binary_opening(t1 > 0.08))
    csf = np.clip(1 - grey - white, 0, 1)
    plain = T1_MEANS["grey"] * grey + T1_MEANS["white"] * white + T1_MEANS["csf"] * csf
    shares = np.stack([grey, white, np.float32(fluid) * csf]) ** 2 * brain
    shares /= np.maximum(shares.sum(axis=0), 1e-6)
    origin = np.array(TEMPLATE_ORIGIN, dtype=np.float32)[:, None, None, None]
    return Anatomy(
        grey=shares[0],
        white=shares[1],
        csf=shares[2],
        brain=brain,
        detail=np.clip(t1 - plain, -0.2, 0.2) * brain,
        position=coordinates + origin,
    )
