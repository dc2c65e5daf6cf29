"""What a training will take on this machine's CPU, from the multiplications that it needs."""

from __future__ import annotations

import math

from i2i_plugin_ingan.config import NARROWING, Config, Options
from i2i_registry import Cost
from i2i_toolkit import training_speed

FORWARD_AND_BACK = 3
"""A pass and the gradients of its weights and of its input, in forward passes."""
JUDGED = FORWARD_AND_BACK - 1
"""The same without the weights' gradients."""
KEPT_MAPS = 40
"""Maps, as wide as after the first convolution and as large as the result, that are in memory for the gradients."""
FLOAT_BYTES = 4


def estimate(config: Config, options: Options, crop: tuple[int, int]) -> Cost:
    """Seconds of all iterations at the mean size of results, and bytes at the largest one."""
    area = math.prod(crop)
    mean = ((options.smallest_scale + options.largest_scale) / 2) ** 2
    with_inverse = max(options.steps - options.iteration_of(options.inverse_from) - 1, 0)
    passes = options.steps * (mean + 1) + with_inverse
    total = FORWARD_AND_BACK * passes * of_generator(config)
    judged = options.steps * ((JUDGED + FORWARD_AND_BACK) * mean + FORWARD_AND_BACK)
    total += judged * of_critic(options)
    held = area * (max(options.largest_scale, 1.0) ** 2 + 1) * KEPT_MAPS * config.channels * FLOAT_BYTES
    return Cost(seconds=area * total / training_speed(), memory=int(held))


def of_generator(config: Config) -> float:
    """Multiplications of a forward pass for every pixel of the result.

    Halving the map and doubling the width leaves the products of a level as many as those of the level above.
    """
    channels, inner = config.channels, config.channels**2
    borders = 2 * 3 * 7 * 7 * channels
    levels = config.downscales * (9 + 4) * 2 * inner  # the way up shows four different pixels to a kernel, not nine
    blocks = config.blocks * (2 / NARROWING + 9 / NARROWING**2) * inner
    return borders + levels + blocks


def of_critic(options: Options) -> float:
    """Multiplications of a forward pass for every pixel of an image, with all scales."""
    channels = options.critic_channels
    finest = 9 * (3 * channels + (2 + 4) * channels**2 / 4)
    return finest / (1 - options.critic_step**-2)
