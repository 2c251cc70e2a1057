"""`brats-cascade predict` without its command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brats_cascade.commands import predict


def run(folders: Sequence[Path], *, workers: int = 1, scheduler: str = "", **options: Any) -> int:
    return predict.run(folders, predict.Job(**options), workers=workers, scheduler=scheduler)
