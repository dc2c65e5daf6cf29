"""What a training will take on this machine's CPU, from the multiplications that it needs."""

from __future__ import annotations

from i2i_plugin_singan.config import COLOURS, Config
from i2i_registry import Cost
from i2i_toolkit import training_speed

CRITIC_PASSES = 13
"""What one update of a critic takes, in forward passes of a scale's network: the image is made (1), scored and the
scores differentiated for real and fake (3 each), and the penalty, which is differentiated twice (6)."""
GENERATOR_PASSES = 8
"""The same for a generator: made, reconstructed, both differentiated (6), scored, and that differentiated (2)."""
KEPT_PASSES = 8
"""Forward passes whose values are in memory at the same time, the penalty's derivatives among them."""
KEPT_MAPS = 3
"""Maps that a layer keeps for its derivative: of the convolution, of the norm, of the activation."""
FLOAT_BYTES = 4
SECONDS_PER_PASS = 1e-3
"""What a forward pass takes however small the image is."""


def estimate(config: Config, steps: int, *, critic_steps: int, generator_steps: int) -> Cost:
    """Seconds of all scales, and bytes of the most expensive one."""
    passes = CRITIC_PASSES * critic_steps + GENERATOR_PASSES * generator_steps
    per_scale = [multiplications(config, scale) for scale in range(config.scales)]
    trained = [config.paint_scale] if config.paint_scale is not None else list(range(config.scales))
    total = steps * sum(passes * per_scale[scale] + critic_steps * sum(per_scale[:scale]) for scale in trained)
    fixed = steps * (passes * len(trained) + critic_steps * sum(trained)) * SECONDS_PER_PASS
    seconds = fixed + total / training_speed()
    return Cost(seconds=seconds, memory=max(_kept_bytes(config, scale) for scale in trained))


def multiplications(config: Config, scale: int) -> float:
    """Of one forward pass of the generator of a scale; the critic's are about as many."""
    channels, (height, width) = config.width_at(scale), config.size_at(scale)
    inner = (config.layers - 2) * channels * channels
    return 9.0 * (2 * COLOURS * channels + inner) * height * width


def _kept_bytes(config: Config, scale: int) -> int:
    height, width = config.size_at(scale)
    maps = KEPT_PASSES * KEPT_MAPS * (config.layers - 1) * config.width_at(scale)
    return maps * FLOAT_BYTES * (height + 2 * config.border) * (width + 2 * config.border)
