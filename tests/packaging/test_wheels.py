"""Wheels, built from a copy of the source, and installed: with a compiler, and without one.

Nothing is downloaded: what is needed to build and to run is in the environment of the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.codec.forms import ROOT, builder

pytestmark = pytest.mark.packaging

PROGRAM = Path(__file__).with_name("echo_program.py")
LIBRARIES = Path(trio.__file__).parents[1]
SOURCE = "trio_wsendpoint/protocol/codec.py"
BINARY = "trio_wsendpoint/protocol/_codec"


def run(*command: object, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program, with changes to the environment; None unsets a variable."""
    environment = {**os.environ, **changes}
    return subprocess.run(
        [str(part) for part in command],
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=120,
    )


def try_build(
    source: Path, out: Path, *, wish: str | None = None, **changes: str | None
) -> tuple[Path | None, str]:
    """Build a wheel; return it, or None, and what was said."""
    result = run(
        *(sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--no-index"),
        *("--no-build-isolation", "--wheel-dir", out, source),
        TRIO_WSENDPOINT_COMPILE=wish,
        **changes,
    )
    wheels = list(out.glob("*.whl"))
    assert (result.returncode == 0) is (len(wheels) == 1), result.stdout + result.stderr
    return (wheels[0] if wheels else None), result.stdout + result.stderr


def build(source: Path, out: Path, **options: str | None) -> tuple[Path, str]:
    """Build a wheel; return it, and what was said."""
    wheel, said = try_build(source, out, **options)
    assert wheel is not None, said
    return wheel, said


def check(wheel: Path) -> str:
    """Check that a wheel holds what its tag says; return the kind of codec that it has."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/WHEEL"))
        told = archive.read(metadata).decode().splitlines()
    binaries = [name for name in names if name.startswith(BINARY)]
    assert SOURCE in names
    assert not [name for name in names if name.endswith((".c", ".new", "hatch_build.py"))]
    tag = "-".join(wheel.stem.split("-")[2:])
    assert f"Tag: {tag}" in told
    if tag == "py3-none-any":
        assert "Root-Is-Purelib: true" in told
        assert not binaries
        return "pure"
    assert tag.startswith("cp311-abi3-")
    assert "Root-Is-Purelib: false" in told
    assert len(binaries) == 1
    return "compiled"


def install_and_echo(wheel: Path, folder: Path, python: str | Path = sys.executable) -> str:
    """Install a wheel in a new environment; return the kind of codec that an echo ran with."""
    result = run(python, "-m", "venv", "--without-pip", folder)
    assert result.returncode == 0, result.stderr
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    result = run(
        *(sys.executable, "-m", "pip", "--python", scripts / "python"),
        *("install", "--no-deps", "--no-index", "--no-compile", wheel),
    )
    assert result.returncode == 0, result.stderr
    # What the library needs is pure Python; the library itself is not found there.
    result = run(
        *(scripts / "python", "-W", "error", PROGRAM),
        PYTHONPATH=str(LIBRARIES),
        PYTHONDONTWRITEBYTECODE="1",
        TRIO_WSENDPOINT_PURE=None,
    )
    assert result.returncode == 0, result.stderr
    kind, _, path = result.stdout.strip().partition(" ")
    assert Path(path).is_relative_to(folder), path
    return kind


def other_pythons() -> Iterator[tuple[str, Path]]:
    """Yield version and path of the other interpreters that the library supports, one of each."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [*versions.glob("3.*/bin/python3")]
    named = [shutil.which(f"python3.{minor}") for minor in range(11, 16)]
    found += [Path(name) for name in named if name is not None]
    seen = {f"{sys.version_info[0]}.{sys.version_info[1]}"}
    for path in sorted(found):
        told = run(path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").stdout.strip()
        if told not in seen and told.startswith("3.1") and int(told[2:]) >= 11:
            seen.add(told)
            yield told, path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is made of, with something in it that was built in place."""
    copy = tmp_path_factory.mktemp("source")
    junk = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    shutil.copytree(ROOT / "trio_wsendpoint", copy / "trio_wsendpoint", ignore=junk)
    for name in "pyproject.toml", "README.md", "LICENSE", "hatch_build.py", ".gitignore":
        shutil.copy(ROOT / name, copy)
    (copy / f"{BINARY}.abi3.so").write_bytes(b"stale")
    return copy


@pytest.fixture(scope="module")
def compiled_wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built where there is a compiler, and nothing is asked for."""
    try:
        builder.check_compiler()
    except builder.CannotCompileError as error:
        pytest.skip(str(error))
    wheel, said = build(source, tmp_path_factory.mktemp("compiled"))
    assert "not compiled" not in said
    return wheel


def test_with_a_compiler_the_wheel_is_compiled(compiled_wheel: Path, tmp_path: Path):
    assert check(compiled_wheel) == "compiled"
    with zipfile.ZipFile(compiled_wheel) as archive:
        [binary] = [name for name in archive.namelist() if name.startswith(BINARY)]
        assert archive.read(binary) != b"stale"
    assert install_and_echo(compiled_wheel, tmp_path / "new") == "compiled"


def test_one_wheel_is_for_all_later_versions(compiled_wheel: Path, tmp_path: Path):
    pythons = dict(other_pythons())
    if not pythons:
        pytest.skip("there is no other Python here that the library supports")
    for version, path in pythons.items():
        assert install_and_echo(compiled_wheel, tmp_path / version, path) == "compiled", version


def test_a_pure_wheel_can_be_asked_for(source: Path, tmp_path: Path):
    wheel, said = build(source, tmp_path / "out", wish="no")
    assert check(wheel) == "pure"
    assert "not compiled" not in said
    assert install_and_echo(wheel, tmp_path / "new") == "pure"


@pytest.mark.parametrize("lack", ["a compiler that works", "any compiler", "Cython"])
def test_without_a_compiler_the_wheel_is_pure_and_says_so(source: Path, tmp_path: Path, lack: str):
    changes: dict[str, str] = {}
    if lack == "Cython":
        (tmp_path / "Cython").mkdir()
        (tmp_path / "Cython" / "__init__.py").write_text("raise ImportError('no Cython here')")
        changes["PYTHONPATH"] = str(tmp_path)
    else:
        fails = shutil.which("false") or "false"
        changes["CC"] = fails if lack == "a compiler that works" else "no-such-cc"
    wheel, said = build(source, tmp_path / "out", **changes)
    assert check(wheel) == "pure"
    assert "The codec is not compiled, and the wheel is a pure one" in said


def test_a_compiled_wheel_that_is_asked_for_is_that_or_nothing(source: Path, tmp_path: Path):
    wheel, said = try_build(source, tmp_path / "out", wish="yes", CC="no-such-cc")
    assert wheel is None
    assert "no C compiler that works" in said


def test_a_wish_that_is_none(source: Path, tmp_path: Path):
    wheel, said = try_build(source, tmp_path / "out", wish="perhaps")
    assert wheel is None
    assert "TRIO_WSENDPOINT_COMPILE is yes, no or auto, not 'perhaps'" in said


def test_the_source_distribution_can_be_built(source: Path, tmp_path: Path):
    result = run(
        *(sys.executable, "-c"),
        f"import os; os.chdir({str(source)!r}); import hatchling.build as build; "
        f"print(build.build_sdist({str(tmp_path)!r}))",
    )
    assert result.returncode == 0, result.stderr
    with tarfile.open(tmp_path / result.stdout.split()[-1]) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    [top] = {name.partition("/")[0] for name in names}
    assert {f"{top}/hatch_build.py", f"{top}/{SOURCE}"} <= set(names)
    assert not [name for name in names if name.startswith(f"{top}/{BINARY}")]
    wheel, _ = build(tmp_path / top, tmp_path / "out", wish="no")
    assert check(wheel) == "pure"


def test_an_editable_install_runs_what_is_edited(source: Path, tmp_path: Path):
    result = run(
        *(sys.executable, "-c"),
        f"import os; os.chdir({str(source)!r}); import hatchling.build as build; "
        f"print(build.build_editable({str(tmp_path)!r}))",
        TRIO_WSENDPOINT_COMPILE=None,
    )
    assert result.returncode == 0, result.stderr
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.stem.endswith("py3-none-any")
    # Nothing was compiled into the tree: what lies there is as it was.
    assert (source / f"{BINARY}.abi3.so").read_bytes() == b"stale"
