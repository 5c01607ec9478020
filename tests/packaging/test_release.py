"""Cutting a release: what it changes, and what stops it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.codec.forms import ROOT
from tests.packaging.release import (
    KINDS,
    ReleaseError,
    check_start,
    joined_fragments,
    with_release,
    with_version,
)

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- One.\n\n## [0.1.0] - 2026-01-01\n"


def git(*command: str, cwd: Path) -> None:
    """Run git, with a name for its commits."""
    name = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *name, *command], cwd=cwd, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit and one tag."""
    git("init", cwd=tmp_path)
    (tmp_path / "file").write_text("text")
    git("add", ".", cwd=tmp_path)
    git("commit", "-m", "Add a file", cwd=tmp_path)
    git("tag", "v0.1.0", cwd=tmp_path)
    return tmp_path


def test_a_new_version_of_a_clean_checkout(checkout: Path) -> None:
    check_start("0.2.0", checkout)
    check_start("0.2.0rc1", checkout)


@pytest.mark.parametrize("version", ["v0.2.0", "0.2", "0.2.0-beta", "", "0.2.0; rm"])
def test_a_version_that_is_none(checkout: Path, version: str) -> None:
    with pytest.raises(ReleaseError, match="expected a version as"):
        check_start(version, checkout)


def test_a_version_that_is_there(checkout: Path) -> None:
    with pytest.raises(ReleaseError, match="is there already"):
        check_start("0.1.0", checkout)


def test_changes_that_are_not_committed(checkout: Path) -> None:
    (checkout / "file").write_text("other")
    with pytest.raises(ReleaseError, match="not committed"):
        check_start("0.2.0", checkout)


def test_the_version_is_set() -> None:
    text = (ROOT / "trio_wsendpoint" / "_version.py").read_text()
    assert '__version__ = "9.8.7"\n' in with_version(text, "9.8.7")
    with pytest.raises(ReleaseError, match="one line"):
        with_version("", "9.8.7")


def test_what_was_unreleased_is_the_release() -> None:
    made = with_release(CHANGELOG, "0.2.0", "2026-02-03", "### Added\n\n- Two.")
    assert made == (
        "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-02-03\n\n### Added\n\n- Two.\n\n"
        "### Fixed\n\n- One.\n\n## [0.1.0] - 2026-01-01\n"
    )
    with pytest.raises(ReleaseError, match="Unreleased"):
        with_release("# Changelog\n", "0.2.0", "2026-02-03", "")


def test_the_changes_of_a_kind_have_one_heading() -> None:
    before = "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- A.\n\n- B, which\n  goes on.\n"
    made = with_release(before, "0.2.0", "2026-02-03", "### Changed\n\n- C.\n\n### Fixed\n\n- D.")
    assert made.partition("2026-02-03\n")[2] == (
        "\n### Changed\n\n- C.\n\n### Fixed\n\n- D.\n- A.\n- B, which\n  goes on.\n"
    )
    for wrong in ("### Addd\n\n- A.", "- A."):
        with pytest.raises(ReleaseError, match="expected"):
            with_release(before, "0.2.0", "2026-02-03", wrong)


def test_the_fragments_can_be_joined() -> None:
    fragments = list((ROOT / "changes").glob("*.*.md"))
    text = joined_fragments("9.8.7")
    for fragment in fragments:
        assert fragment.read_text().split()[0] in text, fragment.name


def test_each_fragment_has_a_kind() -> None:
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    for path in (ROOT / "changes").iterdir():
        assert path.name == "README.md" or path.suffixes[-2:][0][1:] in kinds, path.name


def test_the_changelog_can_be_released() -> None:
    before = (ROOT / "CHANGELOG.md").read_text()
    made = with_release(before, "9.8.7", "2026-02-03", joined_fragments("9.8.7"))
    [release] = re.findall(r"(?ms)^## \[9\.8\.7\] - 2026-02-03$(.*?)^## ", made)
    headings = re.findall(r"(?m)^### (\w+)$", release)
    assert headings == [kind for kind in KINDS if kind in headings]
    assert [
        line for line in before.splitlines() if line.startswith("- ") and line not in made
    ] == []
