"""The kinds of input of an operation: a module each, that holds the record and all that is done with it.

Whatever imports one of them makes all of them known, so that every manifest can be read.
"""

from i2i_runtime.kinds import (
    grid,
    image,
    instances,
    label,
    labels,
    latent,
    mask,
    noise,
    noise_maps,
    references,
    scalar,
    segmentation,
    size,
    slots,
)

__all__ = [
    "grid",
    "image",
    "instances",
    "label",
    "labels",
    "latent",
    "mask",
    "noise",
    "noise_maps",
    "references",
    "scalar",
    "segmentation",
    "size",
    "slots",
]
