"""One real case from input files to segmentation file, InputCascadeCNN at full width, compared with R; bfloat16 and float32.

The weights are untrained unless models/input_cascade holds a full-width network; only then is a Dice compared.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import best, matrix_rate, report
from benchmarks.operations import case_operations
from brats_cascade import MODALITIES
from brats_cascade.backend import start_backend

SOURCE = Path("../shared/data/brats2018")
TRAINED = Path("models/input_cascade")


def main() -> None:
    """Measures the second case, which excludes start-up and tracing."""
    start_backend()
    from brats_cascade.data.cases import find_cases
    from brats_cascade.models.fold import for_inference

    if not SOURCE.is_dir():
        print(f"{SOURCE}: not there; this benchmark needs real cases and is left out")
        return
    first, case = find_cases(SOURCE)[:2]
    network, contract, trained = _network()
    rows: list[dict[str, Any]] = []
    labels: dict[str, np.ndarray] = {}
    for precision in ("float32", "bfloat16"):
        rate = matrix_rate(precision)
        lean = for_inference(network, contract=contract, precision=precision)
        _segment(first, network=lean, contract=contract)
        seconds, parts, prediction = _segment(case, network=lean, contract=contract)
        needed = case_operations("input_cascade", brain=prediction.prepared.brain, classes=len(contract.classes))
        labels[precision] = prediction.labels
        rows.append(
            {
                "case": case.name,
                "precision": precision,
                "seconds": round(seconds, 1),
                **parts,
                "R, GFLOP/s": round(rate / 1e9),
                "operations / R, s": round(needed / rate, 1),
                "over operations / R": round(seconds * rate / needed, 2),
                "float32 over this": round(rows[0]["seconds"] / seconds, 2) if rows else 1.0,
                **({"complete Dice against float32": _agreement(labels, precision=precision)} if trained else {}),
            }
        )
    report("case", rows=rows)


def _network() -> tuple[Any, Any, bool]:
    """The network, its contract, and whether it is trained."""
    from brats_cascade.models.build import build_model
    from brats_cascade.models.files import Contract, load_trained
    from brats_cascade.models.two_path import Style

    if TRAINED.is_dir():
        network, contract = load_trained(TRAINED)
        if contract.style.width == 1.0:
            return network, contract, True
    style = Style()
    network = build_model("input_cascade", classes=4, style=style)
    return network, Contract("input_cascade", (0, 1, 2, 4), MODALITIES, 0.01, style, style), False


def _segment(case: Any, *, network: Any, contract: Any) -> tuple[float, dict[str, float], Any]:
    """Seconds for the whole case and its parts; reading and labels are timed again separately, the network is the rest."""
    from brats_cascade.data.prepare import prepare_case
    from brats_cascade.inference.output import write_prediction
    from brats_cascade.inference.postprocess import Thresholds, remove_components
    from brats_cascade.inference.predict import predict_case
    from brats_cascade.inference.segment import Member, most_probable
    from brats_cascade.params import Recipe

    thresholds = Thresholds(min_component=200.0)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        prediction = predict_case(case, members=[Member(network, contract)], thresholds=thresholds)
        computed = time.perf_counter()
        write_prediction(prediction, case=case, out=Path(folder))
        ended = time.perf_counter()
    prepared, probabilities = prediction.prepared, prediction.probabilities
    reading = best(lambda: prepare_case(case, recipe=Recipe(**contract.preprocessing), with_truth=False), repeats=1)
    spacing = prepared.meta["spacing"]
    choosing = best(
        lambda: remove_components(
            most_probable(probabilities), brain=prepared.brain, spacing=spacing, thresholds=thresholds
        ),
        repeats=1,
    )
    parts = {
        "reading, s": reading,
        "network, s": computed - started - reading - choosing,
        "labels and post-processing, s": choosing,
        "writing, s": ended - computed,
    }
    return ended - started, {name: round(value, 2) for name, value in parts.items()}, prediction


def _agreement(labels: dict[str, np.ndarray], *, precision: str) -> float:
    """Dice of the complete tumour between a precision and float32."""
    mine, theirs = labels[precision] > 0, labels["float32"] > 0
    both = int(mine.sum() + theirs.sum())
    return round(2 * int((mine & theirs).sum()) / both, 4) if both else 1.0


if __name__ == "__main__":
    main()
