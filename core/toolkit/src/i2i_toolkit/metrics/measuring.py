"""Measures of a one-image model's samples, from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from torch import Tensor

from i2i_runtime.errors import ImageError, UsageError
from i2i_runtime.image.folders import scan_folder
from i2i_runtime.image.reading import read
from i2i_toolkit.data.preparation import tensor_of
from i2i_toolkit.data.single import find_image
from i2i_toolkit.metrics.feature_network import FeatureNetwork
from i2i_toolkit.metrics.single_image import diversity, single_image_fid


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured, and of what."""

    samples: int
    real_size: tuple[int, int]
    """height and width of the real image"""
    sample_sizes: tuple[tuple[int, int], ...]
    """all that occur"""
    diversity: float | None
    """`single_metrics.diversity`; None where it has no meaning, which `no_diversity` says why"""
    no_diversity: str = ""
    sifid: float | None = None
    """`single_metrics.single_image_fid`; None without a network of features"""
    features_sha256: str = ""
    """of the network's file: distances in the features of two networks cannot be compared"""


def measure_samples(real: Path, fakes: Sequence[Path], features: Path | None = None) -> Measures:
    """Measure samples against the image that their model learned from.

    Args:
        real: that image, or a folder that holds it alone.
        fakes: samples, and folders of samples.
        features: an ONNX network (see `FeatureNetwork`), for SIFID.

    Raises UsageError when there is too little to measure, ImageError for an image that cannot be read: no sample is
    left out.
    """
    path = find_image(real)
    samples = _Samples(_collect(path, fakes))
    network = None if features is None else FeatureNetwork.load(features)
    image = tensor_of(read(path))
    spread, reason = None, ""
    try:
        spread = diversity(samples, image)
    except ImageError:
        raise
    except UsageError as error:
        if network is None:
            raise
        reason = error.found
    return Measures(
        samples=len(samples),
        diversity=spread,
        no_diversity=reason,
        sifid=None if network is None else single_image_fid([image], samples, network),
        features_sha256="" if network is None else network.sha256,
        real_size=_size(image),
        sample_sizes=samples.sizes,
    )


class _Samples(Sequence[Tensor]):
    """Images that are decoded when they are looked at, and not kept."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._sizes: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(index, slice):
            return _Samples(self._paths[index])
        image = tensor_of(read(self._paths[index]))
        self._sizes.add(_size(image))
        return image

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of those that were looked at."""
        return tuple(sorted(self._sizes))


def _collect(real: Path, fakes: Sequence[Path]) -> tuple[Path, ...]:
    """Return the samples in `fakes`, files as they are and folders by their images, each once. Raises UsageError."""
    found: dict[Path, None] = {}
    for fake in fakes:
        images = scan_folder(fake).images if fake.is_dir() else (fake,)
        if not images:
            raise UsageError(f"{fake} holds no images", expected="samples of the model", fix="give their folder")
        found |= dict.fromkeys(images)
    missing = next((path for path in found if not path.is_file()), None)
    if missing is not None:
        raise UsageError(f"{missing} does not exist", expected="an image, or a folder of images")
    if any(path.samefile(real) for path in found):
        raise UsageError(
            found=f"{real} is the real image, and among the samples",
            expected="what the model made",
            fix="put the samples into a folder of their own",
        )
    return tuple(found)


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]
