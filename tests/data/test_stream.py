import gzip
import importlib
import sys
import zlib
from pathlib import Path

import pytest

from brats_cascade.data import _stream
from brats_cascade.data.images import ImageError


@pytest.fixture(params=["as installed", "without isal"])
def stream(request, monkeypatch):
    if request.param == "without isal":
        monkeypatch.setitem(sys.modules, "isal", None)
    module = importlib.reload(_stream)
    assert (module._library is zlib) == (request.param == "without isal")
    yield module
    monkeypatch.undo()
    importlib.reload(_stream)


def test_streams_are_read_piece_by_piece_and_checked(stream):
    content = bytes(range(256)) * 40
    for packed in (
        gzip.compress(content),
        zlib.compress(content),
        gzip.compress(content[:9]) + gzip.compress(content[9:]),
    ):
        data = stream.Inflated(packed + b"rest", path=Path("a.mha"))
        assert data.read(100) == content[:100] and not data.complete
        assert data.read(10**6) == content[100:] and data.complete
    with pytest.raises(ImageError, match="its compressed data is damaged"):
        stream.Inflated(gzip.compress(content)[:-8] + b"12345678", path=Path("a.mha")).read(10**6)
    cut = stream.Inflated(gzip.compress(content)[:-8], path=Path("a.mha"))
    assert cut.read(len(content) + 1) == content and not cut.complete
