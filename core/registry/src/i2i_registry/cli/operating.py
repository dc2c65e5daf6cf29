"""Commands whose options are those of an operation: which of them there are is known when the bundle is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

import click

from i2i_registry.actions.request import SEED, Request
from i2i_registry.actions.target import Target
from i2i_registry.cli.session import Session
from i2i_runtime.call.arguments import Option
from i2i_runtime.call.sizes import SCALE, SIZE, read_scale, read_size
from i2i_runtime.errors import OptionError, UsageError, nearest
from i2i_runtime.schema.operations import (
    Fit,
    GridInput,
    ImageInput,
    Input,
    LabelInput,
    LatentInput,
    MaskInput,
    NoiseInput,
    Operation,
    ScalarInput,
    SizeInput,
)
from i2i_runtime.untrusted_text import printable

_INPUT = "input_"
_NOT_WHOLE = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": True}

T = TypeVar("T")

Check = Callable[[click.Context, click.Parameter, str | None], str | None]


class OperationCommand(click.Command, ABC):
    """Reads the bundle first, then the options that its operation has."""

    @abstractmethod
    def options_of(self, operation: Operation) -> list[click.Parameter]:
        """The options that the operation's inputs stand for."""

    def default_operation(self, operations: Sequence[Operation], words: Sequence[str]) -> Operation:  # noqa: ARG002
        """The operation when none is named, of a command line with these `words` that are not known yet."""
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
        """The fixed options, and the operation's once it is known."""
        operation = ctx.meta.get(Operation.__name__)
        own = self.options_of(operation) if isinstance(operation, Operation) else []
        params = super().get_params(ctx)
        return [*params[:-1], *own, params[-1]]  # --help stays last

    def _peek(self, args: Sequence[str]) -> tuple[Sequence[str], str | None]:
        """What is not known yet of a command line, the bundle first, and the operation's name."""
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
        return words, cast("str | None", context.params.get("operation_name"))


def options_for(value: Input, *, multiple: bool = False) -> list[click.Parameter]:
    """The options of an input, mostly one; `multiple`: a label or an image may be given several times."""
    flag = f"--{value.name.replace('_', '-')}"
    match value:
        case LatentInput() | NoiseInput():
            return [click.Option(["--seed"], type=click.IntRange(min=0), help="Same seed, same image.")]
        case LabelInput():
            return [_label_option(value, flag, multiple=multiple)]
        case ScalarInput():
            return [_number_option(value, flag)]
        case ImageInput() | MaskInput():
            kind = click.Path(exists=True)
            name = _INPUT + value.name
            return [click.Option([flag, name], type=kind, required=True, multiple=multiple, help=value.summary)]
        case SizeInput():
            return _size_options(value)
        case GridInput():
            return []


def _label_option(value: LabelInput, flag: str, *, multiple: bool) -> click.Option:
    default = f"default: {value.default}" if value.default else "required"
    return click.Option(
        [flag, _INPUT + value.name],
        callback=_each(_one_of(value.names)) if multiple else _one_of(value.names),
        metavar=f"[{'|'.join(value.names)}]",
        required=value.default is None,
        multiple=multiple,
        help=f"{value.summary} ({default})".strip(),
    )


def _number_option(value: ScalarInput, flag: str) -> click.Option:
    limits: click.IntRange | click.FloatRange = click.FloatRange(value.minimum, value.maximum)
    default: float = value.default
    if value.whole:
        limits, default = click.IntRange(int(value.minimum), int(value.maximum)), int(value.default)
    return click.Option(
        [flag, _INPUT + value.name], type=limits, default=default, show_default=True, help=value.summary
    )


def _size_options(value: SizeInput) -> list[click.Parameter]:
    own = "that of the image" if value.image else f"{value.height}x{value.width}"
    return [
        click.Option(
            [f"--{SIZE}", _INPUT + SIZE],
            metavar="HEIGHTxWIDTH",
            callback=_read_with(read_size),
            help=f"Of the result, pixels; default: {own}.",
        ),
        click.Option(
            [f"--{SCALE}", _INPUT + SCALE],
            metavar="FACTOR|VERTICALxHORIZONTAL",
            callback=_read_with(read_scale),
            help="The same as a multiple of that.",
        ),
    ]


def _read_with(read: Callable[[object], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """A callback that reads a text; its OptionError becomes click's."""

    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> T | None:
        if value is None:
            return None
        try:
            return read(value)
        except OptionError as error:
            raise click.BadParameter(f"{value!r}: expected {error.expected}", context, parameter) from error

    return check


def asked(context: click.Context, fit: Fit | None, options: Mapping[str, object]) -> tuple[Target, Request]:
    """What an `OperationCommand` is asked to do, with which bundle or weights."""
    target: Target = context.meta[Target.__name__]
    operation: Operation = context.meta[Operation.__name__]
    return target, Request(operation, given_inputs(options), fit, cast("int | None", options.get(SEED)))


def given_inputs(options: Mapping[str, object]) -> dict[str, Option]:
    """Input -> what was given for it, of all options that click has parsed."""
    return {
        name.removeprefix(_INPUT): cast("Option", value)
        for name, value in options.items()
        if name.startswith(_INPUT) and value is not None
    }


def _one_of(names: Sequence[str]) -> Check:
    """Check a class name; a wrong one is answered with the nearest."""

    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and value not in names:
            raise click.BadParameter(f"{value!r}: {nearest(value, names)}", context, parameter)
        return value

    return check


def _each(check: Check) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]:
    def check_all(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            check(context, parameter, value)
        return values

    return check_all
