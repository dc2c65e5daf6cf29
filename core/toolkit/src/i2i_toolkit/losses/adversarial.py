"""What a discriminator's scores lose against a target: 1 for real images, 0 for generated ones.

All of them compute in fp32 whatever the precision of their arguments, and return the mean over all scores. A generator
loses what its images do against the target 1; with the hinge loss that is `wasserstein`.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def least_squares(scores: Float[Tensor, ...], target: float) -> Float[Tensor, ""]:
    """Mean squared distance of scores from `target` (LSGAN, Mao et al. 2017)."""
    return (scores.float() - target).square().mean()


def logistic(logits: Float[Tensor, ...], target: float) -> Float[Tensor, ""]:
    """Binary cross-entropy of logits against the probability `target` (Goodfellow et al. 2014, non-saturating)."""
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, logits.new_full(logits.shape, target))


def wasserstein(scores: Float[Tensor, ...], target: float) -> Float[Tensor, ""]:
    """Mean score, to be raised for the target 1 and lowered for the target 0 (Arjovsky et al. 2017)."""
    mean = scores.float().mean()
    return -mean if target else mean


def hinge(scores: Float[Tensor, ...], target: float) -> Float[Tensor, ""]:
    """Mean distance of scores from beyond a margin: above 1 for the target 1, below -1 for 0 (Lim and Ye 2017).

    This is the discriminator's loss; the generator's is `wasserstein(scores, 1.0)`.
    """
    scores = scores.float()
    return F.relu(1 - scores if target else 1 + scores).mean()
