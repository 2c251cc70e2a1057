"""Streams of gzip and zlib data: ISA-L's inflate where it is installed (3 times as fast), else Python's own."""

import zlib
from typing import Any

_library: Any = zlib
try:
    from isal import isal_zlib
except ImportError:  # no wheel for this machine
    pass
else:
    _library = isal_zlib

# What a damaged stream raises.
ERRORS: tuple[type[Exception], ...] = (_library.error, zlib.error)


def inflater(wbits: int) -> Any:
    """A decompression object as zlib.decompressobj gives it: 31 expects gzip, 47 gzip or zlib data."""
    return _library.decompressobj(wbits)
