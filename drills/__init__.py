"""Drills: inject faults many times and check the outcome; `python -m drills` writes docs/reliability.md.

The tests share the code that makes the faults, and run a few of each kind.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.extend(str(ROOT / name) for name in ("tests", "tests/data"))
