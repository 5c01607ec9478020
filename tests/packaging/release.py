"""Cuts a release: `python -m tests.packaging.release 0.2.0`, or `make release VERSION=0.2.0`.

It sets the version, joins the fragments of `changes/` into CHANGELOG.md, builds and checks what
would be uploaded, commits, and tags.  It uploads and pushes nothing.  A failure stops it before the
commit, and leaves the files as they were.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("echo_program.py")
VERSION_FILE = Path("trio_wsendpoint/_version.py")
CHANGELOG = Path("CHANGELOG.md")
#: Programs are looked for beside this Python first.
TOOLS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
UNRELEASED = "## [Unreleased]"
#: The headings of a release, in the order in which a reader meets them.
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")


class ReleaseError(Exception):
    """The release cannot be cut; the text says why, and what to do."""


def run(*command: object, cwd: Path = ROOT) -> str:
    """Run a program and return what it prints; raises `ReleaseError` with its last lines."""
    told = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PATH": TOOLS},
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        last = "\n".join((told.stdout + told.stderr).splitlines()[-20:])
        raise ReleaseError(f"{' '.join(str(part) for part in command)} failed:\n{last}")
    return told.stdout


def check_start(version: str, root: Path = ROOT) -> None:
    """Raise `ReleaseError` unless `version` is new, and nothing is uncommitted."""
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"expected a version as 0.2.0 or 0.2.0rc1, not {version}")
    if run("git", "status", "--porcelain", cwd=root):
        raise ReleaseError("there are changes that are not committed: commit or drop them")
    if run("git", "tag", "--list", f"v{version}", cwd=root):
        raise ReleaseError(f"the tag v{version} is there already")


def with_version(text: str, version: str) -> str:
    """Return the text of the version's file with `version`."""
    changed, count = re.subn(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', text)
    if count != 1:
        raise ReleaseError(f"expected one line `__version__ = ...` in {VERSION_FILE}")
    return changed


def with_release(changelog: str, version: str, day: str, fragments: str) -> str:
    """Return the changelog with `fragments`, and behind them what is unreleased, as `version`."""
    if changelog.count(UNRELEASED) != 1:
        raise ReleaseError(f"expected one line `{UNRELEASED}` in {CHANGELOG}")
    before, _, after = changelog.partition(UNRELEASED)
    unreleased, heading, released = after.partition("\n## ")
    changes = joined_sections(fragments, unreleased)
    return f"{before}{UNRELEASED}\n\n## [{version}] - {day}\n{changes}{heading}{released}"


def joined_sections(*texts: str) -> str:
    """Return the entries of several texts under one heading for each kind, in the order of `KINDS`.

    An entry keeps its lines; what stands before the first heading of a text must be empty.
    """
    entries: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for text in texts:
        lead, *sections = re.split(r"(?m)^### ", text)
        if lead.strip():
            raise ReleaseError(f"expected `### Added` or another kind before {lead.strip()!r}")
        for section in sections:
            kind, _, body = section.partition("\n")
            if kind not in entries:
                raise ReleaseError(f"expected one of {', '.join(KINDS)}, not {kind!r}")
            entries[kind].append(re.sub(r"\n{2,}", "\n", body.strip()))
    return "".join(
        f"\n### {kind}\n\n" + "\n".join(bodies) + "\n"
        for kind, bodies in entries.items()
        if any(bodies)
    )


def joined_fragments(version: str) -> str:
    """Return what towncrier makes of the fragments, without its heading, and remove none."""
    draft = run(sys.executable, "-m", "towncrier", "build", "--draft", "--version", version)
    lines = draft.partition(f"## {version}")[2].splitlines()[1:]
    text = "\n".join(lines).strip()
    return "" if text == "No significant changes." else text


def build(out: Path) -> list[Path]:
    """Build the sdist, and the wheel from the sdist, as pip does; return both."""
    run(sys.executable, "-m", "build", "--outdir", out)
    made = sorted(out.iterdir())
    run(sys.executable, "-m", "twine", "check", "--strict", *made)
    return made


def repaired(wheel: Path, out: Path) -> Path:
    """Return the wheel with a manylinux tag from auditwheel, else `wheel`; say why not."""
    if wheel.name.endswith("-any.whl"):
        print("the wheel is pure: it needs no tag of a platform")
        return wheel
    if any(shutil.which(tool, path=TOOLS) is None for tool in ("auditwheel", "patchelf")):
        print("auditwheel or patchelf is missing: the wheel stays with the tag linux, for no index")
        return wheel
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", out, wheel)
    [made] = out.glob("*manylinux*.whl")
    wheel.unlink()
    return made


def try_out(wheel: Path, folder: Path) -> str:
    """Install a wheel with what it needs in a clean environment; return what an echo prints."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    return run(python, "-W", "error", PROGRAM, cwd=folder).strip()


def release(version: str) -> None:
    """Cut the release `version`; raises `ReleaseError`."""
    check_start(version)
    kept = {path: (ROOT / path).read_text() for path in (VERSION_FILE, CHANGELOG)}
    today = datetime.now(UTC).date().isoformat()
    dist = ROOT / "dist"
    try:
        fragments = joined_fragments(version)
        (ROOT / VERSION_FILE).write_text(with_version(kept[VERSION_FILE], version))
        (ROOT / CHANGELOG).write_text(with_release(kept[CHANGELOG], version, today, fragments))
        shutil.rmtree(dist, ignore_errors=True)
        made = build(dist)
        wheel = repaired(next(path for path in made if path.suffix == ".whl"), dist)
        with tempfile.TemporaryDirectory() as folder:
            print("an echo ran with the codec", try_out(wheel, Path(folder) / "clean"))
    except BaseException:
        for path, text in kept.items():
            (ROOT / path).write_text(text)
        raise
    used = sorted((ROOT / "changes").glob("*.*.md"))
    if used:
        run("git", "rm", "--quiet", *used)
    run("git", "add", VERSION_FILE, CHANGELOG)
    run("git", "commit", "--quiet", "--message", f"Release {version}")
    run("git", "tag", "--annotate", f"v{version}", "--message", f"trio_wsendpoint {version}")
    print(f"tagged v{version}; dist/ has", *(path.name for path in sorted(dist.iterdir())))


if __name__ == "__main__":
    try:
        release(*sys.argv[1:])
    except ReleaseError as error:
        sys.exit(f"no release: {error}")
    except TypeError:
        sys.exit("usage: python -m tests.packaging.release VERSION")
