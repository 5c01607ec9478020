"""`engine`: which library is chosen, and that both look alike."""

from __future__ import annotations

import sys
import zlib

import pytest

from trio_wsendpoint.extensions.engine import Engine, load_engine

from .helpers import each_engine, needs_isal


def test_zlib_is_always_there():
    assert load_engine("zlib").name == "zlib"
    assert load_engine("zlib").error is zlib.error


@pytest.fixture
def without_isal(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)


@pytest.mark.usefixtures("without_isal")
def test_auto_falls_back_to_zlib():
    assert load_engine("auto").name == "zlib"


@pytest.mark.usefixtures("without_isal")
def test_isal_missing_is_told():
    with pytest.raises(ImportError, match=r"Deflate\.engine is 'isal'"):
        load_engine("isal")


@needs_isal
def test_auto_prefers_isal():
    assert load_engine("auto").name == "isal"
    assert load_engine("isal").error is not zlib.error


@pytest.mark.parametrize(
    ("level", "expected"),
    [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 3), (8, 3), (9, 3)],
)
def test_isal_levels(level, expected):
    class FakeISAL:
        error = zlib.error

        @staticmethod
        def compressobj(*arguments):
            return arguments

    made: object = Engine("isal", FakeISAL).compressor(level, 12, 5)
    assert made == (expected, zlib.DEFLATED, -12, 5)


@each_engine
@pytest.mark.parametrize("level", range(1, 10))
@pytest.mark.parametrize("window_bits", [9, 12, 15])
def test_raw_deflate(engine, level, window_bits):
    data = b"what is repeated, what is repeated, what is repeated" * 40
    compressor = load_engine(engine).compressor(level, window_bits, 5)
    compressed = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert len(compressed) < len(data) // 4
    assert zlib.decompressobj(-window_bits).decompress(compressed) == data
    assert load_engine(engine).decompressor(window_bits).decompress(compressed, 99999) == data


@each_engine
def test_the_one_error(engine):
    chosen = load_engine(engine)
    with pytest.raises(chosen.error):
        chosen.decompressor(15).decompress(b"\xff\xff\xff", 100)


@each_engine
def test_compressing_keeps_to_the_window(engine):
    # 600 bytes that do not compress, again and again: a window of 512 cannot reach the last time.
    data = zlib.compress(bytes(range(256)) * 3)[:2] + bytes(
        (i * i * 7 + i // 3 * 11) % 251 for i in range(600)
    )
    stream = data * 30
    compressor = load_engine(engine).compressor(6, 9, 5)
    compressed = compressor.compress(stream) + compressor.flush(zlib.Z_SYNC_FLUSH)
    # Byte by byte, the inflater has nothing to look back to but its window.
    inflater = zlib.decompressobj(-9)
    decoded = b"".join(inflater.decompress(bytes([octet])) for octet in compressed)
    assert decoded == stream
