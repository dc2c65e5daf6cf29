"""New Paper as a model of the registry: a generator, two sources of styles, three operations."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_registry import BATCH, Form, Graph, Model
from i2i_runtime import (
    BILINEAR,
    ImageInput,
    Interpolation,
    LabelInput,
    LatentInput,
    Operation,
    VectorOutput,
)
from i2i_toolkit import StyledTranslation, graph_call, square_size, translated_image

from .config import MULTIPLE, PRESETS, Config
from .networks import DomainEncoder, Generator, MappingNetwork

GENERATOR, MAPPING, STYLE_ENCODER = "generator", "mapping", "style_encoder"


class NewPaper(Model[Config]):
    """One generator for all domains; a style, from a latent or from an image, says which domain and which look."""

    name = "newpaper"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = Generator(config)
        self.mapping = MappingNetwork(config)
        self.style_encoder = DomainEncoder(config, config.style_dim)

    def operations(self) -> tuple[Operation, ...]:
        """`translate` in a style from a latent, `translate_like` in that of an image, and `encode` it."""
        generate = graph_call(GENERATOR, "image", "style", translation="image")
        styled = StyledTranslation(
            image=translated_image(square_size(self.config.image_size, MULTIPLE, minimum=2 * MULTIPLE), BILINEAR),
            style=VectorOutput(name="style", summary="look and domain, as the generator takes them"),
            generate=[generate],
            interpolation=Interpolation(value="style", along="line"),
            encoders={STYLE_ENCODER: {}},
        )
        latent = LatentInput(name="latent", summary="which look", shape=(self.config.latent_dim,))
        becomes = self._label("what the image becomes")
        mapping = graph_call(MAPPING, "latent", "domain", style="style")
        return (
            styled.translate("the image in another domain, in a look that is drawn", (latent, becomes), [mapping]),
            styled.translate_like(
                "the image with the look of a reference",
                self._shown("reference", "an image that shows the look"),
                [self._label("what the reference shows, and the image becomes")],
            ),
            styled.encode(
                "the style of an image",
                self._shown("image", "an image that shows the look"),
                [self._label("what the image shows")],
            ),
        )

    def graphs(self) -> Mapping[str, Graph]:
        """A graph for each network."""
        return {
            MAPPING: Graph(self.mapping, ("style",)),
            STYLE_ENCODER: Graph(self.style_encoder, ("style",)),
            GENERATOR: Graph(self.generator, ("translation",)),
        }

    def intermediates(self) -> Mapping[str, Form]:
        """Styles, which one graph makes and another takes."""
        return {"style": Form((BATCH, self.config.style_dim), "normal")}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels and one block, for 32 pixels."""
        return config.model_copy(update={"image_size": 32, "channels": 4, "blocks": 1, "latent_dim": 4, "style_dim": 6})

    def _label(self, summary: str) -> LabelInput:
        return LabelInput(name="domain", summary=summary, names=self.config.domains)

    def _shown(self, name: str, summary: str) -> ImageInput:
        return ImageInput(name=name, summary=summary, size=square_size(self.config.image_size))
