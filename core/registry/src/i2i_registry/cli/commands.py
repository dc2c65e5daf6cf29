"""The program's commands: a table of names, so that `--help` imports none of them, and those that plugins add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from i2i_registry.cli.session import Session
from i2i_registry.errors import PluginError, UnknownName
from i2i_registry.plugins.discovery import import_attribute

HELP = """
Image-to-image papers: train or import them, export them, run them.

\b
  i2i-registry list
  i2i-registry import ugatit selfie2anime_params_latest.pt --as anime
  i2i-registry train ugatit --data selfie2anime/ --as mine
  i2i-registry export anime --onnx
  i2i-registry run anime-onnx me.jpg -o out.png

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Results go to stdout, the rest to stderr.
"""


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """A command that is imported only when it is used."""

    summary: str
    attribute: str


_OWN: Mapping[str, OwnCommand] = {
    "list": OwnCommand("Weights and models there are", "i2i_registry.cli.listing:list_all"),
    "info": OwnCommand("What is known about weights or a model", "i2i_registry.cli.listing:info"),
    "plugins": OwnCommand("Plugins that loaded, and those that did not", "i2i_registry.cli.listing:plugins"),
    "doctor": OwnCommand("What works on this machine, and what to do about the rest", "i2i_registry.cli.doctor:doctor"),
    "rename": OwnCommand("Give weights of the store another name", "i2i_registry.cli.listing:rename_weights"),
    "import": OwnCommand(
        "Turn a checkpoint of the official code into weights, executing nothing", "i2i_registry.cli.importing:import_"
    ),
    "export": OwnCommand("Make a bundle, and measure it against torch", "i2i_registry.cli.export:export"),
    "publish": OwnCommand(
        "Write weights and their card as files that a plugin ships", "i2i_registry.cli.publish:publish"
    ),
    "run": OwnCommand("Run a bundle or weights on images and folders", "i2i_registry.cli.run:run"),
    "compare": OwnCommand("The same images through several models, side by side", "i2i_registry.cli.compare:compare"),
    "grid": OwnCommand("Every image like every reference, or with every seed", "i2i_registry.cli.grid:grid"),
    "collage": OwnCommand(
        "An image retargeted at every pair of vertical and horizontal scale", "i2i_registry.cli.collage:collage"
    ),
    "inspect": OwnCommand("Look into a bundle, weights or an external checkpoint", "i2i_registry.cli.inspect:inspect"),
    "verify": OwnCommand("Check a bundle's files, and measure it again", "i2i_registry.cli.export:verify"),
}


class Program(click.Group):
    """The group of all commands. Our own come first; a plugin cannot replace them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own in the order of the table, then the plugins'."""
        return [*_OWN, *sorted(set(_session(ctx).registry.commands) - set(_OWN))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command. Raises PluginError when a plugin's is no command."""
        if cmd_name in _OWN:
            attribute = _OWN[cmd_name].attribute
        elif cmd_name in _session(ctx).registry.commands:
            attribute = _session(ctx).registry.commands[cmd_name].command
        else:
            return None
        command = import_attribute(attribute)
        if not isinstance(command, click.Command):
            raise PluginError(f"{attribute} is a {type(command).__name__}", expected="a click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command is answered with the nearest one. Raises UnknownName."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            fix = "i2i-registry --help lists them; `train` comes with i2i-toolkit"
            raise UnknownName.among("command", name, self.list_commands(ctx), fix)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and summaries, from cards: nothing is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl(self._summaries(ctx))

    def _summaries(self, ctx: click.Context) -> Sequence[tuple[str, str]]:
        added = _session(ctx).registry.commands
        return [(name, _OWN[name].summary if name in _OWN else added[name].summary) for name in self.list_commands(ctx)]


def _session(ctx: click.Context) -> Session:
    return ctx.ensure_object(Session)


@click.group(cls=Program, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="i2i-registry")
@click.option("--debug", is_flag=True, help="Show tracebacks. May stand anywhere.")
def program(*, debug: bool) -> None:
    """Everything is in the commands."""
