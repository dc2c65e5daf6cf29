"""SIFID and diversity against closed forms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from i2i_runtime.errors import UsageError
from i2i_toolkit.metrics.single_image import (
    LUMA,
    Gaussian,
    diversity,
    frechet_distance,
    gaussian_of,
    intensities,
    single_image_fid,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normal(covariance: Sequence[Sequence[float]] | Tensor, mean: Sequence[float] | None = None) -> Gaussian:
    matrix = torch.as_tensor(covariance, dtype=torch.float64)
    return Gaussian(torch.tensor(mean or [0.0] * len(matrix), dtype=torch.float64), matrix)


def grey(value: float, size: tuple[int, int] = (4, 6)) -> Tensor:
    return torch.full((3, *size), value)


def halves(size: tuple[int, int] = (4, 6)) -> Tensor:
    """An image, half black and half white: the deviation of its intensities is 1."""
    image = torch.ones(3, *size)
    image[:, :, : size[1] // 2] = -1
    return image


def pixels(images: Tensor) -> Tensor:
    """The simplest features: every pixel is its own colour."""
    return images


# --- Fréchet distance -------------------------------------------------------------------------------------------------


def test_covariances_with_the_same_axes_differ_by_the_roots_of_their_variances() -> None:
    first, second, mean = [0.25, 4.0, 9.0], [1.0, 1.0, 16.0], [1.0, -2.0, 0.5]
    turn = torch.linalg.qr(noise(3, 3)).Q
    a = normal(turn @ torch.diag(torch.tensor(first, dtype=torch.float64)) @ turn.T)
    b = normal(turn @ torch.diag(torch.tensor(second, dtype=torch.float64)) @ turn.T, mean)

    expected = sum(value**2 for value in mean)
    expected += sum((math.sqrt(x) - math.sqrt(y)) ** 2 for x, y in zip(first, second, strict=True))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_covariances_with_other_axes_have_the_closed_form_of_two_dimensions() -> None:
    """A 2x2 matrix M with positive eigenvalues has tr sqrt(M) = sqrt(tr M + 2 sqrt(det M))."""
    a, b = normal([[2.0, 0.6], [0.6, 1.0]]), normal([[0.5, -0.4], [-0.4, 3.0]])

    product = a.covariance @ b.covariance
    overlap = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(torch.linalg.det(product))))
    expected = 3.0 + 3.5 - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-12)


def test_covariances_of_one_direction_overlap_by_the_cosine_of_their_angle() -> None:
    """A = a u u', B = b v v' with unit vectors: tr sqrt(A B) = sqrt(a b) |u . v|. Both are singular."""
    u, v = (vector / vector.norm() for vector in (noise(50, seed=1), noise(50, seed=2)))
    a, b = normal(3.0 * torch.outer(u, u)), normal(0.2 * torch.outer(v, v))

    expected = 3.0 + 0.2 - 2 * math.sqrt(3.0 * 0.2) * abs(float(u @ v))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("samples", [10, 60, 1000])
def test_equal_gaussians_are_at_no_distance_with_fewer_samples_than_channels_too(samples: int) -> None:
    gaussian = gaussian_of(noise(1, 192, 1, samples))

    assert 0 <= frechet_distance(gaussian, gaussian) < 1e-10


def test_features_that_are_scaled_are_at_the_scaled_distance() -> None:
    """tr sqrt(C s^2 C) = s tr C, so C and s^2 C differ by (1 - s)^2 tr C; both scaled by k: k^2 times that."""
    features = noise(1, 8, 20, 30)
    one = gaussian_of(features)
    larger = gaussian_of(3 * features)

    spread, shift = float(one.covariance.trace()), float(one.mean.square().sum())
    assert frechet_distance(one, larger) == pytest.approx(4 * (spread + shift), rel=1e-10)
    twice = frechet_distance(gaussian_of(2 * features), gaussian_of(6 * features))
    assert twice == pytest.approx(4 * frechet_distance(one, larger), rel=1e-10)


def test_every_position_is_one_sample_of_an_unbiased_covariance() -> None:
    features = noise(2, 5, 3, 4)
    gaussian = gaussian_of(features)

    vectors = features.permute(0, 2, 3, 1).reshape(-1, 5).numpy()
    np.testing.assert_allclose(gaussian.mean.numpy(), vectors.mean(axis=0), rtol=0, atol=1e-14)
    np.testing.assert_allclose(gaussian.covariance.numpy(), np.cov(vectors, rowvar=False), rtol=0, atol=1e-14)


def test_fp32_features_are_measured_in_float64() -> None:
    """Around 1000, fp32 has steps of 6e-5: in fp32 the covariance would be wrong in its first digits."""
    features = (1000 + 1e-2 * noise(1, 4, 30, 30)).float()

    expected = np.cov(features.double().flatten(2)[0].numpy())
    np.testing.assert_allclose(gaussian_of(features).covariance.numpy(), expected, rtol=1e-6, atol=1e-12)


def test_one_position_and_what_is_not_finite_are_refused() -> None:
    with pytest.raises(UsageError, match="features of 1 position\n"):
        gaussian_of(noise(1, 5, 1, 1))
    features = noise(1, 5, 2, 2)
    features[0, 1, 0, 0], features[0, 2, 1, 1] = math.nan, math.inf
    with pytest.raises(UsageError, match="2 of 20 features are not finite"):
        gaussian_of(features)


# --- SIFID ------------------------------------------------------------------------------------------------------------


def test_equal_images_and_those_with_the_same_pixels_elsewhere_are_at_no_distance() -> None:
    image = noise(3, 12, 9).float()
    elsewhere = image.flatten(1)[:, torch.randperm(108, generator=torch.Generator().manual_seed(1))].view(3, 9, 12)

    assert single_image_fid([image], [image, elsewhere], pixels) < 1e-12


def test_an_image_that_is_lighter_is_at_the_square_of_the_shift() -> None:
    image = noise(3, 12, 9)

    assert single_image_fid([image], [image + 0.3], pixels) == pytest.approx(3 * 0.3**2, rel=1e-10)


def test_pairs_are_averaged_and_one_real_image_is_compared_with_all() -> None:
    one, other = noise(3, 8, 8, seed=1), noise(3, 8, 8, seed=2)

    assert single_image_fid([one, other], [one + 0.1, other + 0.2], pixels) == pytest.approx(3 * (0.01 + 0.04) / 2)
    assert single_image_fid([one], [one + 0.1, one + 0.2], pixels) == pytest.approx(3 * (0.01 + 0.04) / 2)


def test_the_real_image_is_looked_at_once() -> None:
    seen: list[tuple[int, ...]] = []

    def counting(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape))
        return images

    single_image_fid([noise(3, 8, 8)], [noise(3, 5, 6)] * 3, counting)
    assert seen == [(1, 3, 8, 8), *[(1, 3, 5, 6)] * 3]


@pytest.mark.parametrize(("reals", "fakes"), [(1, 0), (0, 0), (2, 3), (3, 2), (0, 1)])
def test_images_that_do_not_pair_up_are_refused(reals: int, fakes: int) -> None:
    with pytest.raises(UsageError, match=f"{reals} real images and {fakes} generated"):
        single_image_fid([noise(3, 4, 4)] * reals, [noise(3, 4, 4)] * fakes, pixels)


# --- Diversity --------------------------------------------------------------------------------------------------------


def test_equal_samples_have_none() -> None:
    assert diversity([halves()] * 5, halves()) == 0


def test_two_levels_have_their_unbiased_deviation() -> None:
    """Of +d and -d it is sqrt(2) d; the training image's is 1."""
    assert diversity([grey(0.5), grey(-0.5)], halves()) == pytest.approx(0.5 * math.sqrt(2), rel=1e-6)
    flat = halves() * 0.25  # of a fourth of the deviation
    assert diversity([grey(0.5), grey(-0.5)], flat) == pytest.approx(4 * 0.5 * math.sqrt(2), rel=1e-6)


def test_a_place_that_never_changes_counts_as_well() -> None:
    samples = [halves(), -halves()]
    for sample in samples:
        sample[:, 0] = 0.7  # one row of four
    assert diversity(samples, halves()) == pytest.approx(0.75 * math.sqrt(2), rel=1e-6)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_colours_count_by_their_luma(channel: int) -> None:
    samples = [grey(0), grey(0)]
    samples[0][channel] = 1
    assert diversity(samples, halves()) == pytest.approx(LUMA[channel] / math.sqrt(2), rel=1e-6)
    assert sum(LUMA) == pytest.approx(1)


def test_samples_that_know_only_the_levels_of_the_image_are_near_one() -> None:
    """Independent N(0, s) at every place: mean deviation c4(n) s, with c4(100) = 0.9975 (Gamma functions)."""
    count = 100
    samples = [noise(1, 60, 60, seed=seed).expand(3, -1, -1) for seed in range(count)]
    c4 = math.sqrt(2 / (count - 1)) * math.exp(math.lgamma(count / 2) - math.lgamma((count - 1) / 2))

    assert diversity(samples, halves()) == pytest.approx(c4, abs=0.005)  # four standard errors: 4 * 0.071 / 60


def test_one_pass_gives_what_numpy_gives_of_all_samples() -> None:
    samples = [0.9 + 0.01 * noise(3, 7, 5, seed=seed) for seed in range(9)]
    real = noise(3, 11, 13, seed=20)

    stacked = np.stack([intensities(sample).numpy() for sample in samples])
    expected = stacked.std(axis=0, ddof=1).mean() / intensities(real).numpy().std()
    assert diversity(iter(samples), real) == pytest.approx(expected, rel=1e-10)


def test_the_range_of_the_images_does_not_matter() -> None:
    samples, real = [noise(3, 7, 5, seed=seed) for seed in range(4)], noise(3, 7, 5, seed=9)

    shifted = diversity([(sample + 1) / 2 for sample in samples], (real + 1) / 2)
    assert shifted == pytest.approx(diversity(samples, real), rel=1e-10)


@pytest.mark.parametrize(("samples", "words"), [([], "0 samples"), ([halves()], "1 sample\n")])
def test_too_few_samples_are_refused(samples: list[Tensor], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        diversity(samples, halves())


def test_samples_of_several_sizes_and_an_image_of_one_colour_are_refused() -> None:
    with pytest.raises(UsageError, match="6x4 and of 5x4 pixels"):
        diversity([grey(0, (4, 6)), grey(0, (4, 5))], halves())
    with pytest.raises(UsageError, match="one intensity"):
        diversity([grey(0), grey(1)], grey(0.3))
