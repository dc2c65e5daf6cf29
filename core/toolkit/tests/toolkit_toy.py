"""A whole plugin of toy size, with everything that makes resuming hard.

Batch statistics, spectral norms (a buffer that every pass moves), dropout, a phase that uses the shared graph before
another one does, a lazy phase, a hook after a phase, a schedule, a moving average, two stages.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import PositiveInt
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim import SGD, Adam

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.interfaces.cards import ModelCard
from i2i_registry.interfaces.data import DataLayout, Tensors
from i2i_registry.interfaces.graphs import Graph
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.trainer import AnyTrainer, Decay, Losses, Phase, Stage, Step, Trainer
from i2i_registry.plugins.discovery import Registry, build_registry
from i2i_registry.plugins.hooks import hookimpl
from i2i_registry.weights.store import Store
from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.image.resizing import BILINEAR, SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation
from i2i_toolkit import Preparation, UnpairedLayout, l1, least_squares, logistic, plugin, write_unpaired_example

SIZE = 8
KILL = "TOY_KILL"
"""Environment variable "<step>/<phase>/<signal>": the process sends itself that signal there, once."""

STATES = "TOY_STATES"
"""Environment variable: a folder to which every process writes its parameters."""


class Config(Record):
    """The toy's only size."""

    channels: PositiveInt = 4


class Options(Record):
    """How the toy is trained."""

    steps: PositiveInt = 4
    batch_size: PositiveInt = 2
    poison_step: int = 0
    """the step in which a loss is not a number"""


class Painter(nn.Sequential):
    """Batch norm, dropout, and a spectral norm, whose estimate every pass moves and every output depends on."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.Dropout(0.3),
            spectral_norm(nn.Conv2d(channels, 3, 3, padding=1)),
            nn.Tanh(),
        )


class Toy(Model[Config]):
    """Images in, images out."""

    name = "toy"
    Config = Config
    presets: ClassVar[Mapping[str, Record]] = {"small": Config(), "wide": Config(channels=6)}

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._networks = {"painter": Painter(config.channels)}

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return self._networks

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                name="translate",
                inputs=(ImageInput(name="image", size=SizeRule(height=SIZE, width=SIZE)),),
                outputs=(ImageOutput(name="image"),),
                steps=(GraphCall(graph="painter", inputs={"input": "image"}, outputs={"image": "image"}),),
            ),
        )

    def graphs(self) -> Mapping[str, Graph]:
        return {"painter": Graph(self._networks["painter"], ("image",))}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        return config


class Painted(NamedTuple):
    """What the phases of "paint" share."""

    fake: Tensor


class ToyTrainer(Trainer[Toy, Options]):
    """Stage "draft" has one phase and hands over to "paint", which has three."""

    Options = Options
    Layout = UnpairedLayout

    def __init__(self, model: Toy, options: Options) -> None:
        super().__init__(model, options)
        self.painter = model.networks["painter"]
        self.critic = nn.Sequential(spectral_norm(nn.Conv2d(3, 4, 3, stride=2)), nn.Flatten(), nn.Linear(36, 1))
        self.tint = nn.Conv2d(3, 3, 1)
        self.begun = 0

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"critic": self.critic, "tint": self.tint}

    @property
    def ema(self) -> Mapping[str, Decay]:
        return {"painter": 0.9}

    @property
    def layout(self) -> DataLayout:
        return UnpairedLayout(Preparation("resize_and_crop", SIZE + 2, SIZE, BILINEAR))

    def stages(self) -> Sequence[Stage[Any]]:
        momentum = SGD(self.painter.parameters(), lr=0.05, momentum=0.9)
        draft = Phase[None](name="draft", optimizer=momentum, losses=self.draft)
        critic = Phase(name="critic", optimizer=Adam(self.critic.parameters(), lr=1e-2), losses=self.critic_losses)
        tint = Phase(name="tint", optimizer=Adam(self.tint.parameters(), lr=1e-2), losses=self.tint_losses, every=2)
        painter = Phase(
            name="painter",
            optimizer=Adam(self.painter.parameters(), lr=1e-2, betas=(0.5, 0.99)),
            losses=self.painter_losses,
            learning_rate=lambda step: 1.0 / step,
            after=self._clamp,
        )
        size, steps = self.options.batch_size, self.options.steps
        return [
            Stage(name="draft", steps=1, batch_size=size, phases=(draft,)),
            Stage(
                name="paint",
                steps=steps,
                batch_size=size,
                phases=(critic, tint, painter),
                shared=self.paintings,
                begin=self._begin,
            ),
        ]

    def draft(self, step: Step[None]) -> Losses:
        return {"copy": l1(self.painter(step.batch["A"]), step.batch["A"])}

    def paintings(self, step: Step[None]) -> Painted:
        return Painted(self.painter(step.batch["A"]))

    def critic_losses(self, step: Step[Painted]) -> Losses:
        signal_here(step, "critic")
        noise = torch.randn_like(step.batch["A"])
        fake = self.critic(step.shared.fake.detach() + 0.1 * noise)
        return {"real": least_squares(self.critic(step.batch["B"]), 1.0), "fake": least_squares(fake, 0.0)}

    def tint_losses(self, step: Step[Painted]) -> Losses:
        signal_here(step, "tint")
        noise = torch.randn_like(step.batch["A"])
        return {"tint": l1(self.tint(step.shared.fake) + 0.1 * noise, step.batch["B"])}

    def painter_losses(self, step: Step[Painted]) -> Losses:
        signal_here(step, "painter")
        judged = self.critic(self.tint(step.shared.fake))
        bad = float("nan") if step.number == self.options.poison_step else 1.0
        return {"judged": bad * logistic(judged, 1.0), "copy": l1(step.shared.fake, step.batch["A"])}

    def preview(self, batch: Tensors) -> Tensors:
        return {"photo": batch["A"], "painting": self.painter(batch["A"])}

    @torch.no_grad()
    def _clamp(self) -> None:
        _leave_parameters(self.all_networks)
        for parameter in self.painter.parameters():
            parameter.clamp_(-0.5, 0.5)

    @torch.no_grad()
    def _begin(self, _batch: Tensors) -> None:
        self.begun += 1
        self.tint.weight.add_(torch.rand_like(self.tint.weight))


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    return (
        ModelCard(
            name="toy",
            summary="a toy",
            paper=Paper(title="A toy", authors="nobody", year=2024),
            licence=Licence(spdx="Apache-2.0"),
            operations=("translate",),
            presets=("small", "wide"),
            model="toolkit_toy:Toy",
            trainer="toolkit_toy:ToyTrainer",
        ),
    )


class _Hooks:
    i2i_models = staticmethod(i2i_models)


def toy_registry() -> Registry:
    """The toy and the command `train`, and nothing else that may be installed."""
    return build_registry([("toy", _Hooks), ("toolkit", plugin)])


def make_trainer(options: Options, config: Config | None = None) -> AnyTrainer:
    """The toy's trainer with fresh networks."""
    registry = toy_registry()
    return registry.trainer_class("toy")(registry.model_class("toy")(config or Config()), options)


def write_data(root: Path) -> None:
    """A data set for the toy."""
    write_unpaired_example(root, size=12, count=3)


def run_and_exit(arguments: Sequence[str], store: Path, kill: str = "") -> None:
    """Run `i2i-registry` in this process and exit with its code; the target of the processes that tests start."""
    os.environ[KILL] = kill
    raise SystemExit(run_program(arguments, Session(toy_registry(), Store(store))))


def signal_here(step: Step[Any], phase: str) -> None:
    """Send this process the signal that the environment asks for at this place."""
    number, _, rest = os.environ.get(KILL, "").partition("/")
    name, _, what = rest.partition("/")
    if number == str(step.number) and name == phase:
        os.environ[KILL] = ""
        os.kill(os.getpid(), signal.Signals[what])


def _leave_parameters(networks: Mapping[str, nn.Module]) -> None:
    """Where the environment asks for it, write what this process's parameters are, to be compared with the others'."""
    folder = os.environ.get(STATES)
    if folder:
        parameters = {f"{n}.{key}": p.detach() for n, net in networks.items() for key, p in net.named_parameters()}
        save_file(parameters, Path(folder) / f"rank-{os.environ['RANK']}.safetensors")


def state_of(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """All tensors of some networks, by name."""
    return {f"{name}.{key}": t for name, network in networks.items() for key, t in network.state_dict().items()}
