"""Names of cases that do harm where a name is taken for something else."""

import os

HOSTILE = (
    '"><svg onload=alert(1)>', "<img src=x onerror=alert(2)>", "50%", "=cmd|' !A1", "+1", "-rf", "a,b", "$x$", "it's",
    "A (1)", "x\x1b[31mred\x1b]0;t\x07", "a\nb", "a\u202eb", os.fsdecode(b"M\xfcller"), "L" * 240, "é" * 100, "NA", "nan",
    "A.", " A", "%",
)  # fmt: skip
