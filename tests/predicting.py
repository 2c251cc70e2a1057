"""`brats-cascade predict` without its command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brats_cascade.commands import predict
from brats_cascade.commands.options import PredictOptions


def run(
    folders: Sequence[Path],
    *,
    models: Sequence[str] = (),
    kinds: Sequence[str] = (),
    thresholds: Mapping[str, float | None] | None = None,
    **options: Any,
) -> int:
    flags = dict.fromkeys(set(kinds) - {"seg"}, True)
    return predict.run(folders, PredictOptions(model=list(models), **flags, **(thresholds or {}), **options))
