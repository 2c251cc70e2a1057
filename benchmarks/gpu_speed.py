"""Device seconds for cases and training steps: python -m benchmarks.gpu_speed ROWS.jsonl UNTIL [--small].

One JSON line is written for every row, the most important first; after UNTIL (epoch seconds) nothing new is started.
`python -m benchmarks.gpu_speed compile NUMBER OF [--small]` compiles one of OF parts of it in advance.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import matrix_rate
from benchmarks.gpu_case import Case, case_row, stored_or_made
from benchmarks.gpu_step import DIRECT, PADDED, SHIFTED, Windows, layer_row, step_kernels, step_row
from brats_cascade import provenance
from brats_cascade.backend import start_backend
from brats_cascade.errors import one_line


@dataclass(frozen=True)
class Size:
    """How much is measured: a made brain's box, slices at once, the windows of a step, and the matrix products that are R."""

    brain: tuple[int, int, int]
    slices: int
    windows: Windows
    side: int
    products: int
    repeats: int
    precisions: tuple[str, ...]
    others: tuple[str, ...] = ("unet", "coarse_cascade")
    steps: tuple[str, ...] = ("two_path", "input_cascade")
    variants: tuple[str, ...] = (DIRECT, PADDED, SHIFTED)


FULL = Size((140, 180, 140), 4, Windows(32, 64), 8192, 20, 3, ("bfloat16", "float32"))
SMALL = Size(
    (2, 16, 16), 1, Windows(1, 8, maps=8), 256, 1, 1, ("float32",), others=(), steps=("two_path",), variants=()
)
Job = tuple[str, Callable[..., dict[str, Any]], dict[str, Any]]  # part, what gives the row, its arguments


def jobs(size: Size, *, case: Case, rates: Mapping[str, float]) -> Iterator[Job]:
    """In the order in which they are measured; the paper's networks in the first precision come first."""
    for precision in size.precisions:
        own = {"precision": precision, "repeats": size.repeats}
        of_layer = own | {"windows": size.windows}
        of_step = of_layer | {"rate": rates[precision]}
        of_case = own | {"case": case, "slices": size.slices, "rate": rates[precision]}
        yield "case", case_row, of_case | {"architecture": "input_cascade"}
        for name in size.steps:
            yield "step", step_row, of_step | {"architecture": name}
        for form in ("columns", "direct"):
            yield "layer", layer_row, of_layer | {"form": form}
        for name in size.others:
            yield "case", case_row, of_case | {"architecture": name}
            yield "step", step_row, of_step | {"architecture": name}
        for variant in size.variants if precision == size.precisions[0] else ():
            yield "step", step_row, of_step | {"architecture": "two_path", "variant": variant}


def rows(size: Size, *, until: float) -> Iterator[dict[str, Any]]:
    """The rows, each with its part; what fails or finds no time left is one too."""
    rates = {precision: matrix_rate(precision, side=size.side, products=size.products) for precision in size.precisions}
    yield {"part": "machine", "machine": provenance.machine()}
    for precision, rate in rates.items():
        yield {"part": "rate", "precision": precision, "R, TFLOP/s": round(rate / 1e12, 3)}
    for part, work, given in jobs(size, case=case_of(size), rates=rates):
        chosen = (str(given[key]) for key in ("architecture", "form", "precision", "variant") if key in given)
        what = " ".join([part, *chosen])
        if time.time() >= until:
            yield {"part": "problems", "problem": f"{what}: no time was left"}
            continue
        try:
            yield {"part": part, **work(**given)}
        except Exception as error:  # such as a form that the card has no memory for; the others are measured
            yield {"part": "problems", "problem": f"{what}: {type(error).__name__}: {one_line(error)}"}
    if size.variants and time.time() < until:
        kernels = step_kernels("two_path", precision=size.precisions[0], windows=size.windows)
        yield from ({"part": "kernels", **row} for row in kernels)


def case_of(size: Size) -> Case:
    """What is segmented."""
    return stored_or_made(Path("data/volumes"), shape=size.brain)


def compile_part(size: Size, *, number: int, of: int) -> None:
    """Does one of so many parts of the jobs for nothing but what JAX keeps; the first ones are compiled when they are timed.

    Several at once use more cores than one, and disturb how the compiler times its candidates; so not those that matter most.
    """
    given = jobs(size, case=case_of(size), rates=dict.fromkeys(size.precisions, 1.0))
    for _, work, arguments in list(given)[1 + len(size.steps) :][number::of]:
        with contextlib.suppress(Exception):  # said where it is timed
            work(**arguments | {"repeats": 1})


def main() -> None:
    """Writes every row as soon as it is known."""
    size = SMALL if "--small" in sys.argv else FULL
    start_backend()
    if sys.argv[1] == "compile":
        compile_part(size, number=int(sys.argv[2]), of=int(sys.argv[3]))
        return
    with Path(sys.argv[1]).open("w", encoding="utf-8") as file:
        for row in rows(size, until=float(sys.argv[2])):
            print(json.dumps(row), file=file, flush=True)


if __name__ == "__main__":
    main()
