"""Finds the cases of all supported releases in a folder, also mixed, from their file names alone."""

import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.decathlon import read_channels
from brats_cascade.data.names import safe_id
from brats_cascade.data.releases import ALL_FOUR, GRADE_FOLDERS, RELEASES, Release, without_year
from brats_cascade.data.unused import Unused, by_reason, explain, is_volume, lone_truth, walk
from brats_cascade.errors import UserError, is_trouble, printable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """Everything found in a folder: the cases by name, and by path the volumes that belong to no case."""

    cases: list[Case]
    unused: tuple[Unused, ...]

    def notes(self, *, private: bool = False) -> dict[str, Any]:
        """Attributes for the per-case table (Parquet keeps them): the volumes that belong to no case, and the original names.

        Original names are under "names", which pages show, or under "originals" if they are private.
        """
        unused = [{"file": printable(each.path.as_posix()), "reason": printable(each.reason)} for each in self.unused]
        called = {case.name: printable(case.called) for case in self.cases if case.called}
        return {"unused": unused, **({"originals" if private else "names": called} if called else {})}


def find_cases(source: Path, *, layout: str = "auto", from_params: bool = False) -> list[Case]:
    """The cases that `search` finds, without the volumes that belong to no case."""
    return search(source, layout=layout, from_params=from_params).cases


def search(source: Path, *, layout: str = "auto", from_params: bool = False) -> Found:
    """Finds every case in a folder, which may itself be a case, and accounts for every volume in it.

    Args:
        source: A folder with cases of any supported release, at any depth; or a listing: a .csv or .json file, or a
            folder with a cases.csv or cases.json at its top (see data.listing).
        layout: "auto", the name of a single release, or "list".
        from_params: Whether source and layout come from params.yaml; error messages then name its keys.

    Returns:
        The cases and the other volumes. Cases with missing or duplicate files are included, with the reason in
        `problems`.

    Raises:
        UserError: The folder or layout does not exist, no case was found, or a listing cannot be read.
    """
    from brats_cascade.data.listing import find_listing, read_listing

    releases = _releases(layout, key="data.layout" if from_params else "--layout")
    give = "set data.source to" if from_params else "give"
    listing = find_listing(source) if layout in ("auto", "list") else None
    if listing is not None:
        return _listed(_with_one_id_per_patient(read_listing(listing)), source=source, name=listing.name)
    if not source.is_dir():
        kind = "is a file" if source.exists() else "does not exist"
        raise UserError(f"{source}: expected a folder of cases, but it {kind}; {give} your cohort's folder")
    if layout == "list":
        raise UserError(f"{source}: expected a listing, cases.csv or cases.json, in it; see docs/data.md")
    groups, unused = _groups(source, releases=releases, layout=layout)
    truths: list[Unused] = []
    cases = []
    for (folder, name, stem), files in groups.items():
        release = RELEASES[name]
        if any(part != "truth" for part in files):
            cases.append(_case(folder, release=release, stem=stem, files=files, source=source))
        else:
            reason = lone_truth(release, stem=stem, folder=folder)
            truths.extend(Unused(path, reason) for path in files["truth"])
    unused.extend(truths)
    if not cases:
        raise UserError(_nothing_found(source, unused=unused, truths=truths, give=give))
    cases = _with_one_id_per_patient(_with_unique_names(cases, source=source))
    _tell_ids(cases)
    return Found(cases, tuple(sorted(unused, key=lambda volume: volume.path)))


Groups = dict[tuple[Path, str, str], dict[str, list[Path]]]


def _listed(cases: list[Case], *, source: Path, name: str) -> Found:
    """The cases of a listing, and the volumes in its folder that it does not name."""
    _tell_ids(cases)
    listed = {_whole(path) for case in cases for path in case.files}
    others = [
        path
        for path in (walk(source, closed=_tell_unlistable) if source.is_dir() else ())
        if _whole(path) not in listed
    ]
    reason = f"it is not in {name}: add it there"
    return Found(cases, tuple(Unused(path, reason) for path in others if is_volume(path)))


def _groups(source: Path, *, releases: Sequence[Release], layout: str) -> tuple[Groups, list[Unused]]:
    """Groups files: (case's folder, release, stem) -> part -> files; also returns the volumes that fit no release."""
    groups: Groups = defaultdict(lambda: defaultdict(list))
    unused: list[Unused] = []
    for path in walk(source, closed=_tell_unlistable):
        whole = _whole(path)
        for release in releases:
            part = release.part_of(whole)
            if part is not None:
                key = (path.parents[release.depth - 1], release.name, release.stem_of(whole))
                groups[key][part].append(path)
                break
        else:
            if is_volume(path):
                unused.append(Unused(path, explain(whole, layout=layout)))
    return groups, unused


def _nothing_found(source: Path, *, unused: Sequence[Unused], truths: Sequence[Unused], give: str) -> str:
    if truths:
        first = min(truths, key=lambda volume: volume.path)
        return f"{source}: contains ground truths ({len(truths)}) but no scans: {first.path}: {first.reason}"
    if unused:
        lines = by_reason(unused)
        more = f" (and {len(lines) - 3} more reasons)" if len(lines) > 3 else ""
        return (
            f"{source}: no case found; none of its volumes ({len(unused)}) can be used: {' | '.join(lines[:3])}{more}"
        )
    return f"{source}: no case found, and no volume; {give} the folder that holds the cases (layouts: docs/data.md)"


def _releases(layout: str, *, key: str) -> Sequence[Release]:
    if layout in ("auto", "list"):
        return tuple(RELEASES.values())
    if layout not in RELEASES:
        raise UserError(f"{key}: expected auto, list or one of {', '.join(RELEASES)}, received {layout!r}")
    return (RELEASES[layout],)


def _whole(path: Path) -> Path:
    """The absolute path. If the source is "." or a case's own folder, the folders above it are needed, too."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links and lose the case's name


def _tell_ids(cases: Sequence[Case]) -> None:
    for case in cases:
        if case.called:
            called, folder = printable(case.called), printable(str(case.folder))
            log.warning("%s: the id of the case %r in %s, whose name is not safe to use", case.name, called, folder)


def _tell_unlistable(error: OSError) -> None:
    if is_trouble(error, reading=True):
        raise error
    log.warning("%s: its files cannot be listed (%s); cases inside it are left out", error.filename, error.strerror)


def _case(folder: Path, *, release: Release, stem: str, files: Mapping[str, Sequence[Path]], source: Path) -> Case:
    whole = _whole(folder)
    called = release.name_of(whole) if release.own_folder else stem
    name = safe_id(called)
    problems = []
    for part in (*(part for part in release.files if part != "truth"), "truth"):
        paths = files.get(part, ())
        if len(paths) > 1:
            names = " and ".join(str(path.relative_to(folder)) for path in paths)
            problems.append(f"{name}: two files for {part} in {folder}: {names}; keep one")
        elif not paths and part != "truth":
            problems.append(
                f"{name}: {part} is missing: expected {release.expected(part, stem=stem)} in {folder}; "
                "add the file or remove the case"
            )
    single = {part: paths[0] for part, paths in files.items() if len(paths) == 1}
    channels: Mapping[str, int] = {}
    if ALL_FOUR in single:
        single |= dict.fromkeys(MODALITIES, single[ALL_FOUR])
        channels, problem = read_channels(folder)
        problems += [f"{name}: {problem}"] if problem else []
    grade = _grade(whole, top=_whole(source).parent)
    return Case(
        name=name,
        patient=safe_id(release.patient_of(called)),
        grade=release.grade_of(called) if grade == "unknown" else grade,
        release=release.name,
        scheme=release.scheme,
        folder=folder,
        images={modality: single[modality] for modality in MODALITIES if modality in single},
        truth=single.get("truth"),
        problems=tuple(problems),
        channels=channels,
        called="" if name == called else called,
        above=folder.relative_to(source).parts[:-1] if folder.is_relative_to(source) else (),
        files=tuple(path for paths in files.values() for path in paths),
    )


def _grade(folder: Path, *, top: Path) -> str:
    """The grade from the nearest folder above, up to the source's parent, whose name is a grade."""
    for parent in folder.parents:
        if parent.name.upper() in GRADE_FOLDERS:
            return GRADE_FOLDERS[parent.name.upper()]
        if parent == top:
            break
    return "unknown"


def _with_unique_names(cases: Sequence[Case], *, source: Path) -> list[Case]:
    """Makes duplicate names unique by adding the release or, if that is not enough, the folders above."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.name].append(case)
    taken = set(groups)
    unique = []
    for name, same in groups.items():
        if len(same) == 1:
            unique.append(same[0])
            continue
        by_release = len({case.release for case in same}) == len(same)
        ordered = sorted(same, key=lambda case: case.folder)
        for number, case in enumerate(ordered, start=1):
            below = case.folder.is_relative_to(source)
            folders = "_".join(case.folder.relative_to(source).parts[:-1]) if below else ""
            new = safe_id(f"{name}.{case.release if by_release else folders or number}")
            new = safe_id(f"{new}.{number}") if new in taken else new
            taken.add(new)
            place = printable(str(case.folder))
            log.warning("%s: %d cases have this name; the one in %s is called %s", name, len(same), place, new)
            problems = tuple(problem.replace(name, new, 1) for problem in case.problems)
            other = ordered[0 if number > 1 else 1]
            unique.append(replace(case, name=new, problems=problems, namesake=str(other.folder)))
    return unique


def _with_one_id_per_patient(cases: Sequence[Case]) -> list[Case]:
    """Gives the scans of a patient of several years of a release the id of the first year; sorts by name."""
    by_year = sorted(cases, key=lambda case: case.patient.lower(), reverse=True)
    first = {(case.release, without_year(case.patient)): case.patient for case in by_year}
    renamed = (replace(case, patient=first[case.release, without_year(case.patient)]) for case in cases)
    return sorted(renamed, key=lambda case: case.name)
