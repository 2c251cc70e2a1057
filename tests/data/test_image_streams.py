import gzip
import importlib.util
import sys
import zlib
from pathlib import Path

import pytest

from brats_cascade.data import _image


@pytest.fixture(params=["as installed", "without isal"])
def stream(request, monkeypatch):
    """The module anew, not reloaded: others hold its classes."""
    if request.param == "without isal":
        monkeypatch.setitem(sys.modules, "isal", None)
    spec = importlib.util.spec_from_file_location("image_anew", _image.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "image_anew", module)
    spec.loader.exec_module(module)
    assert (module._library is zlib) == (request.param == "without isal")
    return module


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
    with pytest.raises(stream.ImageError, match="its compressed data is damaged"):
        stream.Inflated(gzip.compress(content)[:-8] + b"12345678", path=Path("a.mha")).read(10**6)
    cut = stream.Inflated(gzip.compress(content)[:-8], path=Path("a.mha"))
    assert cut.read(len(content) + 1) == content and not cut.complete
