"""`compiled_codec` is the compiled form of the present `codec.py`, `codec` each form in turn."""

from __future__ import annotations

from types import ModuleType

import pytest

from trio_wsendpoint.protocol import codec as pure

from .forms import COMPILED, builder, built_in_place, load


@pytest.fixture(scope="session")
def compiled_codec(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """What `make compile` has built, if that is of the present source, or else a new build.

    Where there is a compiler it has to work: only what is missing here is a reason to skip.
    """
    try:
        builder.check_compiler()
    except builder.CannotCompileError as error:
        pytest.skip(str(error))
    for path in built_in_place():
        form = load(COMPILED, path)
        if builder.hash_source() == form.SOURCE_HASH:
            return form
    return load(COMPILED, builder.compile_codec(tmp_path_factory.mktemp("codec")))


@pytest.fixture(scope="session", params=["pure", "compiled"])
def codec(request: pytest.FixtureRequest) -> ModuleType:
    """The codec in one of its forms."""
    return pure if request.param == "pure" else request.getfixturevalue("compiled_codec")
