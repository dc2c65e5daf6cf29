"""What a training will take on this machine's CPU, from the multiplications that it needs."""

from __future__ import annotations

from i2i_plugin_consingan.config import Config
from i2i_plugin_consingan.options import Options
from i2i_registry import Cost
from i2i_toolkit import training_speed

STEP_OVERHEAD = 0.012
"""Seconds of a step that do not depend on the size."""
CRITIC_PASSES = 10
"""Passes through the critic's convolutions that one update takes: three forward, and what their gradients cost."""
GENERATOR_PASSES = 6
"""Passes through the generator's convolutions of a step: two images, forward and back twice."""
BYTES_PER_VALUE = 4
KEPT_MAPS = 6
"""Feature maps that are held for every layer at once: results, their activations and gradients."""


def estimate(config: Config, options: Options) -> Cost:
    """Seconds of all stages, and bytes of the last one."""
    trained = range(config.stages - 1 if options.fine_tune else 0, config.stages)
    speed = training_speed()
    seconds = sum(_multiplications(config, options, number) / speed + STEP_OVERHEAD for number in trained)
    maps = sum(height * width for height, width in config.sizes[-options.concurrent_stages :]) * config.layers
    last = config.height * config.width * (config.layers + 1)
    values = KEPT_MAPS * config.channels * (maps + 2 * last)
    return Cost(seconds=options.stage_steps * seconds, memory=BYTES_PER_VALUE * values)


def _multiplications(config: Config, options: Options, number: int) -> float:
    """Of one step of a stage."""
    convolution = 9 * config.channels**2 * config.layers
    height, width = config.sizes[number]
    critic = (options.critic_steps * CRITIC_PASSES + 2) * height * width
    generator = GENERATOR_PASSES * sum(h * w for h, w in config.sizes[: number + 1])
    return convolution * (critic + generator)
