"""What the numbers of an image mean as colours: embedded ICC profiles are applied, so that all images are sRGB.

Models learn from sRGB, and pages show it. A photograph of a current telephone is in Display P3; taken for sRGB it is
paler than what its owner sees.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from itertools import product
from typing import Protocol, cast

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 8 * 2**20
"""Larger profiles are ignored. Those of printing presses, the largest in use, have up to three."""

Tell = Callable[[str], None]
"""Takes a sentence for people."""

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""colour space of a profile -> Pillow's mode of the images it is for"""
_FAULTS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError, KeyError)
"""What Pillow raises for a profile that is damaged, or not for such images; some attributes are read with it."""
_SAME_LEVELS = 1
"""A profile that moves no colour by more is sRGB under another name: the image stays as it is, to the bit."""
_STEPS = (0, 32, 64, 96, 128, 160, 192, 224, 255)


class _Header(Protocol):
    """What is read of a profile's header."""

    xcolor_space: str


def to_srgb(image: Image.Image, profile: object, name: str, tell: Tell) -> Image.Image:
    """Return an upright image of mode L, RGB, RGBA, CMYK or LAB in sRGB; its transparency stays.

    Without a profile L, RGB and RGBA are sRGB already. One that is broken, too large or for other images is ignored,
    and `tell` gets a sentence about it.
    """
    if not isinstance(profile, bytes) or not profile:
        return _without_profile(image)
    if len(profile) > MAX_PROFILE_BYTES:
        tell(f"{name}: its colour profile of {len(profile)} bytes was ignored; at most {MAX_PROFILE_BYTES} are read")
        return _without_profile(image)
    colours = image.convert("RGB") if image.mode == "RGBA" else image
    try:
        transform = _transform(profile, colours.mode)
        converted = colours if transform is None else transform.apply(colours)
    except _FAULTS as error:
        tell(f"{name}: its colour profile was ignored, so colours may be off: {error}")
        return _without_profile(image)
    if image.mode == "RGBA" and converted is not colours:
        converted.putalpha(image.getchannel("A"))
    return image if converted is colours else converted


def _without_profile(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":
        return _to_srgb_from(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB").apply(image)
    return image if image.mode in {"L", "RGB", "RGBA"} else image.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From images of this mode with this profile to sRGB; None where that changes nothing.

    Raises one of `_FAULTS` for a profile that cannot be used.
    """
    read = ImageCms.ImageCmsProfile(BytesIO(profile))
    space = cast("_Header", read.profile).xcolor_space.strip()
    if _MODES.get(space) != mode:
        raise ValueError(f"it is for {space or 'no'} images, and the image is {mode}")
    transform = _to_srgb_from(read, mode)
    return None if _changes_nothing(transform, mode) else transform


def _to_srgb_from(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    # Grey stays grey: sRGB has no output of one channel, and all three of a neutral colour are the same.
    target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.buildTransform(profile, target, mode, "RGB", ImageCms.Intent.PERCEPTUAL)


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "L":
        levels = np.arange(256, dtype=np.uint8)[None]
        image, before = Image.fromarray(levels), np.repeat(levels[:, :, None], 3, axis=2)
    elif mode == "RGB":
        before = np.array(list(product(_STEPS, repeat=3)), dtype=np.uint8)[None]
        image = Image.fromarray(before)
    else:
        return False
    after = np.asarray(transform.apply(image))
    return int(np.abs(after.astype(int) - before).max()) <= _SAME_LEVELS
