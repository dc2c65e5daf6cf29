"""Checkpoints of znxlwm/UGATIT-pytorch, the authors' PyTorch release.

No official weights exist in this format: the authors published TensorFlow checkpoints only, of a network that differs
(biases everywhere, affine and biased norms, one attention head), and those are not recognised. It is the format of
what people train with the release.
"""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

from i2i_plugin_ugatit.config import DOWNSAMPLING, Config
from i2i_registry import CheckpointError, Drop, KeyMap, OfficialFormat, Shapes
from i2i_runtime import Licence, Record

GENERATORS = {"genA2B": "a_to_b", "genB2A": "b_to_a"}
"""The release's name of a generator -> ours."""

_STEM = "genA2B.DownBlock.1.weight"
_STYLE = "genA2B.FC.0.weight"
_SIGNATURE = frozenset(
    {
        _STEM,
        _STYLE,
        "genA2B.gap_fc.weight",
        "genA2B.gmp_fc.weight",
        "genA2B.conv1x1.weight",
        "genA2B.UpBlock1_1.norm1.rho",
        "genA2B.UpBlock2.3.rho",
        "genB2A.DownBlock.1.weight",
    }
)
GLOBAL_LAYERS, LOCAL_LAYERS = 7, 5
"""Of the release's discriminators."""

_SIGNATURE_RANKS = (4, 2)
_DISCRIMINATOR = Drop("discriminators are needed for training only")
_SPECTRAL = r"weight(_orig|_u|_v)?"
_DISCRIMINATOR_KEY = (
    rf"dis[GL][AB]\.(model\.\d+\.({_SPECTRAL}|bias)|(gap_fc|gmp_fc|conv)\.{_SPECTRAL}|conv1x1\.(weight|bias))"
)

GENERATOR_KEYS: tuple[tuple[str, str], ...] = (
    (r"DownBlock\.1\.weight", r"encoder.0.conv.weight"),
    (r"DownBlock\.5\.weight", r"encoder.1.conv.weight"),
    (r"DownBlock\.9\.weight", r"encoder.2.conv.weight"),
    (r"gap_fc\.weight", r"attention.average_head.weight"),
    (r"gmp_fc\.weight", r"attention.maximum_head.weight"),
    (r"conv1x1\.(weight|bias)", r"attention.merge.\1"),
    (r"FC\.0\.weight", r"style.hidden1.weight"),
    (r"FC\.2\.weight", r"style.hidden2.weight"),
    (r"(gamma|beta)\.weight", r"style.\1.weight"),
    (r"UpBlock2\.2\.weight", r"decoder.0.conv.weight"),
    (r"UpBlock2\.3\.(rho|gamma|beta)", r"decoder.0.norm.\1"),
    (r"UpBlock2\.7\.weight", r"decoder.1.conv.weight"),
    (r"UpBlock2\.8\.(rho|gamma|beta)", r"decoder.1.norm.\1"),
    (r"UpBlock2\.11\.weight", r"to_image.weight"),
)
"""Inside a generator: what occurs once. The blocks, whose number varies, are added by `_block_keys`."""

MOST_BLOCKS = 32
"""Residual blocks that the key map counts to; the paper has 4."""


def _block_keys(number: int) -> tuple[tuple[str, str], ...]:
    """Keys of residual block `number` (0, 1, ...) of the encoder and of the decoder."""
    encoder = rf"DownBlock\.{12 + number}\.conv_block"
    decoder = rf"UpBlock1_{1 + number}"
    return (
        (rf"{encoder}\.1\.weight", rf"encoder.{3 + number}.conv1.weight"),
        (rf"{encoder}\.5\.weight", rf"encoder.{3 + number}.conv2.weight"),
        (rf"{decoder}\.conv([12])\.weight", rf"styled_blocks.{number}.conv\1.weight"),
        (rf"{decoder}\.norm([12])\.rho", rf"styled_blocks.{number}.norm\1.rho"),
    )


def _total_map() -> KeyMap:
    inside = GENERATOR_KEYS + tuple(line for number in range(MOST_BLOCKS) for line in _block_keys(number))
    generators = [
        (rf"{theirs}\.{key}", f"{ours}.{replacement}")
        for theirs, ours in GENERATORS.items()
        for key, replacement in inside
    ]
    return (*generators, (_DISCRIMINATOR_KEY, _DISCRIMINATOR))


class PyTorchRelease(OfficialFormat):
    """One pickled dictionary of six state dicts: two generators and four discriminators, no hyper-parameters."""

    source: ClassVar[str] = "znxlwm/UGATIT-pytorch"
    licence: ClassVar[Licence] = Licence(
        spdx="MIT",
        notes="The release's code is MIT; its authors published no weights in this format, so the terms are those of "
        "whoever trained the checkpoint, and of the images they used.",
    )
    keys: ClassVar[KeyMap] = _total_map()

    def detect(self, shapes: Shapes) -> bool:
        """The attention heads without bias and the rho of both norms are this release's alone."""
        known = shapes.keys() >= _SIGNATURE and "genA2B.gap_fc.bias" not in shapes
        return known and (len(shapes[_STEM]), len(shapes[_STYLE])) == _SIGNATURE_RANKS

    def infer_config(self, shapes: Shapes) -> Config:
        """Channels from the first convolution, blocks by counting, the kind of style and the size from its first layer.

        A light checkpoint does not tell its image size: it gets the paper's, and takes any other.
        """
        channels = shapes[_STEM][0]
        style_channels = DOWNSAMPLING * channels
        blocks = {key.split(".")[1] for key in shapes if key.startswith("genA2B.UpBlock1_")}
        features = shapes[_STYLE][-1]
        if features == style_channels:
            return Config(channels=channels, res_blocks=len(blocks), pooled_style=True)
        side = math.isqrt(features // style_channels)
        if side * side * style_channels != features:
            raise CheckpointError(
                found=f"{_STYLE} takes {features} values and the generator has {style_channels} inner channels",
                expected=f"{style_channels} values (light), or that times a square number (full)",
                fix="the checkpoint is not of the release, or was changed: train again, or map it by hand",
            )
        return Config(image_size=DOWNSAMPLING * side, channels=channels, res_blocks=len(blocks))

    def unseen(self, config: Record) -> tuple[str, ...]:
        """The image size of a light model, whose style comes from averages."""
        return ("image_size",) if isinstance(config, Config) and config.pooled_style else ()

    def example(self, config: Record) -> Shapes:
        """A checkpoint of the release: two generators, and four discriminators as wide as the generators."""
        if not isinstance(config, Config):
            raise TypeError(f"expected a Config of U-GAT-IT, not {type(config).__name__}")
        networks = {name: _generator_shapes(config) for name in GENERATORS}
        networks |= {f"disG{domain}": _discriminator_shapes(config.channels, GLOBAL_LAYERS) for domain in "AB"}
        networks |= {f"disL{domain}": _discriminator_shapes(config.channels, LOCAL_LAYERS) for domain in "AB"}
        return {f"{name}.{key}": shape for name, shapes in networks.items() for key, shape in shapes.items()}


def _generator_shapes(config: Config) -> Shapes:
    """State dict of the release's generator; c channels at full resolution, d in the middle."""
    c, d = config.channels, config.style_channels
    shapes: dict[str, tuple[int, ...]] = {
        "DownBlock.1.weight": (c, 3, 7, 7),
        "DownBlock.5.weight": (2 * c, c, 3, 3),
        "DownBlock.9.weight": (d, 2 * c, 3, 3),
        "gap_fc.weight": (1, d),
        "gmp_fc.weight": (1, d),
        "conv1x1.weight": (d, 2 * d, 1, 1),
        "conv1x1.bias": (d,),
        "FC.0.weight": (d, d if config.pooled_style else d * config.inner_size**2),
        "FC.2.weight": (d, d),
        "gamma.weight": (d, d),
        "beta.weight": (d, d),
        "UpBlock2.2.weight": (2 * c, d, 3, 3),
        "UpBlock2.7.weight": (c, 2 * c, 3, 3),
        "UpBlock2.11.weight": (3, c, 7, 7),
    }
    for norm, channels in (("UpBlock2.3", 2 * c), ("UpBlock2.8", c)):
        shapes |= {f"{norm}.{part}": (1, channels, 1, 1) for part in ("rho", "gamma", "beta")}
    for number in range(config.res_blocks):
        shapes |= {f"DownBlock.{12 + number}.conv_block.{place}.weight": (d, d, 3, 3) for place in (1, 5)}
        shapes |= {f"UpBlock1_{1 + number}.conv{place}.weight": (d, d, 3, 3) for place in (1, 2)}
        shapes |= {f"UpBlock1_{1 + number}.norm{place}.rho": (1, d, 1, 1) for place in (1, 2)}
    return shapes


def _discriminator_shapes(channels: int, layers: int) -> Shapes:
    """State dict of the release's discriminator: torch's older spectral norm keeps `weight_orig`, `weight_u`, `_v`."""
    widths = [3, *(channels * 2**number for number in range(layers - 1))]
    last = widths[-1]
    normalised: dict[str, tuple[int, ...]] = {
        f"model.{1 + 3 * number}": (wider, width, 4, 4)
        for number, (width, wider) in enumerate(itertools.pairwise(widths))
    }
    biases = {f"{key}.bias": (shape[0],) for key, shape in normalised.items()}
    normalised |= {"gap_fc": (1, last), "gmp_fc": (1, last), "conv": (1, last, 4, 4)}
    shapes: dict[str, tuple[int, ...]] = {"conv1x1.weight": (last, 2 * last, 1, 1), "conv1x1.bias": (last,), **biases}
    for key, shape in normalised.items():
        shapes[f"{key}.weight_orig"] = shape
        shapes[f"{key}.weight_u"] = shape[:1]
        shapes[f"{key}.weight_v"] = (math.prod(shape[1:]),)
    return shapes


ZNXLWM_FORMAT = PyTorchRelease()
