"""What the releases of pix2pix, CycleGAN and BicycleGAN share: options, patch discriminators, images in and out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from i2i_registry import NameTable
from i2i_runtime.image.fitting import tensor_to_image
from i2i_runtime.image.resizing import BICUBIC
from i2i_toolkit.data.preparation import ChannelCount, Draws, Mode, Preparation
from i2i_toolkit.networks.architecture import GeneratorKind, NormKind
from i2i_toolkit.networks.checkpoints import generator_table, read_generator
from i2i_toolkit.networks.discriminators import (
    DiscriminatorKind,
    Objective,
    PatchDiscriminator,
    PixelDiscriminator,
    make_discriminator,
)
from i2i_toolkit.networks.generators import Dropout

from .comparison import Row
from .names import our_name
from .options import Options
from .recording import Recording
from .stepping import OurKey, load

TRANSFORM = 1e-6
EXACT = 0.0
ONE_LEVEL = 1.0
"""the releases cut fractions of a level off, the runtime rounds"""

BESIDE = ("init_type", "init_gain", "gpu_ids", "isTrain", "checkpoints_dir", "name", "preprocess")
"""options of the releases that decide nothing where weights and images are recorded"""

BASIC_LAYERS = 3
"""layers of the discriminator "basic" """


# --- Options ----------------------------------------------------------------------------------------------------------


class Variant(Options):
    """One way of preparing the recorded pair, and what was drawn for it."""

    preprocess: Mode
    load_size: int
    crop_size: int
    crop_pos: tuple[int, int]
    flip: bool
    no_flip: bool = False
    gray_A: bool = False  # noqa: N815 - the releases' name


class Resolved(Options):
    """All options of a release, of which these change the numbers of pix2pix and CycleGAN alike."""

    input_nc: int
    output_nc: int
    ngf: int
    ndf: int
    netG: str  # noqa: N815 - this and the next: the releases' names
    netD: Literal["basic", "n_layers", "pixel"]  # noqa: N815
    n_layers_D: int = BASIC_LAYERS  # noqa: N815
    norm: NormKind
    no_dropout: bool
    direction: str
    gan_mode: Objective
    lr: float
    beta1: float
    pool_size: int


STEPPING = ("lr", "beta1", "gan_mode", "pool_size", "lambda_L1", "lambda_A", "lambda_B", "lambda_identity")
"""options that decide how it is trained"""
NETWORKS = ("input_nc", "output_nc", "ngf", "ndf", "netG", "netD", "n_layers_D", "norm", "no_dropout")
"""options that decide the networks"""


class Case(Options):
    """The metadata."""

    mode: str
    kind: str
    modes: tuple[str, ...] = ()
    hw: tuple[int, int] | None = None
    dhw: tuple[int, int] | None = None
    batch: int = 1
    ds: dict[str, tuple[str, int, int]] | None = None
    opt: dict[str, object] | None = None
    gname: str | None = None
    image_hw: tuple[int, int] | None = None
    variants: tuple[Variant, ...] = ()


def kind_of(recording: Recording) -> str:
    """What a file holds: one training step, images in and out, forward passes, or the store of generated images."""
    if recording.holds("loss/"):
        return "train"
    if recording.holds("input/image") and recording.holds("output/tensor2im"):
        return "prepost"
    return "nets" if recording.holds("state/") else "pool"


def ignore(recording: Recording, reason: str, *options: str) -> None:
    """Declare options of the release irrelevant."""
    recording.ignore(reason, *(f"resolved.{option}" for option in options))


def check_shared_options(
    recording: Recording,
    *,
    kind: str,
    mode: str,
    modes: Sequence[str],
    direction: str,
    opt: Mapping[str, object] | None,
) -> Iterator[Row]:
    """What files of all three papers state."""
    found = kind_of(recording)
    recording.ignore("what it drew is recorded", "seed", "variants.seed")
    ignore(recording, "weights and images are recorded", *BESIDE)
    ways = dict.fromkeys(each.partition("_")[0] for each in modes)
    yield recording.agrees("kind", kind, found)
    yield recording.agrees("mode", mode, {"nets": "+".join(ways), "train": "train"}.get(found, "none"))
    yield recording.agrees("resolved.direction", direction, "AtoB")
    resolved = recording.config["resolved"]
    assert isinstance(resolved, Mapping)
    for option, value in (opt or {}).items():
        yield recording.agrees(f"opt.{option}", value, resolved.get(option))
    if found == "nets":
        recorded = {key.partition("/")[0] for key in recording.under("output/")}
        yield recording.agrees("modes", set(modes), recorded)


def check_options(recording: Recording, case: Case, direction: str) -> Iterator[Row]:
    """What every kind of file of pix2pix and CycleGAN states."""
    yield from check_shared_options(
        recording, kind=case.kind, mode=case.mode, modes=case.modes, direction=direction, opt=case.opt
    )
    kind = kind_of(recording)
    if kind in ("prepost", "pool"):
        ignore(recording, "there is no network", *NETWORKS)
    if kind != "train":
        ignore(recording, "there is no step", *STEPPING)


def generator_of(name: str) -> tuple[GeneratorKind, int]:
    """Which generator it is, and its depth: downsamplings of unet_256 and the like, blocks of resnet_9blocks."""
    if match := re.fullmatch(r"unet_(\d+)", name):
        return "unet", int(match[1]).bit_length() - 1
    if match := re.fullmatch(r"resnet_(\d+)blocks", name):
        return "resnet", int(match[1])
    raise ValueError(f"netG is {name!r}, which is no generator of the release")


# --- Networks ---------------------------------------------------------------------------------------------------------


def discriminator_table(state: Mapping[str, Tensor]) -> NameTable:
    """The names inside the recorded discriminator, whichever it is."""
    if "net.0.weight" in state:
        places = {0: "first", 2: "conv", 3: "norm", 5: "to_logits"}
        return {f"net.{place}": ours for place, ours in places.items()}
    layers = layer_count(state)
    places = {0: "first", 2 + 3 * layers: "to_logits"}
    places |= {2 + 3 * number: f"convs.{number}" for number in range(layers)}
    places |= {3 + 3 * number: f"norms.{number}" for number in range(layers)}
    return {f"model.{place}": ours for place, ours in places.items()}


def layer_count(state: Mapping[str, Tensor]) -> int:
    """Layers of a patch discriminator, in the release's way of counting; of the one on pixels it has no meaning."""
    return (max((int(m[1]) for key in state if (m := re.match(r"model\.(\d+)\.", key))), default=11) - 2) // 3


def discriminator_kind(state: Mapping[str, Tensor]) -> DiscriminatorKind:
    """Whether it judges patches or pixels."""
    return "pixel" if "net.0.weight" in state else "patch"


def width_of(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Channels after a discriminator's first convolution, and of the image."""
    first = state.get("net.0.weight", state.get("model.0.weight"))
    assert first is not None
    return first.shape[0], first.shape[1]


def recorded_discriminator(state: Mapping[str, Tensor], norm: NormKind) -> PatchDiscriminator | PixelDiscriminator:
    """The recorded discriminator, empty."""
    width, channels_in = width_of(state)
    return make_discriminator(discriminator_kind(state), channels_in, width, layer_count(state), norm)


def discriminator_key(recording: Recording, official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    return our_name(discriminator_table(recording.under(f"state/{official}/")), key)


def generator_key(recording: Recording, official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor of a generator."""
    shapes = {name: tuple(tensor.shape) for name, tensor in recording.under(f"state/{official}/").items()}
    table = generator_table(read_generator(shapes).architecture, official, "generator")
    return our_name(table, f"{official}.{key}", "generator")


def check_discriminator(recording: Recording, case: Case, official: str, resolved: Resolved) -> Iterator[Row]:
    """Kind, layers and widths of a recorded discriminator, which a file of networks states for each."""
    state = recording.under(f"state/{official}/")
    width, channels_in = width_of(state)
    named, layers, stated_in = resolved.netD, resolved.n_layers_D, channels_in
    if case.ds is not None:
        ignore(recording, "each discriminator is named in ds", "netD", "n_layers_D")
        named, layers, stated_in = case.ds[official]
    elif named != "n_layers":
        ignore(recording, "basic has three, and the one on pixels none", "n_layers_D")
    layers = layers if named == "n_layers" else BASIC_LAYERS
    stated = ("pixel" if named == "pixel" else "patch", layers, stated_in, resolved.ndf)
    found = (discriminator_kind(state), layer_count(state), channels_in, width)
    yield recording.agrees(f"discriminator {official}", stated, found)


def check_pass(
    recording: Recording, network: nn.Module, official: str, image: Tensor, tolerance: float
) -> Iterator[Row]:
    """A filled network on its input, in evaluation mode and with the batch's statistics and without dropout."""
    for mode in ("eval", "train_nodrop"):
        if f"output/{mode}/{official}" in recording.tensors:
            network.train(mode == "train_nodrop")
            for module in network.modules():
                if isinstance(module, Dropout):
                    module.eval()
            with torch.no_grad():
                yield recording.output(f"{mode}/{official}", network(image), tolerance)


def check_networks(
    recording: Recording,
    case: Case,
    resolved: Resolved,
    generators: Mapping[str, tuple[nn.Module, OurKey]],
    tolerance: float,
) -> Iterator[Row]:
    """Every recorded network on its input; `generators` are empty, under their official names."""
    tensors = recording.tensors
    ignore(recording, "no pass drops anything", "no_dropout")
    yield recording.agrees("batch", case.batch, len(tensors["input/image"]))
    yield recording.agrees("hw", case.hw, tuple(tensors["input/image"].shape[2:]))
    for official in recording.networks():
        if official in generators:
            (network, our_key), image = generators[official], tensors["input/image"]
        else:
            yield from check_discriminator(recording, case, official, resolved)
            network = recorded_discriminator(recording.under(f"state/{official}/"), resolved.norm)
            our_key, image = partial(discriminator_key, recording), tensors[f"input/dis_{official}"]
            yield recording.agrees("dhw", case.dhw or case.hw, tuple(image.shape[2:]))
        load(network, official, recording, our_key)
        yield from check_pass(recording, network, official, image, tolerance)


# --- Images in and out ----------------------------------------------------------------------------------------------


def check_images(recording: Recording, variants: Sequence[Variant], stated: tuple[int, int] | None) -> Iterator[Row]:
    """The transforms of training, and the saved image."""
    joined = Image.fromarray(recording.tensors["input/image"].numpy())
    yield recording.agrees("image_hw", stated, (joined.height, joined.width))
    half = joined.width // 2
    images = {"A": joined.crop((0, 0, half, joined.height)), "B": joined.crop((half, 0, joined.width, joined.height))}
    for number, variant in enumerate(variants):
        preparation = Preparation(
            variant.preprocess, variant.load_size, variant.crop_size, BICUBIC, flip=not variant.no_flip
        )
        left, top = variant.crop_pos
        for name, image in images.items():
            channels: ChannelCount = 1 if variant.gray_A and name == "A" else 3
            found = preparation.cut(preparation.scaled(image, channels), Draws(flip=variant.flip, top=top, left=left))
            yield recording.output(f"{number}_{variant.preprocess}/{name}", found, TRANSFORM)
    generated = recording.tensors["input/generated"].numpy()
    cut = ((generated.transpose(1, 2, 0) + 1) / 2 * 255).astype(np.uint8)
    yield recording.output("tensor2im", torch.from_numpy(cut), EXACT)
    rounded = torch.from_numpy(tensor_to_image(generated))
    yield recording.output("tensor2im", rounded, ONE_LEVEL, by="i2i_runtime, which rounds")
