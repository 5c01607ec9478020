"""The two forms of the codec, side by side in one process, and the module that builds one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
COMPILED = "trio_wsendpoint.protocol._codec"


def load(name: str, path: Path) -> ModuleType:
    """Load a module from a file, whatever is found by that name otherwise."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    spec.loader.exec_module(module)
    # An extension module enters itself there.
    sys.modules.pop(name, None)
    if before is not None:
        sys.modules[name] = before
    return module


builder = load("hatch_build", ROOT / "hatch_build.py")


def built_in_place() -> list[Path]:
    """Return the compiled module beside `codec.py`, if there is one."""
    folder = ROOT / "trio_wsendpoint" / "protocol"
    return [path for path in folder.glob("_codec.*") if path.suffix in {".so", ".pyd"}]
