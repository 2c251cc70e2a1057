"""A note of what a stage cost, for the report's table: .work/cost/, not in git and not in DVC."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from brats_cascade.provenance import peak_memory_mb

FOLDER = Path(".work/cost")


@contextlib.contextmanager
def noted(stage: str, *, arguments: Sequence[str]) -> Iterator[None]:
    """Writes seconds and peak memory of what runs inside, if it ends well; a note that cannot be written is none.

    Args:
        stage: The script's name.
        arguments: Its arguments, such as the experiment.
    """
    started = time.perf_counter()
    yield
    note = {
        "stage": stage,
        "argument": " ".join(arguments),
        "seconds": time.perf_counter() - started,
        "peak_memory_mb": peak_memory_mb(),
        "when": datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
    }
    with contextlib.suppress(OSError):
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{'-'.join([stage, *arguments])}.json").write_text(json.dumps(note) + "\n", encoding="utf-8")
