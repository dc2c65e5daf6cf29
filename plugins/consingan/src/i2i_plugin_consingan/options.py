"""How ConSinGAN is trained (paper, section 4; constants of the authors' release)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from i2i_toolkit import AdamOptions, Betas

Share = Annotated[float, Field(gt=0.0, le=1.0)]


class Options(AdamOptions):
    """The defaults are the paper's, for variations."""

    stage_steps: PositiveInt = 2000
    """steps of every stage"""
    learning_rate: PositiveFloat = 5e-4
    """of the newest stage, the tail and the critic"""
    betas: Betas = (0.5, 0.999)
    concurrent_stages: PositiveInt = 3
    """how many of the newest stages are trained together; the older ones are frozen"""
    rate_scale: Share = 0.1
    """factor on the learning rate from a stage to the one before it; larger: closer to the image, less variety"""
    decay_after: Share = 0.8
    """share of a stage's steps after which the learning rates are a tenth"""
    critic_steps: PositiveInt = 3
    """critic updates a step, all of them with the same generated image"""
    generator_repeats: PositiveInt = 3
    """how often the generator's optimizer steps on one and the same gradient (release; not in the paper)"""
    reconstruction_weight: NonNegativeFloat = 10.0
    penalty_weight: NonNegativeFloat = 0.1
    max_size: PositiveInt = 250
    """pixels of the longer side; larger images are scaled down"""
    fine_tune: bool = False
    """Train only the last stage, and those that learn with it, further from given weights (--init). With harmonization
    and editing the data are then the composite that the generator is to fit; what it is compared with is the image
    that the weights were trained on."""
