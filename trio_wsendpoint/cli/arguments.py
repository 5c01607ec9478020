"""The options that several subcommands share, and a help that begins with examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from trio_wsendpoint.cli.opening import Target

__all__ = ["ExampleCommand", "opening_options", "seconds", "target_of", "telling_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


class ExampleCommand(click.Command):
    """A subcommand whose `--help` begins with `examples`, one a line."""

    def __init__(self, *arguments: Any, examples: tuple[str, ...] = (), **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples, then what click writes."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  trio-wsendpoint {self.name} {example}\n")
            formatter.write("\n")
        super().format_help(ctx, formatter)


def seconds(word: str | None = None, *, zero: bool = False) -> Callable[[str], float]:
    """Return a type of option: seconds, more than none; `word` stands for no end.

    `zero`: none is allowed.
    """

    def convert(value: str) -> float:
        if value == word:
            return math.inf
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isnan(number) or number < 0 or (number == 0 and not zero):
            also = f", or {word}" if word else ""
            raise click.BadParameter(f"expected seconds, as 1.5{also}, not {value!r}")
        return number

    convert.__name__ = "seconds"
    return convert


_OPENING: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "-H",
        "--header",
        "headers",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="A header of the request. The value may be @FILE, which `ps` does not show.",
    ),
    click.option("--bearer", metavar="@FILE", help="Authorization: Bearer, with the file's token."),
    click.option("-u", "--user", metavar="USER:@FILE", help="Authorization: Basic."),
    click.option(
        "-s",
        "--subprotocol",
        "subprotocols",
        multiple=True,
        metavar="NAME",
        help="Offer this one; the server must choose one of those offered.",
    ),
    click.option("--origin", metavar="URL", help="The Origin header, as of a page from there."),
    click.option(
        "--proxy", metavar="URL", help="Go through it, or 'none'. By default the environment's."
    ),
    click.option("--cert", metavar="FILE", help="Our certificate, in PEM, with its chain."),
    click.option("--key", metavar="FILE", help="Its key, if --cert does not have it."),
    click.option("--cacert", metavar="FILE", help="Trust these instead of the system's."),
    click.option("--servername", metavar="NAME", help="The name to expect in the certificate."),
    click.option("-k", "--insecure", is_flag=True, help="Accept any certificate."),
    click.option("-4", "family", flag_value="4", help="Over IPv4 alone."),
    click.option("-6", "family", flag_value="6", help="Over IPv6 alone."),
    click.option("--resolve", metavar="HOST:PORT:IP", help="Connect there for that host."),
    click.option("--unix", metavar="PATH", help="Connect to a Unix socket; @NAME is abstract."),
    click.option("-L", "--location", "redirects", is_flag=True, help="Follow redirects."),
    click.option(
        "--timeout", type=seconds(), default=10.0, show_default=True, help="Of the opening."
    ),
    click.option(
        "--heartbeat",
        type=seconds("off"),
        default=15.0,
        show_default=True,
        help="Ping a silent peer so often, or 'off'; it is given up after four times this.",
    ),
    click.option("--max-size", type=click.IntRange(0), metavar="BYTES", help="Of one message."),
    click.option("--deflate/--no-deflate", default=True, help="Offer compression."),
)

_TELLING: tuple[Callable[[Any], Any], ...] = (
    click.option("--json", "is_json", is_flag=True, help="Write an event a line."),
    click.option("-q", "--quiet", is_flag=True, help="Write no notes, only what went wrong."),
    click.option("-v", "--verbose", is_flag=True, help="Write headers and round trips too."),
    click.option("--debug", is_flag=True, help="Write the log, and tracebacks."),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="By default on a terminal, without NO_COLOR and TERM=dumb.",
    ),
    click.option("--max-time", type=seconds(), help="For all of it; then status 8."),
)


def opening_options(command: Command) -> Command:
    """Give `command` the options of an opening; `target_of` takes them."""
    return _with(command, _OPENING)


def telling_options(command: Command) -> Command:
    """Give `command` the options of what it writes."""
    return _with(command, _TELLING)


def _with(command: Command, options: tuple[Callable[[Any], Any], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def target_of(url: str, given: dict[str, Any]) -> Target:
    """Return the target, and take what is its from the options in `given`."""
    names = Target.__dataclass_fields__.keys() - {"url"}
    return Target(url=url, **{name: given.pop(name) for name in names})
