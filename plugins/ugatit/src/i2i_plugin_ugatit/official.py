"""Checkpoints of znxlwm/UGATIT-pytorch, the authors' PyTorch release.

No official weights exist in this format: the authors published TensorFlow checkpoints only, of a network that differs
(biases everywhere, affine and biased norms, one attention head), and those are not recognised. It is the format of
what people train with the release.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from i2i_plugin_ugatit.config import DOWNSAMPLING, Config
from i2i_registry import (
    CheckpointError,
    Clues,
    Findings,
    InferredConfig,
    NameTable,
    OfficialFile,
    OfficialFormat,
    TensorShapes,
)
from i2i_runtime import Licence

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
_SIGNATURE_RANKS = (4, 2)
_SPECTRAL = r"weight(_orig|_u|_v)?"
_DISCRIMINATOR_KEY = (
    rf"dis[GL][AB]\.(model\.\d+\.({_SPECTRAL}|bias)|(gap_fc|gmp_fc|conv)\.{_SPECTRAL}|conv1x1\.(weight|bias))"
)

_ONCE = {
    "DownBlock.1": "encoder.0.conv",
    "DownBlock.5": "encoder.1.conv",
    "DownBlock.9": "encoder.2.conv",
    "gap_fc": "attention.average_head",
    "gmp_fc": "attention.maximum_head",
    "conv1x1": "attention.merge",
    "FC.0": "style.hidden1",
    "FC.2": "style.hidden2",
    "gamma": "style.gamma",
    "beta": "style.beta",
    "UpBlock2.2": "decoder.0.conv",
    "UpBlock2.3": "decoder.0.norm",
    "UpBlock2.7": "decoder.1.conv",
    "UpBlock2.8": "decoder.1.norm",
    "UpBlock2.11": "to_image",
}
"""Inside a generator: what occurs once."""


def _block(number: int) -> NameTable:
    """Residual block `number` (0, 1, ...) of the encoder and of the decoder."""
    return {
        f"DownBlock.{12 + number}.conv_block.1": f"encoder.{3 + number}.conv1",
        f"DownBlock.{12 + number}.conv_block.5": f"encoder.{3 + number}.conv2",
        f"UpBlock1_{1 + number}": f"styled_blocks.{number}",
    }


class PyTorchRelease(OfficialFormat[Config]):
    """One pickled dictionary of six state dicts: two generators and four discriminators, no hyper-parameters."""

    source: ClassVar[str] = "znxlwm/UGATIT-pytorch"
    licence: ClassVar[Licence] = Licence(
        spdx="MIT",
        notes="The release's code is MIT; its authors published no weights in this format, so the terms are those of "
        "whoever trained the checkpoint, and of the images they used.",
    )
    left_out: ClassVar[Sequence[tuple[str, str]]] = (
        (_DISCRIMINATOR_KEY, "discriminators are needed for training only"),
    )
    also_needed: ClassVar[str] = "the four discriminators: leave their lines out of the release's load()"

    def detect(self, shapes: TensorShapes) -> bool:
        """Recognise it by attention heads without bias and the rho of both norms, which this release alone has."""
        known = shapes.keys() >= _SIGNATURE and "genA2B.gap_fc.bias" not in shapes
        return known and (len(shapes[_STEM]), len(shapes[_STYLE])) == _SIGNATURE_RANKS

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """Read channels off the first convolution, the kind of style and the size off its first layer; count blocks.

        A light checkpoint does not tell its image size: it gets the paper's, and takes any other.
        """
        findings = Findings(clues)
        channels = shapes[_STEM][0]
        style_channels = DOWNSAMPLING * channels
        blocks = len({key.split(".")[1] for key in shapes if key.startswith("genA2B.UpBlock1_")})
        features = shapes[_STYLE][-1]
        if features == style_channels:
            size = findings.settle("image_size", (), Config().image_size)
            return findings.inferred(Config(image_size=size, channels=channels, res_blocks=blocks, pooled_style=True))
        side = math.isqrt(features // style_channels)
        if side * side * style_channels != features:
            raise CheckpointError(
                found=f"{_STYLE} takes {features} values and the generator has {style_channels} inner channels",
                expected=f"{style_channels} values (light), or that times a square number (full)",
                fix="the checkpoint is not of the release, or was changed: train again, or map it by hand",
            )
        return findings.inferred(Config(image_size=DOWNSAMPLING * side, channels=channels, res_blocks=blocks))

    def table(self, config: Config) -> NameTable:
        """Return the same rows for both generators."""
        inside = dict(_ONCE)
        for number in range(config.res_blocks):
            inside |= _block(number)
        return {
            f"{g}.{theirs}": f"{our_g}.{ours}" for g, our_g in GENERATORS.items() for theirs, ours in inside.items()
        }

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """Return one file, named as the newest of a training; the release puts the name of the data before it."""
        del config
        return (OfficialFile("ugatit_params_latest.pt", form="networks"),)


ZNXLWM_FORMAT = PyTorchRelease()
