"""How good, and how different from each other, the samples of a one-image model are: SIFID and diversity.

Both are those of SinGAN (Rott Shaham, Dekel, Michaeli 2019, section 3; diversity is in its table 1, SIFID in table 2).
Everything is computed in float64. Images are [3, h, w] in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat

import torch
from jaxtyping import Float
from torch import Tensor

from i2i_runtime.errors import UsageError

Features = Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, "n c y x"]]
"""A network that sees images in [-1, 1]; the paper's is Inception v3 up to its second max-pool, 192 channels."""

LUMA = (0.299, 0.587, 0.114)
"""weights of red, green and blue in the intensity of a pixel (ITU-R BT.601)"""

LEAST = 2
"""samples, or positions, of which a deviation can be told"""


@dataclass(frozen=True, slots=True)
class Gaussian:
    """The normal distribution that has the mean and the covariance of what was seen."""

    mean: Float[Tensor, " c"]
    covariance: Float[Tensor, "c c"]


def gaussian_of(features: Float[Tensor, "n c y x"]) -> Gaussian:
    """Mean and unbiased covariance of feature vectors; every position of every image is one sample.

    Raises UsageError when there are not two positions, or a value is not finite.
    """
    vectors = features.double().movedim(1, -1).flatten(0, -2)
    if len(vectors) < LEAST:
        raise UsageError(
            found=f"features of {len(vectors)} position{'s' * (len(vectors) != 1)}",
            expected="a map of features, of which every position is one sample",
            fix="take an earlier layer of the network, or larger images",
        )
    if not bool(vectors.isfinite().all()):
        raise UsageError(
            found=f"{int((~vectors.isfinite()).sum())} of {vectors.numel()} features are not finite",
            expected="numbers",
            fix="check that the network takes images in [-1, 1] and computes in fp32",
        )
    mean = vectors.mean(dim=0)
    centred = vectors - mean
    return Gaussian(mean, centred.T @ centred / (len(vectors) - 1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Squared Fréchet distance: |mean_a - mean_b|^2 + tr A + tr B - 2 tr sqrt(A B), of the covariances A and B.

    A B is not symmetric, so its root is not computed. It has the eigenvalues of sqrt(A) B sqrt(A), whose roots are the
    singular values of sqrt(A) sqrt(B). That holds where there are fewer samples than channels, too, and loses no
    digits there: the roots of eigenvalues that are zero but for rounding would.
    """
    overlap = torch.linalg.svdvals(_root(a.covariance) @ _root(b.covariance)).sum()
    spread = a.covariance.trace() + b.covariance.trace() - 2 * overlap
    # Of two equal covariances it is zero but for rounding, on either side.
    return float((a.mean - b.mean).square().sum() + spread.clamp(min=0))


def _root(covariance: Float[Tensor, "c c"]) -> Float[Tensor, "c c"]:
    """Return the symmetric root of a covariance, whose eigenvalues are not negative but for rounding."""
    values, vectors = torch.linalg.eigh(covariance.double())
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def single_image_fid(
    real: Sequence[Float[Tensor, "3 _ _"]], fake: Sequence[Float[Tensor, "3 _ _"]], features: Features
) -> float:
    """SIFID: the mean Fréchet distance between the features of a real image and those of a generated one.

    Images are compared in pairs, real i with fake i, or one real image with every fake. They are not resized: of
    images at another scale the features are others. Zero for equal images; less is nearer.

    Raises UsageError when the images do not pair up, or `features` gives no map of features.
    """
    if not fake or len(real) not in {1, len(fake)}:
        raise UsageError(
            found=f"{len(real)} real images and {len(fake)} generated ones",
            expected="one real image for each generated one, or one for all",
        )
    reals = (gaussian_of(features(image[None])) for image in real)
    paired = repeat(next(reals)) if len(real) == 1 else reals
    distances = [
        frechet_distance(seen, gaussian_of(features(image[None])))
        for seen, image in zip(paired, fake, strict=False)  # `repeat` has no end
    ]
    return sum(distances) / len(distances)


def diversity(samples: Iterable[Float[Tensor, "3 h w"]], real: Float[Tensor, "3 _ _"]) -> float:
    """How much samples differ from each other: mean over pixels (std over samples of intensity) / std of `real`.

    The deviation at one place is taken over all samples (unbiased: of a few samples it is not less than of many), then
    averaged over the places, and divided by the deviation of the training image's intensities over its places.
    0: all samples are equal; near 1: no place knows what it shows. The paper uses 100 samples. Intensity is luma
    (`LUMA`); the paper does not say which it takes. Samples are gone through once, and not kept.

    Raises UsageError for fewer than two samples, samples of several sizes, and a `real` of one colour.
    """
    count = 0
    mean = squares = torch.zeros(())
    for sample in samples:
        intensity = intensities(sample)
        if count and intensity.shape != mean.shape:
            raise UsageError(
                found=f"samples of {_size(mean)} and of {_size(intensity)} pixels",
                expected="samples of one size: a place is compared with the same place",
                fix="give samples of one size at a time",
            )
        # Welford's update: one pass, and no difference of two large sums.
        count += 1
        step = intensity - mean
        mean = mean + step / count
        squares = squares + step * (intensity - mean)
    if count < LEAST:
        raise UsageError(
            found=f"{count} sample{'s' * (count != 1)}",
            expected="at least two, better a hundred",
            fix="make more: i2i-registry run BUNDLE -o samples/ --count 100",
        )
    deviation = intensities(real).std(correction=0)
    if float(deviation) == 0:
        raise UsageError("the training image is of one intensity", expected="an image that shows something")
    return float((squares / (count - 1)).sqrt().mean() / deviation)


def intensities(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """Return the luma of every pixel, in the range of the image."""
    return torch.einsum("chw,c->hw", image.double(), torch.tensor(LUMA, dtype=torch.float64, device=image.device))


def _size(map_of_pixels: Tensor) -> str:
    height, width = map_of_pixels.shape
    return f"{width}x{height}"
