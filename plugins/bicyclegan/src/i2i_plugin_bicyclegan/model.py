"""BicycleGAN as a model of the registry: a generator, an encoder, three operations."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_plugin_bicyclegan.config import PRESETS, Config
from i2i_plugin_bicyclegan.networks import Encoder, Generator
from i2i_registry import Graph, Model
from i2i_runtime import (
    BICUBIC,
    ImageInput,
    ImageOutput,
    Interpolation,
    LatentInput,
    Operation,
    VectorOutput,
)
from i2i_toolkit import StyledTranslation, graph_call, square_size, translated_image

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

    def operations(self) -> tuple[Operation, ...]:
        """`translate`; with an encoder also `translate_like` and `encode`."""
        config = self.config
        size = square_size(config.image_size, config.size_multiple, config.size_multiple)
        styled = StyledTranslation(
            image=translated_image(size, BICUBIC, channels=config.source_channels),
            style=VectorOutput(name="latent", summary="the style, as `translate` takes it"),
            generate=[graph_call(GENERATOR, "image", "latent", translation="image")],
            translated=ImageOutput(name="image", summary="the translated image", channels=config.target_channels),
            interpolation=INTERPOLATION,
            encoders={ENCODER: {}},
        )
        latent = LatentInput(name="latent", summary="which translation", shape=(config.latent_dim,))
        many = "one of the many images that this one could become; the latent chooses"
        translate = styled.translate(many, [latent])
        if self.encoder is None:
            return (translate,)
        only = config.method == "clr_gan"
        caution = " (the encoder of a cLR-GAN has learned from generated images only)" if only else ""
        shown, given = self._target("reference", "shows the style"), self._target("image", "of the kind that is made")
        deviation = VectorOutput(name="log_variance", summary="how sure the encoder is, in each number")
        return (
            translate,
            styled.translate_like(f"the translation in the style of another image{caution}", shown),
            styled.encode(f"the latent that describes a translated image{caution}", given, (), deviation),
        )

    def graphs(self) -> Mapping[str, Graph]:
        """Image and latent -> image; image -> its latent (the mean) and its log variance."""
        graphs = {GENERATOR: Graph(self.generator, ("translation",))}
        return graphs | ({ENCODER: Graph(self.encoder, ("latent", "log_variance"))} if self.encoder else {})

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Two channels, 64 pixels, a latent of three numbers."""
        sizes = {"image_size": SHRUNK_SIZE, "levels": SHRUNK_SIZE.bit_length() - 1, "channels": 2}
        return config.model_copy(update=sizes | {"encoder_channels": 2, "latent_dim": min(config.latent_dim, 3)})

    def _target(self, name: str, what: str) -> ImageInput:
        """Return an image as translations are, at the one size that the encoder takes."""
        size, channels = square_size(self.config.image_size), self.config.target_channels
        return ImageInput(name=name, summary=f"an image {what}", channels=channels, size=size, resize=BICUBIC)
