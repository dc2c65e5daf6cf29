"""The operations of ConSinGAN in each of its modes, wired to its two graphs."""

from __future__ import annotations

import math

from i2i_plugin_consingan.config import Config
from i2i_runtime import (
    SINGAN,
    Also,
    GraphCall,
    ImageInput,
    ImageOutput,
    LabelInput,
    MaskInput,
    NoiseInput,
    Operation,
    OperationName,
    ScalarInput,
    SizeInput,
    SizeRule,
    Walk,
)
from i2i_runtime.schema.operations import Input

PYRAMID, INJECTION = "pyramid", "injection"
COARSE = "coarse"
"""the composite at the size of stage 0, resampled once from how it was given"""
"""The graphs."""

START_SCALE, ANCHOR = "start_scale", "anchor"
PULL, INERTIA = "pull", "inertia"

BACKGROUNDS = ("training", "naive")
"""What is behind the mask: the image that was learned (the release's evaluation), or the one that was given (its
training monitor). They differ where the given image was changed outside the mask."""

FIRST_FRESH = 0.01
"""Share of fresh noise in the first map of an animation (release; SinGAN's is five times that)."""

MASK_DILATION = {"harmonization": 7, "editing": 20}
"""Radius in pixels."""
MASK_BLUR = 5.0


def operations(config: Config) -> tuple[Operation, ...]:
    """What a generator of this mode does."""
    if config.mode == "harmonization":
        return (_injecting(config, "harmonize", "give a pasted object the look of the image around it"),)
    if config.mode == "editing":
        return (_injecting(config, "edit", "make a rearranged image coherent"),)
    drawing = (_sample(config), _reconstruct(config))
    return (*drawing, _animate(config)) if config.mode == "animation" else drawing


def noise_name(number: int) -> str:
    """Of the noise map of a stage, in graphs and operations."""
    return f"noise_{number}"


def _sample(config: Config) -> Operation:
    return Operation(
        name="sample",
        summary="a variation of the image, of any size",
        inputs=(_size(config), *_noise(config, "normal")),
        outputs=(ImageOutput(name="image", summary="the variation"),),
        steps=(_pyramid_step(config, {START_SCALE: 0.0, ANCHOR: 0.0}),),
    )


def _reconstruct(config: Config) -> Operation:
    return Operation(
        name="reconstruct",
        summary="the image that was learned, from the stored noise; given noise changes it",
        inputs=_noise(config, "zeros"),
        outputs=(ImageOutput(name="image", summary="nearly the training image"),),
        steps=(_pyramid_step(config, {START_SCALE: 0.0, ANCHOR: 1.0}),),
    )


def _animate(config: Config) -> Operation:
    numbers = (
        ScalarInput(
            name=START_SCALE,
            summary="stages below this one stay still",
            default=0.0,
            minimum=0.0,
            maximum=float(config.stages - 1),
            whole=True,
        ),
        ScalarInput(name=ANCHOR, summary="share of the stored noise", default=1.0, minimum=0.0, maximum=1.0),
        ScalarInput(
            name=PULL, summary="how strongly it is pulled back to the image", default=0.1, minimum=0.0, maximum=1.0
        ),
        ScalarInput(name=INERTIA, summary="how much of its motion it keeps", default=0.9, minimum=0.0, maximum=1.0),
    )
    return Operation(
        name="animate",
        summary="an animation that wanders around the image",
        inputs=(_size(config), *_noise(config, "zeros"), *numbers),
        outputs=(ImageOutput(name="image", summary="a frame"),),
        steps=(_pyramid_step(config, {}),),
        walk=Walk(anchor=ANCHOR, pull=PULL, inertia=INERTIA, first=FIRST_FRESH),
    )


def _injecting(config: Config, name: OperationName, summary: str) -> Operation:
    inputs: list[Input] = [
        ImageInput(
            name="image",
            summary="the training image with something pasted into it or moved in it",
            size=SizeRule(height=config.height, width=config.width),
            resize=SINGAN,
            also=Also(name=COARSE, height=config.sizes[0][0], width=config.sizes[0][1]),
        ),
        MaskInput(
            name="mask",
            summary="white where it was changed",
            image="image",
            dilate_px=MASK_DILATION[config.mode],
            blur=MASK_BLUR,
        ),
        LabelInput(
            name="background",
            summary="what is behind the mask: the training image, or the naive one, as it was given",
            names=BACKGROUNDS,
            default=BACKGROUNDS[0],
        ),
    ]
    if config.mode == "editing":
        inputs.append(_noise_of(config, 0, "normal"))
    fed = {value.name: value.name for value in inputs} | {COARSE: COARSE}
    return Operation(
        name=name,
        summary=summary,
        inputs=tuple(inputs),
        outputs=(
            ImageOutput(name="image", summary="the result inside the mask, the background around it"),
            ImageOutput(name="unblended", summary="the result everywhere"),
        ),
        steps=(GraphCall(graph=INJECTION, inputs=fed, outputs={"blended": "image", "unblended": "unblended"}),),
    )


def _size(config: Config) -> SizeInput:
    """As small as leaves stage 0 one patch of the critic: it has seen nothing smaller."""
    height, width = config.sizes[0]
    return SizeInput(
        summary="the image's own by default; sizes from a third of it to three times as large look best",
        height=config.height,
        width=config.width,
        rounding="down",
        minimum_height=math.ceil(config.patch * config.height / height),
        minimum_width=math.ceil(config.patch * config.width / width),
    )


def _noise(config: Config, default: str) -> tuple[NoiseInput, ...]:
    return tuple(_noise_of(config, number, default) for number in range(config.stages))


def _noise_of(config: Config, number: int, default: str) -> NoiseInput:
    border = config.border if number else 0
    channels, height, width = config.noise_shape(number)
    return NoiseInput(
        name=noise_name(number),
        summary=f"of stage {number}, coarse to fine",
        channels=channels,
        height=height - border,
        width=width - border,
        border=border,
        default="zeros" if default == "zeros" else "normal",
    )


def _pyramid_step(config: Config, constants: dict[str, float]) -> GraphCall:
    names = [noise_name(number) for number in range(config.stages)]
    names += [name for name in (START_SCALE, ANCHOR) if name not in constants]
    return GraphCall(
        graph=PYRAMID, inputs={name: name for name in names}, constants=constants, outputs={"image": "image"}
    )
