"""Chooses the form of `codec`: the compiled one, if it was built and is not switched off.

`codec_kind` is "compiled" or "pure".  The environment variable `TRIO_WSENDPOINT_PURE`, set to
anything but "" and "0" before the import, asks for the pure form.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Literal

__all__ = [
    "Content",
    "FrameReader",
    "Received",
    "apply_mask",
    "build_frame",
    "build_header",
    "codec_kind",
    "mask_in_place",
    "mask_slice",
    "rotate_mask",
    "text_prefix",
]

_COMPILED = "trio_wsendpoint.protocol._codec"
_PURE = "trio_wsendpoint.protocol.codec"


def choose_form(environment: Mapping[str, str]) -> str:
    """Return the name of the module to use, which has been imported."""
    if environment.get("TRIO_WSENDPOINT_PURE", "") in {"", "0"}:
        try:
            import_module(_COMPILED)
        except ImportError:  # not built, or not for this interpreter
            return _PURE
        return _COMPILED
    return _PURE


#: "compiled" or "pure": which form of the codec this process uses.
codec_kind: Literal["compiled", "pure"]

if TYPE_CHECKING:
    from trio_wsendpoint.protocol.codec import (
        Content,
        FrameReader,
        Received,
        apply_mask,
        build_frame,
        build_header,
        mask_in_place,
        mask_slice,
        rotate_mask,
        text_prefix,
    )

    codec_kind = "pure"
else:
    _codec = import_module(choose_form(os.environ))
    codec_kind = "compiled" if _codec.COMPILED else "pure"
    globals().update({name: getattr(_codec, name) for name in __all__ if name != "codec_kind"})
