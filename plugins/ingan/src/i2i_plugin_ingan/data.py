"""What a training step sees: a crop of the one image, and the size and shape that it is to be brought to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from i2i_plugin_ingan.config import Config, Options, Size
from i2i_plugin_ingan.networks.critic import SMALLEST_SEEN, SMALLEST_TRAINED
from i2i_registry import LayoutError
from i2i_runtime import BICUBIC, Pixels, resampled
from i2i_toolkit import LearnedSize, SingleImageLayout, derive, tensor_of


@dataclass(frozen=True, kw_only=True)
class CropsLayout(SingleImageLayout):
    """One image, of which every step sees a crop."""

    config: Config
    options: Options
    crop: Size

    def open(self, root: Path, seed: int) -> Crops:
        """Read the image. Raises LayoutError when there is none, or it is smaller than `crop`."""
        single = self.read(root)
        image = fitted(single.pixels, self.config, self.options)
        height, width = image.shape[1:]
        if height < self.crop[0] or width < self.crop[1]:
            raise LayoutError(
                found=f"{single.path} comes to {height}x{width} pixels (height x width)",
                expected=f"an image for crops of {self.crop[0]}x{self.crop[1]}, which this model learns from",
                fix=f"take a larger image, or --set height={height} --set width={width}",
            )
        return Crops(seed, image, self.config, self.options, self.crop)


@dataclass(frozen=True)
class Crops:
    """Samples {"image": float32 [3, h, w] in [-1, 1], "size": int64 [2], "shifts": float64 [2]}.

    All of them are a function of the position, which is the iteration: the range of sizes and shifts grows with it
    (paper, section 4). With several processes every sample counts as one iteration.
    """

    seed: int
    image: Float[Tensor, "3 h w"]
    config: Config
    options: Options
    crop: Size

    def draw(self, position: int) -> dict[str, Tensor]:
        """Return a crop at a random place, a size at random inside the range of that iteration, and shifts."""
        random = torch.Generator().manual_seed(derive(self.seed, "ingan", position))
        across = torch.rand(6, generator=random, dtype=torch.float64).tolist()
        top, left = (int(u * (n - c + 1)) for u, n, c in zip(across, self.image.shape[1:], self.crop, strict=False))
        share = self.options.range_share(position)
        size = [self._length(side, u, share) for side, u in zip(self.crop, across[2:4], strict=True)]
        shifts = [(2 * u - 1) * share * self.options.largest_shift for u in across[4:]]
        return {
            "image": self.image[:, top : top + self.crop[0], left : left + self.crop[1]].contiguous(),
            "size": torch.tensor(size),
            "shifts": torch.tensor(shifts, dtype=torch.float64),
        }

    def preview(self, count: int) -> dict[str, Float[Tensor, "1 3 h w"]]:  # noqa: ARG002 - there is only one
        """Return the whole image, once."""
        return {"image": self.image[None]}

    def describe(self) -> Mapping[str, int]:
        """One image."""
        return {"images": 1}

    def _length(self, side: int, u: float, share: float) -> int:
        options, multiple = self.options, self.config.multiple
        low, high = (1 + (scale - 1) * share for scale in (options.smallest_scale, options.largest_scale))
        length = math.ceil(side * (low + (high - low) * u) / multiple) * multiple
        return max(length, smallest_result(self.config))


def smallest_result(config: Config) -> int:
    """Pixels a side of a result that the generator can make, and at least one scale of the critic judge."""
    return max(config.smallest_side, (SMALLEST_SEEN // config.multiple + 1) * config.multiple)


def smallest_image(config: Config) -> int:
    """Pixels a side: a crop, one multiple less than the image, has a scale for the critic."""
    return (SMALLEST_TRAINED // config.multiple + 2) * config.multiple


def learned_size(config: Config, options: Options) -> LearnedSize:
    """Return how an image comes to its size: reduced to `max_size`, and cut to multiples."""
    return LearnedSize(lambda image: whole_multiples(options.reduced(image), config.multiple), smallest_image(config))


def whole_multiples(size: Size, multiple: int) -> Size:
    """Return what is left of an image when its right and bottom ends are cut to multiples."""
    height, width = (side // multiple * multiple for side in size)
    return height, width


def crop_size(config: Config, options: Options) -> Size:
    """Return what is cut from an image in every step: never quite all of it, so that crops differ."""
    height, width = (min(options.crop_px, side - 1) for side in (config.height, config.width))
    return whole_multiples((height, width), config.multiple)


def fitted(pixels: Pixels, config: Config, options: Options) -> Float[Tensor, "3 y x"]:
    """Return the image as it is trained on: reduced to `max_size`, and cut to multiples."""
    own_height, own_width = pixels.shape[:2]
    reduced = options.reduced((own_height, own_width))
    height, width = whole_multiples(reduced, config.multiple)
    return tensor_of(resampled(pixels, reduced[1], reduced[0], BICUBIC)[:height, :width])
