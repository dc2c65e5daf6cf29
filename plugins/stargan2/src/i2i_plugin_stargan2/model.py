"""StarGAN v2 as a model of the registry: a generator, two sources of styles, three operations."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_plugin_stargan2.config import PRESETS, Config
from i2i_plugin_stargan2.networks import Generator, MappingNetwork, StyleEncoder, TruncatedMapping
from i2i_plugin_stargan2.networks.face import FaceMasks
from i2i_plugin_stargan2.networks.fan import INPUT_SIDE, LANDMARKS, MAP_SIDE, FaceAlignmentNetwork
from i2i_registry import BATCH, Form, Graph, Model
from i2i_runtime import (
    BILINEAR,
    GraphCall,
    ImageInput,
    Interpolation,
    LabelInput,
    Landmarks,
    LatentInput,
    Operation,
    ScalarInput,
    VectorOutput,
)
from i2i_toolkit import StyledTranslation, graph_call, square_size, translated_image

GENERATOR = "generator"
MAPPING = "mapping"
STYLE_ENCODER = "style_encoder"
FAN = "fan"
FACE_MASKS = "face_masks"

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

PSI = ScalarInput(
    name="psi",
    summary="below 1, looks nearer to the average of the domain: safer, and more alike",
    default=1.0,
    minimum=0.0,
    maximum=1.0,
)


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

    def operations(self) -> tuple[Operation, ...]:
        """`translate` in a style from a latent, `translate_like` in that of an image, and `encode` it."""
        styled = StyledTranslation(
            image=self._source(),
            style=VectorOutput(name="style", summary="its look and domain, as the generator takes it"),
            generate=self._generate(),
            # Styles are interpolated on a line, as in the release's animations; between domains, too.
            interpolation=Interpolation(value="style", along="line"),
            encoders={STYLE_ENCODER: {}},
        )
        latent = LatentInput(name="latent", summary="which look", shape=(self.config.latent_dim,))
        drawn = (latent, self._label("what the image becomes"), PSI)
        mapping = graph_call(MAPPING, "latent", "domain", "psi", style="style")
        reference, shown = self._whole_image("reference"), self._whole_image("image")
        by_latent = "the image in another domain; the latent chooses among its looks"
        by_image = "the image with the look, and in the domain, of another one"
        becomes = self._label("what the reference shows, and the image becomes")
        return (
            styled.translate(by_latent, drawn, [mapping]),
            styled.translate_like(by_image, reference, [becomes]),
            styled.encode("the style of an image", shown, [self._label("what the image shows")]),
        )

    def graphs(self) -> Mapping[str, Graph]:
        """Return a graph per network; the masks of faces are one more, from heat maps to masks."""
        graphs = {
            MAPPING: Graph(TruncatedMapping(self.mapping, self.config.latent_dim), ("style",)),
            STYLE_ENCODER: Graph(self.style_encoder, ("style",)),
            GENERATOR: Graph(self.generator, ("translated",)),
        }
        if self.fan is not None:
            graphs[FAN] = Graph(self.fan, ("heatmaps",))
            graphs[FACE_MASKS] = Graph(FaceMasks(), ("mask_whole", "mask_inner"), CUT_TOLERANCE)
        return graphs

    def intermediates(self) -> Mapping[str, Form]:
        """Styles; and with masks, the heat maps that they are made of."""
        mask = Form((BATCH, 1, INPUT_SIDE, INPUT_SIDE), "uniform", 0.0, 1.0)
        return {
            "style": Form((BATCH, self.config.style_dim), "normal"),
            "heatmaps": Form((BATCH, LANDMARKS, MAP_SIDE, MAP_SIDE), "uniform"),
            "whole": mask,
            "inner": mask,
        }

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Two channels that grow to eight, 32 pixels; 64 where details pass, the least at which all masks do."""
        side = 64 if config.has_masks else 32
        sizes = {"image_size": side, "channel_base": 4 * side, "max_channels": 8, "fan_channels": 2}
        return config.model_copy(update=sizes | {"latent_dim": 4, "style_dim": 6, "mapping_channels": 8})

    def _generate(self) -> tuple[GraphCall, ...]:
        if self.fan is None:
            return (graph_call(GENERATOR, "image", "style", translated="image"),)
        return (
            graph_call(FAN, "image", heatmaps="heatmaps"),
            graph_call(FACE_MASKS, "heatmaps", mask_whole="whole", mask_inner="inner"),
            graph_call(GENERATOR, "image", "style", "whole", "inner", translated="image"),
        )

    def _label(self, summary: str) -> LabelInput:
        names = self.config.domains
        return LabelInput(name="domain", summary=summary, names=names, default=names[0] if len(names) == 1 else None)

    def _source(self) -> ImageInput:
        if self.config.has_masks:  # masks are squares, and details pass at certain sides only
            return self._whole_image("image").model_copy(update={"summary": "the image to translate"})
        # The deepest map needs more than one pixel, or there is no variance.
        multiple = self.config.size_multiple
        return translated_image(square_size(self.config.image_size, multiple, 2 * multiple), BILINEAR)

    def _whole_image(self, name: str) -> ImageInput:
        """Return an image at the one size that the style encoder takes; a face is framed as in training."""
        summary, size = "an image that shows the look", square_size(self.config.image_size)
        if not self.config.has_masks:
            return ImageInput(name=name, summary=summary, size=size)
        return ImageInput(name=name, summary=summary, size=size, framing=FRAMING, face=EYES_AND_MOUTH)
