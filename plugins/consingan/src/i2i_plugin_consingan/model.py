"""ConSinGAN as a model of the registry: one generator, and a graph for the whole pyramid or for injecting an image."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from i2i_plugin_consingan import wiring
from i2i_plugin_consingan.config import EDITING_NOISE, IMAGE_CHANNELS, Config
from i2i_plugin_consingan.networks import Generator
from i2i_plugin_consingan.presets import PRESETS
from i2i_plugin_consingan.upsampling import enlarged
from i2i_plugin_consingan.wiring import BACKGROUNDS, COARSE, INJECTION, PYRAMID, noise_name
from i2i_registry import Axis, Graph, GraphInput, Model
from i2i_runtime import Operation

GENERATOR = "generator"


class Pyramid(nn.Module):
    """From noise to an image, whose size is that of the noise maps; part of the noise may be the stored one.

    A stage is fed its stored noise where its number is below `start_scale`, else the given noise plus `anchor` times
    the stored.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.begun = generator.begun_count

    def forward(
        self, start_scale: Float[Tensor, " b"], anchor: Float[Tensor, " b"], *maps: Float[Tensor, "b _ _ _"]
    ) -> Float[Tensor, "b 3 h w"]:
        """`maps`: noise for every stage."""
        fed = list(maps)
        for number, noise in enumerate(maps[: self.begun]):
            stored = enlarged(self.generator.stages[number].noise, noise.shape[-2], noise.shape[-1])
            mixed = noise + anchor[:, None, None, None] * stored
            fed[number] = torch.where(start_scale[:, None, None, None] > number, stored, mixed)
        return self.generator.finish(fed, self.begun)


class Injection(nn.Module):
    """An image at stage 0, the stored noise behind it, and the result blended in where the mask says so."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.begun = generator.begun_count

    def forward(
        self,
        image: Float[Tensor, "b 3 h w"],
        coarse: Float[Tensor, "b 3 y x"],
        mask: Float[Tensor, "b 1 h w"],
        background: Int64[Tensor, " b"],
        noise: Float[Tensor, "b 3 y x"] | None = None,
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]]:
        """The blended result, and the unblended one.

        `coarse` is the image at the size of stage 0, `background` an index into `BACKGROUNDS`.
        """
        fed = coarse if noise is None else coarse + EDITING_NOISE * noise
        made = self.generator.finish([fed, *self.generator.stored(self.generator.config.stages)[1:]], self.begun)
        return self.composed(made, image, mask, background), made

    def composed(
        self,
        made: Float[Tensor, "b 3 h w"],
        image: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        background: Int64[Tensor, " b"],
    ) -> Float[Tensor, "b 3 h w"]:
        """What was made where the mask says so, in front of the background."""
        as_trained = (background == BACKGROUNDS.index("training"))[:, None, None, None]
        behind = torch.where(as_trained, self.generator.stages[-1].image, image)
        return (1 - mask) * behind + mask * made


class ConSinGAN(Model[Config]):
    """A growing generator that has learned one image."""

    name = "consingan"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = Generator(config)

    @property
    def networks(self) -> Mapping[str, Generator]:
        """The generator."""
        return {GENERATOR: self.generator}

    def operations(self) -> tuple[Operation, ...]:
        """Those of its mode."""
        return wiring.operations(self.config)

    def graphs(self) -> Mapping[str, Graph]:
        """What the operations of its mode call."""
        return {INJECTION: self._injection()} if self.config.injects else {PYRAMID: self._pyramid()}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Three stages of two layers, at most 28 pixels; with fewer channels the critic may not reach a kink at all."""
        small = {"height": 24, "width": 28, "stages": 3, "coarsest": 12, "channels": 16, "layers": 2}
        return config.model_copy(update=small)

    def _pyramid(self) -> Graph:
        batch = Axis("batch", 2)
        inputs = [GraphInput(name, (batch,), values="uniform") for name in (wiring.START_SCALE, wiring.ANCHOR)]
        inputs += [self._noise(number, batch) for number in range(self.config.stages)]
        return Graph(Pyramid(self.generator), tuple(inputs), ("image",), images=frozenset({"image"}))

    def _noise(self, number: int, batch: Axis) -> GraphInput:
        """A noise map of any size at which its stage is not smaller than the critic's patch."""
        channels, height, width = self.config.noise_shape(number)
        least = self.config.patch + (self.config.border if number else 0)
        sides = (Axis(f"height_{number}", height, minimum=least), Axis(f"width_{number}", width, minimum=least))
        return GraphInput(noise_name(number), (batch, channels, *sides), values="normal")

    def _injection(self) -> Graph:
        batch, config = Axis("batch", 2), self.config
        size = (config.height, config.width)
        inputs = [
            GraphInput("image", (batch, IMAGE_CHANNELS, *size), values="image"),
            GraphInput(COARSE, (batch, IMAGE_CHANNELS, *config.sizes[0]), values="image"),
            GraphInput("mask", (batch, 1, *size), values="uniform"),
            GraphInput("background", (batch,), values="index", count=len(BACKGROUNDS)),
        ]
        if config.mode == "editing":
            inputs.append(GraphInput(noise_name(0), (batch, *config.noise_shape(0)), values="normal"))
        outputs = ("blended", "unblended")
        return Graph(Injection(self.generator), tuple(inputs), outputs, images=frozenset(outputs))
