"""Which form of the codec is chosen, and that what was built is built from what is there."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import pytest

import trio_wsendpoint
from trio_wsendpoint.protocol.coding import choose_form, codec_kind

from .forms import COMPILED, builder, built_in_place, load

PURE = "trio_wsendpoint.protocol.codec"


@pytest.mark.parametrize("value", [None, "", "0"])
def test_the_compiled_form_is_chosen_if_it_is_there(
    monkeypatch: pytest.MonkeyPatch, value: str | None
):
    environment = {} if value is None else {"TRIO_WSENDPOINT_PURE": value}
    monkeypatch.setitem(sys.modules, COMPILED, ModuleType(COMPILED))
    assert choose_form(environment) == COMPILED
    monkeypatch.setitem(sys.modules, COMPILED, None)  # as if it could not be imported
    assert choose_form(environment) == PURE


@pytest.mark.parametrize("value", ["1", "yes", "true"])
def test_the_pure_form_can_be_asked_for(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setitem(sys.modules, COMPILED, ModuleType(COMPILED))
    assert choose_form({"TRIO_WSENDPOINT_PURE": value}) == PURE


def test_an_attribute_tells():
    assert trio_wsendpoint.codec_kind == codec_kind
    wanted = "compiled" if choose_form(os.environ) == COMPILED else "pure"
    assert codec_kind == wanted


def kind_in(environment: dict[str, str]) -> str:
    """Return the kind in a new process, which may not import Cython."""
    program = (
        "import sys; sys.modules['cython'] = sys.modules['Cython'] = None; "
        "import trio_wsendpoint; print(trio_wsendpoint.codec_kind)"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_both_forms_run_without_cython():
    assert kind_in({"TRIO_WSENDPOINT_PURE": "1"}) == "pure"
    assert kind_in({"TRIO_WSENDPOINT_PURE": ""}) == ("compiled" if built_in_place() else "pure")


def test_what_was_built_in_place_is_of_the_present_source():
    for path in built_in_place():
        form = load(COMPILED, path)
        assert builder.hash_source() == form.SOURCE_HASH, f"{path.name} is stale: make compile"


def test_a_build_says_what_it_was_made_of(compiled_codec: ModuleType):
    assert builder.hash_source() == compiled_codec.SOURCE_HASH


def test_without_a_compiler_there_is_a_reason(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "/bin/false")
    with pytest.raises(builder.CannotCompileError, match="no C compiler that works"):
        builder.check_compiler()
    monkeypatch.setitem(sys.modules, "Cython.Build", None)
    with pytest.raises(builder.CannotCompileError, match="Cython"):
        builder.check_compiler()
