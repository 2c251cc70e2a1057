"""Viewer pages: they load nothing, hold the files' voxels where nibabel has them, and work in a browser."""

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from layouts import BRATS_AFFINE, LAYOUTS, paths, tiny_volumes, write_layout
from PIL import Image
from typer.testing import CliRunner

from brats_cascade import MODALITIES, cli
from brats_cascade.data.prepare import prepare_case
from brats_cascade.data.store import write_case
from brats_cascade.errors import UserError, ending_in_one_line
from brats_cascade.evaluation.label_files import Labelled
from brats_cascade.evaluation.score_files import score_pair
from brats_cascade.evaluation.unseen import keep_segmentation
from brats_cascade.labels import LABELS, REGIONS, SCHEMES, recode
from brats_cascade.params import Recipe
from brats_cascade.project import Project
from brats_cascade.report.look import find_sources, match_predictions, scene_of
from brats_cascade.report.scene import make_scene, thumbnail
from brats_cascade.report.viewer import NIIVUE, viewer_page
from brats_cascade.stages.compare import write_case_pages

TURNED = np.array([[0, 0, 2.0, -30], [-1.0, 0, 0, 40], [0, 1.5, 0, -20], [0, 0, 0, 1]])  # x, y, z of the file: P, S, R
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EMPTY = {"offset": [0, 0, 0], "spacing": [1.0, 1.0, 1.0], "scheme": "five", "modalities": list(MODALITIES)}


def make_case(folder: Path, layout: str, *, affine: np.ndarray) -> tuple[Path, Path]:
    """The folder of a tiny case, and a prediction that differs from its ground truth, reaching out of the brain."""
    images, labels = tiny_volumes()
    write_layout(folder / "cohort", layout, images=images, labels=labels, affine=affine)
    found = np.where(np.indices(labels.shape)[0] < 7, labels, 0).astype("uint8")
    found[0, 0, 0] = found[4, 4, 4] = 2
    own = recode(found, table=SCHEMES[LAYOUTS[layout][1]].from_canonical)
    path = folder / "predicted" / f"{LAYOUTS[layout][3]}_seg.nii.gz"
    path.parent.mkdir()
    nibabel.Nifti1Image(own.astype("uint8"), affine).to_filename(path)
    return folder / "cohort", path


def volumes_of(page: str) -> dict[str, Any]:
    """Part -> NIfTI image, read from the page without the project's code."""
    data = json.loads(re.search(r'<script type="application/json" id="scene">(.*?)</script>', page, re.DOTALL)[1])
    return {
        part: nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))
        for part, text in data["volumes"].items()
    }


def seen_at(image: Any, *, other: Any) -> tuple[np.ndarray, np.ndarray]:
    """The voxels of an image, and those of another file at the same places in mm, by both affines alone."""
    voxels = np.asarray(image.dataobj)
    where = np.indices(voxels.shape).reshape(3, -1)
    there = np.linalg.inv(other.affine) @ image.affine @ np.vstack([where, np.ones(where.shape[1])])
    assert np.abs(there - np.rint(there)).max() < 1e-4
    return voxels.ravel(), np.asarray(other.dataobj)[tuple(np.rint(there[:3]).astype(int))]


@pytest.mark.parametrize(("layout", "affine"), [("brats2017", BRATS_AFFINE), ("brats2023", TURNED), ("list", TURNED)])
def test_a_page_loads_nothing_and_holds_what_the_files_hold(layout: str, affine: np.ndarray, tmp_path: Path) -> None:
    folder, prediction = make_case(tmp_path, layout, affine=affine)
    [(name, source)] = find_sources(folder, store=tmp_path / "none").items()
    scene = scene_of(name, source, prediction=prediction)
    page = viewer_page(scene, back="index.html")

    assert not re.search(
        r"https?:|//[a-z]|\bsrc=|@import|url\(", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    )
    legend = re.findall(r"</i>([^<]*)</li>", re.search(r'id="legend-labels">(.*?)</ul>', page)[1])
    merged = ["necrosis and non-enhancing tumour", "edema", "enhancing tumour"]
    assert legend == (merged if 3 not in SCHEMES[LAYOUTS[layout][1]].canonical_labels else list(LABELS.values())[1:])

    volumes, files = volumes_of(page), {part: folder / path for part, path in paths(layout).items()}
    assert set(volumes) == {*MODALITIES, "truth", "prediction"}
    for part, image in volumes.items():
        assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S") and image.get_data_dtype() == np.uint8
        own: Any = nibabel.load(prediction if part == "prediction" else files[part])
        shown, true = seen_at(image, other=own)
        if part in MODALITIES:
            held = np.asarray(own.dataobj, dtype=float)
            low, high = np.percentile(held[held != 0], [0.1, 99.9])
            expected = np.where(true == 0, 0, 1 + 254 * ((true - low) / (high - low)).clip(0, 1))
            assert np.abs(shown - expected).max() <= 0.51
        else:
            table = SCHEMES[LAYOUTS[layout][1]].to_canonical
            np.testing.assert_array_equal(shown, [table[int(label)] for label in true])
            assert np.count_nonzero(shown) == np.count_nonzero(np.asarray(own.dataobj))  # nothing is cut away

    truth = Labelled(name, name, "high", None, files["truth"])
    scores = score_pair(truth, Labelled(name, name, "high", None, prediction), schemes=(LAYOUTS[layout][1],) * 2)
    for region in REGIONS:
        for score in ("dice", "truth_cm3", "predicted_cm3"):
            assert scene.regions[region][score] == pytest.approx(scores[f"{region}_{score}"])


def test_a_case_of_the_store_is_shown_as_its_files_are_whatever_way_it_was_cut(tmp_path: Path) -> None:
    folder, prediction = make_case(tmp_path, "brats2017", affine=TURNED)
    [(name, source)] = find_sources(folder, store=tmp_path).items()
    direct = scene_of(name, source, prediction=prediction)
    for axis in ("axial", "coronal", "sagittal"):
        case = prepare_case(source, recipe=Recipe(clip=0, axis=axis))
        write_case(tmp_path / axis, name=name, image=case.image, brain=case.brain, labels=case.labels, meta=case.meta)
        for place in (Path(name), tmp_path / axis / name, tmp_path / axis):
            assert find_sources(place, store=tmp_path / axis) == {name: tmp_path / axis / name}
        stored = scene_of(name, tmp_path / axis / name, prediction=prediction)
        for part, voxels in direct.volumes.items():
            np.testing.assert_array_equal(stored.volumes[part], voxels)
        np.testing.assert_allclose(stored.affine, direct.affine)
        assert (stored.first, stored.regions) == (direct.first, direct.regions)


def test_the_bundle_is_the_one_whose_licence_lies_beside_it() -> None:
    about = (NIIVUE / "LICENSE").read_text(encoding="utf-8")
    assert hashlib.sha256((NIIVUE / "niivue.umd.js").read_bytes()).hexdigest() in about
    told = next(line for line in CliRunner().invoke(cli.app, ["licences"]).output.splitlines() if "NiiVue" in line)
    assert "@niivue/niivue 0.69.0 " in about and "0.69.0" in told and "BSD-2-Clause" in told
    meta = {**EMPTY, "shape": [4, 4, 4], "affine": np.eye(4).tolist()}
    page = viewer_page(make_scene("</script>", image=np.ones((4, 4, 4, 4), "float32"), meta=meta))
    bundle = re.search(r'id="niivue">(.*?)</script>', page)[1]
    assert gzip.decompress(base64.b64decode(bundle)) == (NIIVUE / "niivue.umd.js").read_bytes()
    assert "Redistributions in binary form must reproduce" in page and "<h1>&lt;/script&gt;</h1>" in page
    assert 'value="truth"' not in page and 'value="none" checked' in page


def test_a_thumbnail_has_the_patients_right_on_the_left_and_front_on_top() -> None:
    image = np.full((3, 20, 30, 4), 0.1, "float32")
    image[:, -6:, -8:] = 1  # front, right
    meta = {**EMPTY, "shape": [3, 20, 30], "affine": np.eye(4).tolist()}
    picture = thumbnail(make_scene("A", image=image, meta=meta))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.split(",")[1]))).convert("L"))
    assert pixels.shape[1] == 176 and pixels.shape[0] == pytest.approx(117, abs=1)
    assert pixels[5, 5] > 200 and max(pixels[5, -5], pixels[-5, 5], pixels[-5, -5]) < 50


def run(*words: object) -> Any:
    return CliRunner().invoke(cli.app, ["view", *map(str, words)])


def test_the_command_writes_one_page_or_a_list_with_a_page_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_nifti_case: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    one = write_nifti_case(tmp_path / "cohort", "Brats18_A")
    write_nifti_case(tmp_path / "cohort", "Brats18_B", truth=False)
    write_nifti_case(tmp_path / "cohort", "Brats18_C", omit=("t1",))
    (tmp_path / "predicted").mkdir()
    prediction = shutil.copy(one / "Brats18_A_seg.nii.gz", tmp_path / "predicted/Brats18_A_pred.nii.gz")
    done = run(one, "--prediction", prediction)
    assert (done.exit_code, done.output) == (0, "out/Brats18_A.html\n")
    assert set(volumes_of(Path("out/Brats18_A.html").read_text())) == {*MODALITIES, "truth", "prediction"}
    done = run("cohort", "--prediction", "predicted", "--out", "pages")
    assert (done.exit_code, done.stdout) == (1, "pages/index.html\n") and "error: Brats18_C: " in done.stderr
    listed = Path("pages/index.html").read_text()
    assert re.findall(r'href="(.*?)"', listed) == ["Brats18_A.html", "Brats18_B.html"] and "Dice 1.000" in listed
    assert 'href="index.html"' in Path("pages/Brats18_A.html").read_text()
    for words, told in (
        ((one, "--prediction", one / "Brats18_A_seg.nii.gz"), "is the ground truth itself"),
        (("cohort", "--prediction", prediction), "is one file for 3 cases"),
        ((one, "--prediction", "cohort/Brats18_B"), "no segmentation found"),
        ((one, "--prediction", "nowhere"), "no such file or folder"),
        ((one, "--out", "page.png"), r"expected a name ending in .html, got .png"),
        (("cohort", "--out", "page.html"), "expected a folder for the pages of 3 cases"),
        (("nowhere",), "does not exist"),
    ):
        result = run(*words)
        assert result.exit_code == 1 and isinstance(result.exception, UserError) and told in str(result.exception)


def test_a_case_called_index_keeps_its_page_and_a_list_of_none_is_not_written(
    tmp_path: Path, write_nifti_case: Any
) -> None:
    for name in ("index", "other"):
        write_nifti_case(tmp_path / "cohort", name)
        write_nifti_case(tmp_path / "broken", name, omit=("t1",))
    assert run(tmp_path / "cohort", "--out", tmp_path / "pages").exit_code == 0
    linked = re.findall(r'href="(.*?)"', (tmp_path / "pages/index.html").read_text())
    assert linked == ["index_case.html", "other.html"]
    assert "<title>index</title>" in (tmp_path / "pages/index_case.html").read_text()
    done = run(tmp_path / "broken", "--out", tmp_path / "none")
    assert "none of the 2 cases can be shown" in str(done.exception) and not (tmp_path / "none").exists()


def test_a_prediction_on_another_grid_or_doubled_is_refused(tmp_path: Path, write_nifti_case: Any) -> None:
    sources = find_sources(write_nifti_case(tmp_path / "cohort", "Brats18_A"), store=tmp_path)
    other = tmp_path / "p/Brats18_A.nii.gz"
    other.parent.mkdir()
    nibabel.Nifti1Image(np.zeros((12, 14, 10), "uint8"), BRATS_AFFINE).to_filename(other)
    assert scene_of("Brats18_A", sources["Brats18_A"], prediction=other).regions["complete"]["dice"] == 0
    moved = BRATS_AFFINE.copy()
    moved[0, 3] = 5
    nibabel.Nifti1Image(np.zeros((12, 14, 10), "uint8"), moved).to_filename(other)
    with pytest.raises(UserError, match=r"Brats18_A.nii.gz: is shifted by 5 mm"):
        scene_of("Brats18_A", sources["Brats18_A"], prediction=other)
    shutil.copy(other, other.with_name("Brats18_A_seg.nii.gz"))
    with pytest.raises(UserError, match=r"Brats18_A: 2 files, .*; keep one"):
        match_predictions(other.parent, sources=sources)


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    for name in "ABCDE":
        (tmp_path / name).mkdir()
        (tmp_path / name / "meta.json").write_text("{}")
    with pytest.raises(UserError, match=r"F: no such folder, and no case .* known there: A, B, C and 2 more"):
        find_sources(Path("F"), store=tmp_path)


def test_a_page_that_cannot_be_written_is_one_line(
    tmp_path: Path, write_nifti_case: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    case = write_nifti_case(tmp_path / "cohort", "Brats18_A")
    (tmp_path / "taken").touch()
    done = CliRunner().invoke(cli.app, ["view", str(case), "--out", str(tmp_path / "taken" / "x.html")])
    with pytest.raises(SystemExit), ending_in_one_line():
        raise done.exception
    assert "taken: File exists; expected a folder; give another place" in capsys.readouterr().err


def test_the_pages_of_an_experiments_test_cases_are_written_anew(project: Path, write_nifti_case: Any) -> None:
    for name in "ABC":
        write_nifti_case(project / "HGG", name)
    for name, source in find_sources(project / "HGG", store=project).items():
        case = prepare_case(source, recipe=Recipe(clip=0))
        write_case(
            project / "data/volumes", name=name, image=case.image, brain=case.brain, labels=case.labels, meta=case.meta
        )
        if name == "A":
            keep_segmentation(project / "segmentations/plain", labels=case.labels, meta=case.meta)
    (project / "reports/cases").mkdir(parents=True)
    (project / "reports/cases/gone.html").touch()
    write_case_pages(Project(project), experiment="plain")
    assert {path.name for path in (project / "reports/cases").iterdir()} == {"index.html", "A.html", "B.html", "C.html"}
    assert "prediction" in volumes_of((project / "reports/cases/A.html").read_text())
    assert "prediction" not in volumes_of((project / "reports/cases/B.html").read_text())
    write_case_pages(Project(project), experiment=None)
    assert [path.name for path in (project / "reports/cases").iterdir()] == ["index.html"]


SCRIPT = """
<pre id="result"></pre><script>
const wait = () => new Promise(done => setTimeout(done, 50));
(async () => {
  for (let tries = 0; tries < 400 && !document.documentElement.dataset.ready; tries++) await wait();
  const gl = viewer.nv.gl, width = gl.drawingBufferWidth, height = gl.drawingBufferHeight, told = {width};
  const pixels = () => { viewer.nv.drawScene(); const read = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, read); return read; };
  const differing = (one, other) => { const found = [];
    for (let at = 0; at < one.length; at += 4)
      if ([0, 1, 2].some(colour => one[at + colour] !== other[at + colour])) found.push(at / 4 % width);
    return found; };
  const change = (id, value) => { const input = document.getElementById(id);
    if (input.type === "radio") input.checked = true; else input.value = value;
    input.dispatchEvent(new Event("input", {bubbles: true})); };
  const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  change("view-0");
  let last = pixels();
  const step = (name, act) => { act(); const now = pixels(); told[name] = differing(last, now).length; last = now; };
  step("nothing", () => {});
  step("slice", () => change("axial", 2));
  step("back", () => change("axial", 5));
  step("modality", () => change("modality-t2"));
  step("window", () => change("white", 90));
  step("prediction", () => change("labels-prediction"));
  step("difference", () => change("labels-difference"));
  step("none", () => change("labels-none"));
  step("key P", () => press("p"));
  step("key up", () => press("ArrowUp"));
  step("key 1", () => press("1"));
  step("key C", () => press("c"));
  change("view-0"); change("axial", 5); change("labels-none");
  last = pixels(); change("labels-truth");
  const columns = differing(last, pixels());
  told.tumour = columns.reduce((sum, column) => sum + column, 0) / columns.length / width;
  told.shown = document.getElementById("axial-at").textContent;
  told.loaded = performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !/^(data|blob):/.test(name));
  document.getElementById("result").textContent = JSON.stringify(told);
})();
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; what a page holds is tested without")
def test_in_a_browser_without_a_network_every_control_changes_the_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    image = rng.uniform(0.5, 1, (12, 16, 18, 4)).astype("float32")
    truth = np.zeros((12, 16, 18), "uint8")
    truth[4:8, 4:9, 12:16] = 2  # on the patient's right
    meta = {**EMPTY, "shape": [12, 16, 18], "affine": (np.diag([3.0, 3, 3, 1])).tolist()}
    page = viewer_page(make_scene("A", image=image, meta=meta, truth=truth, prediction=np.roll(truth, 2, axis=1)))
    (tmp_path / "page.html").write_text(page.replace("</body>", SCRIPT))
    words = [
        *(CHROMIUM, "--headless", "--no-sandbox", f"--user-data-dir={tmp_path / 'chrome'}", "--window-size=600,500"),
        *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--host-resolver-rules=MAP * ~NOTFOUND"),
        *("--virtual-time-budget=60000", "--dump-dom", (tmp_path / "page.html").as_uri()),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240)
    told = json.loads(re.search(r'<pre id="result">(\{.*?\})</pre>', done.stdout)[1])
    assert told.pop("loaded") == [] and told.pop("nothing") == 0 and told.pop("shown") == "5"
    assert told.pop("tumour") < 0.5 * 0.95 and told.pop("width") > 300  # the patient's right is on the left
    assert {name: count for name, count in told.items() if count < 100} == {}
