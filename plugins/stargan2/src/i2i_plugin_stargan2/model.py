"""StarGAN v2 as a model of the registry: a generator, two sources of styles, three operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from i2i_plugin_stargan2.config import PRESETS, Config
from i2i_plugin_stargan2.face import FaceMasks
from i2i_plugin_stargan2.fan import INPUT_SIDE, LANDMARKS, MAP_SIDE, FaceAlignmentNetwork
from i2i_plugin_stargan2.networks import Generator, MappingNetwork, StyleEncoder
from i2i_registry import Axis, Graph, GraphInput, Model
from i2i_runtime import (
    GraphCall,
    ImageInput,
    ImageOutput,
    Interpolation,
    LabelInput,
    Landmarks,
    LatentInput,
    Operation,
    ScalarInput,
    SizeRule,
    VectorOutput,
    best_fit,
)

GENERATOR = "generator"
MAPPING = "mapping"
STYLE_ENCODER = "style_encoder"
FAN = "fan"
FACE_MASKS = "face_masks"

MEAN_OF = 10_000
"""Latents whose styles are averaged for truncation (release)."""

CUT_TOLERANCE = 0.12
"""Of the masks. Heat below 0.1 is nothing, so a value that rounding carries over that edge jumps by a tenth of its
channel's largest one; nothing else in that graph is larger than rounding."""

FRAMING = "one face, upright and centred, cut as in CelebA-HQ; fit='face' cuts it so"

EYES_AND_MOUTH = Landmarks(
    graph=FAN,
    input="image",
    output="heatmaps",
    left_eye=(*range(60, 68), 96),
    right_eye=(*range(68, 76), 97),
    mouth=(76, 82),
)
"""The landmarks that say how a face lies (release)."""


class _Face(TypedDict, total=False):
    framing: str
    face: Landmarks


@torch.no_grad()
def mean_styles(mapping: MappingNetwork, latents: Float[Tensor, "m z"]) -> Float[Tensor, "n s"]:
    """The mean style of every domain over these latents."""
    return mapping.of_all_domains(latents).mean(0)


class TruncatedMapping(nn.Module):
    """The mapping network, and how far a style may be from the mean one of its domain.

    The mean is taken when this is built, over latents that are always the same.
    """

    means: Tensor

    def __init__(self, mapping: MappingNetwork, latent_dim: int) -> None:
        super().__init__()
        self.mapping = mapping
        generator = torch.Generator(device="cpu").manual_seed(0)
        latents = torch.randn(MEAN_OF, latent_dim, generator=generator, device="cpu")
        weight = next(mapping.parameters())
        self.register_buffer("means", mean_styles(mapping, latents.to(weight)), persistent=False)

    def forward(
        self, latent: Float[Tensor, "b z"], domain: Int[Tensor, " b"], psi: Float[Tensor, " b"]
    ) -> Float[Tensor, "b s"]:
        """The style of each latent in its domain, moved towards the mean where psi is below 1."""
        return truncated(self.mapping(latent, domain), self.means.index_select(0, domain), psi)


def truncated(
    style: Float[Tensor, "b s"], mean: Float[Tensor, "#b s"], psi: Float[Tensor, " #b"]
) -> Float[Tensor, "b s"]:
    """mean + psi * (style - mean); written so that psi = 1 leaves the style as it is."""
    return style + (psi[:, None] - 1) * (style - mean)


class StarGAN2(Model[Config]):
    """One generator for all domains; a style, from a latent or from an image, says which domain and which look."""

    name = "stargan2"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = Generator(config)
        self.mapping = MappingNetwork(config)
        self.style_encoder = StyleEncoder(config)
        self.fan = FaceAlignmentNetwork(config.fan_channels) if config.has_masks else None

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """`generator`, `mapping`, `style_encoder`, and `fan` where details pass through masks."""
        networks = {GENERATOR: self.generator, MAPPING: self.mapping, STYLE_ENCODER: self.style_encoder}
        return networks if self.fan is None else {**networks, FAN: self.fan}

    def operations(self) -> tuple[Operation, ...]:
        """`translate` in a style from a latent, `translate_like` in that of an image, and `encode` it."""
        return self._translate(), self._translate_like(), self._encode()

    def graphs(self) -> Mapping[str, Graph]:
        """A graph per network; the masks of faces are one more, from heat maps to masks."""
        graphs = {
            MAPPING: self._mapping_graph(),
            STYLE_ENCODER: Graph(self.style_encoder, (self._fixed_image(), self._domain()), outputs=("style",)),
            GENERATOR: self._generator_graph(),
        }
        if self.fan is None:
            return graphs
        maps = GraphInput("heatmaps", (_BATCH, LANDMARKS, MAP_SIDE, MAP_SIDE), values="uniform")
        names = ("mask_whole", "mask_inner")
        graphs[FAN] = Graph(self.fan, (self._fixed_image(),), outputs=("heatmaps",))
        graphs[FACE_MASKS] = Graph(FaceMasks(), (maps,), outputs=names, tolerance=CUT_TOLERANCE)
        return graphs

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Two channels that grow to eight, 32 pixels; 64 where details pass, the least at which all masks do."""
        side = 64 if config.has_masks else 32
        sizes = {"image_size": side, "channel_base": 4 * side, "max_channels": 8, "fan_channels": 2}
        return config.model_copy(update=sizes | {"latent_dim": 4, "style_dim": 6, "mapping_channels": 8})

    # --- Graphs -------------------------------------------------------------------------------------------------------

    def _mapping_graph(self) -> Graph:
        config = self.config
        return Graph(
            TruncatedMapping(self.mapping, config.latent_dim),
            (
                GraphInput("latent", (_BATCH, config.latent_dim), values="normal"),
                self._domain(),
                GraphInput("psi", (_BATCH,), values="uniform"),
            ),
            outputs=("style",),
        )

    def _generator_graph(self) -> Graph:
        style = GraphInput("style", (_BATCH, self.config.style_dim), values="normal")
        if self.config.has_masks:
            masks = (GraphInput(m, (_BATCH, 1, INPUT_SIDE, INPUT_SIDE), "uniform") for m in ("whole", "inner"))
            inputs = (self._fixed_image(), style, *masks)
        else:
            rule = self._size_rule()
            sides = (Axis(s, rule.height, rule.multiple, rule.minimum) for s in ("height", "width"))
            inputs = (GraphInput("image", (_BATCH, 3, *sides), values="image"), style)
        return Graph(self.generator, inputs, outputs=("translated",), images=frozenset({"translated"}))

    def _fixed_image(self) -> GraphInput:
        side = self.config.image_size
        return GraphInput("image", (_BATCH, 3, side, side), values="image")

    def _domain(self) -> GraphInput:
        return GraphInput("domain", (_BATCH,), values="index", count=len(self.config.domains))

    # --- Operations ---------------------------------------------------------------------------------------------------

    def _translate(self) -> Operation:
        return Operation(
            name="translate",
            summary="the image in another domain; the latent chooses among its looks",
            inputs=(
                self._source(),
                LatentInput(name="latent", summary="which look", shape=(self.config.latent_dim,)),
                self._label("what the image becomes"),
                ScalarInput(
                    name="psi",
                    summary="below 1, looks nearer to the average of the domain: safer, and more alike",
                    default=1.0,
                    minimum=0.0,
                    maximum=1.0,
                ),
            ),
            outputs=_TRANSLATED,
            steps=(_step(MAPPING, ("latent", "domain", "psi"), {"style": "style"}), *self._generate()),
            interpolation=_INTERPOLATION,
        )

    def _translate_like(self) -> Operation:
        return Operation(
            name="translate_like",
            summary="the image with the look, and in the domain, of another one",
            inputs=(
                self._source(),
                self._fixed_input("reference", "an image that shows the look"),
                self._label("what the reference shows, and the image becomes"),
            ),
            outputs=_TRANSLATED,
            steps=(_encode_step("reference"), *self._generate()),
            interpolation=_INTERPOLATION,
        )

    def _encode(self) -> Operation:
        return Operation(
            name="encode",
            summary="the style of an image",
            inputs=(
                self._fixed_input("image", "an image that shows the look"),
                self._label("what the image shows"),
            ),
            outputs=_TRANSLATED[1:],
            steps=(_encode_step("image"),),
        )

    def _generate(self) -> tuple[GraphCall, ...]:
        translated = {"translated": "image"}
        if self.fan is None:
            return (_step(GENERATOR, ("image", "style"), translated),)
        masks = {"mask_whole": "whole", "mask_inner": "inner"}
        return (
            _step(FAN, ("image",), {"heatmaps": "heatmaps"}),
            _step(FACE_MASKS, ("heatmaps",), masks),
            _step(GENERATOR, ("image", "style", "whole", "inner"), translated),
        )

    def _label(self, summary: str) -> LabelInput:
        names = self.config.domains
        return LabelInput(name="domain", summary=summary, names=names, default=names[0] if len(names) == 1 else None)

    def _source(self) -> ImageInput:
        size = self._size_rule()
        # Faces are framed as in training, and nothing else is.
        fit = "resize" if self.config.has_masks else best_fit(size)
        return ImageInput(name="image", summary="the image to translate", size=size, fit=fit, **self._face())

    def _fixed_input(self, name: str, summary: str) -> ImageInput:
        side = self.config.image_size
        return ImageInput(name=name, summary=summary, size=SizeRule(height=side, width=side), **self._face())

    def _face(self) -> _Face:
        return {"framing": FRAMING, "face": EYES_AND_MOUTH} if self.config.has_masks else {}

    def _size_rule(self) -> SizeRule:
        side, multiple = self.config.image_size, self.config.size_multiple
        if self.config.has_masks:  # masks are squares, and details pass at certain sides only
            return SizeRule(height=side, width=side)
        # The deepest map needs more than one pixel, or there is no variance.
        return SizeRule(height=side, width=side, dynamic=True, multiple=multiple, minimum=2 * multiple)


_BATCH = Axis("batch", 2)

_INTERPOLATION = Interpolation(value="style", along="line")
"""Styles are interpolated on a line, as in the release's animations; between domains, too."""

_TRANSLATED = (
    ImageOutput(name="image", summary="the translated image"),
    VectorOutput(name="style", summary="its look and domain, as the generator takes it"),
)


def _step(graph: str, values: tuple[str, ...], outputs: Mapping[str, str]) -> GraphCall:
    """A step whose graph's inputs are called as the values that are fed to them."""
    return GraphCall(graph=graph, inputs={name: name for name in values}, outputs=dict(outputs))


def _encode_step(image: str) -> GraphCall:
    return GraphCall(graph=STYLE_ENCODER, inputs={"image": image, "domain": "domain"}, outputs={"style": "style"})
