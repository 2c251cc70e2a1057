"""Drills: faults made on purpose, many times, and what came of them; `python -m drills` writes docs/reliability.md.

They share what makes the faults with the tests, which try each of them a few times.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.extend(str(ROOT / name) for name in ("tests", "tests/data"))
