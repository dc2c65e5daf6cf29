"""The toy plugin, broken in one way at a time. Each class says in its first line what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, cast

import torch
from i2i_plugin_toy import tint
from i2i_plugin_toy.tint import Colours, Tint, TintTrainer
from torch import Tensor, nn

from i2i_registry.interfaces.data import DataSource, Tensors
from i2i_registry.interfaces.graphs import Graph
from i2i_registry.interfaces.official import (
    Clues,
    Findings,
    InferredConfig,
    NameTable,
    OfficialFile,
    OfficialFormat,
    TensorShapes,
)
from i2i_registry.interfaces.trainer import Losses, Phase, Stage, Step
from i2i_runtime.attribution import Licence
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.noise import NoiseInput
from i2i_runtime.kinds.scalar import ScalarInput
from i2i_runtime.kinds.size import SizeInput
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation, Walk
from i2i_toolkit import PairedLayout, UnpairedLayout


class DeadField(Tint):
    """`Config.unused` does nothing."""

    class Config(tint.Config):
        unused: int = 3

    presets = MappingProxyType({"default": Config()})


class ManyPresets(Tint):
    """Nothing is wrong: `large` is `default` when shrunk, `noted` computes the same, `wide` does not."""

    class Config(tint.Config):
        note: str = ""

    presets = MappingProxyType(
        {
            "default": Config(),
            "large": Config(image_size=128),
            "noted": Config(note="for a calmer training"),
            "wide": Config(reach=2),
        }
    )


class Unshrinkable(ManyPresets):
    """`shrunk` fails."""

    @classmethod
    def shrunk(cls, config: tint.Config) -> tint.Config:
        raise ZeroDivisionError(config)


class Other(Tint):
    """A toy with another network."""

    network: ClassVar[type[Colours]] = Colours

    def __init__(self, config: tint.Config) -> None:
        super().__init__(config)
        self.colours = self.network(config.reach)


class WithSpare(Colours):
    """`spare` takes part in nothing; `muted` only in a product with zero."""

    def __init__(self, reach: int) -> None:
        super().__init__(reach)
        self.spare = nn.Parameter(torch.ones(3))
        self.muted = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) + 0 * self.muted


class NoGradient(Other):
    """Two parameters that no gradient can reach."""

    network = WithSpare


class Frozen(Colours):
    """Reshapes to the size it was traced at."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image).reshape(-1, 3, 8, 8)


class FrozenAxis(Other):
    """Declares free sides, and takes images of 8 pixels only."""

    network = Frozen


class OtherRange(Tint):
    """Its operation feeds [0, 1], its graph is measured in [-1, 1]."""

    def operations(self) -> tuple[Operation, ...]:
        (operation,) = super().operations()
        inputs = tuple(value.model_copy(update={"value_range": (0.0, 1.0)}) for value in operation.inputs)
        return (operation.model_copy(update={"inputs": inputs}),)


class Uneven(Tint):
    """Promises sides that are multiples of 4, and a Config that takes any."""

    def operations(self) -> tuple[Operation, ...]:
        (translate,) = super().operations()
        (image,) = translate.inputs
        assert isinstance(image, ImageInput)
        size = SizeRule.model_validate({**image.size.model_dump(), "multiple": 4})
        return (translate.model_copy(update={"inputs": (image.model_copy(update={"size": size}),)}),)


class Noisy(Colours):
    """Draws inside the network."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image + torch.randn_like(image))


class NoisyGraph(Other):
    """Gives another image at every call."""

    network = Noisy


class Mirroring(Colours):
    """Mirrors two pixels at each border, which an image of one or two pixels does not have."""

    def __init__(self, reach: int) -> None:
        super().__init__(reach)
        self.mix = nn.Conv2d(3, 3, 5, padding=2, padding_mode="reflect")


class UntrueMinimum(Other):
    """Says that it takes images of one pixel."""

    network = Mirroring


class Mingling(Colours):
    """Subtracts the mean image of the batch."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image - image.mean(0, keepdim=True))


class BatchStatistics(Other):
    """Lets an image depend on the others in its batch."""

    network = Mingling


class Styled(nn.Module):
    """Adds a random colour, `strength` times."""

    def __init__(self, colours: Colours, strength: float) -> None:
        super().__init__()
        self.colours = colours
        self.strength = strength

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        return torch.tanh(self.colours(image) + self.strength * style[:, :, None, None])


class Drawn(Tint):
    """Nothing is wrong with it: it takes a random vector, and uses it."""

    strength: ClassVar[float] = 1.0

    def graphs(self) -> Mapping[str, Graph]:
        graph = super().graphs()["tint"]
        return {"tint": replace(graph, module=Styled(self.colours, self.strength))}

    def operations(self) -> tuple[Operation, ...]:
        (operation,) = super().operations()
        style = LatentInput(name="style", summary="a random colour", shape=(3,))
        step = operation.steps[0].model_copy(update={"inputs": {"image": "image", "style": "style"}})
        return (operation.model_copy(update={"inputs": (*operation.inputs, style), "steps": (step,)}),)


class DeadLatent(Drawn):
    """Takes a random vector, and ignores it."""

    strength: ClassVar[float] = 0.0


class FromNoise(nn.Module):
    """Tints a map of noise, which a stored map of one grey is added to."""

    def __init__(self, colours: Colours, strength: float) -> None:
        super().__init__()
        self.colours = colours
        self.strength = strength

    def forward(self, noise: Tensor, anchor: Tensor) -> Tensor:
        return self.colours(self.strength * noise + anchor[:, None, None, None])


class Wandering(Tint):
    """Nothing is wrong with it: it makes images of any size from noise, and animations of a walk."""

    strength: ClassVar[float] = 1.0

    def graphs(self) -> Mapping[str, Graph]:
        return {"tint": Graph(FromNoise(self.colours, self.strength), outputs=("tinted",))}

    def operations(self) -> tuple[Operation, ...]:
        side = self.config.image_size
        size = SizeInput(height=side, width=side, minimum_height=3, minimum_width=4)
        maps = [NoiseInput(name="noise", channels=3, height=side, width=side, default=d) for d in ("normal", "zeros")]
        numbers = [ScalarInput(name=name, default=0.5, minimum=0, maximum=1) for name in ("anchor", "pull", "inertia")]
        draw = GraphCall(
            graph="tint", inputs={"noise": "noise"}, constants={"anchor": 0.0}, outputs={"tinted": "image"}
        )
        move = GraphCall(graph="tint", inputs={"noise": "noise", "anchor": "anchor"}, outputs={"tinted": "image"})
        walk = Walk(anchor="anchor", pull="pull", inertia="inertia", first=0.05)
        image = (ImageOutput(name="image"),)
        return (
            Operation(name="sample", inputs=(size, maps[0]), outputs=image, steps=(draw,)),
            Operation(name="animate", inputs=(maps[1], *numbers), outputs=image, steps=(move,), walk=walk),
        )


class StandingStill(Wandering):
    """Ignores the maps, so that every seed gives the same animation."""

    strength: ClassVar[float] = 0.0


class HastyPreset(TintTrainer):
    """Nothing is wrong: `large` is trained otherwise than `default`, and has its Config when shrunk."""

    presets = MappingProxyType({"large": tint.Options(learning_rate=0.5)})


class FailingTrainer(TintTrainer):
    """Its phase raises."""

    def stages(self) -> Sequence[Stage[None]]:
        (stage,) = super().stages()
        return [replace(stage, phases=tuple(replace(phase, losses=self.fail) for phase in stage.phases))]

    def fail(self, step: Step[None]) -> Losses:
        raise ValueError(f"step {step.number} fails")


class DeadOption(TintTrainer):
    """`Options.unused_weight` does nothing."""

    class Options(tint.Options):
        unused_weight: float = 1.0


class SharedName(TintTrainer):
    """`image_size` is in Config as well."""

    class Options(tint.Options):
        image_size: int = 64


class SharedNetwork(TintTrainer):
    """A network has the name of the model's."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"colours": nn.Linear(1, 1)}


class Rerolled:
    """Draws from a generator that goes on from sample to sample."""

    def __init__(self, source: DataSource) -> None:
        self.source = source
        self.generator = torch.Generator().manual_seed(0)

    def draw(self, position: int) -> Tensors:
        noise = torch.rand(1, generator=self.generator)
        return {name: (tensor + noise).clamp(-1, 1) for name, tensor in self.source.draw(position).items()}

    def preview(self, count: int) -> Tensors:
        return self.source.preview(count)

    def describe(self) -> Mapping[str, int]:
        return self.source.describe()


class RerolledLayout(UnpairedLayout):
    """Opens images that cannot be drawn again."""

    def open(self, root: Path, seed: int) -> DataSource:
        return Rerolled(super().open(root, seed))


class UnrepeatableData(TintTrainer):
    """Its samples depend on how many were drawn before."""

    @property
    def layout(self) -> UnpairedLayout:
        return RerolledLayout(super().layout.preparation)


class Shifted:
    """Images in [0, 1]."""

    def __init__(self, source: DataSource) -> None:
        self.source = source

    def draw(self, position: int) -> Tensors:
        return {name: (tensor + 1) / 2 for name, tensor in self.source.draw(position).items()}

    def preview(self, count: int) -> Tensors:
        return {name: (tensor + 1) / 2 for name, tensor in self.source.preview(count).items()}

    def describe(self) -> Mapping[str, int]:
        return self.source.describe()


class ShiftedLayout(UnpairedLayout):
    """Opens images in [0, 1]."""

    def open(self, root: Path, seed: int) -> DataSource:
        return Shifted(super().open(root, seed))


class OtherTrainingRange(TintTrainer):
    """Trains on [0, 1] what is fed [-1, 1] later."""

    @property
    def layout(self) -> UnpairedLayout:
        return ShiftedLayout(super().layout.preparation)


class LateLayout(UnpairedLayout):
    """Looks at the folder when the first sample is drawn."""

    def open(self, root: Path, seed: int) -> DataSource:
        return Shifted(cast("DataSource", (root, seed)))


class MisnamedLayout(TintTrainer):
    """Its class names one layout and the trainer another."""

    Layout = PairedLayout


class LateLayoutError(TintTrainer):
    """Accepts any folder."""

    @property
    def layout(self) -> UnpairedLayout:
        return LateLayout(super().layout.preparation)


class ForgetfulTrainer(TintTrainer):
    """Counts its steps in an attribute, which dies with the process."""

    count = 0

    def losses(self, step: Step[None]) -> Losses:
        self.count += 1
        return {name: self.count * loss for name, loss in super().losses(step).items()}


class Sluggish(TintTrainer):
    """A schedule in epochs of a thousand steps, of which a short training has none: the rate is 0 from step 1."""

    def stages(self) -> Sequence[Stage[None]]:
        (stage,) = super().stages()
        (phase,) = stage.phases

        def rate(_step: int) -> float:
            return min(stage.steps // 1000, 1.0)

        return [replace(stage, phases=(replace(phase, learning_rate=rate),))]


class Lazy(nn.Module):
    """A layer that is made when it is first used, as official code likes to: after the optimizers."""

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "layer"):
            self.layer = nn.Conv2d(x.shape[1], 1, 1)
        return self.layer(x)


class GrowingTrainer(TintTrainer):
    """Has a network whose parameters come into being while it trains."""

    def __init__(self, model: Tint, options: tint.Options) -> None:
        super().__init__(model, options)
        self.head = Lazy()

    def losses(self, step: Step[None]) -> Losses:
        return {**super().losses(step), "head": self.head(self.model.colours(step.batch["A"])).square().mean()}


class MisnamedOptions(TintTrainer):
    """Has Options for a preset that the model lacks, by a slip of the pen."""

    presets: ClassVar[Mapping[str, Record]] = {"tinnt": tint.Options(spread_weight=2.0)}


class NeverRuns(TintTrainer):
    """A phase that waits for step 16 in a training of two."""

    def stages(self) -> Sequence[Stage[None]]:
        (stage,) = super().stages()
        (phase,) = stage.phases
        lazy = Phase(name="lazy", optimizer=phase.optimizer, losses=phase.losses, every=16)
        return [replace(stage, phases=(phase, lazy))]


class ReleaseOfToy(OfficialFormat[tint.Config]):
    """What an official checkpoint of the toy would look like; nothing is wrong with it."""

    source: ClassVar[str] = "nobody/tint"
    licence: ClassVar[Licence] = Licence(spdx="MIT")
    left_out: ClassVar[Sequence[tuple[str, str]]] = ((r"head\.weight", "training only"),)

    def detect(self, shapes: TensorShapes) -> bool:
        return "net.bias" in shapes

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[tint.Config]:
        kernel = shapes["net.weight"][-1] if "net.weight" in shapes else 3
        findings = Findings(clues)
        size = findings.settle("image_size", (), 8)
        return findings.inferred(tint.Config(image_size=size, reach=kernel // 2))

    def table(self, config: tint.Config) -> NameTable:
        del config
        return {"net": "colours.mix"}

    def files(self, config: tint.Config) -> Sequence[OfficialFile]:
        del config
        return (OfficialFile("tint.pth"),)


class GreedyFormat(ReleaseOfToy):
    """Its last line leaves out whatever it does not know."""

    left_out: ClassVar[Sequence[tuple[str, str]]] = ((r"surprise.+", "whatever it is"),)


class VainFormat(ReleaseOfToy):
    """Takes every file for its own."""

    def detect(self, shapes: TensorShapes) -> bool:
        return len(shapes) >= 0


class FixedSize(ReleaseOfToy):
    """Infers the same Config from every checkpoint."""

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[tint.Config]:
        return Findings(clues).inferred(tint.Config(reach=5 if shapes else 0))


class Forgetful(ReleaseOfToy):
    """Has no name for the bias."""

    def table(self, config: tint.Config) -> NameTable:
        del config
        return {"net.weight": "colours.mix.weight"}


class Lossy(ReleaseOfToy):
    """Writes something else than the weights."""

    def complete(self, tensors: dict[str, Tensor], config: tint.Config) -> dict[str, Tensor]:
        del config
        return {name: tensor + 1 for name, tensor in tensors.items()}


RIGHT, GREEDY, VAIN, FIXED = ReleaseOfToy(), GreedyFormat(), VainFormat(), FixedSize()
FORGETFUL, LOSSY = Forgetful(), Lossy()


class Tinged(Colours):
    """Adds a colour that is drawn at the start and kept where no weights file looks."""

    def __init__(self, reach: int) -> None:
        super().__init__(reach)
        self.tinge = torch.rand(3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) + self.tinge


class Secretive(Other):
    """Part of what it computes with is in no state dict."""

    network = Tinged
