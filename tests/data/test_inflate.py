import gzip
import importlib
import sys
import zlib

import pytest

from brats_cascade.data import _inflate


@pytest.fixture(params=["as installed", "without isal"])
def inflate(request, monkeypatch):
    if request.param == "without isal":
        monkeypatch.setitem(sys.modules, "isal", None)
    yield importlib.reload(_inflate)
    monkeypatch.undo()
    importlib.reload(_inflate)


def test_streams_are_read_piece_by_piece_and_checked(inflate):
    content = bytes(range(256)) * 40
    for wbits, packed in ((31, gzip.compress(content)), (47, gzip.compress(content)), (47, zlib.compress(content))):
        stream = inflate.inflater(wbits)
        first = stream.decompress(packed + b"rest", 100)
        assert first == content[:100] and not stream.eof
        assert first + stream.decompress(stream.unconsumed_tail, 10**6) == content
        assert stream.eof and stream.unused_data == b"rest"
    broken = gzip.compress(content)[:-8] + b"12345678"
    with pytest.raises(inflate.ERRORS):
        inflate.inflater(31).decompress(broken, 10**6)


def test_the_fallback_is_pythons_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    assert importlib.reload(_inflate)._library is zlib
    monkeypatch.undo()
    importlib.reload(_inflate)
