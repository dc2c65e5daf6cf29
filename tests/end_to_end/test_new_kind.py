"""A kind of input is one class: whoever handles inputs asks its interface, and never which kind it is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import cos, pi, sin
from pathlib import Path
from typing import Literal

import click
import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

import i2i_runtime as i2i
from i2i_exporter_onnx.bundle import finish, write_graph
from i2i_exporter_onnx.rehearsal import rehearse
from i2i_registry.cli.operating import options_for
from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.errors import OptionError
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.base import KINDS, CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.schema.manifest import Manifest, WeightsSource
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation
from i2i_runtime.schema.parity import Parity, ParityCase

GRAPH = """<ir_version: 10, opset_import: ["" : 20]>
shine (float[batch,3,height,width] x, float[batch,2] hour) => (float[batch,3,height,width] y)
    <int64[2] axes = {2, 3}, int64[1] first = {0}> {
    east = Gather <axis = 1> (hour, first)
    light = Unsqueeze (east, axes)
    y = Mul (x, light)
}"""


class HourInput(InputKind):
    """A time of the day, as a point of the circle that the hour hand of 24 hours goes round: float32 [n, 2]."""

    kind: Literal["hour"] = "hour"

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        del inputs
        return {self.name: Form((BATCH, 2), "uniform")}

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        given = gathering.given(self.name) or "00:00"
        return {self.name: ArrayColumn([self._hand(text) for text in gathering.one_each(self.name, given)])}

    def _hand(self, text: object) -> NDArray[np.float32]:
        hours, colon, minutes = str(text).partition(":")
        if not colon or not hours.isdigit() or not minutes.isdigit():
            raise OptionError(found=f"{self.name}={text!r}", expected="a time like 14:30")
        turned = (int(hours) + int(minutes) / 60) / 24 * 2 * pi
        return np.array([cos(turned), sin(turned)], dtype=np.float32)

    def command_options(self) -> tuple[CommandOption, ...]:
        return (CommandOption(self.name, "When.", "text", self.from_text, metavar="HH:MM"),)

    def from_text(self, text: str) -> Option:
        self._hand(text)
        return text

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        del images
        return ("00:00", "06:00")


HOUR = HourInput(name="hour")
SHINE = Operation(
    name="edit",
    inputs=(ImageInput(name="image", size=SizeRule(height=8, width=8, dynamic=True)), HOUR),
    outputs=(ImageOutput(name="image"),),
    steps=(GraphCall(graph="shine", inputs={"x": "image", "hour": "hour"}, outputs={"y": "image"}),),
)
RED = np.broadcast_to(np.array([255, 0, 0], dtype=np.uint8), (8, 8, 3))
CYAN = 255 - RED


@pytest.fixture(scope="module", autouse=True)
def _known_meanwhile() -> Iterator[None]:
    KINDS["hour"] = HourInput
    yield
    KINDS.pop("hour", None)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shine")
    licence = Licence(spdx="CC0-1.0")
    case = ParityCase(graph="shine", output="y", batch=1, inputs="noise", max_abs=0, relative=0)
    manifest = Manifest(
        name="shine",
        model="shine",
        paper=Paper(title="", authors="", year=2020),
        model_licence=licence,
        weights=WeightsSource(name="shine", sha256="0" * 64, licence=licence, provenance="written by hand"),
        config={},
        precision="fp32",
        opset=20,
        operations=(SHINE,),
        graphs={"shine": write_graph(ir.from_onnx_text(GRAPH), folder, "shine")},
        parity=Parity(tolerance=1e-4, relative=0, reference="itself", cases=(case,), versions={}),
        made_by={},
    )
    finish(folder, manifest)
    return folder


def test_a_manifest_with_it_is_read_again() -> None:
    assert Operation.model_validate_json(SHINE.model_dump_json()) == SHINE


def test_a_call_takes_it_for_all_items_or_for_each(bundle: Path) -> None:
    with i2i.load(bundle, device="cpu") as loaded:
        alone: object = loaded.edit(RED, hour="00:00")
        both: object = loaded.edit([RED, RED], hour=["00:00", "12:00"])
    assert np.array_equal(np.asarray(alone), RED)
    assert np.array_equal(np.asarray(both), [RED, CYAN])


def test_what_it_refuses_is_refused_in_a_call(bundle: Path) -> None:
    with i2i.load(bundle, device="cpu") as loaded, pytest.raises(OptionError, match="a time like 14:30"):
        loaded.edit(RED, hour="noon")


def test_the_command_line_offers_it() -> None:
    command = click.Command("edit", params=options_for(HOUR))
    assert command.make_context("edit", ["--hour", "12:00"]).params == {"input_hour": "12:00"}
    with pytest.raises(click.BadParameter, match="a time like"):
        command.make_context("edit", ["--hour", "noon"])


def test_the_exporter_rehearses_it(bundle: Path) -> None:
    told: list[str] = []
    rehearse(bundle, 1, told.append)
    assert told == ["edit: runs from end to end"]


def test_a_manifest_can_be_read_without_the_test_s_kind() -> None:
    code = f"from i2i_runtime import Operation; Operation.model_validate_json({SHINE.model_dump_json()!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "an input of the kind 'hour'; this version knows" in done.stderr
