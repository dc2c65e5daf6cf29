"""What a training costs, estimated before it starts."""

from __future__ import annotations

from i2i_plugin_consingan.config import Config
from i2i_plugin_consingan.options import Options

FLOPS = 1.2e11
"""Multiplications and additions a second of one CPU core in convolutions of this kind, measured on a server's core."""
CORES_USED = 1.6
"""What two cores bring; more help little with pictures of this size."""
STEP_OVERHEAD = 0.012
"""Seconds of a step that do not depend on the size."""
CRITIC_PASSES = 10
"""Passes through the critic's convolutions that one update takes: three forward, and what their gradients cost."""
GENERATOR_PASSES = 6
"""Passes through the generator's convolutions of a step: two pictures, forward and back twice."""
BYTES_PER_VALUE = 4
KEPT_MAPS = 6
"""Feature maps that are held for every layer at once: results, their activations and gradients."""


def estimate(config: Config, options: Options) -> tuple[float, int]:
    """(seconds on two cores, bytes in memory) of the whole training."""
    first = config.stages - 1 if options.fine_tune else 0
    seconds = sum(_step_seconds(config, options, number) for number in range(first, config.stages))
    maps = sum(height * width for height, width in config.sizes[-options.concurrent_stages :]) * config.layers
    last = config.height * config.width * (config.layers + 1)
    values = KEPT_MAPS * config.channels * (maps + 2 * last)
    return options.stage_steps * seconds, BYTES_PER_VALUE * values


def _step_seconds(config: Config, options: Options, number: int) -> float:
    convolution = 2 * 9 * config.channels**2 * config.layers
    height, width = config.sizes[number]
    critic = (options.critic_steps * CRITIC_PASSES + 2) * height * width
    generator = GENERATOR_PASSES * sum(h * w for h, w in config.sizes[: number + 1])
    return convolution * (critic + generator) / (FLOPS * CORES_USED) + STEP_OVERHEAD
