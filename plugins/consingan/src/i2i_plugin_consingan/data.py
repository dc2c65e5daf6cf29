"""The training image of ConSinGAN at its size, and what stage 0 is fed where that is an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from i2i_plugin_consingan.augment import LEVELS, recoloured, shuffled
from i2i_plugin_consingan.config import Config
from i2i_plugin_consingan.options import Options
from i2i_registry import LayoutError
from i2i_toolkit import SingleImage, SingleImageLayout, derive, image_size, resample_by, resample_to, scaled_side


def scale_of(height: int, width: int, max_size: int) -> float:
    """Return the factor that brings an image's longer side to `max_size`; 1 for smaller ones."""
    return min(max_size / max(height, width), 1.0)


def size_at(root: Path, max_size: int, coarsest: int) -> tuple[int, int]:
    """Height and width at which the image at `root` is learned.

    Raises LayoutError as `SingleImage` does, and when it is then smaller than stage 0.
    """
    height, width = image_size(root)
    check_large_enough(root, (height, width), coarsest)
    factor = scale_of(height, width, max_size)
    size = scaled_side(height, factor), scaled_side(width, factor)
    if min(size) < coarsest:
        raise LayoutError(
            found=f"{root} has {height}x{width} pixels (height x width), scaled down {size[0]}x{size[1]}",
            expected=f"a shorter side of at least {coarsest}, which is what stage 0 has (coarsest)",
            fix=f"crop it to a less extreme format, or --max-size with more than {max_size}",
        )
    return size


def check_large_enough(root: Path, size: tuple[int, int], coarsest: int) -> None:
    """Raise LayoutError for an image smaller than stage 0: an enlarged one would teach the enlargement."""
    if min(size) < coarsest:
        raise LayoutError(
            found=f"{root} has {size[0]}x{size[1]} pixels (height x width)",
            expected=f"at least {coarsest} a side, which is what stage 0 has (coarsest)",
            fix="take a larger image, or --set coarsest=... with a smaller number",
        )


def pyramid(image: Float[Tensor, "1 3 h w"], config: Config) -> list[Tensor]:
    """Return the image at the size of every stage, coarse to fine; the last is the image itself."""
    return [*(resample_by(image, factor) for factor in config.factors), image]


@dataclass(frozen=True)
class ImageAtScaleLayout(SingleImageLayout):
    """One image, and what the release makes of it."""

    config: Config
    options: Options

    def open(self, root: Path, seed: int) -> ImageAtScale:
        """Read and resize the image. Raises LayoutError when there is none, or it is smaller than stage 0."""
        return ImageAtScale(root, self.config, self.options, seed)


class ImageAtScale:
    """One image as the release prepares it. Samples hold

    image   float32 [3, h, w] in [-1, 1]: the image at the last stage's size
    coarse  the same at stage 0's size, changed at random (`augment`); only where stage 0 is fed an image. With
            `fine_tune` it is the image as it is, at every position: then it is the composite

    Raises LayoutError when there is no such image, or it is smaller than stage 0.
    """

    def __init__(self, root: Path, config: Config, options: Options, seed: int) -> None:
        self.config = config
        self.fine_tune = options.fine_tune
        self.seed = seed
        native = SingleImage(root).draw(0)["image"][None]
        height, width = native.shape[-2:]
        check_large_enough(root, (height, width), config.coarsest)
        self.image = _at_last_size(native, config, options)
        # A composite is resized at once, the image in two steps: as in the release.
        self.coarse = resample_to(native, config.sizes[0]) if self.fine_tune else pyramid(self.image, config)[0]

    def draw(self, position: int) -> dict[str, Tensor]:
        """Return the image, and stage 0's with the changes that belong to the position."""
        sample = {"image": self.image[0]}
        if self.config.injects:
            sample["coarse"] = self.coarse[0] if self.fine_tune else self._changed(position)
        return sample

    def preview(self, count: int) -> dict[str, Tensor]:
        """Once, however many are asked for. Stage 0's image is a changed one: to mend it is what there is to see."""
        return {name: tensor[None] for name, tensor in self.draw(0).items()} if count else {}

    def describe(self) -> Mapping[str, int]:
        """One image."""
        return {"composites" if self.fine_tune and self.config.injects else "images": 1}

    def _changed(self, position: int) -> Float[Tensor, "3 h w"]:
        generator = np.random.default_rng(derive(self.seed, "augment", position))
        levels = ((self.coarse[0].permute(1, 2, 0).double() + 1) / 2 * LEVELS).numpy()
        change = recoloured if self.config.mode == "harmonization" else shuffled
        changed = torch.from_numpy(change(levels, generator)).float().permute(2, 0, 1) / LEVELS
        return ((changed - 0.5) * 2).clamp(-1, 1).contiguous()


def _at_last_size(native: Float[Tensor, "1 3 h w"], config: Config, options: Options) -> Float[Tensor, "1 3 y x"]:
    """Scaled down to `max_size`; then to the size of the weights, where training starts from some."""
    height, width = native.shape[-2:]
    scaled = resample_by(native, scale_of(height, width, options.max_size))
    size = (config.height, config.width)
    return scaled if scaled.shape[-2:] == size else resample_to(scaled, size)
