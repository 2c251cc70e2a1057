"""One real case from files to segmentation file, InputCascadeCNN at full width: against R, and bfloat16 against float32.

The weights are untrained unless models/input_cascade holds a full-width network, so only then is a Dice compared.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.common import input_cascade_operations, matrix_rate, report
from brats_cascade import MODALITIES
from brats_cascade.backend import start_backend

SOURCE = Path("../shared/data/brats2018")
TRAINED = Path("models/input_cascade")


def main() -> None:
    """Start-up and the first case (tracing) are excluded: the second case counts."""
    start_backend()
    from brats_cascade.data.cases import find_cases
    from brats_cascade.inference.dense import brain_windows
    from brats_cascade.inference.output import write_prediction
    from brats_cascade.inference.predict import predict_case
    from brats_cascade.inference.segment import Member
    from brats_cascade.models.build import build_model
    from brats_cascade.models.files import Contract, load_trained
    from brats_cascade.models.fold import for_inference
    from brats_cascade.models.two_path import Style

    if not SOURCE.is_dir():
        print(f"{SOURCE}: not there; this benchmark needs real cases and is left out")
        return
    cases = find_cases(SOURCE)[:2]
    style = Style()
    contract = Contract("input_cascade", (0, 1, 2, 4), MODALITIES, 0.01, style, style)
    network = build_model("input_cascade", classes=4, style=style)
    if TRAINED.is_dir():
        trained, record = load_trained(TRAINED)
        if record.style.width == 1.0:
            network, contract = trained, record
    rows = []
    labels = {}
    for precision in ("float32", "bfloat16"):
        rate = matrix_rate(precision)
        lean = for_inference(network, contract=contract, precision=precision)
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                prediction = predict_case(case, members=[Member(lean, contract)])
                write_prediction(prediction, case=case, out=Path(folder))
                seconds = time.perf_counter() - started
        brain = prediction.prepared.brain
        needed = sum(
            (stop - start) * input_cascade_operations(rows=rows_, columns=columns, classes=len(contract.classes))
            for start, stop, _, _, rows_, columns in brain_windows(np.asarray(brain), slices=1)
        )
        labels[precision] = prediction.labels
        both = int((labels["float32"] > 0).sum() + (labels[precision] > 0).sum())
        agreement = 2 * int(((labels["float32"] > 0) & (labels[precision] > 0)).sum()) / both if both else 1.0
        rows.append(
            {
                "case": case.name,
                "precision": precision,
                "seconds": round(seconds, 1),
                "R, GFLOP/s": round(rate / 1e9),
                "operations / R, s": round(needed / rate, 1),
                "over operations / R": round(seconds * rate / needed, 2),
                "complete Dice against float32": round(agreement, 4) if contract is not None and both else "",
            }
        )
    report("case", rows=rows)


if __name__ == "__main__":
    main()
