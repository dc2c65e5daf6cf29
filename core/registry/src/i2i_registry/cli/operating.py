"""Commands whose options are those of an operation: which of them there are is known when the bundle is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import click

from i2i_registry.actions.request import SEED, Request
from i2i_registry.actions.target import Target
from i2i_registry.cli.session import Session
from i2i_runtime.errors import OptionError, UsageError
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import CommandOption, InputKind, Option
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


def options_for(value: InputKind, *, multiple: bool = False) -> list[click.Parameter]:
    """Return the options of an input, mostly one; `multiple`: it may be given several times."""
    return [_option(option, multiple=multiple) for option in value.command_options()]


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


def asked(context: click.Context, fit: Fit | None, options: Mapping[str, Option]) -> tuple[Target, Request]:
    """Return what an `OperationCommand` is asked to do, with which bundle or weights."""
    target: Target = context.meta[Target.__name__]
    operation: Operation = context.meta[Operation.__name__]
    return target, Request(operation, given_inputs(options), fit, whole_number(options, SEED))


def whole_number(options: Mapping[str, Option], name: str) -> int | None:
    """Return the value of an option that takes a whole number; None without it."""
    value = options.get(name)
    return value if isinstance(value, int) else None


def given_inputs(options: Mapping[str, Option]) -> dict[str, Option]:
    """Input -> what was given for it, of all options that click has parsed."""
    return {
        name.removeprefix(_INPUT): value
        for name, value in options.items()
        if name.startswith(_INPUT) and value is not None
    }
