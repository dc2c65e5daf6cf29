"""A paper of one convolution, with an official format of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import PositiveFloat, PositiveInt, TypeAdapter
from torch import nn

from i2i_registry.errors import CheckpointError
from i2i_registry.interfaces.graphs import Graph
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.official import (
    Clues,
    Findings,
    InferredConfig,
    NameTable,
    OfficialFile,
    OfficialFormat,
    TensorShapes,
)
from i2i_runtime.attribution import Licence
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation


class ToyConfig(Record):
    width: PositiveInt = 3
    domains: tuple[str, str] = ("photo", "drawing")
    slope: PositiveFloat = 0.2


class ToyFormat(OfficialFormat[ToyConfig]):
    source: ClassVar[str] = "nobody/toy"
    licence: ClassVar[Licence] = Licence(spdx="CC-BY-NC-4.0", non_commercial=True)
    option_files: ClassVar[tuple[str, ...]] = ("train_opt.txt", "opt.txt")
    left_out: ClassVar[Sequence[tuple[str, str]]] = ((r"D\..+", "the discriminator is for training only"),)

    def detect(self, shapes: TensorShapes) -> bool:
        return "G.conv.weight" in shapes

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[ToyConfig]:
        width = shapes["G.conv.weight"][0]
        if shapes["G.conv.weight"][1] != 3:
            raise CheckpointError("a convolution that takes no image")
        clues = clues.believed({"ngf": (width,)})
        findings = Findings(clues)
        slope = findings.settle("slope", clues.option("slope", TypeAdapter(PositiveFloat)), 0.2)
        return findings.inferred(ToyConfig(width=width, slope=slope))

    def table(self, config: ToyConfig) -> NameTable:
        del config
        return {"G": "net"}

    def files(self, config: ToyConfig) -> Sequence[OfficialFile]:
        del config
        return (OfficialFile("toy.pth", form="networks"),)


TOY_FORMAT = ToyFormat()


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 1)


class Toy(Model[ToyConfig]):
    name: ClassVar[str] = "toy"
    Config: ClassVar[type[Record]] = ToyConfig
    presets: ClassVar[Mapping[str, Record]] = {"default": ToyConfig()}

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.net = Net(config.width)

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                name="translate",
                inputs=(ImageInput(name="image", size=SizeRule(height=8, width=8)),),
                outputs=(ImageOutput(name="image"),),
                steps=(GraphCall(graph="net", inputs={"input": "image"}, outputs={"image": "image"}),),
            ),
        )

    def graphs(self) -> Mapping[str, Graph]:
        return {"net": Graph(self.net.conv, ("image",))}

    @classmethod
    def shrunk(cls, config: ToyConfig) -> ToyConfig:
        return config
