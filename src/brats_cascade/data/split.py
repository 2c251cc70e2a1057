"""Splits patients into training, validation and test sets, stratified by release and grade, independent of the case order."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from brats_cascade.errors import UserError

SETS = ("train", "validation", "test")
Stratum = tuple[str, str]  # release, grade
Queues = dict[Stratum, list[str]]


@dataclass(frozen=True)
class Split:
    """The cases and patients of each set, all ascending."""

    seed: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    patients: Mapping[str, tuple[str, ...]]

    def as_dict(self) -> dict[str, Any]:
        """The content of data/splits.json."""
        return asdict(self)


def split_patients(cases: pd.DataFrame, *, validation: int, test: int, seed: int) -> Split:
    """Draws validation and test patients; the others train. The same seed and cases give the same split.

    A stratum is the patients of one grade in one release. Each set is drawn from the strata in proportion (largest remainder).
    A stratum of at least four patients, two more than there are held-out sets, is represented in both of them if they have
    room. Every stratum keeps a patient for training as long as other strata can provide held-out patients.

    `cases` has one row per usable case, in any order, with the columns case, patient, grade and release.

    Raises:
        UserError: There are fewer patients than the sets and one training patient need.
    """
    queues = _shuffled(_stratum_of_patients(cases), seed=seed)
    chosen = _draw(queues, validation=validation, test=test)
    return _build(cases, validation=chosen["validation"], test=chosen["test"], seed=seed)


def split_by_lists(cases: pd.DataFrame, *, validation: Sequence[str], test: Sequence[str]) -> Split:
    """Uses validation and test patients that the user lists, by the names of patients or of their cases; the others train.

    Raises:
        UserError: A name is neither, a patient is in both lists, or no patient is left for training.
    """
    patients = {**dict(zip(cases["case"], cases["patient"], strict=True)), **{name: name for name in cases["patient"]}}
    chosen = {}
    for name, members in (("validation", validation), ("test", test)):
        for member in members:
            if member not in patients:
                near = difflib.get_close_matches(member, patients, n=1)
                hint = f"did you mean {near[0]}?" if near else "it may be excluded, see data/verdict.json"
                raise UserError(f"split: {member} of the {name} list is neither a patient nor a usable case; {hint}")
        chosen[name] = {patients[member] for member in members}
    both = sorted(chosen["validation"] & chosen["test"])
    if both:
        raise UserError(f"split: patient {both[0]} is in the validation and in the test list: remove it from one")
    if set(patients.values()) == chosen["validation"] | chosen["test"]:
        raise UserError("split: the validation and test lists contain every patient: leave at least one for training")
    return _build(cases, validation=sorted(chosen["validation"]), test=sorted(chosen["test"]), seed=0)


def release_split(cases: pd.DataFrame, *, release: str, validation: int, seed: int) -> Split:
    """Uses all patients of one release as the test set, draws validation patients from the others, and trains on the rest.

    Raises:
        UserError: The release has no patient, or there are too few others.
    """
    test = sorted(set(cases.loc[cases["release"] == release, "patient"]))
    if not test:
        known = ", ".join(sorted(set(cases["release"])))
        raise UserError(f"split.test_release: no usable case of {release!r}; found {known}")
    others = split_patients(cases[~cases["patient"].isin(test)], validation=validation, test=0, seed=seed)
    return _build(cases, validation=others.patients["validation"], test=test, seed=seed)


def fold_split(cases: pd.DataFrame, *, folds: int, fold: int, validation: int, seed: int) -> Split:
    """One round of a cross-validation: one fold is the test set, and validation patients are drawn from the others.

    Every patient is in the test set of exactly one round. The numbers of patients per fold differ by at most one, in all,
    within each release and within each grade of a release. Each round draws its validation patients from a different starting
    point, so that choices made on validation do not depend on the same few patients.

    Raises:
        UserError: There are fewer than 2 folds, the fold does not exist, or there are too few patients.
    """
    strata = _stratum_of_patients(cases)
    if not 2 <= folds <= len(strata):
        raise UserError(
            f"split: {folds} folds of {len(strata)} patients: expected at least 2 folds and a patient for each; change "
            "split.folds or add patients"
        )
    if not 0 <= fold < folds:
        raise UserError(f"split: fold {fold} of {folds}: expected split.fold from 0 to {folds - 1}")
    queues = _shuffled(strata, seed=seed)
    # dealt round-robin to the folds, stratum after stratum, without restarting at the first fold
    test = [patient for queue in queues.values() for patient in queue][fold::folds]
    others = {}
    for stratum, queue in queues.items():
        begin = fold * validation % len(queue)
        others[stratum] = [patient for patient in queue[begin:] + queue[:begin] if patient not in test]
    chosen = _draw({stratum: queue for stratum, queue in others.items() if queue}, validation=validation, test=0)
    return _build(cases, validation=chosen["validation"], test=test, seed=seed)


def check_no_leak(split: Split, cases: pd.DataFrame) -> None:
    """Refuses a split in which two sets share a case, a patient or a volume.

    `cases` has one row per case of the split, with the columns case, patient and voxels_hash ("" if unknown).

    Raises:
        UserError: Two sets share something (the message names both cases), or a case of the split is not in the table.
    """
    known = dict(zip(cases["case"], zip(cases["patient"], cases["voxels_hash"], strict=True), strict=True))
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for name in SETS:
        for case in getattr(split, name):
            if case not in known:
                raise UserError(f"split: {case} of the {name} set is not among the cases: run ingest and split again")
            for kind, value in zip(("case", "patient", "voxels"), (case, *known[case]), strict=True):
                if pd.isna(value) or value == "":
                    continue
                other_set, other = seen.setdefault((kind, str(value)), (name, case))
                if other_set != name:
                    raise UserError(
                        f"split: leak: {case} ({name}) and {other} ({other_set}) share the same {kind}"
                        f"{'' if kind == 'voxels' else f' {value}'}: keep them in one set or remove one"
                    )


def _stratum_of_patients(cases: pd.DataFrame) -> pd.Series:
    """Patient -> (release, grade), sorted by patient. If a patient has several grades, high comes before low before unknown."""
    order = cases["grade"].map({"high": 0, "low": 1}).fillna(2)
    table = cases.assign(_order=order).sort_values(["patient", "_order", "grade", "release"])
    first = table.drop_duplicates("patient").set_index("patient")
    return pd.Series(list(zip(first["release"], first["grade"], strict=True)), index=first.index)


def _shuffled(strata: pd.Series, *, seed: int) -> Queues:
    """Stratum, ascending -> its patients in random order."""
    rng = np.random.default_rng(seed)
    queues = {}
    for stratum in sorted(set(strata)):
        patients = [patient for patient, own in strata.items() if own == stratum]
        queues[stratum] = [patients[position] for position in rng.permutation(len(patients))]
    return queues


def _draw(queues: Queues, *, validation: int, test: int) -> dict[str, list[str]]:
    """Draws held-out patients from the front of every stratum's queue, the test set first."""
    sizes = {stratum: len(queue) for stratum, queue in queues.items()}
    if sum(sizes.values()) < validation + test + 1:
        raise UserError(
            f"split: {sum(sizes.values())} patients found, but validation={validation} and test={test} with at least one "
            f"for training need {validation + test + 1}: lower split.validation or split.test, or add patients"
        )
    keep = sum(size - 1 for size in sizes.values()) >= validation + test
    large = {stratum for stratum, size in sizes.items() if size >= 4}
    chosen: dict[str, list[str]] = {}
    for name, number in (("test", test), ("validation", validation)):
        counts = {stratum: len(queue) for stratum, queue in queues.items()}
        shares = _allocate(counts, size=number, keep=int(keep), at_least_one=large)
        chosen[name] = [patient for stratum, share in shares.items() for patient in queues[stratum][:share]]
        queues = {stratum: queue[shares[stratum] :] for stratum, queue in queues.items()}
    return chosen


def _allocate(counts: dict[Stratum, int], *, size: int, keep: int, at_least_one: set[Stratum]) -> dict[Stratum, int]:
    """Shares `size` among the strata by largest remainder, leaving `keep` patients in each stratum that has that many.

    The strata in `at_least_one` get one each first, the largest strata if there is no room for all.
    """
    room = {stratum: max(count - keep, 0) for stratum, count in counts.items()}
    first = sorted((stratum for stratum in at_least_one if room[stratum]), key=lambda own: (-counts[own], own))
    shares = {stratum: int(stratum in first[:size]) for stratum in counts}
    exact = {stratum: size * count / max(sum(counts.values()), 1) for stratum, count in counts.items()}
    while sum(shares.values()) < size:
        open_strata = [stratum for stratum in counts if shares[stratum] < room[stratum]]
        # the stratum furthest below its exact share; ties go to the first by name
        shares[max(open_strata, key=lambda stratum: exact[stratum] - shares[stratum])] += 1
    return shares


def _build(cases: pd.DataFrame, *, validation: Sequence[str], test: Sequence[str], seed: int) -> Split:
    held_out = {*validation, *test}
    train = sorted(set(cases["patient"]) - held_out)
    patients = {"train": tuple(train), "validation": tuple(sorted(validation)), "test": tuple(sorted(test))}
    sets = {
        name: tuple(sorted(cases.loc[cases["patient"].isin(members), "case"])) for name, members in patients.items()
    }
    return Split(seed=seed, patients=patients, **sets)
