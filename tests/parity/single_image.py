"""What the releases of SinGAN and ConSinGAN, which share that code, record alike: an image, and losses of WGAN-GP."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def image_of(levels: Tensor) -> Tensor:
    """An image [1, 3, h, w] in [-1, 1] from its 8-bit levels [h, w, 3]."""
    return ((levels.permute(2, 0, 1)[None].double() / 255).float() - 0.5) * 2


def losses(
    reported: Mapping[str, float],
    generator: str,
    *,
    critic_steps: int,
    penalty_weight: float,
    reconstruction_weight: float,
) -> dict[str, float]:
    """The releases' names for the losses of every critic step and of the phase `generator`, with weights and without.

    What a loss of weight 0 was without its weight cannot be told, and is left out.
    """
    named: dict[str, float] = {}
    for number in range(critic_steps):
        real, fake, penalty = (reported[f"critic_{number + 1}/{name}"] for name in ("real", "fake", "penalty"))
        named |= {f"D{number}_real": real, f"D{number}_fake": fake, f"D{number}_gp_weighted": penalty}
        named[f"D{number}_total"] = real + fake + penalty
        if penalty_weight:
            named[f"D{number}_gp_unweighted"] = penalty / penalty_weight
    adversarial, error = reported[f"{generator}/adversarial"], reported[f"{generator}/reconstruction"]
    if reconstruction_weight:
        named["G_rec_unweighted"] = error / reconstruction_weight
    return named | {"G_adv": adversarial, "G_rec_weighted": error, "G_total": adversarial + error}
