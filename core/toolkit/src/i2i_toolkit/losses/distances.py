"""How far apart images, features or distributions are. All compute in fp32 whatever the precision of the arguments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def l1(found: Float[Tensor, "*shape"], expected: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean absolute difference of two tensors of one shape."""
    return F.l1_loss(found.float(), expected.float())


def feature_matching(found: Sequence[Float[Tensor, ...]], expected: Sequence[Float[Tensor, ...]]) -> Float[Tensor, ""]:
    """Sum over layers of the mean absolute difference of their features (pix2pixHD, Wang et al. 2018, eq. 4).

    `expected` are the features of real images, to which no gradient goes. A discriminator's scores are no features:
    leave its last output away. Raises ValueError when the two have not the same number of layers, or none.
    """
    if not found:
        raise ValueError("feature matching of no layers")
    return torch.stack([l1(one, other.detach()) for one, other in zip(found, expected, strict=True)]).sum()


def kl_divergence(mean: Float[Tensor, "*shape"], log_variance: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """KL(N(mean, variance) || N(0, 1)), summed over all elements, the batch included (Kingma and Welling 2014)."""
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
