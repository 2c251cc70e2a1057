"""Tables of cases and params.yaml damaged at random, as bytes and value by value."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from fuzzing import Tally, damaged
from layouts import LAYOUTS, tiny_volumes, write_layout
from ruamel.yaml import YAML

from brats_cascade.data.cases import find_cases
from brats_cascade.params import Params, load_params

LISTINGS = ("cases.csv", "cases.json", "dataset.json")
ROW = {"case": "é", "labels": "five", "flair": "a", "t1": "b", "t1c": "c", "t2": "d", "truth": ""}
# A small params.yaml is read in a tenth of the time: two experiments, a search among few settings.
EXPERIMENTS = {
    "first": {"architecture": "two_path", "builds_on": "data/patches"},
    "second": {"architecture": "input_cascade", "builds_on": "models/first", "l2": 0.1},
}
SPACE = {
    "l2": {"low": 1e-7, "high": 1e-3, "log": True},
    "optimizer": {"choices": {"adam": {}, "sgd": {"momentum": {"low": 0.8, "high": 0.9}}}},
}
# What no key expects.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, -(2**63), 1e308, -1e308, 5e-324, 10**400, float("nan"), float("inf"), "", "x", "1e-5",
    "auto", "../..", "/dev/zero", "\0", "\ud800", "é" * 300, [], [0], [[[]]], {}, {"x": 1}, {1: 2}, [None] * 50, "=1+1",
)  # fmt: skip


def fuzz_listing(folder: Path, *, name: str, rounds: int, seed: int) -> Tally:
    """Looks for cases in a folder whose table, one of LISTINGS, is damaged."""
    layout = "decathlon" if name == "dataset.json" else "list"
    images, labels = tiny_volumes(shape=(8, 9, 7))
    write_layout(folder, layout, images=images, labels=labels)
    if name == "cases.json":
        (folder / "cases.csv").unlink()
        (folder / name).write_text(json.dumps([ROW], ensure_ascii=False), encoding="utf-8")
    kept, rng, tally = (folder / name).read_bytes(), np.random.default_rng(seed), Tally()
    releases = (LAYOUTS[layout][0], "brats2017")

    def wrong(cases: Any) -> str:
        if any(case.release not in releases for case in cases):
            return "another release"
        return (
            "a problem of several lines" if any("\n" in problem for case in cases for problem in case.problems) else ""
        )

    for number in range(rounds):
        (folder / name).write_bytes(damaged(kept, rng=rng))
        tally.attempt(lambda: find_cases(folder), name=f"{name}, file {number}", path=folder, wrong=wrong)
    return tally


def fuzz_params(path: Path, *, shipped: Path, rounds: int, seed: int) -> Tally:
    """Reads `rounds` damaged versions of a small params.yaml: every second one with other bytes, the rest with other values."""
    tree = YAML(typ="safe").load(shipped)
    tree = {**tree, "experiments": EXPERIMENTS, "sweep": {"experiment": "first", "space": SPACE}}
    text = json.dumps(tree, indent=1)
    rng, tally = np.random.default_rng(seed), Tally()
    for number in range(rounds):
        if number % 2:
            path.write_bytes(_changed(text, rng=rng))
        else:
            path.write_bytes(
                damaged(text.encode(), rng=rng) if rng.random() < 0.5 else _scattered(text.encode(), rng=rng)
            )
        tally.attempt(
            lambda: load_params(path), name=f"file {number}", path=path,
            wrong=lambda params: "" if isinstance(params, Params) else f"gave {type(params).__name__}",
        )  # fmt: skip
    return tally


def _scattered(data: bytes, *, rng: np.random.Generator) -> bytes:
    """A few bytes anywhere are others, most of them of the kind that YAML reads as its own."""
    result = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, len(result)))
        result[at : at + int(rng.integers(0, 3))] = (
            rng.choice(list(b"{}[]:,-&*!|>'\"%@`#?\n\t 0eE.~<=")).astype("u1").tobytes()
        )
    return bytes(result)


def _changed(text: str, *, rng: np.random.Generator) -> bytes:
    """One or two values, anywhere in the tree, are others, gone, or have other names."""
    tree = json.loads(text)
    for _ in range(rng.integers(1, 3)):
        block: Any = tree
        while True:
            keys = list(block) if isinstance(block, dict) else list(range(len(block)))
            if not keys:
                break
            key = keys[rng.integers(0, len(keys))]
            if isinstance(block[key], dict | list) and block[key] and rng.random() < 0.8:
                block = block[key]
                continue
            kind = rng.integers(0, 5)
            value = VALUES[rng.integers(0, len(VALUES))]
            if kind == 0:
                del block[key]
            elif kind == 1 and isinstance(block, dict):
                block[str(value)[:40]] = block.pop(key)
            elif kind in (2, 3) and isinstance(block[key], int | float):
                block[key] = type(block[key])(block[key] * 10 ** rng.uniform(-2, 2))
            else:
                block[key] = value
            break
    # YAML's own spelling of what JSON has no word for.
    return json.dumps(tree).replace("NaN", ".nan").replace("Infinity", ".inf").encode()
