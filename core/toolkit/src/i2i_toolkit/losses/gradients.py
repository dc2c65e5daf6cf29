"""Losses on the slope of a discriminator, and a network through which a loss teaches others only."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn


@contextmanager
def fixed_parameters(network: nn.Module) -> Generator[None]:
    """Call a network inside the block without teaching it: gradients of the results reach its inputs alone."""
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learned:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad = True


def slopes_at(images: Float[Tensor, "*shape"], scores: Float[Tensor, ...]) -> Float[Tensor, "*shape"]:
    """Gradient of the sum of `scores` with respect to the images they were computed from, itself with a gradient."""
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient


def r1_penalty(scores: Float[Tensor, ...], images: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Half the squared slope at real images, mean over them (Mescheder et al. 2018, R1).

    `images` require gradients, and `scores` were computed from them.
    """
    return 0.5 * slopes_at(images, scores).float().square().flatten(1).sum(1).mean()


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor],
    real: Float[Tensor, "b c h w"],
    fake: Float[Tensor, "b c h w"],
    share: Float[Tensor, ...],
    *,
    per_pixel: bool = False,
) -> Float[Tensor, ""]:
    """Squared distance from 1 of the slope between real and generated images (WGAN-GP, Gulrajani et al. 2017).

    Args:
        discriminator: gives the scores, of any shape, of a batch of images.
        real: no gradient goes to them.
        fake: no gradient goes to them.
        share: how much of `real` is in an image between, in [0, 1]; [b, 1, 1, 1] in the paper, one for each image.
        per_pixel: whether every pixel has a slope of its own over its channels (SinGAN's code), or an image has one.
    """
    between = (share * real.detach() + (1 - share) * fake.detach().float()).requires_grad_()
    return slope_penalty(slopes_at(between, discriminator(between).float()), per_pixel=per_pixel)


def slope_penalty(slopes: Float[Tensor, "b c h w"], *, per_pixel: bool = False) -> Float[Tensor, ""]:
    """Mean squared distance from 1 of the length of gradients; see `gradient_penalty`."""
    slopes = slopes.float() if per_pixel else slopes.float().flatten(1)
    return (torch.linalg.vector_norm(slopes, dim=1) - 1).square().mean()
