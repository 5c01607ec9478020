"""The command line: what may be asked, and which function does it.

Each subcommand makes plain values of its options and calls one function that knows no click.
"""

from __future__ import annotations

import sys

import click

from trio_wsendpoint._version import __version__
from trio_wsendpoint.cli.commands.completion import VARIABLE, completion_command
from trio_wsendpoint.cli.commands.connect import connect_command
from trio_wsendpoint.cli.commands.doctor import doctor_command
from trio_wsendpoint.cli.commands.measure import bench_command, ping_command
from trio_wsendpoint.cli.commands.record import record_command, replay_command
from trio_wsendpoint.cli.commands.serve import serve_command
from trio_wsendpoint.cli.escaping import escaped
from trio_wsendpoint.cli.outcome import Status
from trio_wsendpoint.cli.shell import close_stdout, write_line

__all__ = ["group", "run_command"]

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT, no_args_is_help=True)
@click.version_option(__version__, message="%(version)s")
def group() -> None:
    """Talk to WebSocket servers, time them, and find out why a connection fails."""


for subcommand in (
    connect_command,
    ping_command,
    bench_command,
    serve_command,
    doctor_command,
    record_command,
    replay_command,
    completion_command,
):
    group.add_command(subcommand)


def run_command(arguments: list[str]) -> int:
    """Run the command with `arguments`; return the exit status."""
    try:
        result = group.main(
            arguments,
            prog_name="trio-wsendpoint",
            standalone_mode=False,
            complete_var=VARIABLE,
            auto_envvar_prefix="TRIO_WSENDPOINT",
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        usage = getattr(error, "ctx", None)
        if usage is not None:
            write_line(usage.get_usage())
        write_line(f"! {escaped(error.format_message())}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return int(Status.INTERRUPTED)
    except BrokenPipeError:
        return close_stdout()
