# cython: language_level=3, binding=False, boundscheck=False, wraparound=False
"""The inner loops of RFC 6455: masking, frames read and built, and UTF-8, checked.

This file runs as it is, and the build compiles it, if it can, as `_codec`, with Cython in its
pure-Python mode.  A branch `if cython.compiled` is for C alone; all other code serves both forms.
`coding` chooses the form when it is imported, and passes the functions on.

Arguments must have the types of the annotations.  Each function raises the same in both forms, as
its docstring says.
"""

from __future__ import annotations

import codecs
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from trio_wsendpoint.errors import InvalidPayload, PeerError, UnexpectedEOF
from trio_wsendpoint.protocol import cython_names as cython

if TYPE_CHECKING:
    from trio_wsendpoint.protocol.cython_names import *  # noqa: F403 - the names of C
elif cython.compiled:  # for the compiler alone: it finds them itself
    import cython
    from cython.cimports.cpython.buffer import (
        Py_buffer,
        PyBUF_WRITABLE,
        PyBuffer_Release,
        PyObject_GetBuffer,
    )
    from cython.cimports.cpython.bytes import PyBytes_AsString, PyBytes_FromStringAndSize
    from cython.cimports.libc.string import memcpy

__all__ = [
    "COMPILED",
    "Content",
    "FrameReader",
    "Received",
    "apply_mask",
    "build_frame",
    "build_header",
    "mask_in_place",
    "mask_slice",
    "rotate_mask",
    "text_prefix",
]

#: Whether this is the compiled form.
COMPILED = cython.compiled

#: From this many bytes on, four strided `translate`s are faster than one XOR of long integers,
#: whose conversions from and to bytes cost more than linear time (CPython 3.11 to 3.13).
_LONG = 768
#: More bytes than these are masked part by part, so that each part stays in the cache.
_CACHED = 65536
#: 0x00000001_00000001...: a mask times this is the mask repeated; by the number of repetitions.
_ONES = [int.from_bytes(b"\1\0\0\0" * count, "little") for count in range(_LONG // 4 + 1)]
#: 0x...0101: a byte times this is the byte 256 times; and the table that translates to itself.
_EACH = int.from_bytes(b"\x01" * 256, "little")
_SAME = int.from_bytes(range(256), "little")
#: Bytes that were parsed, and are worth copying what follows them to be rid of them.
_WORTH_A_COPY = 4096


def _make_steps() -> bytes:
    """Return for each byte, as 8 bytes in the machine's order, where it leads from each state.

    A state is a multiple of 6: 0 between characters, 6 for what is wrong, or what may follow.
    Six bits at that place in a byte's number are the next state, so that a step is a shift,
    without a branch.
    """
    bad, last, last_two, e0, ed, f0, last_three, f4 = range(1, 9)
    steps: list[bytes] = []
    for byte in range(256):
        following = [bad] * 9
        firsts = [(0x00, 0x7F, 0), (0xC2, 0xDF, last), (0xE1, 0xEC, last_two), (0xED, 0xED, ed)]
        firsts += [(0xE0, 0xE0, e0), (0xEE, 0xEF, last_two), (0xF0, 0xF0, f0), (0xF4, 0xF4, f4)]
        firsts += [(0xF1, 0xF3, last_three)]
        for low, high, state in firsts:
            if low <= byte <= high:
                following[0] = state
        if 0x80 <= byte <= 0xBF:
            following[last], following[last_two], following[last_three] = 0, last, last_two
            following[e0 if byte >= 0xA0 else ed] = last
            following[f0 if byte >= 0x90 else f4] = last_two
        number = sum(6 * state << 6 * place for place, state in enumerate(following))
        steps.append(number.to_bytes(8, sys.byteorder))
    return b"".join(steps)


_STEPS = _make_steps()


@cython.cfunc
@cython.exceptval(check=False)
def _xor(
    target: cython.p_uchar, source: cython.p_uchar, size: cython.Py_ssize_t, mask: cython.p_uchar
) -> cython.void:  # pragma: no cover - C
    """Write `size` bytes of `source`, masked, to `target`, which may be the same place."""
    key: cython.ulonglong = 0
    word: cython.ulonglong = 0
    place: cython.Py_ssize_t
    words: cython.Py_ssize_t = size >> 3
    for place in range(2):
        memcpy(cython.cast(cython.p_uchar, cython.address(key)) + 4 * place, mask, 4)
    for place in range(words):
        # A copy of 8 bytes is one instruction, and asks for no alignment.
        memcpy(cython.address(word), source + 8 * place, 8)
        word ^= key
        memcpy(target + 8 * place, cython.address(word), 8)
    for place in range(8 * words, size):
        target[place] = source[place] ^ mask[place & 3]


@cython.ccall
def mask_slice(
    chunk: bytes, start: cython.Py_ssize_t, stop: cython.Py_ssize_t, mask: bytes
) -> bytes:
    """Return `chunk[start:stop]`, 0 <= start <= stop, XORed with `mask` as `apply_mask` does it."""
    if len(mask) != 4 or start < 0:
        raise ValueError("a mask is 4 bytes")
    if cython.compiled:
        size: cython.Py_ssize_t = max(0, min(stop, len(chunk)) - start)
        result: bytes = PyBytes_FromStringAndSize(cython.NULL, size)
        source: cython.p_uchar = chunk
        _xor(cython.cast(cython.p_uchar, PyBytes_AsString(result)), source + start, size, mask)
        return result
    piece = chunk[start:stop]
    size = len(piece)
    if size < _LONG:
        # Python has no faster loop over a few bytes than those inside int.
        words = (size + 3) >> 2
        key = int.from_bytes(mask, "little") * _ONES[words]
        return (int.from_bytes(piece, "little") ^ key).to_bytes(4 * words, "little")[:size]
    if size > _CACHED:
        cuts = range(start, start + size, _CACHED)
        return b"".join([mask_slice(chunk, cut, min(cut + _CACHED, stop), mask) for cut in cuts])
    data = bytearray(piece)
    for place in range(4):
        table = (_SAME ^ _EACH * mask[place]).to_bytes(256, "little")
        data[place::4] = data[place::4].translate(table)
    return bytes(data)


def mask_in_place(
    target: bytearray | memoryview,
    start: cython.Py_ssize_t,
    stop: cython.Py_ssize_t,
    mask: bytes,
) -> None:
    """Mask `target[start:stop]` where it is.

    `target` is writable bytes in one piece.  Raises `ValueError` for a slice that is not within
    it, or a mask of another length, `BufferError` or `TypeError` for another `target`.
    """
    if len(mask) != 4:
        raise ValueError("a mask is 4 bytes")
    if cython.compiled:
        buffer = cython.declare(Py_buffer)
        PyObject_GetBuffer(target, cython.address(buffer), PyBUF_WRITABLE)
        try:
            if not 0 <= start <= stop <= buffer.len:
                raise ValueError("the slice is not within the buffer")
            place: cython.p_uchar = cython.cast(cython.p_uchar, buffer.buf) + start
            _xor(place, place, stop - start, mask)
        finally:
            PyBuffer_Release(cython.address(buffer))
        return
    with memoryview(target).cast("B") as view:
        if not 0 <= start <= stop <= len(view):
            raise ValueError("the slice is not within the buffer")
        view[start:stop] = mask_slice(bytes(view[start:stop]), 0, stop - start, mask)


def apply_mask(data: bytes | bytearray | memoryview, mask: bytes) -> bytes:
    """Return `data` XORed with the four bytes of `mask`, repeated from its first byte on.

    It is its own inverse.  Raises `ValueError` for a mask of another length.
    """
    chunk = data if type(data) is bytes else bytes(memoryview(data))
    return mask_slice(chunk, 0, len(chunk), mask)


def rotate_mask(mask: bytes, count: int) -> bytes:
    """Return the mask for the bytes that follow the first `count` of a payload."""
    turn = count & 3
    return mask[turn:] + mask[:turn]


def text_prefix(data: bytes) -> int:
    """Return how many bytes of `data` are whole characters of UTF-8, from its first one on.

    What follows, if anything does, is either wrong or a character that is not whole.
    """
    if cython.compiled:
        size: cython.Py_ssize_t = len(data)
        text: cython.p_uchar = data
        table: bytes = _STEPS  # which stays, whatever becomes of the name
        steps: cython.p_uchar = table
        step: cython.ulonglong = 0
        state: cython.ulonglong = 0
        begun: cython.ulonglong = 0  # the state at `start`
        start: cython.Py_ssize_t = 0
        place: cython.Py_ssize_t = 0
        while start < size:  # in strides: the state is checked after each
            begun = state
            for place in range(start, min(start + 256, size)):
                memcpy(cython.address(step), steps + 8 * text[place], 8)
                state = step >> state & 63
            if state == 6 or (state and place == size - 1):
                break
            start = place + 1
        else:
            return size
        if begun:  # from the first byte of the character that the stride began within
            start -= 1
            while text[start] & 0xC0 == 0x80:
                start -= 1
        state = 0
        good: cython.Py_ssize_t = start
        for place in range(start, size):
            memcpy(cython.address(step), steps + 8 * text[place], 8)
            state = step >> state & 63
            if not state:
                good = place + 1
            elif state == 6:
                break
        return good
    try:
        return codecs.utf_8_decode(data, "strict", False)[1]
    except UnicodeDecodeError as error:
        return error.start


@cython.cfunc
@cython.exceptval(check=False)
def _header_size(length: cython.Py_ssize_t) -> cython.Py_ssize_t:  # pragma: no cover - C
    """Return the bytes of a header without a mask, of a frame of so many bytes."""
    return 2 if length < 126 else 4 if length < 65536 else 10


@cython.cfunc
@cython.exceptval(check=False)
def _write_header(
    target: cython.p_uchar, first: cython.Py_ssize_t, length: cython.Py_ssize_t, mask: bytes
) -> cython.void:  # pragma: no cover - C
    """Write a header, of `_header_size` and the mask's bytes, to `target`."""
    size: cython.Py_ssize_t = _header_size(length)
    place: cython.Py_ssize_t
    target[0] = cython.cast(cython.uchar, first)
    target[1] = cython.cast(cython.uchar, length if size == 2 else 126 if size == 4 else 127)
    for place in range(2, size):
        target[place] = cython.cast(cython.uchar, length >> 8 * (size - 1 - place) & 255)
    if len(mask):
        target[1] |= 0x80
        memcpy(target + size, cython.cast(cython.p_uchar, mask), 4)


def build_header(first: int, length: int, mask: bytes) -> bytes:
    """Return a header: the first byte, the length in the fewest bytes that hold it, the mask.

    The mask is 4 bytes, or none.  Raises `ValueError` for one of another length, and for what a
    header cannot hold.
    """
    if len(mask) not in {0, 4} or not 0 <= first <= 255 or not 0 <= length < 1 << 63:
        raise ValueError("a first byte, a 63-bit length, and a mask of 4 bytes or none")
    if cython.compiled:
        size: cython.Py_ssize_t = length
        header: bytes = PyBytes_FromStringAndSize(cython.NULL, _header_size(size) + len(mask))
        target: cython.p_uchar = cython.cast(cython.p_uchar, PyBytes_AsString(header))
        _write_header(target, first, size, mask)
        return header
    bit = 0x80 if mask else 0
    if length < 126:
        return b"%c%c%b" % (first, bit | length, mask)
    if length < 65536:
        return b"%c%c%b%b" % (first, bit | 126, length.to_bytes(2, "big"), mask)
    return b"%c%c%b%b" % (first, bit | 127, length.to_bytes(8, "big"), mask)


def build_frame(first: int, payload: bytes | bytearray | memoryview, mask: bytes) -> bytes:
    """Return a frame: its header as `build_header` makes it, and the payload, masked if it is."""
    body: bytes = payload if type(payload) is bytes else bytes(payload)
    if cython.compiled:
        if len(mask) not in {0, 4} or not 0 <= first <= 255:
            raise ValueError("a first byte, a 63-bit length, and a mask of 4 bytes or none")
        size: cython.Py_ssize_t = len(body)
        start: cython.Py_ssize_t = _header_size(size) + len(mask)
        frame: bytes = PyBytes_FromStringAndSize(cython.NULL, start + size)
        target: cython.p_uchar = cython.cast(cython.p_uchar, PyBytes_AsString(frame))
        _write_header(target, first, size, mask)
        if len(mask):
            _xor(target + start, body, size, mask)
        else:
            memcpy(target + start, cython.cast(cython.p_uchar, body), size)
        return frame
    if len(body) < 126 and not mask and 0 <= first <= 255:  # most of what a server sends
        return bytes((first, len(body))) + body
    return build_header(first, len(body), mask) + (
        mask_slice(body, 0, len(body), mask) if mask else body
    )


def _not_text(payload: bytes) -> InvalidPayload:
    """Return the error that tells why `payload` is not UTF-8."""
    try:
        codecs.utf_8_decode(payload, "strict", True)
    except UnicodeDecodeError as error:
        return InvalidPayload(f"text is not UTF-8: {error.reason}")
    raise RuntimeError("this is UTF-8")  # pragma: no cover - as the caller has found


@cython.cclass
class Received:
    """What has come, counted: frames that came whole, and bytes of payload of data frames.

    `Traffic` is the subclass.
    """

    __slots__ = ("frames_received", "wire_received")

    if cython.compiled:
        # pyright takes them for variables of the class.
        frames_received = cython.declare(  # pyright: ignore[reportGeneralTypeIssues]
            cython.Py_ssize_t, visibility="public"
        )
        wire_received = cython.declare(  # pyright: ignore[reportGeneralTypeIssues]
            cython.Py_ssize_t, visibility="public"
        )

    def __init__(self) -> None:
        self.frames_received = 0
        self.wire_received = 0


@cython.cclass
class Content:
    """What a message holds: its payload, the class of its first frame, and its form.

    The form is what else is known of its frames, for `Message`, which is the subclass.
    """

    __slots__ = ("_form", "_is_text", "_kind", "_raw", "_text")

    _kind: Any
    _raw: bytes
    _form: Any
    _is_text: cython.bint
    _text: str | None

    @cython.ccall
    def fill(self, kind: Any, raw: bytes, form: Any, is_text: cython.bint) -> cython.void:
        """Set the parts of a new message."""
        self._kind = kind
        self._raw = raw
        self._form = form
        self._is_text = is_text
        self._text = None

    @property
    def kind(self) -> Any:
        """The class of its first frame."""
        return self._kind

    @property
    def form(self) -> Any:
        """What else is known of its frames."""
        return self._form

    @property
    def raw(self) -> bytes:
        """The payload as bytes, of a text too."""
        return self._raw

    @property
    def size(self) -> int:
        """Bytes of payload (for a text, of UTF-8)."""
        return len(self._raw)

    @property
    def payload(self) -> str | bytes:
        """The payload: `str` for a text message, `bytes` for any other."""
        if not self._is_text:
            return self._raw
        if self._text is None:
            self._text = self._raw.decode()
        return self._text


@cython.cclass
class FrameReader:
    """What has come of the peer's bytes, and the frame that is being read of them.

    A subclass has the rules: `check_header` and `check_part`.  It tells by `allow` which headers
    keep all of them, so that these need not be checked one by one.  The classes of frames are the
    subclass's too, which knows them by `received`; so is a `Joiner`.
    """

    # What has come is one chunk, a place in it, and the chunks behind it.  Chunks are joined only
    # where a header is cut, or one cut is all that a plain message has: so the time is linear,
    # however the bytes are cut.
    _chunk: bytes
    _position: cython.Py_ssize_t
    _later: Any  # a deque when the first one waits, before that ()
    _eof: cython.bint
    _error: PeerError | None
    _plain: dict[int, Any]
    _message_type: Any
    _new: Any
    _received: Received
    # What the header announced that was read last.
    _is_masked: cython.bint
    _length: cython.Py_ssize_t
    # The frame whose payload is being read.
    _mask: bytes
    _remaining: cython.Py_ssize_t
    _in_message: cython.bint

    def __init__(self) -> None:
        self._chunk = b""
        self._position = 0
        self._later = ()
        self._eof = False
        self._error = None
        self._plain = {}
        self._message_type = None
        self._new = None
        self._received = Received()
        self._is_masked = False
        self._length = 0
        self._mask = b""
        self._remaining = 0
        self._in_message = False

    # ---- the rules ---------------------------------------------------------------------------

    def allow(self, plain: dict[int, Any]) -> None:
        """Set which frames are messages that keep all rules: the class, by the header.

        The key is the first byte, and 256 more if the frame is masked.
        """
        self._plain = plain

    def make(self, message_type: Any, received: Received) -> None:
        """Make messages of this class, a `Content`, and count them in `received`."""
        self._message_type = message_type
        self._new = message_type.__new__
        self._received = received

    def check_header(self, first: int, is_masked: bool, length: int) -> Any:
        """Return the class of the frame that a header announces, or raise `PeerError`."""
        raise NotImplementedError

    def check_part(self, header: bytes) -> None:
        """Check what has come of a header that is not whole, or that breaks a rule."""
        raise NotImplementedError

    # ---- bytes in ----------------------------------------------------------------------------

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the stream; `b""` is no bytes, not its end."""
        if self._eof:
            raise ValueError("no data can follow the end of the data")
        chunk: bytes = data if type(data) is bytes else bytes(data)
        if not chunk or self._error is not None:
            return  # no bytes, or bytes behind the error, which are not parsed
        if self._position == len(self._chunk) and not self._later:
            self._chunk = chunk
            self._position = 0
            return
        if isinstance(self._later, tuple):
            self._later = deque()
        self._later.append(chunk)

    def receive_eof(self) -> None:
        """Note that the stream has ended."""
        self._eof = True

    def end(self, error: PeerError) -> None:
        """Note the error that ends all parsing, and drop the bytes behind it."""
        self._error = error
        self._chunk = b""
        self._position = 0
        self._later = ()

    def trim(self) -> None:
        """Drop what has been parsed: the owner will not parse for a while."""
        if self._position >= _WORTH_A_COPY:
            self._chunk = self._chunk[self._position :]
            self._position = 0

    @property
    def is_eof(self) -> bool:
        """Whether the stream has ended."""
        return self._eof

    @property
    def buffered(self) -> int:
        """Bytes that have come and have not been parsed."""
        return len(self._chunk) - self._position + sum([len(chunk) for chunk in self._later])

    @property
    def is_drained(self) -> bool:
        """Whether all that came is handled: only more bytes can bring a frame."""
        return not (self._chunk or self._later or self._eof)

    @property
    def at_eof(self) -> bool:
        """Whether the stream has ended and all of it has been parsed."""
        return self._eof and not self.buffered and not self._remaining

    # ---- frames and messages -----------------------------------------------------------------

    def begin_frame(self) -> Any:
        """Return the frame that the next header announces, without its payload, or None.

        The payload of the frame before must have been read.  Raises `PeerError`, `UnexpectedEOF`
        among them, at the earliest byte that shows a violation.
        """
        return self.read_next(-1)

    def read_next(self, most: cython.Py_ssize_t) -> Any:
        """Return the next message if it is one plain frame, whole; else do what `begin_frame` does.

        A plain frame is one of those that `allow` names, of at most `most` bytes.  It is whole if
        it has come in one chunk or two.
        """
        if self._error is not None:
            raise self._error
        # When more has come, a header is read from its first byte again.  It has 14 bytes at most,
        # so that is cheap, and nothing is remembered between two calls.
        while self._later and len(self._chunk) - self._position < 14:
            self._join(0)
        place: cython.Py_ssize_t = self._position
        if place == len(self._chunk):
            return None
        try:
            size: cython.Py_ssize_t = self._read_header()
            if not size:
                self.check_part(self._chunk[place : place + 14])
                return None
            first: cython.Py_ssize_t = self._chunk[place]
            kind = None if self._in_message else self._plain.get(first | self._is_masked << 8)
            lacking: cython.Py_ssize_t = self._length - (len(self._chunk) - place - size)
            if kind is not None and self._length <= most and (lacking <= 0 or self._join(lacking)):
                return self._take_message(kind, size, first & 15 == 1)
            kind = self.check_header(first, self._is_masked, self._length)
        except PeerError as error:
            self.end(error)
            raise
        if first & 8 == 0:
            self._in_message = first < 0x80
        self._position = place = place + size
        self._mask = self._chunk[place - 4 : place] if self._is_masked else b""
        self._remaining = self._length
        return kind.received(first >= 0x80, first >> 4 & 7, self._mask)

    @cython.cfunc
    @cython.exceptval(check=False)
    def _read_header(self) -> cython.Py_ssize_t:
        """Read the header at the place in the chunk; return how many bytes it has.

        Return 0 if it has not come whole, or if its length is not in the shortest form: then it
        is checked byte by byte.
        """
        chunk: bytes = self._chunk
        data: cython.p_uchar = chunk
        size: cython.Py_ssize_t = len(chunk)
        start: cython.Py_ssize_t = self._position
        end: cython.Py_ssize_t = start + 2
        if end > size:
            return 0
        length: cython.Py_ssize_t = data[start + 1] & 0x7F
        self._is_masked = data[start + 1] > 0x7F
        if length == 126:
            end += 2
            if end > size:
                return 0
            length = data[end - 2] << 8 | data[end - 1]
            if length < 126:
                return 0
        elif length == 127:
            end += 8
            if end > size or data[end - 8] > 0x7F:
                return 0
            length = 0
            place: cython.Py_ssize_t
            for place in range(end - 8, end):
                length = length << 8 | data[place]
            if length < 65536:
                return 0
        if self._is_masked:
            end += 4
        self._length = length
        return end - start if end <= size else 0

    @cython.cfunc
    def _join(self, lacking: cython.Py_ssize_t) -> cython.bint:
        """Join what is left of the chunk and the next one, if that has so many bytes."""
        if not self._later or lacking > len(self._later[0]):
            return False
        self._chunk = self._chunk[self._position :] + self._later.popleft()
        self._position = 0
        return True

    @cython.cfunc
    def _take_message(self, kind: Any, size: cython.Py_ssize_t, is_text: cython.bint) -> Any:
        """Return the message of the frame whose header has `size` bytes, and step behind it."""
        chunk: bytes = self._chunk
        start: cython.Py_ssize_t = self._position + size
        end: cython.Py_ssize_t = start + self._length
        mask: bytes = b""
        if self._is_masked:
            mask = chunk[start - 4 : start]
            payload: bytes = mask_slice(chunk, start, end, mask)
        else:
            payload = chunk[start:end]
        if is_text and not payload.isascii() and text_prefix(payload) < len(payload):
            raise _not_text(payload)
        self._step_to(end)
        received: Received = self._received
        received.frames_received += 1
        received.wire_received += end - start
        content: Content = self._new(self._message_type)
        content.fill(kind, payload, mask, is_text)
        return content

    def lacking(self, data: bytes) -> int:
        """Return how many bytes a plain message lacks that begins in `data`; 0 for other frames.

        `data` is what comes next, and has not been taken yet.
        """
        if self.buffered or self._remaining or self._in_message or self._error is not None:
            return 0
        self._chunk = data
        self._position = 0
        size: cython.Py_ssize_t = self._read_header()
        self._chunk = b""
        if not size or (data[0] | self._is_masked << 8) not in self._plain:
            return 0
        return max(0, self._length - (len(data) - size))

    @cython.cfunc
    @cython.exceptval(check=False)
    def _step_to(self, position: cython.Py_ssize_t) -> cython.void:
        """Continue at `position`, and drop a chunk that is done: the next may come much later."""
        if position == len(self._chunk):
            self._chunk = b""
            self._position = 0
        else:
            self._position = position

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and its last frame has not."""
        return self._in_message

    # ---- payloads ----------------------------------------------------------------------------

    @property
    def remaining(self) -> int:
        """Bytes of the current frame's payload that have not been read."""
        return self._remaining

    def read_payload(self) -> bytes:
        """Return the bytes of the current frame's payload that have come, unmasked.

        `b""` when none have, and when `remaining` is 0.  Raises `UnexpectedEOF` if the stream
        ended before the frame did.
        """
        size: cython.Py_ssize_t = self._find_payload()
        chunk: bytes = self._chunk
        start: cython.Py_ssize_t = self._position
        mask: bytes = self._mask
        self._step_in_payload(start + size, size)
        return mask_slice(chunk, start, start + size, mask) if mask else chunk[start : start + size]

    def read_payload_into(self, joiner: Any) -> int:
        """Put into `joiner` what `read_payload` would return; return how many bytes that is."""
        size: cython.Py_ssize_t = self._find_payload()
        if size:
            chunk: bytes = self._chunk
            start: cython.Py_ssize_t = self._position
            mask: bytes = self._mask
            self._step_in_payload(start + size, size)
            with memoryview(chunk) as view, view[start : start + size] as piece:
                joiner.add(piece, mask, announced=self._remaining)
        return size

    def fill(self, joiner: Any, size: cython.Py_ssize_t) -> None:
        """Note that `size` bytes of the payload have come straight into the room of `joiner`.

        Before, the parser must have been drained (`is_drained`), and `remaining` at least `size`.
        """
        joiner.fill(size, self._mask)
        self._step_in_payload(self._position, size)

    @cython.cfunc
    def _find_payload(self) -> cython.Py_ssize_t:
        """Return how many bytes of the current payload begin at the place in the chunk."""
        if self._error is not None:
            raise self._error
        if not self._remaining:
            return 0
        if self._position == len(self._chunk) and self._later:
            self._chunk = self._later.popleft()
            self._position = 0
        size: cython.Py_ssize_t = min(self._remaining, len(self._chunk) - self._position)
        if not size and self._eof:
            self._error = UnexpectedEOF(
                f"the bytes ended inside a frame, {self._remaining} bytes before its end"
            )
            raise self._error
        return size

    @cython.cfunc
    @cython.exceptval(check=False)
    def _step_in_payload(self, end: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.void:
        """Step behind `size` bytes of the current payload, which end at the place `end`."""
        self._step_to(end)
        self._remaining -= size
        if self._remaining and self._mask and size & 3:
            self._mask = rotate_mask(self._mask, size)
