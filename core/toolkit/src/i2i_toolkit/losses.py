"""Losses that more than one paper uses, as pure functions.

All of them compute in fp32 whatever the precision of their arguments, and return a scalar.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def least_squares(scores: Float[Tensor, " ..."], target: float) -> Float[Tensor, ""]:
    """Mean squared distance of a critic's scores from `target` (LSGAN, Mao et al. 2017): 1 for real, 0 for fake."""
    return (scores.float() - target).square().mean()


def logistic(logits: Float[Tensor, " ..."], target: float) -> Float[Tensor, ""]:
    """Binary cross-entropy of logits against the constant probability `target`, mean over all elements."""
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, logits.new_full(logits.shape, target))


def wasserstein(scores: Float[Tensor, " ..."], target: float) -> Float[Tensor, ""]:
    """The critic's mean score, to be raised for real images (target 1) and lowered for others (target 0)."""
    mean = scores.float().mean()
    return -mean if target else mean


def l1(found: Float[Tensor, " ..."], expected: Float[Tensor, " ..."]) -> Float[Tensor, ""]:
    """Mean absolute difference of two tensors of one shape."""
    return F.l1_loss(found.float(), expected.float())
