"""The documents show what the command prints."""

from __future__ import annotations

import re

import pytest

from tests.cli.transcripts import BLOCK, PAGES, SCENES, masked, transcript
from trio_wsendpoint.cli.arguments import ExampleCommand
from trio_wsendpoint.cli.command import group
from trio_wsendpoint.cli.outcome import Status

SHOWN = {match[2]: match[3] for page in PAGES for match in BLOCK.finditer(page.read_text())}


def test_every_scene_is_shown():
    assert set(SHOWN) == set(SCENES)


@pytest.mark.parametrize("name", sorted(SCENES))
async def test_a_transcript_is_what_is_printed(name):
    assert masked(await transcript(name)) == masked(SHOWN[name])


def test_every_subcommand_and_status_is_told():
    page = PAGES[0].read_text()
    for name, command in group.commands.items():
        assert f"`{name}" in page, name
        assert isinstance(command, ExampleCommand)
    table = {
        int(number)
        for row in re.findall(r"^\| (\d[\d, ]*) \|", page, re.MULTILINE)
        for number in row.split(",")
    }
    assert table == {int(status) for status in Status}


def test_every_option_of_the_page_is_there():
    known = {
        option
        for command in group.commands.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    told = set(re.findall(r"`(--[a-z-]+)", "".join(page.read_text() for page in PAGES)))
    assert told - known <= {"--help", "--version"}
