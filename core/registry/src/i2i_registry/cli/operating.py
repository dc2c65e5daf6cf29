"""Commands whose options are those of an operation: which of them there are is known when the bundle is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from functools import wraps

import click

from i2i_registry.actions.request import Request
from i2i_registry.actions.target import Target
from i2i_registry.cli.options import fit_option
from i2i_registry.cli.session import Session
from i2i_runtime.errors import OptionError, UsageError
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import SEED, CommandOption, InputKind, Option
from i2i_runtime.schema.operations import Operation
from i2i_runtime.type_guards import is_tuple
from i2i_runtime.untrusted_text import printable

_INPUT = "input_"
_WORDS = {"text": "expected ", "choice": ""}
"""options that are read from words -> how a correction begins"""
_NOT_WHOLE = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": True}


class OperationCommand(click.Command, ABC):
    """Reads the bundle first, then the options that its operation has."""

    @abstractmethod
    def options_of(self, operation: Operation) -> list[click.Parameter]:
        """Return the options that the operation's inputs stand for."""

    def default_operation(self, operations: Sequence[Operation], words: Sequence[str]) -> Operation:  # noqa: ARG002
        """Return the operation when none is named, of a command line with these `words` that are not known yet."""
        return operations[0]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Two passes: BUNDLE and --operation decide which options there are."""
        words, name = self._peek(args)
        if words:
            session = ctx.ensure_object(Session)
            target = Target(session.registry, session.store, words[0])
            chosen = self.default_operation(target.operations(), words) if name is None else target.choose(name)
            ctx.meta[Target.__name__], ctx.meta[Operation.__name__] = target, chosen
        return super().parse_args(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """As click does; names and summaries are the bundle's, and have no effect on the terminal."""
        return "\n".join(printable(line, len(line)) for line in super().get_help(ctx).split("\n"))

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the fixed options, and the operation's once it is known."""
        operation = ctx.meta.get(Operation.__name__)
        own = self.options_of(operation) if isinstance(operation, Operation) else []
        params = super().get_params(ctx)
        return [*params[:-1], *own, params[-1]]  # --help stays last

    def _peek(self, args: Sequence[str]) -> tuple[Sequence[str], str | None]:
        """Return what is not known yet of a command line, the bundle first, and the operation's name."""
        known: list[click.Parameter] = [param for param in self.params if isinstance(param, click.Option)]
        first_pass = click.Command(self.name, params=known, context_settings=_NOT_WHOLE, add_help_option=False)
        context = first_pass.make_context(self.name, list(args), resilient_parsing=True)
        words = [word for word in context.args if word not in {"-h", "--help"}]
        if words and words[0].startswith("-"):
            raise UsageError(
                found=f"{words[0]} stands before the bundle",
                expected="the bundle first: it decides which options there are",
                fix=f"i2i-registry {self.name} BUNDLE_OR_NAME INPUT... -o OUT {words[0]} VALUE",
            )
        return words, context.params.get("operation_name")


target_argument = click.argument("target", metavar="BUNDLE_OR_NAME")


def request_options(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add --operation, with what is its `default`, and --fit; the command gets them as one `request`.

    The options of the operation's inputs are in the request, and so is the seed. Beside it the command, which is an
    `OperationCommand`, gets its `target`, and by their names the options that are its own.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @click.option("--operation", "operation_name", metavar="NAME", help=default)
        @fit_option
        @click.pass_context
        @wraps(command)
        def with_request(
            context: click.Context,
            *,
            target: str,  # noqa: ARG001 - what it names was found before there were options
            operation_name: str | None,  # noqa: ARG001 - as well
            fit: Fit | None,
            seed: int | None = None,
            **options: Option,
        ) -> None:
            inputs = {name: options.pop(name) for name in [*options] if name.startswith(_INPUT)}
            given = {name.removeprefix(_INPUT): value for name, value in inputs.items() if value is not None}
            request = Request(context.meta[Operation.__name__], given, fit, seed)
            command(target=context.meta[Target.__name__], request=request, **options)

        return with_request

    return decorate


def options_for(*inputs: InputKind, several: Collection[str] = ()) -> list[click.Parameter]:
    """Return the options of these inputs, one --seed for all that are random.

    Those of the inputs named in `several` may be given several times.
    """
    options = {
        option.name: _option(option, multiple=value.name in several)
        for value in inputs
        for option in value.command_options()
    }
    return [*options.values()]


def _option(option: CommandOption, *, multiple: bool) -> click.Option:
    flag, name = f"--{option.name.replace('_', '-')}", option.name if option.name == SEED else _INPUT + option.name
    made = click.Option(
        [flag, name],
        type=_type(option),
        callback=_read_with(option) if option.takes in _WORDS else None,
        metavar=option.metavar,
        required=option.required,
        multiple=multiple,
        help=option.help,
        show_default=option.default is not None,
    )
    if option.default is not None:  # None itself would count as given
        made.default = option.default
    return made


def _type(option: CommandOption) -> click.IntRange | click.FloatRange | click.Path | None:
    least, most = option.limits
    if option.takes == "whole":
        return click.IntRange(None if least is None else int(least), None if most is None else int(most))
    if option.takes == "number":
        return click.FloatRange(least, most)
    return click.Path(exists=True) if option.takes == "path" else None


def _read_with(option: CommandOption) -> Callable[[click.Context, click.Parameter, object], object]:
    """Return a callback that reads a text, or several; their OptionError becomes click's."""

    def read_one(context: click.Context, parameter: click.Parameter, text: str) -> object:
        try:
            return option.read(text)
        except OptionError as error:
            raise click.BadParameter(f"{text!r}: {_WORDS[option.takes]}{error.expected}", context, parameter) from error

    def check(context: click.Context, parameter: click.Parameter, value: object) -> object:
        if is_tuple(value):
            return tuple(read_one(context, parameter, str(text)) for text in value)
        return None if value is None else read_one(context, parameter, str(value))

    return check
