"""BicycleGAN as a model of the registry: a generator, an encoder, three operations."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from i2i_plugin_bicyclegan.config import PRESETS, Config
from i2i_plugin_bicyclegan.networks import Encoder, Generator
from i2i_registry import Axis, Graph, GraphInput, Model
from i2i_runtime import (
    BICUBIC,
    GraphCall,
    ImageInput,
    ImageOutput,
    Interpolation,
    LatentInput,
    Operation,
    SizeRule,
    VectorOutput,
    best_fit,
)

GENERATOR = "generator"
ENCODER = "encoder"

INTERPOLATION = Interpolation(value="latent", along="arc")
"""Animations of one style turning into another: the release's way between two latents."""

SHRUNK_SIZE = 64
"""pixels; the smallest side at which no part of the generator is missing"""


class BicycleGAN(Model[Config]):
    """Paired translation with many results for one image: a latent chooses among them."""

    name = "bicyclegan"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = Generator(config)
        self.encoder = Encoder(config) if config.encoder else None

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The `generator`, and the `encoder` where there is one."""
        return {GENERATOR: self.generator} | ({ENCODER: self.encoder} if self.encoder else {})

    def operations(self) -> tuple[Operation, ...]:
        """`translate`; with an encoder also `translate_like` and `encode`."""
        return (self._translate(), self._translate_like(), self._encode()) if self.encoder else (self._translate(),)

    def graphs(self) -> Mapping[str, Graph]:
        """Image and latent -> image; image -> its latent (the mean) and its log variance."""
        config = self.config
        batch, side = Axis("batch", 2), config.image_size
        sides = (Axis(name, side, config.size_multiple, config.size_multiple) for name in ("height", "width"))
        generator = Graph(
            module=self.generator,
            inputs=(
                GraphInput("image", (batch, config.source_channels, *sides), values="image"),
                GraphInput("latent", (batch, config.latent_dim), values="normal"),
            ),
            outputs=("translation",),
            images=frozenset({"translation"}),
        )
        if self.encoder is None:
            return {GENERATOR: generator}
        encoder = Graph(
            module=self.encoder,
            inputs=(GraphInput("image", (batch, config.target_channels, side, side), values="image"),),
            outputs=("latent", "log_variance"),
        )
        return {GENERATOR: generator, ENCODER: encoder}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Two channels, 64 pixels, a latent of three numbers."""
        sizes = {"image_size": SHRUNK_SIZE, "levels": SHRUNK_SIZE.bit_length() - 1, "channels": 2}
        return config.model_copy(update=sizes | {"encoder_channels": 2, "latent_dim": min(config.latent_dim, 3)})

    def _translate(self) -> Operation:
        return Operation(
            name="translate",
            summary="one of the many images that this one could become; the latent chooses",
            inputs=(
                self._source(),
                LatentInput(name="latent", summary="which translation", shape=(self.config.latent_dim,)),
            ),
            outputs=(self._translated(),),
            steps=(_generate("latent"),),
            interpolation=INTERPOLATION,
        )

    def _translate_like(self) -> Operation:
        return Operation(
            name="translate_like",
            summary="the translation in the style of another image" + self._caution(),
            inputs=(self._source(), self._target("reference", "an image that shows the style")),
            outputs=(
                self._translated(),
                VectorOutput(name="latent", summary="the style, as `translate` takes it"),
            ),
            steps=(
                GraphCall(graph=ENCODER, inputs={"image": "reference"}, outputs={"latent": "latent"}),
                _generate("latent"),
            ),
            interpolation=INTERPOLATION,
        )

    def _encode(self) -> Operation:
        return Operation(
            name="encode",
            summary="the latent that describes a translated image" + self._caution(),
            inputs=(self._target("image", "an image of the kind that is made"),),
            outputs=(
                VectorOutput(name="latent", summary="the mean of its distribution, as `translate` takes it"),
                VectorOutput(name="log_variance", summary="how sure the encoder is, in each number"),
            ),
            steps=(
                GraphCall(
                    graph=ENCODER,
                    inputs={"image": "image"},
                    outputs={"latent": "latent", "log_variance": "log_variance"},
                ),
            ),
        )

    def _caution(self) -> str:
        if self.config.method != "clr_gan":
            return ""
        return " (the encoder of a cLR-GAN has learned from generated images only)"

    def _source(self) -> ImageInput:
        config = self.config
        size = SizeRule(
            height=config.image_size,
            width=config.image_size,
            dynamic=True,
            multiple=config.size_multiple,
            minimum=config.size_multiple,
        )
        return ImageInput(
            name="image",
            summary="the image to translate",
            channels=config.source_channels,
            size=size,
            fit=best_fit(size),
            resize=BICUBIC,
        )

    def _translated(self) -> ImageOutput:
        return ImageOutput(name="image", summary="the translated image", channels=self.config.target_channels)

    def _target(self, name: str, summary: str) -> ImageInput:
        side = self.config.image_size
        return ImageInput(
            name=name,
            summary=summary,
            channels=self.config.target_channels,
            size=SizeRule(height=side, width=side),
            resize=BICUBIC,
        )


def _generate(latent: str) -> GraphCall:
    return GraphCall(graph=GENERATOR, inputs={"image": "image", "latent": latent}, outputs={"translation": "image"})
