"""What pyproject.toml says of the project is current."""

from __future__ import annotations

import re
import tomllib

import trove_classifiers

from tests.codec.forms import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CLASSIFIERS = PROJECT["classifiers"]


def test_each_classifier_is_one_and_is_not_deprecated() -> None:
    assert set(CLASSIFIERS) <= trove_classifiers.classifiers
    assert set(CLASSIFIERS) & set(trove_classifiers.deprecated_classifiers) == set()
    assert sorted(set(CLASSIFIERS)) == CLASSIFIERS, "each once, and in order"


def test_the_versions_of_python_begin_with_the_least_that_is_allowed() -> None:
    versions = [
        int(match[1])
        for classifier in CLASSIFIERS
        if (match := re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", classifier))
    ]
    assert f">=3.{min(versions)}" == PROJECT["requires-python"]
    assert sorted(versions) == list(range(min(versions), max(versions) + 1)), "none is left out"


def test_the_urls_are_of_one_place() -> None:
    urls = PROJECT["urls"]
    assert set(urls) == {"Source", "Documentation", "Changelog", "Issues"}
    assert urls["Source"].startswith("https://")
    for url in urls.values():
        assert url.startswith(urls["Source"])
        file = url.partition("/blob/main/")[2]
        assert not file or (ROOT / file).exists()
