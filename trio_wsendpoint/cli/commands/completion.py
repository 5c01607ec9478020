"""`completion SHELL`: the script that lets a shell complete the command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from trio_wsendpoint.cli.arguments import ExampleCommand

__all__ = ["VARIABLE", "completion_command"]

#: The variable by which a shell asks the command for completions.
VARIABLE = "_TRIO_WSENDPOINT_COMPLETE"


@click.command(
    "completion",
    cls=ExampleCommand,
    examples=("bash > ~/.local/share/bash-completion/completions/trio-wsendpoint",),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> int:
    """Write the script for SHELL, which then completes subcommands and options."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"there is no completion for {shell}")
    root = context.find_root()
    click.echo(found(root.command, {}, "trio-wsendpoint", VARIABLE).source())
    return 0
