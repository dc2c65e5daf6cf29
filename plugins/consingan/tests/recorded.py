"""How the recordings of the authors' release are computed with our code.

Four files: passes of two generators without norm, a harmonisation with batch norm, one training step, and the resize
with both rules for the pyramid. It is one long file because an adapter is found and loaded by its path, alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import torch
from pydantic import BaseModel
from tests.parity.stepping import RecordedBatch
from torch import Tensor, nn

from i2i_plugin_consingan.config import Config, Mode
from i2i_plugin_consingan.data import pyramid, scale_of
from i2i_plugin_consingan.model import GENERATOR, ConSinGAN, Injection, Pyramid
from i2i_plugin_consingan.networks import Critic, Generator, Norm
from i2i_plugin_consingan.official import CONSINGAN_FORMAT
from i2i_plugin_consingan.options import Options
from i2i_plugin_consingan.stage_training import StageTraining
from i2i_plugin_consingan.trainer import ConSinGANTrainer
from i2i_plugin_consingan.upsampling import enlarged
from i2i_plugin_consingan.wiring import BACKGROUNDS, MASK_BLUR, MASK_DILATION
from i2i_registry.importing import map_keys, rename
from i2i_runtime.masks import soften
from i2i_runtime.operations import NoiseInput
from i2i_runtime.sizing import Wanted, noise_shape
from i2i_toolkit.cubic import levels_of, resample_by, resample_to
from i2i_toolkit.devices import open_accelerator
from i2i_toolkit.engine import Engine
from i2i_toolkit.state import Cursor

if TYPE_CHECKING:
    from tests.parity.judging import Row
    from tests.parity.recording import Recording

    from i2i_registry.model import KeyMap, Model
    from i2i_registry.trainer import Phase, Tensors, Trainer
    from i2i_runtime.operations import Record

PAPER = "consingan"
SOURCE = "tohinz/ConSinGAN"

# Tolerances of the recordings' README; that of `after` (absolute 2e-5 with steps of up to 1.5e-3) as a share of the
# movement.
FORWARD = 1e-5
NORMALISED = 5e-5
RESIZE = 1e-5
STEP_LOSS = 1e-5
STEP_GRADIENT = 1e-4
STEP_AFTER = 1e-3
OPTIMIZER_ALONE = 1e-3
EXACT = 0.0

CRITIC_KEYS: KeyMap = (
    (r"head\.conv\.(.+)", r"layers.0.conv.\1"),
    *((rf"body\.block{number}\.conv\.(.+)", rf"layers.{number + 1}.conv.\1") for number in range(3)),
    (r"tail\.(.+)", r"tail.\1"),
)

Maps = list[Tensor]


class Case(BaseModel):
    """The metadata's `config`."""

    nfc: int
    train_stages: int
    min_size: int
    max_size: int
    H: int
    W: int
    train_mode: Mode = "generation"
    batch_norm: bool = False
    lrelu_alpha: float = 0.05
    scale_h: float = 1.0
    scale_w: float = 1.0
    depth: int = 0
    train_depth: int = 0
    frozen_body_stages: int = 0
    learning_rates: list[float] = []
    raw_shapes: list[tuple[int, int]] = []
    bicubic: list[tuple[int, int]] = []

    def config(self, mode: Mode) -> Config:
        """Ours, at the size that the recorded picture is scaled to."""
        factor = scale_of(self.H, self.W, self.max_size)
        return Config(
            mode=mode,
            height=int(self.H * factor),
            width=int(self.W * factor),
            stages=self.train_stages,
            coarsest=self.min_size,
            channels=self.nfc,
            slope=self.lrelu_alpha,
            batch_norm=self.batch_norm,
        )


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = Case.model_validate(recording.config)
    kinds: Mapping[str, Callable[[Recording, Case], Iterator[Row]]] = {
        "generation_3stages": check_generators,
        "harmonization_3stages": check_harmonization,
        "train_stage2": check_step,
        "imresize_pyramid": check_resizing,
    }
    yield from kinds[recording.case](recording, case)


# --- Pictures ---------------------------------------------------------------------------------------------------------


def picture(levels: Tensor) -> Tensor:
    """A recorded picture [h, w, 3] as a training reads it."""
    return (levels.permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5


def at_last_size(recording: Recording, case: Case) -> Tensor:
    """The training picture, scaled down as the data set does."""
    return resample_by(picture(recording.tensors["input/image_u8"]), scale_of(case.H, case.W, case.max_size))


def check_pyramid(recording: Recording, case: Case, mode: Mode, prefix: str = "") -> Iterator[Row]:
    """The training picture at every stage."""
    for number, found in enumerate(pyramid(at_last_size(recording, case), case.config(mode))):
        yield recording.output(f"{prefix}reals_{number}", found, RESIZE)


def check_resizing(recording: Recording, case: Case) -> Iterator[Row]:
    """Both rules, the resize to a shape, and the enlargement of feature maps."""
    for mode in ("generation", "harmonization"):
        yield from check_pyramid(recording, case, mode, f"{mode}/")
    for height, width in case.raw_shapes:
        found = resample_to(at_last_size(recording, case), (height, width))
        yield recording.output(f"to_shape_{height}x{width}", found, RESIZE)
    for height, width in case.bicubic:
        found = enlarged(recording.tensors["input/bicubic_in"], height, width)
        yield recording.output(f"bicubic_align_corners_{height}x{width}", found, RESIZE)


# --- Generators -------------------------------------------------------------------------------------------------------


def noise(recording: Recording, name: str) -> Maps:
    """The recorded maps of that name, coarse to fine."""
    numbered = recording.under(f"input/{name}_")
    return [numbered[key] for key in sorted(numbered) if key.isdigit()]


def official_tensors(recording: Recording, official: str, inputs: str = "") -> dict[str, Tensor]:
    """A recorded generator as the files of a checkpoint: what is recorded beside it fills the lists."""
    tensors = {f"G.{key}": tensor for key, tensor in recording.under(f"state/{official}/").items()}
    pictures = recording.under("output/reals_")
    tensors |= {f"reals.{number}": tensor for number, tensor in pictures.items()}
    tensors |= {f"fixed_noise.{n}": tensor for n, tensor in enumerate(noise(recording, f"{inputs}fixed_noise"))}
    # The release puts the coarsest picture in place of the noise that the recording drew.
    tensors["fixed_noise.0"] = pictures["0"]
    amplitudes = recording.under(f"input/{inputs}noise_amp_")
    return tensors | {f"noise_amp.{number}": tensor for number, tensor in amplitudes.items()}


def load(generator: Generator, tensors: Mapping[str, Tensor]) -> None:
    """Fill a generator through the plugin's key map; a stage whose amplitude is not recorded keeps its own."""
    prefix = f"{GENERATOR}."
    used = map_keys(CONSINGAN_FORMAT.keys, tensors).used
    ours = {target.removeprefix(prefix): tensors[key] for key, target in used.items()}
    generator.load_state_dict({**generator.state_dict(), **ours})


def built(recording: Recording, case: Case, official: str, mode: Mode, inputs: str = "") -> Generator:
    """A recorded generator."""
    generator = Generator(case.config(mode))
    load(generator, official_tensors(recording, official, inputs))
    return generator


def check_config(recording: Recording, case: Case, official: str, mode: Mode, inputs: str = "") -> Row:
    """What an import would make of the checkpoint; the mode is told by what the tensors show of it."""
    tensors = official_tensors(recording, official, inputs)
    found = CONSINGAN_FORMAT.infer_config({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    expected = case.config(mode)
    same = found.model_copy(update={"mode": mode}) == expected and found.border == expected.border
    return recording.row(f"config of {official}", float(not same), EXACT)


@torch.no_grad()
def check_generators(recording: Recording, case: Case) -> Iterator[Row]:
    """Both padding rules: samples of two sizes, the reconstruction, and fewer stages."""
    yield from check_pyramid(recording, case, "generation")
    modes: tuple[Mode, ...] = ("generation", "retarget")
    for mode in modes:
        official, inputs = f"netG_{mode}", f"{mode}/"
        yield check_config(recording, case, official, mode, inputs)
        generator = built(recording, case, official, mode, inputs)
        graph = Pyramid(generator)
        for name, given in (("sample", "noise"), ("sample_scaled", "noise_scaled")):
            maps = noise(recording, f"{inputs}{given}")
            yield recording.output(f"{inputs}{name}", generator(maps), FORWARD)
            yield recording.output(f"{inputs}{name}", graph(zero(), zero(), *maps), FORWARD, by="the exported graph")
        scaled = [tuple(each.shape[1:]) for each in noise(recording, f"{inputs}noise_scaled")]
        yield recording.row(f"{inputs}sizes of the scaled noise", float(scaled != sizes(case, mode)), EXACT)
        nothing = [torch.zeros_like(stored) for stored in generator.stored(case.train_stages)]
        found = graph(zero(), torch.ones(1), *nothing)
        yield recording.output(f"{inputs}reconstruction", found, FORWARD)
        found = generator(noise(recording, f"{inputs}noise_prefix"))
        yield recording.output(f"{inputs}sample_first_stages", found, FORWARD)


def zero() -> Tensor:
    """A number input of a graph."""
    return torch.zeros(1)


def sizes(case: Case, mode: Mode) -> list[tuple[int, int, int]]:
    """Shapes of the noise for a scaled result, as the runtime makes them."""
    operation = next(each for each in ConSinGAN(case.config(mode)).operations() if each.name == "sample")
    config = case.config(mode)
    wanted = Wanted(int(config.height * case.scale_h), int(config.width * case.scale_w), case.scale_h, case.scale_w)
    maps = [value for value in operation.inputs if isinstance(value, NoiseInput)]
    return [noise_shape(value, operation.size, wanted) for value in maps]


# --- Harmonisation ----------------------------------------------------------------------------------------------------


def check_harmonization(recording: Recording, case: Case) -> Iterator[Row]:
    """A composite at stage 0, statistics of the picture itself, and both backgrounds."""
    mode = case.train_mode
    yield from check_pyramid(recording, case, mode)
    yield check_config(recording, case, "netG", mode)
    generator = built(recording, case, "netG", mode)
    config = generator.config
    naive = picture(recording.tensors["input/naive_u8"])
    fed, behind = resample_to(naive, config.sizes[0]), resample_to(naive, config.sizes[-1])
    yield recording.output("naive_at_stage0", fed, RESIZE)
    yield recording.output("naive_at_full_size", behind, RESIZE)
    maps = [fed, *generator.stored(config.stages)[1:]]
    made = generator(maps)
    yield recording.output("harmonized", made, NORMALISED)
    with torch.no_grad():
        yield recording.output("harmonized", generator.eval()(maps), NORMALISED, by="evaluation mode")
    yield from check_statistics(recording, generator)
    mask = softened(recording, case)
    yield recording.output("mask", mask, RESIZE)
    for name, background in (("composed_eval", "training"), ("composed_training_monitor", "naive")):
        index = torch.tensor([BACKGROUNDS.index(background)])
        yield recording.output(name, Injection(generator).composed(made, behind, mask, index), NORMALISED)
    with torch.no_grad():
        contrast = with_running_statistics(generator)(maps)
    yield recording.output("harmonized_eval_mode_not_official", contrast, NORMALISED)


def check_statistics(recording: Recording, generator: Generator) -> Iterator[Row]:
    """The running statistics after one pass in training mode, which nothing uses."""
    tensors = generator.state_dict()
    for key, expected in recording.under("after/netG/").items():
        recording.compared.add(f"after/netG/{key}")
        error = float((tensors[our_key("netG", key)] - expected).abs().max())
        yield recording.row(f"after/netG/{key}", error, FORWARD)


def softened(recording: Recording, case: Case) -> Tensor:
    """The recorded mask, resized like a picture and widened by the runtime."""
    config = case.config(case.train_mode)
    levels = levels_of(resample_to(picture(recording.tensors["input/mask_u8"]), config.sizes[-1]))
    return torch.from_numpy(soften((levels[0, 0] > 0).numpy(), MASK_DILATION[case.train_mode], MASK_BLUR))[None, None]


def with_running_statistics(generator: Generator) -> Generator:
    """The generator with torch's batch norm in evaluation mode, for contrast."""
    for module in list(generator.modules()):
        for name, norm in list(module.named_children()):
            if isinstance(norm, Norm):
                plain = nn.BatchNorm2d(norm.num_features)
                plain.load_state_dict(norm.state_dict())
                setattr(module, name, plain)
    return generator.eval()


# --- One training step ------------------------------------------------------------------------------------------------


def our_key(official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    if official == "netD":
        return str(rename(CRITIC_KEYS, key))
    return str(rename(CONSINGAN_FORMAT.keys, f"G.{key}")).removeprefix(f"{GENERATOR}.")


class OnePicture(RecordedBatch):
    """The recorded picture at every position, as a training on one picture has it."""

    def draw(self, position: int) -> Tensors:  # noqa: ARG002 - all positions are alike
        return super().draw(0)


@dataclass
class Drawn:
    """What the recorded step drew."""

    recording: Recording
    shares: int = 0
    amplitude: Tensor = field(default_factory=lambda: torch.zeros(()))
    fake: Tensor = field(default_factory=lambda: torch.zeros(()))
    rec: Tensor = field(default_factory=lambda: torch.zeros(()))


def replayed(trainer: ConSinGANTrainer, drawn: Drawn) -> Callable[[int], StageTraining]:
    """Stages of a trainer that draw what was recorded, and keep what they made."""

    class Replayed(StageTraining):
        def hand_over(self, batch: Tensors) -> None:
            """The recorded weights are those after it."""

        def new_stored_noise(self) -> Tensor:
            return noise(drawn.recording, "fixed_noise")[self.number]

        def set_amplitude(self) -> None:
            super().set_amplitude()
            drawn.amplitude = self.generator.stages[self.number].amplitude.clone()

        def share(self, batch: Tensors) -> Tensors:
            shared = super().share(batch)
            drawn.fake = shared["fake"].detach()
            return shared

        def draw_noise(self, batch: Tensors) -> Maps:  # noqa: ARG002 - recorded
            return noise(drawn.recording, "noise")

        def draw_share(self, like: Tensor) -> Tensor:  # noqa: ARG002 - recorded
            drawn.shares += 1
            return drawn.recording.tensors[f"input/gp_alpha_{drawn.shares - 1}"].reshape(1, 1, 1, 1)

        def reconstruction(self) -> Tensor:
            made = super().reconstruction()
            drawn.rec = made.detach()
            return made

    return lambda number: Replayed(trainer.consingan.generator, trainer.critic, trainer.options, number)


def build_trainer(recording: Recording, case: Case, drawn: Drawn) -> ConSinGANTrainer:
    """The recorded networks and options."""
    options = Options(concurrent_stages=case.train_depth, learning_rate=case.learning_rates[-1])
    trainer = ConSinGANTrainer(cast("Model[Record]", ConSinGAN(case.config("generation"))), options)
    load(trainer.consingan.generator, official_tensors(recording, "netG"))
    state = recording.under("state/netD/")
    trainer.critic.load_state_dict({our_key("netD", key): tensor for key, tensor in state.items()})
    # Bound to this trainer, so that whatever changes the class reaches it.
    trainer.stage_training = replayed(trainer, drawn)  # type: ignore[method-assign]
    return trainer


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, at the recorded stage."""
    yield from check_pyramid(recording, case, "generation")
    drawn = Drawn(recording)
    trainer = build_trainer(recording, case, drawn)
    yield from check_rates(recording, case, trainer)
    head = gradient_of_head(recording, case)
    batch = {"image": recording.tensors[f"output/reals_{case.depth}"]}
    engine = Engine(cast("Trainer[Record]", trainer), OnePicture(batch), accelerator=open_accelerator("cpu"))
    engine.cursor = Cursor(stage=case.depth, step=0, phase=0)
    gradients: dict[str, Tensor] = {}
    values: Mapping[str, float] = {}
    for report in engine.phases():
        # Of the critic's gradients those of its first update are recorded.
        gradients = found_gradients(recording, trainer) | gradients
        if report.step_complete:
            values = report.values
            break
    for key, expected in losses(values, trainer.options).items():
        yield recording.loss(key, expected, STEP_LOSS)
    yield recording.output("noise_amp_new", drawn.amplitude, FORWARD)
    yield recording.output("fake", drawn.fake, FORWARD)
    yield recording.output("rec", drawn.rec, FORWARD)
    for key in recording.under("grad/"):
        found = head if key == "netG/head.conv.weight" else gradients.get(key)
        yield recording.gradient(key, found, STEP_GRADIENT)
    for key in recording.under("after/"):
        yield from recording.after(key, tensor(trainer, key).detach(), STEP_AFTER, case.learning_rates[-1])
    yield from check_optimizer(recording, case)


def losses(values: Mapping[str, float], options: Options) -> dict[str, float]:
    """The release's names."""
    named: dict[str, float] = {}
    for number in range(options.critic_steps):
        real, fake, penalty = (values[f"critic_{number + 1}/{term}"] for term in ("real", "fake", "penalty"))
        named |= {
            f"D{number}_real": real,
            f"D{number}_fake": fake,
            f"D{number}_gp_weighted": penalty,
            f"D{number}_gp_unweighted": penalty / options.penalty_weight,
            f"D{number}_total": real + fake + penalty,
        }
    adversarial, reconstruction = values["generator/adversarial"], values["generator/reconstruction"]
    return named | {
        "G_adv": adversarial,
        "G_rec_weighted": reconstruction,
        "G_rec_unweighted": reconstruction / options.reconstruction_weight,
        "G_total": adversarial + reconstruction,
    }


def check_rates(recording: Recording, case: Case, trainer: ConSinGANTrainer) -> Iterator[Row]:
    """How fast what learns."""
    groups = generator_phase(trainer, case).optimizer.param_groups
    error = max(abs(group["lr"] - rate) / rate for group, rate in zip(groups, case.learning_rates, strict=True))
    yield recording.row("learning rates", error, 1e-9)
    training = trainer.stage_training(case.depth)
    yield recording.row("frozen stages", float(training.learning_from != case.frozen_body_stages), EXACT)


def generator_phase(trainer: ConSinGANTrainer, case: Case) -> Phase:
    """The phase in which the generator learns."""
    return next(phase for phase in trainer.stages()[case.depth].phases if phase.name == GENERATOR)


def gradient_of_head(recording: Recording, case: Case) -> Tensor | None:
    """What the release computes for the frozen head and throws away: from a pass that builds the whole graph.

    Its critic is that after the three updates, which are made here by a trainer of their own.
    """
    drawn = Drawn(recording)
    trainer = build_trainer(recording, case, drawn)
    batch = {"image": recording.tensors[f"output/reals_{case.depth}"]}
    engine = Engine(cast("Trainer[Record]", trainer), OnePicture(batch), accelerator=open_accelerator("cpu"))
    engine.cursor = Cursor(stage=case.depth, step=0, phase=0)
    for report in engine.phases():
        if report.phase == f"critic_{trainer.options.critic_steps}":
            break
    generator, options, depth = trainer.consingan.generator, trainer.options, case.depth
    generator.head.requires_grad_(requires_grad=True)
    adversarial = -trainer.critic(generator(noise(recording, "noise"))).mean()
    difference = generator(generator.stored(depth + 1)) - generator.stages[depth].picture
    loss = adversarial + options.reconstruction_weight * difference.square().mean()
    (found,) = torch.autograd.grad(loss, generator.head.conv.weight)
    return found


def check_optimizer(recording: Recording, case: Case) -> Iterator[Row]:
    """The generator's optimizer by itself, where gradient and result are both recorded: as many steps along it."""
    trainer = build_trainer(recording, case, Drawn(recording))
    phase = generator_phase(trainer, case)
    owned = {id(p) for group in phase.optimizer.param_groups for p in group["params"]}
    gradients = {key: gradient for key, gradient in recording.under("grad/").items() if key.startswith("netG/")}
    keys = [key for key in gradients if f"after/{key}" in recording.tensors and id(tensor(trainer, key)) in owned]
    for key in keys:
        tensor(trainer, key).grad = gradients[key].clone()
    for _ in range(phase.repeat):
        phase.optimizer.step()
    for key in keys:
        movement = recording.movement(key, case.learning_rates[-1])
        error = float((tensor(trainer, key).detach() - movement.after).abs().max()) / movement.scale
        yield recording.row(f"optimizer alone: {key}", error, OPTIMIZER_ALONE)


def tensor(trainer: ConSinGANTrainer, key: str) -> nn.Parameter:
    """The parameter "<official network>/<official key>"."""
    official, inner = key.split("/")
    network: Generator | Critic = trainer.critic if official == "netD" else trainer.consingan.generator
    return network.get_parameter(our_key(official, inner))


def found_gradients(recording: Recording, trainer: ConSinGANTrainer) -> dict[str, Tensor]:
    """What the phase that has just ended has left."""
    parameters = {key: tensor(trainer, key) for key in recording.under("grad/")}
    return {key: p.grad.clone() for key, p in parameters.items() if p.grad is not None}
