"""The trainer trains: data, steps, gradients, and options that all matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue

from i2i_conformance.alternatives import variants
from i2i_conformance.building import state
from i2i_conformance.cases import ModelCase, PresetCase
from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_conformance.training import Recipe, Training, two_steps
from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataSource, Tensors
from i2i_registry.interfaces.trainer import AnyTrainer, Decay, Stage
from i2i_runtime.errors import I2IError, nearest
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.records import Record
from i2i_toolkit.data.recognition import recognise

LONGEST_SHRUNK = 64
"""steps of a shrunk training, all stages together"""

FEW_STEPS = 10
"""of a first try with the options that a user gets"""

POSITIONS = range(16)
"""samples that are looked at"""


@promised("Trainer.networks")
def check_builds_in_full(case: PresetCase) -> None:
    """The trainer builds networks of its own at the paper's size, on torch's meta device."""
    trainer_class = case.model.trainer_class
    if trainer_class is None:
        return
    model = case.build_on_meta()
    with torch.device("meta"):
        networks = trainer_class(model, trainer_class.Options()).networks
    shared = sorted(networks.keys() & model.networks.keys())
    if shared:
        raise ConformanceError(
            found=f"the trainer and the model have a network {shared[0]!r} each",
            expected="Trainer.networks without the model's, which are trained and saved anyway",
            fix=f"leave {shared[0]!r} out of Trainer.networks, or give it another name",
        )


@promised("Trainer.stages")
def check_a_short_training_learns(case: PresetCase) -> None:
    """With the preset's own options, every phase has a rate above 0 in each of ten steps but the last."""
    trainer_class = case.model.trainer_class
    if trainer_class is None:
        return
    options = trainer_class.presets.get(case.preset, trainer_class.Options())
    short = _of_few_steps(case, options)
    for stage in short:
        for phase in stage.phases:
            rates = [phase.learning_rate(step) for step in range(1, stage.steps + 1)]
            # The last step of a schedule may lie where its line meets 0, as in the releases.
            if not all(math.isfinite(rate) and rate >= 0 for rate in rates) or not all(rates[:-1] or rates):
                raise ConformanceError(
                    found=f"the rates of phase {phase.name!r} in a training of {FEW_STEPS} steps are {rates}",
                    expected="rates above 0: nothing is learned otherwise",
                    fix="let the schedule follow the number of steps, as i2i_toolkit.LinearDecay does",
                )


def _of_few_steps(case: PresetCase, options: Record) -> Sequence[Stage[Any]]:
    """The stages of the preset in full, with no memory behind them, when the number of steps alone is small."""
    kind, model = type(options), case.build_on_meta()
    trainer_class = case.model.trainer_class
    assert trainer_class is not None
    for field, value in options:
        if "steps" not in field or not isinstance(value, int):
            continue
        few = kind.model_validate({**options.model_dump(), field: FEW_STEPS})
        with torch.device("meta"):
            stages = trainer_class(model, few).stages()
        if all(stage.steps <= FEW_STEPS for stage in stages):
            return stages
    raise ConformanceError(
        found=f"no field of {kind.__name__} decides the number of steps",
        expected='one whose name has "steps" in it, as `i2i-registry train --steps` sets',
    )


@promised("Trainer.shrunk")
def check_trains(recipe: Recipe, training: Training) -> None:
    """The shrunk training has at least two steps, runs every phase, and moves what each phase owns."""
    stages = recipe.build_trainer().stages()
    steps = sum(stage.steps for stage in stages)
    if not 2 <= steps <= LONGEST_SHRUNK:
        raise ConformanceError(
            found=f"the shrunk training has {steps} steps",
            expected=f"2 to {LONGEST_SHRUNK}",
            fix="change the number of steps in Trainer.shrunk()",
        )
    for stage in stages:
        for phase in stage.phases:
            if (stage.name, phase.name) not in training.phases:
                raise ConformanceError(
                    found=f"phase {phase.name!r} runs every {phase.every} steps, and stage {stage.name!r} has "
                    f"{stage.steps} when shrunk",
                    expected="every phase to run at least once",
                    fix=f"keep {phase.every} steps or more in Trainer.shrunk()",
                )
    still = [name for name in sorted(training.owned) if torch.equal(training.start[name], training.end[name])]
    if still:
        raise ConformanceError(
            found=f"{still[0]} (and {len(still) - 1} more) is as before after {steps} steps",
            expected="every parameter that an optimizer holds to move",
            fix="look at the learning rates of the shrunk schedule, and at the gradients",
        )


@promised("Trainer.networks")
def check_networks_do_not_grow(training: Training) -> None:
    """Networks have the tensors from the beginning that they have at the end: what grows later is in no optimizer."""
    grown = sorted(training.end.keys() - training.start.keys())
    if grown:
        raise ConformanceError(
            found=f"{grown[0]} (and {len(grown) - 1} more) came into being while it was trained",
            expected="every parameter and buffer to be there when Trainer.stages() makes the optimizers",
            fix="build layers in __init__, with their sizes from the Config; a lazy layer is learned by nobody, and a "
            "run that is resumed has no place for it",
        )


@promised("Trainer.presets")
def check_presets(case: ModelCase) -> None:
    """Options are named after presets of the model; those of another name would be nobody's."""
    trainer_class, presets = case.trainer_class, case.model_class.presets
    for name in trainer_class.presets if trainer_class else ():
        if name not in presets:
            raise ConformanceError(
                found=f"Trainer.presets has Options for {name!r}; the model has {', '.join(presets)}",
                expected=nearest(name, presets),
                fix="name them as Model.presets does",
            )


@promised("Trainer.stages")
def check_gradients(training: Training) -> None:
    """Every parameter that wants a gradient gets one that is not zero, in some phase that owns it."""
    problems: list[str] = []
    for name, largest in training.gradients.items():
        if name not in training.owned:
            problems.append(f"{name} is held by no phase's optimizer")
        elif largest is None:
            problems.append(f"{name} got no gradient in any phase: no loss depends on it")
        elif largest == 0.0:
            problems.append(f"{name} got a gradient of exactly zero in every phase")
    if problems:
        more = f"\n... and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ConformanceError(
            found="\n".join(problems[:10]) + more,
            expected="a gradient for every parameter with requires_grad",
            fix="use the parameter in forward(), give it to an optimizer, add the loss it belongs to, or freeze it "
            "with requires_grad_(False); a detach() or no_grad() in the wrong place looks like this too",
        )


@promised("DataSource")
def check_dataset(trainer: AnyTrainer, root: Path) -> None:
    """A sample is a function of its position and the seed; previews are batches."""
    source, again = trainer.layout.open(root, 0), trainer.layout.open(root, 0)
    for position in reversed(POSITIONS):
        first = source.draw(position)
        if not _same(first, source.draw(position)) or not _same(first, again.draw(position)):
            raise ConformanceError(
                found=f"sample {position} differs when it is drawn again",
                expected="a pure function of seed and position, or a resumed run cannot be exact",
                fix="seed a generator of its own from (seed, position) in draw(); i2i_toolkit.data does so",
            )
    count = len(next(iter(source.preview(2).values())))
    wrong = [name for name, tensor in source.preview(2).items() if len(tensor) != count]
    if wrong or count < 1:
        raise ConformanceError(
            found=f"preview(2) gives {count} rows, and another number for {wrong}",
            expected="a batch with one row per sample",
            fix="stack the samples",
        )
    if not source.describe():
        raise ConformanceError("describe() says nothing", expected="how many images were found in which part")


@promised("Trainer.Layout")
def check_refuses_wrong_folder(trainer: AnyTrainer, empty: Path) -> None:
    """An empty folder is a LayoutError that says what belongs there."""
    for root in (empty, empty / "missing"):
        try:
            trainer.layout.open(root, 0)
        except LayoutError as error:
            if error.expected and error.fix:
                continue
            raise ConformanceError(
                found=f"the LayoutError for {root} has no `expected` or no `fix`: {error}",
                expected="what belongs in the folder, and what to do",
            ) from error
        raise ConformanceError(
            found=f"layout.open({str(root)!r}) accepts a folder that is {'empty' if root.exists() else 'not there'}",
            expected="a LayoutError when the data set is made, not when the first sample is drawn",
            fix="look at the folder in open()",
        )


@promised("Trainer.Layout")
def check_layout(trainer: AnyTrainer, root: Path) -> None:
    """The trainer's class names the layout that its example data have, and they have no other."""
    named, used = type(trainer).Layout, type(trainer.layout)
    if not issubclass(used, named):
        raise ConformanceError(
            found=f"Trainer.Layout is {named.__name__}, and the trainer's `layout` is a {used.__name__}",
            expected="the class and the trainer to name one layout: by the class, people with a wrong folder are told "
            "of the right models",
            fix=f"Layout = {used.__name__}",
        )
    others = sorted(layout.__name__ for layout in recognise(root) if not issubclass(named, layout))
    if others or not named.recognises(root):
        raise ConformanceError(
            found=f"{named.__name__} does {'' if named.recognises(root) else 'not '}recognise its own example"
            + (f", and {', '.join(others)} does" if others else ""),
            expected="an example of its own layout and of no other",
            fix="mend `recognises` or `write_example`",
        )


@promised("DataSource")
def check_images_share_a_range(trainer: AnyTrainer, source: DataSource) -> None:
    """Training sees images in the value range in which the operation is fed later."""
    images = [image for operation in trainer.model.operations() for image in operation.of(ImageInput)]
    if not images:
        return
    (low, high), channels = images[0].value_range, images[0].channels
    drawn = [tensor for position in POSITIONS for tensor in source.draw(position).values()]
    seen = [tensor for tensor in drawn if tensor.ndim == 3 and len(tensor) == channels and tensor.is_floating_point()]
    if not seen:
        return
    darkest, lightest = min(float(t.min()) for t in seen), max(float(t.max()) for t in seen)
    middle = (low + high) / 2
    if not (low <= darkest < middle < lightest <= high):
        raise ConformanceError(
            found=f"training images lie in [{darkest:.3g}, {lightest:.3g}]",
            expected=f"values on both sides of the middle of [{low:g}, {high:g}], in which the operation is fed",
            fix="normalise in the data set as the operation's value_range says",
        )


@promised("Trainer.preview")
def check_preview(trainer: AnyTrainer, source: DataSource) -> None:
    """Sample images are [n, c, h, w] in [-1, 1], one row per sample."""
    batch = source.preview(2)
    rows = len(next(iter(batch.values())))
    for network in trainer.all_networks.values():
        network.eval()
    with torch.no_grad():
        columns = trainer.preview(batch)
    if not columns:
        raise ConformanceError("preview() gives no image", expected="at least one column of the sample grid")
    for title, images in columns.items():
        shape = tuple(images.shape)
        if images.ndim != 4 or len(images) != rows:
            raise ConformanceError(f"preview column {title!r} has the shape {shape}", expected=f"[{rows}, c, h, w]")
        # Networks without a tanh at the end may leave the range a little; images are clipped when they are drawn.
        if not bool(images.isfinite().all()):
            raise ConformanceError(f"preview column {title!r} is not finite", expected="values in [-1, 1]")


@promised("Trainer.Options")
def check_every_option_matters(case: ModelCase, recipe: Recipe) -> None:
    """Changing any field of Options changes Config, networks, data, schedule, or the numbers of two steps."""
    trainer_class = case.trainer_class
    if trainer_class is None:
        return
    options = trainer_class.Options.model_validate_json(recipe.options)
    base = _Seen(recipe)
    two_steps(recipe)  # a training that fails would make every option look dead
    dead = [field for field in trainer_class.Options.model_fields if not _matters(base, options, field)]
    if dead:
        tried = {field: [getattr(v, field) for v in variants(options, field)] for field in dead}
        raise ConformanceError(
            found=f"Options of {case}: changing {', '.join(dead)} changes nothing (tried {tried})",
            expected="every option to change networks, data, schedule, losses or weights",
            fix="use it or delete it",
        )


@dataclass(frozen=True)
class _Seen:
    """Everything one training shows of itself, the cheap things first; looked at when needed."""

    recipe: Recipe

    @cached_property
    def trainer(self) -> AnyTrainer:
        return self.recipe.build_trainer()

    @cached_property
    def config(self) -> Record:
        """What a new run with these options would take from the data."""
        trainer = self.trainer
        return type(trainer).config_for(trainer.model.config, trainer.options, self.recipe.data)

    @cached_property
    def description(self) -> JsonValue:
        return description(self.trainer)

    @cached_property
    def samples(self) -> list[Tensors]:
        source = self.trainer.layout.open(self.recipe.data, 0)
        return [source.draw(position) for position in POSITIONS]

    @cached_property
    def numbers(self) -> tuple[list[Mapping[str, float]], Tensors]:
        return two_steps(self.recipe)

    def differs(self, other: _Seen) -> bool:
        if self.config != other.config or self.description != other.description:
            return True
        if not all(_same(one, two) for one, two in zip(self.samples, other.samples, strict=True)):
            return True
        return self.numbers[0] != other.numbers[0] or not _same(self.numbers[1], other.numbers[1])


def _matters(base: _Seen, options: Record, field: str) -> bool:
    for other in variants(options, field):
        try:
            if _Seen(base.recipe.with_options(other)).differs(base):
                return True
        except (I2IError, ValueError, RuntimeError):
            continue  # values that the trainer refuses say nothing about the field
    return False


def description(trainer: AnyTrainer) -> JsonValue:
    """What a training looks like from outside: networks, EMA, stages, phases, rates."""
    shapes: list[JsonValue] = [f"{name} {list(tensor.shape)}" for name, tensor in state(trainer.all_networks).items()]
    decays: list[JsonValue] = [f"{name} {_first(decay)}" for name, decay in trainer.ema.items()]
    stages: list[JsonValue] = [line for stage in trainer.stages() for line in _stage_lines(stage)]
    return [shapes, decays, stages]


def _first(decay: Decay) -> list[float]:
    """The decays of the first steps."""
    return [decay(step) if callable(decay) else decay for step in range(1, FEW_STEPS + 1)]


def _stage_lines(stage: Stage[Any]) -> list[JsonValue]:
    lines: list[JsonValue] = [f"{stage.name} {stage.steps} {stage.batch_size} {stage.fresh_optimizers}"]
    for phase in stage.phases:
        groups = [{k: v for k, v in group.items() if k != "params"} for group in phase.optimizer.param_groups]
        rates = [phase.learning_rate(step) for step in range(1, stage.steps + 1)]
        lines.append(f"{phase.name} every {phase.every}: {groups} {rates}")
    return lines


def _same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())
