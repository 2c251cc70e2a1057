"""Out-of-fold maps: no CNN 1 makes the maps of a training patient whom it was trained on."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from settings import train_settings

from brats_cascade.models.build import build_model
from brats_cascade.models.coarse import members_of
from brats_cascade.models.files import weights_digest
from brats_cascade.models.two_path import Style
from brats_cascade.training import cnn1_maps
from brats_cascade.training.batches import TrainingData
from brats_cascade.training.checkpoint import Progress
from brats_cascade.training.experiment import Experiment, Trained, train_experiment
from brats_cascade.training.fingerprint import Cnn1, network_digest
from brats_cascade.training.first_cnns import inner_folds, train_first_cnns

CLASSES = (0, 1, 2, 3, 4)
SHORT = {"steps": 2, "phase2_steps": 0, "cnn1_folds": 2}
STYLE = Style(width=0.05)
TRAINED = Trained(None, Progress(), None, STYLE)  # type: ignore[arg-type]


@pytest.fixture
def data(make_case, draw_centres) -> TrainingData:
    """Two patients of one case and one of two; a case of a fourth patient validates."""
    cases = [make_case(name, seed=seed, shape=(2, 36, 36)) for seed, name in enumerate("abcdv")]
    cases = [replace(case, patient="ab" if case.name in "ab" else case.name) for case in cases]
    sets = {"phase1": draw_centres(cases[:4], count=200, equal=True), "phase2": draw_centres(cases[:4], count=200)}
    return TrainingData(cases[:4], cases[4:], sets, CLASSES)


def _data(groups: dict[str, str], make_case, *, draw_centres) -> TrainingData:
    cases = [replace(make_case(name, shape=(2, 12, 12)), group=group) for name, group in groups.items()]
    return TrainingData(cases, cases[:1], {"phase1": draw_centres(cases, count=9)}, CLASSES)


def test_every_patient_is_in_one_fold_and_in_no_training_of_it(data) -> None:
    folds = inner_folds(data, folds=2, seed=3)
    assert sorted(name for fold in folds for name in fold.cases) == ["a", "b", "c", "d"]
    assert any({"a", "b"} <= set(fold.cases) for fold in folds)  # one patient
    for fold in folds:
        others = set("abcd") - set(fold.cases)
        assert {case.name for case in fold.data.train} == others
        assert set(fold.data.patch_sets["phase1"]["case"]) == others
        assert fold.data.validation == data.validation
        rows = data.patch_sets["phase2"]
        expected = rows[~rows["case"].isin(fold.cases)].to_numpy()
        np.testing.assert_array_equal(fold.data.patch_sets["phase2"].to_numpy(), expected)


def test_folds_are_the_same_in_any_order_and_others_with_another_seed(make_case, draw_centres) -> None:
    data = _data(dict.fromkeys("abcdefgh", "x"), make_case, draw_centres=draw_centres)
    turned = replace(data, train=data.train[::-1])
    found = [[fold.cases for fold in inner_folds(one, folds=3, seed=1)] for one in (data, turned)]
    assert found[0] == found[1]
    assert len({str([fold.cases for fold in inner_folds(data, folds=3, seed=seed)]) for seed in range(5)}) > 1


def test_releases_and_grades_are_spread_evenly(make_case, draw_centres) -> None:
    groups = {f"p{number:02}": "2018 high" if number < 7 else "2021 " for number in range(12)}
    data = _data(groups, make_case, draw_centres=draw_centres)
    for seed in range(3):
        folds = inner_folds(data, folds=3, seed=seed)
        counts = [Counter(groups[name] for name in fold.cases) for fold in folds]
        assert [sum(count.values()) for count in counts] == [4, 4, 4]
        for group in set(groups.values()):
            assert max(count[group] for count in counts) - min(count[group] for count in counts) <= 1


def test_one_fold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cnn1_folds\n.*expected 0 .off. or at least 2"):
        train_settings(cnn1_folds=1)


def test_inner_cnn1s_are_trained_as_the_kept_one_was_where_that_is_known(data, tmp_path: Path) -> None:
    calls = []

    def train(experiment, *, folder):
        calls.append((experiment, folder))
        return replace(TRAINED, network=folder.name)

    own, of_cnn1 = (
        train_settings(seed=1, **SHORT),
        train_settings(seed=7, steps=5, cascade="joint", precision="bfloat16"),
    )
    cascade = Experiment("mf_cascade", data, own)
    places = {"folder": tmp_path / "own", "shared": tmp_path / "all"}
    for known, seed, steps in ((of_cnn1, 7, 5), (None, 1, 2)):
        calls.clear()
        kept = Cnn1(None, STYLE, known)  # type: ignore[arg-type]
        first, within, inner = train_first_cnns(train, replace(cascade, cnn1=kept), **places)
        assert first.cnn1 is kept and within is None and len(inner) == 2
        assert [(one.settings.seed, one.settings.steps) for one, _ in calls] == [(seed, steps)] * 2
        assert {(one.settings.cascade, one.architecture) for one, _ in calls} == {("frozen", "two_path")}
        assert {one.settings.precision for one, _ in calls} == {own.precision} == {"float32"}  # this machine's
        assert {folder.parent for _, folder in calls} == {tmp_path / "all/inner_cnn1"}
        for (one, folder), (cases, maker) in zip(calls, first.inner, strict=True):
            assert {case.name for case in one.data.train} == set("abcd") - set(cases)
            assert maker.network == folder.name
    one, within, inner = train_first_cnns(train, replace(cascade, settings=train_settings()), **places)
    assert within is not None and one.cnn1 is not None and inner == [] == one.inner


@pytest.mark.slow
def test_maps_come_from_inner_cnn1s_and_a_second_cascade_shares_them(data, tmp_path: Path, monkeypatch, caplog) -> None:
    made: list[tuple[str, list[str]]] = []
    stored = cnn1_maps.stored_maps

    def spy(network, *, cases, **given):
        made.append((network_digest(network), [case.name for case in cases]))
        return stored(network, cases=cases, **given)

    monkeypatch.setattr(cnn1_maps, "stored_maps", spy)
    given = Cnn1(build_model("two_path", style=STYLE), STYLE)

    def train(folder: str, architecture: str, **changes):
        experiment = Experiment(architecture, data, train_settings(**SHORT, **changes), given)
        return train_experiment(experiment, folder=tmp_path / folder, shared=tmp_path / "shared")

    trained = train("one", "mf_cascade")
    assert sorted(names for _, names in made) == sorted(
        [["v"], *([*f.cases] for f in inner_folds(data, folds=2, seed=1))]
    )
    assert len({digest for digest, _ in made}) == 3
    assert len(trained.inner) == 2 and trained.pixels == trained.progress.pixels + sum(p.pixels for p in trained.inner)
    assert trained.seconds == pytest.approx(trained.progress.seconds + sum(part.seconds for part in trained.inner))
    before, makers = (tmp_path / "shared/inner_cnn1").rglob("checkpoint.npz"), list(made)
    stamps = {path: path.stat().st_mtime_ns for path in before}
    with caplog.at_level("INFO"):
        train("two", "local_cascade", cnn1_dropout=0.5)
    assert caplog.text.count("resuming from phase 1, step 2") == 2
    assert len(stamps) == 2 and stamps == {path: path.stat().st_mtime_ns for path in stamps}
    assert made[3:] == makers


@pytest.mark.parametrize("folds", [0, 2])
def test_cnn1_steps_shorten_the_cnn1s_and_leave_cnn2_as_it_is(data, tmp_path: Path, folds: int) -> None:
    """Without folds its CNN 1 is one of all training patients, with them the mean of theirs."""
    calls = []

    def train(experiment, *, folder):
        calls.append(experiment.settings)
        return replace(TRAINED, network=build_model("coarse_cnn1", style=STYLE))

    own = train_settings(steps=9, phase2_steps=4, cnn1_folds=folds, cnn1_steps=3)
    cascade, within, inner = train_first_cnns(
        train, Experiment("coarse_cascade", data, own), folder=tmp_path, shared=tmp_path
    )
    assert [(one.steps, one.phase2_steps) for one in calls] == [(3, 0)] * (folds or 1)
    assert cascade.settings == own and len(inner) == folds and (within is None) == bool(folds)
    made = members_of(cascade.cnn1.network)
    expected = [one.network for one in inner] or [within.network]
    assert [weights_digest(one) for one in made] == [weights_digest(one) for one in expected]
    assert len({weights_digest(one) for one in made}) == len(made)
    if folds:
        assert calls[0] == calls[1] and calls[1].cnn1_steps == 0
