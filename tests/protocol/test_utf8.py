"""Bad UTF-8 fails at the byte that shows it, against Table 3-7 of the Unicode Standard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import InvalidPayload
from trio_wsendpoint.protocol.utf8 import Utf8Validator, incomplete_tail

from .wire import cut, cut_places, examples

_TAIL = range(0x80, 0xC0)

#: Lead bytes, and the range that each byte behind one of them may be in.
_WELL_FORMED: list[tuple[range, list[range]]] = [
    (range(0x80), []),
    (range(0xC2, 0xE0), [_TAIL]),
    (range(0xE0, 0xE1), [range(0xA0, 0xC0), _TAIL]),
    (range(0xE1, 0xED), [_TAIL, _TAIL]),
    (range(0xED, 0xEE), [range(0x80, 0xA0), _TAIL]),
    (range(0xEE, 0xF0), [_TAIL, _TAIL]),
    (range(0xF0, 0xF1), [range(0x90, 0xC0), _TAIL, _TAIL]),
    (range(0xF1, 0xF4), [_TAIL, _TAIL, _TAIL]),
    (range(0xF4, 0xF5), [range(0x80, 0x90), _TAIL, _TAIL]),
]


def following(prefix: bytes) -> list[range] | None:
    """Return what may follow an unfinished character: [] if it is whole, None if it is bad."""
    for leads, tails in _WELL_FORMED:
        if prefix[0] in leads:
            behind = prefix[1:]
            if len(behind) > len(tails):
                return None
            if any(byte not in tail for byte, tail in zip(behind, tails, strict=False)):
                return None
            return tails[len(behind) :]
    return None


def unfinished(size: int) -> Iterator[bytes]:
    """Return every prefix of `size` bytes of a longer character."""
    if size == 0:
        yield b""
        return
    for shorter in unfinished(size - 1):
        for byte in range(256):
            prefix = shorter + bytes([byte])
            if following(prefix):
                yield prefix


def fails(*pieces: bytes, final: bool = False) -> bool:
    """Tell whether the last piece is refused; the others must not be."""
    validator = Utf8Validator()
    for piece in pieces[:-1]:
        validator.feed(piece)
    try:
        validator.feed(pieces[-1], final=final)
    except InvalidPayload:
        return True
    return False


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_byte_behind_every_unfinished_character(size: int):
    # Behind three bytes there are 16,384 characters to finish: their borders are enough.
    candidates = range(256) if size < 3 else (0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xFF)
    count = 0
    for prefix in unfinished(size):
        for byte in candidates:
            last = bytes([byte])
            is_bad = following(prefix + last) is None
            assert fails(prefix, last) is is_bad, (prefix, last)
            count += 1
    assert count == {0: 256, 1: 51 * 256, 2: 1216 * 256, 3: 16384 * 6}[size]


@pytest.mark.parametrize("size", [1, 2])
def test_an_unfinished_character_fed_byte_by_byte(size: int):
    for prefix in unfinished(size):
        pieces = [prefix[place : place + 1] for place in range(size)]
        assert not fails(*pieces)
        assert fails(*pieces, b"", final=True)  # cut at the end
        assert fails(prefix, final=True)


def test_ascii_behind_an_unfinished_character_fails():
    assert fails(b"\xe2\x82", b"a")
    assert fails(b"\xe2\x82", b"abc")


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"\x80", 0),
        (b"\xc0\xaf", 0),
        (b"\xc1\xbf", 0),
        (b"ok\xe0\x80\x80", 3),
        (b"ok\xed\xa0\x80", 3),
        (b"\xf0\x8f\xbf\xbf", 1),
        (b"\xf4\x90\x80\x80", 1),
        (b"\xf5\x80\x80\x80", 0),
        (b"\xfe", 0),
        (b"\xff", 0),
        ("κόσμε".encode() + b"\xed\xa0\x80edited", 11),
        ("€".encode() + b"\xe2\x82\x28", 5),
    ],
)
def test_the_place_of_the_first_bad_byte(data: bytes, place: int):
    validator = Utf8Validator()
    for index in range(place):
        validator.feed(data[index : index + 1])
    with pytest.raises(InvalidPayload, match="text is not UTF-8"):
        validator.feed(data[place : place + 1])
    assert fails(data)


def test_the_error_has_code_1007_and_says_what_is_wrong():
    with pytest.raises(InvalidPayload, match="invalid start byte") as caught:
        Utf8Validator().feed(b"\xff")
    assert caught.value.close_code == 1007
    with pytest.raises(InvalidPayload, match="unexpected end of data"):
        Utf8Validator().feed(b"\xe2\x82", final=True)


@examples(200)
@given(st.text(max_size=30), cut_places)
def test_valid_text_passes_however_it_is_cut(text: str, places: list[int]):
    validator = Utf8Validator()
    for piece in cut(text.encode(), places):
        validator.feed(piece)
        validator.feed(b"")
    validator.feed(b"", final=True)


@examples(300)
@given(st.text(max_size=10), st.binary(max_size=6), cut_places)
def test_any_bytes_pass_if_and_only_if_they_are_utf8(text: str, tail: bytes, places: list[int]):
    data = text.encode() + tail
    try:
        data.decode()
    except UnicodeDecodeError:
        is_bad = True
    else:
        is_bad = False
    validator = Utf8Validator()
    try:
        for piece in cut(data, places):
            validator.feed(piece)
        validator.feed(b"", final=True)
    except InvalidPayload:
        assert is_bad
    else:
        assert not is_bad


def test_the_edges_of_the_planes_pass():
    text = "\x00\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"
    data = text.encode()
    assert not fails(data, final=True)
    assert not fails(*(data[place : place + 1] for place in range(len(data))), final=True)


@examples(200)
@given(st.text(max_size=6))
def test_incomplete_tail(text: str):
    data = text.encode()
    for end in range(len(data) + 1):
        whole = len(data[:end].decode(errors="ignore").encode())
        assert incomplete_tail(data[:end]) == end - whole
