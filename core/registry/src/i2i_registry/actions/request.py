"""What is asked of an operation, in one record behind every command that runs one; it knows no command line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from PIL import Image

from i2i_registry.errors import concerns_all
from i2i_runtime.bundle import Bundle
from i2i_runtime.call.arguments import gather
from i2i_runtime.call.results import Value
from i2i_runtime.errors import I2IError, UsageError
from i2i_runtime.image.folders import scan_folder
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.schema.operations import Operation, VectorOutput
from i2i_runtime.type_guards import is_path

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """An operation and everything that is chosen for it but the images that it works on."""

    operation: Operation
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    """values of the operation's inputs, by name"""
    fit: Fit | None = None
    seed: int | None = None

    def with_options(self, options: Mapping[str, Option]) -> Request:
        """Return the same with these options beside its own, or in their place."""
        return replace(self, options={**self.options, **options})

    def with_seed(self, offset: int) -> Request:
        """Return the same with a seed so much higher, where there is one."""
        return self if self.seed is None else replace(self, seed=self.seed + offset)

    def files_among_options(self) -> list[Path]:
        """Return the files that are read for the options: whichever kind of input takes a path, or a folder of them."""
        offered = [option for value in self.operation.inputs for option in value.command_options()]
        given = [self.options.get(option.name) for option in offered if option.takes == "path"]
        paths = [Path(os.fsdecode(path)) for path in given if is_path(path)]
        return [file for path in paths for file in (scan_folder(path).images if path.is_dir() else [path])]

    @property
    def main_image(self) -> ImageInput:
        """The image that the operation works on. Raises UsageError where it starts from nothing."""
        main = self.operation.main_image
        if main is None:
            raise UsageError(f"{self.operation.name} takes no image", expected="an operation that works on one")
        return main

    def check(self) -> None:
        """Make every check that a call makes before it computes, on a black image of the model's own size.

        Raises OptionError for an input that is missing or wrong, ImageError for an image among the options that cannot
        be read.
        """
        size = self.main_image.size
        blank = Image.new("RGB", (size.width, size.height))
        gather(self.operation, [blank], 1, self.options, fit=self.fit, seed=self.seed or 0)

    def image(self, bundle: Bundle, image: Image.Image) -> Image.Image:
        """Run it on one image. Raises what `Bundle.run` raises."""
        return self.images(bundle, [image])[0]

    def run(
        self,
        bundle: Bundle,
        image: str | Sequence[Image.Image] | None,
        outputs: Sequence[str],
        count: int | None = None,
    ) -> list[dict[str, Value]]:
        """Run it on one image, on several, or on nothing. Raises what `Bundle.run` raises."""
        name = self.operation.name
        return bundle.run(name, image, self.options, outputs=outputs, seed=self.seed, fit=self.fit, count=count)

    def images(self, bundle: Bundle, images: Sequence[Image.Image]) -> list[Image.Image]:
        """Run it on several images at once; item i has the seed + i. Raises what `Bundle.run` raises."""
        return [_shown(value) for row in self.run(bundle, list(images), ["image"]) for value in row.values()]

    def frames(self, bundle: Bundle, image: str | None, to: Mapping[str, Option], count: int) -> list[Image.Image]:
        """Return the frames of an animation that starts with it. Raises what `Bundle.frames` raises."""
        name = self.operation.name
        frames = bundle.frames(name, image, self.options, to=to, count=count, seed=self.seed, fit=self.fit)
        return [_shown(frame) for frame in frames]


def _shown(value: Value) -> Image.Image:
    """Return a result as the image that it is, of paths and PIL images and 1, 3 or 4 channels (`check_shown`)."""
    if not isinstance(value, Image.Image):
        raise TypeError(f"a result is a {type(value).__name__}, and no PIL image")
    return value


def makes_images(operation: Operation) -> bool:
    """Whether anything that it gives can be looked at."""
    return not all(isinstance(output, VectorOutput) for output in operation.outputs)


def split_pair(option: str, text: str, example: str) -> tuple[str, str]:
    """Return the name and the value of "NAME=VALUE", as `option` takes it.

    Raises UsageError with the example otherwise.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} {text}", expected="NAME=VALUE", fix=f"{option} {example}")
    return name.replace("-", "_"), value


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """What became of one of many: a result, or the error in its place."""

    result: T | None = None
    error: I2IError | None = None
    seconds: float = 0.0


def attempt(make: Callable[[], T]) -> Attempt[T]:
    """Make one of many: what is wrong with this one stops no other. Raises what would be wrong with every other too."""
    started = time.perf_counter()
    try:
        return Attempt(make(), seconds=time.perf_counter() - started)
    except I2IError as error:
        if concerns_all(error):
            raise
        return Attempt(error=error)
