"""Building: `trio_wsendpoint/protocol/codec.py` is compiled as `_codec`, where that can be done.

`TRIO_WSENDPOINT_COMPILE` says what is wanted: `yes`, `no`, or `auto`, which is what it is when
not set.  With `auto` a wheel is compiled if it can be, and is a pure one, with a warning, if not;
with `yes` a failure is a failure.  An editable install is compiled with `yes` alone: it runs the
file that is edited.

A compiled wheel is for CPython 3.11 and everything after it (the limited API).  Run as a program,
this builds in place, for the tests: it does nothing where there is no compiler, or no headers of
Python, and fails where there are and `codec.py` does not compile.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import sysconfig
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
PACKAGE = "trio_wsendpoint/protocol"
MODULE = "trio_wsendpoint.protocol._codec"
#: The limited API of this version, and of all versions after it.
LIMITED_API, PYTHON_TAG = "0x030B0000", "cp311"
PROBE = "#include <Python.h>\nPyMODINIT_FUNC PyInit_probe(void) { return 0; }\n"


class CannotCompileError(Exception):
    """There is no compiled module, and why."""


def _run_compiler(name: str, source: Path, folder: Path) -> Path:
    """Compile one extension module from C into `folder`; return the library."""
    setuptools: Any = import_module("setuptools")
    extension = setuptools.Extension(
        name,
        [str(source)],
        py_limited_api=True,
        define_macros=[("Py_LIMITED_API", LIMITED_API)],
        extra_compile_args=[] if os.name == "nt" else ["-O3", "-g0"],
    )
    command: Any = setuptools.Distribution({"ext_modules": [extension]}).get_command_obj(
        "build_ext"
    )
    command.build_lib, command.build_temp = str(folder), str(folder / "objects")
    command.ensure_finalized()
    try:
        command.run()
    except SystemExit as error:  # what setuptools makes of some failures
        raise CannotCompileError(str(error)) from error
    return Path(command.get_ext_fullpath(name))


def check_compiler() -> None:
    """Raise `CannotCompileError` unless a module of C can be built here, whatever it does."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise CannotCompileError("this interpreter does not have CPython's limited API")
    try:
        import_module("setuptools")
        import_module("Cython.Build")
    except ImportError as error:
        raise CannotCompileError(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(PROBE)
        try:
            _run_compiler("probe", source, Path(folder))
        except Exception as error:
            raise CannotCompileError(f"no C compiler that works: {error}") from error


def hash_source() -> str:
    """Return what `SOURCE_HASH` is in a module compiled from the present `codec.py`."""
    return hashlib.sha256((ROOT / PACKAGE / "codec.py").read_bytes()).hexdigest()


def compile_codec(folder: Path) -> Path:
    """Compile `codec.py` into `folder`; return the library."""
    setuptools: Any = import_module("setuptools")
    cythonize: Any = import_module("Cython.Build").cythonize
    # A copy, so that nothing is left beside the source, and the module can say what it is made of.
    copy = folder / PACKAGE / "codec.py"
    copy.parent.mkdir(parents=True)
    text = (ROOT / PACKAGE / "codec.py").read_text(encoding="utf-8")
    copy.write_text(f'{text}\nSOURCE_HASH = "{hash_source()}"\n', encoding="utf-8")
    with contextlib.chdir(folder):  # from where the names in tracebacks are written
        [extension] = cythonize(
            [setuptools.Extension(MODULE, [f"{PACKAGE}/codec.py"])],
            quiet=True,
            compiler_directives={"warn.unreachable": False},
        )
    return _run_compiler(MODULE, folder / extension.sources[0], folder)


class CodecBuildHook(BuildHookInterface[Any]):
    """Compiles before a wheel is packed, and says in its tag whether it was."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the compiled module to the wheel, if there is to be one."""
        wish = os.environ.get("TRIO_WSENDPOINT_COMPILE", "").strip() or "auto"
        if wish not in {"yes", "no", "auto"}:
            raise ValueError(f"TRIO_WSENDPOINT_COMPILE is yes, no or auto, not {wish!r}")
        if wish == "no" or (version == "editable" and wish == "auto"):
            return
        self._folder = tempfile.mkdtemp()
        try:
            check_compiler()
            library = compile_codec(Path(self._folder))
        except Exception as error:
            if wish == "yes":
                raise
            self.app.display_warning(
                f"The codec is not compiled, and the wheel is a pure one: {error}"
            )
            return
        if version == "editable":
            shutil.copy(library, ROOT / PACKAGE)
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"{PYTHON_TAG}-abi3-{_platform()}"
        build_data["force_include"][str(library)] = f"{PACKAGE}/{library.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built on the way."""
        del version, build_data, artifact_path
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)


def _platform() -> str:
    tags: Any = import_module("packaging.tags")
    # A wheel that was not built in a manylinux image must not say so.
    names = (str(tag.platform) for tag in tags.sys_tags())
    return next(name for name in names if not name.startswith(("manylinux", "musllinux")))


def build_in_place() -> int:
    """Build `_codec` beside `codec.py`, where the tests and an editable install find it."""
    try:
        check_compiler()
    except CannotCompileError as error:
        print(f"The codec is not compiled: {error}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        library = compile_codec(Path(folder))
        target = ROOT / PACKAGE / library.name
        # Not written over: a process may have the old one in use.
        shutil.copy(library, target.with_suffix(".new"))
        target.with_suffix(".new").replace(target)
    print(f"compiled: {target.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(build_in_place())
