"""How the recordings of the authors' release are computed with our code.

Four kinds of file, told from their keys: one training step ("train": there are losses), a composite at stage 0
("injection"), passes of generators ("generators"), and the resize with the rules for pyramids ("resize").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast, get_args

import torch
from tests.parity.comparison import Row, absolute_error
from tests.parity.names import our_name
from tests.parity.options import Options as RecordedOptions
from tests.parity.recording import Recording
from tests.parity.single_image import image_of, losses
from tests.parity.stepping import RecordedStep, StepTolerances, engine_of
from torch import Tensor, nn

from i2i_plugin_consingan.config import EDITING_NOISE, Activation, Config, Mode
from i2i_plugin_consingan.data import pyramid
from i2i_plugin_consingan.model import GENERATOR, MASK_BLUR, MASK_DILATION, ConSinGAN
from i2i_plugin_consingan.networks import Generator, Norm
from i2i_plugin_consingan.networks.applications import BACKGROUNDS, Injection, Pyramid
from i2i_plugin_consingan.networks.upsampling import enlarged
from i2i_plugin_consingan.official import CONSINGAN_FORMAT
from i2i_plugin_consingan.trainer import NOISE_SCALE, ConSinGANTrainer, Options, StageTraining
from i2i_registry import Step
from i2i_runtime import NoiseInput, ResultSize, soften_mask
from i2i_toolkit import Cursor, eight_bit_levels, resample_by, resample_to

if TYPE_CHECKING:
    from i2i_registry import Phase, Tensors

PAPER = "consingan"
SOURCE = "tohinz/ConSinGAN"

# Tolerances of the recordings' README; that of `after` (absolute 2e-5 with steps of up to 1.5e-3) as a share of the
# movement.
UP_TO = 2.5  # the largest numbers that those of outputs were stated for
FORWARD = 1e-5
NORMALISED = 5e-5
RESIZE = 1e-5
STEP = StepTolerances(loss=1e-5, gradient=1e-4, after=1e-3)
RATES = 1e-9

TABLE = CONSINGAN_FORMAT.table(Config(stages=16, layers=8))
"""for any size of a generator"""
CRITIC_TABLE = {"head.conv": "layers.0.conv", "head.prelu": "layers.0.act", "tail": "tail"} | {
    f"body.block{n}.{theirs}": f"layers.{n + 1}.{ours}"
    for n in range(16)
    for theirs, ours in (("conv", "conv"), ("prelu", "act"))
}
NETWORKS = {"netG": GENERATOR, "netD": "critic"}
"""official name of a network of a training -> ours"""

Maps = list[Tensor]


class Computed(RecordedOptions):
    """What the official functions made of an image's size."""

    stop_scale: int
    scale1: float
    scale_factor: float
    sizes: list[tuple[int, int, int, int]]


class Case(RecordedOptions):
    """The metadata, with the release's defaults."""

    mode: str
    nfc: int
    num_layer: int = 3
    ker_size: int = 3
    train_stages: int
    min_size: int
    max_size: int
    H: int
    W: int
    train_mode: Mode = "generation"
    activation: Activation = "lrelu"
    batch_norm: bool = False
    lrelu_alpha: float = 0.05
    scale_h: float = 1.0
    scale_w: float = 1.0
    ref_H: int = 0
    ref_W: int = 0
    mask_H: int = 0
    mask_W: int = 0
    depth: int = 0
    train_depth: int = 3
    frozen_body_stages: int = 0
    learning_rates: tuple[float, ...] = ()
    lr_scale: float = 0.1
    lr_g: float = 5e-4
    lr_d: float = 5e-4
    beta1: float = 0.5
    Dsteps: int = 3
    Gsteps: int = 3
    alpha: float = 10.0
    lambda_grad: float = 0.1
    noise_amp: float = NOISE_SCALE
    raw_shapes: tuple[tuple[int, int], ...] = ()
    bicubic: tuple[tuple[int, int], ...] = ()
    computed: Computed | None = None
    computed_generation: Computed | None = None
    computed_harmonization: Computed | None = None

    @property
    def reduction(self) -> float:
        """What the training does to the image's sides."""
        return Options(max_size=self.max_size).reduction((self.H, self.W))

    def config(self, mode: Mode) -> Config:
        """Ours, at the size that the recorded image is scaled to."""
        height, width = Options(max_size=self.max_size).reduced((self.H, self.W))
        return Config(
            mode=mode,
            height=height,
            width=width,
            stages=self.train_stages,
            coarsest=self.min_size,
            channels=self.nfc,
            layers=self.num_layer,
            activation=self.activation,
            slope=self.lrelu_alpha,
            batch_norm=self.batch_norm,
        )


def kind_of(recording: Recording) -> str:
    """What a file holds."""
    if recording.holds("loss/"):
        return "train"
    if recording.holds("input/naive_u8"):
        return "injection"
    return "generators" if recording.holds("state/") else "resize"


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = recording.options(Case)
    recording.up_to = UP_TO
    recording.ignore("image, weights and noise are recorded", "picture", "seed")
    recording.ignore("the weights that it scaled are recorded", "gain")
    kinds = {
        "train": check_step,
        "injection": check_injection,
        "generators": check_generators,
        "resize": check_resizing,
    }
    kind, (height, width, _) = kind_of(recording), recording.tensors["input/image_u8"].shape
    # The release never calls eval(): with a norm or without, everything is in training mode.
    yield recording.agrees("mode", case.mode.partition(" ")[0], "n/a" if kind == "resize" else "train")
    yield recording.agrees("H, W", (case.H, case.W), (height, width))
    for network in recording.networks():
        yield check_sizes(recording, case, network)
    for mode, computed in (("generation", case.computed_generation), ("harmonization", case.computed_harmonization)):
        yield from check_computed(recording, case, cast("Mode", mode), computed)
    yield from check_computed(recording, case, case.train_mode, case.computed)
    yield from kinds[kind](recording, case)


def check_sizes(recording: Recording, case: Case, network: str) -> Row:
    """The recorded network has the sizes that the options state."""
    state = recording.under(f"state/{network}/")
    first = "body.block" if network == "netD" else "body.0.block"
    layers = sum(key.startswith(first) and key.endswith("conv.weight") for key in state)
    width, _, kernel, _ = state["head.conv.weight"].shape
    return recording.agrees(f"sizes of {network}", (case.nfc, case.num_layer, case.ker_size), (width, layers, kernel))


def check_computed(recording: Recording, case: Case, mode: Mode, computed: Computed | None) -> Iterator[Row]:
    """What the official functions made of the image's size."""
    if computed is None:
        return
    config = case.config(mode)
    found = tuple((1, 3, *size) for size in config.sizes)
    step = (config.coarsest / min(config.height, config.width)) ** (1 / (config.stages - 1))
    yield recording.agrees(f"computed {mode}: sizes", tuple(computed.sizes), found)
    yield recording.agrees(f"computed {mode}: stop_scale", computed.stop_scale, config.stages - 1)
    yield recording.row(f"computed {mode}: scale1", abs(computed.scale1 - case.reduction), RATES)
    yield recording.row(f"computed {mode}: scale_factor", abs(computed.scale_factor - step), RATES)


# --- Images ---------------------------------------------------------------------------------------------------------


def at_last_size(recording: Recording, case: Case) -> Tensor:
    """The training image, scaled down as the data set does."""
    return resample_by(image_of(recording.tensors["input/image_u8"]), case.reduction)


def check_pyramid(recording: Recording, case: Case, mode: Mode, prefix: str = "") -> Iterator[Row]:
    """The training image at every stage."""
    for number, found in enumerate(pyramid(at_last_size(recording, case), case.config(mode))):
        yield recording.output(f"{prefix}reals_{number}", found, RESIZE)


def check_resizing(recording: Recording, case: Case) -> Iterator[Row]:
    """Both rules, the resize to a shape, and the enlargement of feature maps."""
    recording.ignore("there is no network", "nfc", "num_layer", "ker_size", "activation", "batch_norm", "lrelu_alpha")
    for mode in get_args(Mode):
        if recording.holds(f"output/{mode}/reals_"):
            yield from check_pyramid(recording, case, mode, f"{mode}/")
    for height, width in case.raw_shapes:
        found = resample_to(at_last_size(recording, case), (height, width))
        yield recording.output(f"to_shape_{height}x{width}", found, RESIZE)
    for height, width in case.bicubic:
        found = enlarged(recording.tensors["input/bicubic_in"], height, width)
        yield recording.output(f"bicubic_align_corners_{height}x{width}", found, RESIZE)


# --- Generators -------------------------------------------------------------------------------------------------------


def official_tensors(recording: Recording, official: str, inputs: str = "") -> dict[str, Tensor]:
    """A recorded generator as the files of a checkpoint: what is recorded beside it fills the lists."""
    tensors = {f"G.{key}": tensor for key, tensor in recording.under(f"state/{official}/").items()}
    images = recording.under("output/reals_")
    tensors |= {f"reals.{number}": tensor for number, tensor in images.items()}
    tensors |= {f"fixed_noise.{n}": tensor for n, tensor in enumerate(recording.series(f"input/{inputs}fixed_noise_"))}
    # The release puts the coarsest image in place of the noise that the recording drew, but for animations.
    if not inputs.startswith("animation"):
        tensors["fixed_noise.0"] = images["0"]
    amplitudes = recording.under(f"input/{inputs}noise_amp_")
    return tensors | {f"noise_amp.{number}": tensor for number, tensor in amplitudes.items()}


def load(generator: Generator, tensors: Mapping[str, Tensor]) -> None:
    """Fill a generator through the plugin's key map; a stage whose amplitude is not recorded keeps its own."""
    ours = {our_name(TABLE, key, GENERATOR): tensor for key, tensor in tensors.items()}
    generator.load_state_dict({**generator.state_dict(), **ours})


def built(recording: Recording, case: Case, official: str, mode: Mode, inputs: str = "") -> Generator:
    """A recorded generator."""
    generator = Generator(case.config(mode))
    load(generator, official_tensors(recording, official, inputs))
    return generator


def check_config(recording: Recording, case: Case, official: str, mode: Mode, inputs: str = "") -> Row:
    """What an import would make of the checkpoint, but for what no tensor shows: the exact mode and the activation."""
    tensors = official_tensors(recording, official, inputs)
    found = CONSINGAN_FORMAT.infer_config({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    stated = case.config(mode)
    hidden = {"mode": mode, "slope": stated.slope, "activation": stated.activation}
    same = found.model_copy(update=hidden) == stated and found.border == stated.border
    return recording.agrees(f"as imported, of {official}", stated, stated if same else found)


@torch.no_grad()
def check_generators(recording: Recording, case: Case) -> Iterator[Row]:
    """Each padding rule: samples of two sizes, the reconstruction, and fewer stages."""
    yield from check_pyramid(recording, case, case.train_mode)
    for official in recording.networks():
        mode = cast("Mode", official.removeprefix("netG_"))
        inputs = f"{mode}/"
        yield check_config(recording, case, official, mode, inputs)
        generator = built(recording, case, official, mode, inputs)
        graph = Pyramid(generator)
        for name, given in (("sample", "noise"), ("sample_scaled", "noise_scaled")):
            maps = recording.series(f"input/{inputs}{given}_")
            yield recording.output(f"{inputs}{name}", generator(maps), FORWARD)
            yield recording.output(f"{inputs}{name}", graph(zero(), zero(), *maps), FORWARD, by="the exported graph")
        scaled = [tuple(each.shape[1:]) for each in recording.series(f"input/{inputs}noise_scaled_")]
        yield recording.agrees(f"scale_h, scale_w of {mode}", sizes(case, mode), scaled)
        nothing = [torch.zeros_like(stored) for stored in generator.stored(case.train_stages)]
        found = graph(zero(), torch.ones(1), *nothing)
        yield recording.output(f"{inputs}reconstruction", found, FORWARD)
        found = generator(recording.series(f"input/{inputs}noise_prefix_"))
        yield recording.output(f"{inputs}sample_first_stages", found, FORWARD)


def zero() -> Tensor:
    """A number input of a graph."""
    return torch.zeros(1)


def sizes(case: Case, mode: Mode) -> list[tuple[int, int, int]]:
    """Shapes of the noise for a scaled result, as the runtime makes them."""
    operation = next(each for each in ConSinGAN(case.config(mode)).operations() if each.name == "sample")
    config = case.config(mode)
    wanted = ResultSize(int(config.height * case.scale_h), int(config.width * case.scale_w), case.scale_h, case.scale_w)
    maps = [value for value in operation.inputs if isinstance(value, NoiseInput)]
    return [value.shape_for(operation.size, wanted) for value in maps]


# --- Composites -------------------------------------------------------------------------------------------------------


def check_injection(recording: Recording, case: Case) -> Iterator[Row]:
    """A composite at stage 0, statistics of the image itself, and both backgrounds."""
    mode, tensors = case.train_mode, recording.tensors
    naive = image_of(tensors["input/naive_u8"])
    yield recording.agrees("ref_H, ref_W", (case.ref_H, case.ref_W), tuple(naive.shape[2:]))
    yield recording.agrees("mask_H, mask_W", (case.mask_H, case.mask_W), tuple(tensors["input/mask_u8"].shape[:2]))
    yield from check_pyramid(recording, case, mode)
    yield check_config(recording, case, "netG", mode)
    generator = built(recording, case, "netG", mode)
    config = generator.config
    fed, behind = resample_to(naive, config.sizes[0]), resample_to(naive, config.sizes[-1])
    yield recording.output("naive_at_stage0", fed, RESIZE)
    yield recording.output("naive_at_full_size", behind, RESIZE)
    if mode == "editing":
        fed = fed + EDITING_NOISE * tensors["input/editing_input_noise_00"]
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
        yield recording.row(f"after/netG/{key}", absolute_error(tensors[our_key("netG", key)], expected), FORWARD)


def softened(recording: Recording, case: Case) -> Tensor:
    """The recorded mask, resized like an image and widened by the runtime."""
    config = case.config(case.train_mode)
    levels = eight_bit_levels(resample_to(image_of(recording.tensors["input/mask_u8"]), config.sizes[-1]))
    return torch.from_numpy(soften_mask((levels[0, 0] > 0).numpy(), MASK_DILATION[case.train_mode], MASK_BLUR))[
        None, None
    ]


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
        return our_name(CRITIC_TABLE, key)
    return our_name(TABLE, f"G.{key}", GENERATOR)


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
            return drawn.recording.series("input/fixed_noise_")[self.number]

        def set_amplitude(self) -> None:
            super().set_amplitude()
            drawn.amplitude = self.generator.stages[self.number].amplitude.clone()

        def share(self, step: Step[None]) -> Tensor:
            fake = super().share(step)
            drawn.fake = fake.detach()
            return fake

        def draw_noise(self, batch: Tensors) -> Maps:  # noqa: ARG002 - recorded
            return drawn.recording.series("input/noise_")

        def draw_share(self, like: Tensor) -> Tensor:  # noqa: ARG002 - recorded
            drawn.shares += 1
            return drawn.recording.tensors[f"input/gp_alpha_{drawn.shares - 1}"].reshape(1, 1, 1, 1)

        def reconstruction(self) -> Tensor:
            made = super().reconstruction()
            drawn.rec = made.detach()
            return made

    return lambda number: Replayed(trainer.model.generator, trainer.critic, trainer.options, number)


def build_trainer(recording: Recording, case: Case, drawn: Drawn) -> ConSinGANTrainer:
    """The recorded networks and options."""
    options = Options(
        concurrent_stages=case.train_depth,
        learning_rate=case.lr_g,
        rate_scale=case.lr_scale,
        betas=(case.beta1, 0.999),
        critic_steps=case.Dsteps,
        generator_repeats=case.Gsteps,
        reconstruction_weight=case.alpha,
        penalty_weight=case.lambda_grad,
    )
    trainer = ConSinGANTrainer(ConSinGAN(case.config(case.train_mode)), options)
    load(trainer.model.generator, official_tensors(recording, "netG"))
    state = recording.under("state/netD/")
    trainer.critic.load_state_dict({our_key("netD", key): tensor for key, tensor in state.items()})
    # Bound to this trainer, so that whatever changes the class reaches it.
    trainer.stage_training = replayed(trainer, drawn)  # type: ignore[method-assign]
    return trainer


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, at the recorded stage."""
    yield recording.agrees("Dsteps", case.Dsteps, len(recording.series("input/gp_alpha_")))
    yield recording.agrees("depth", case.depth, len(recording.series("input/noise_")) - 1)
    yield recording.agrees("noise_amp", case.noise_amp, NOISE_SCALE)
    yield recording.agrees("lr_d", case.lr_d, case.lr_g)
    yield from check_pyramid(recording, case, case.train_mode)
    drawn = Drawn(recording)
    trainer = build_trainer(recording, case, drawn)
    yield from check_rates(recording, case, trainer)
    frozen = gradients_of_frozen(recording, case)
    step = RecordedStep(
        recording,
        NETWORKS,
        our_key,
        case.lr_g,
        STEP,
        updates={"netD": case.Dsteps, "netG": case.Gsteps},
        unlearned=frozenset({"netD/tail.bias"}),
    )
    found = step.run(trainer, batch_of(recording, case), start=Cursor(stage=case.depth, step=0, phase=0))
    named = losses(
        found.losses,
        GENERATOR,
        critic_steps=case.Dsteps,
        penalty_weight=case.lambda_grad,
        reconstruction_weight=case.alpha,
    )
    yield from step.check(trainer, replace(found, gradients={**found.gradients, **frozen}), named)
    if case.depth:
        yield recording.output("noise_amp_new", drawn.amplitude, FORWARD)
    yield recording.output("fake", drawn.fake, FORWARD)
    yield recording.output("rec", drawn.rec, FORWARD)
    yield from step.check_optimizers(build_trainer(recording, case, Drawn(recording)), case.depth)


def batch_of(recording: Recording, case: Case) -> dict[str, Tensor]:
    """The recorded image."""
    return {"image": recording.tensors[f"output/reals_{case.depth}"]}


def check_rates(recording: Recording, case: Case, trainer: ConSinGANTrainer) -> Iterator[Row]:
    """How fast what learns."""
    groups = generator_phase(trainer, case).optimizer.param_groups
    yield recording.agrees("learning rates", len(case.learning_rates), len(groups))
    error = max(abs(group["lr"] - rate) / rate for group, rate in zip(groups, case.learning_rates, strict=False))
    yield recording.row("config/learning_rates", error, RATES)
    frozen = trainer.stage_training(case.depth).learning_from
    yield recording.agrees("frozen_body_stages", case.frozen_body_stages, frozen)


def generator_phase(trainer: ConSinGANTrainer, case: Case) -> Phase[Tensor]:
    """The phase in which the generator learns."""
    return next(phase for phase in trainer.stages()[case.depth].phases if phase.name == GENERATOR)


def gradients_of_frozen(recording: Recording, case: Case) -> dict[str, Tensor]:
    """What the release computes for frozen parameters and throws away: from a pass that builds the whole graph.

    Its critic is that after its updates, which are made here by a trainer of their own.
    """
    drawn = Drawn(recording)
    trainer = build_trainer(recording, case, drawn)
    generator, options, depth = trainer.model.generator, trainer.options, case.depth
    learned = {id(p) for group in generator_phase(trainer, case).optimizer.param_groups for p in group["params"]}
    keys = [key.removeprefix("netG/") for key in recording.under("grad/") if key.startswith("netG/")]
    frozen = {f"netG/{key}": generator.get_parameter(our_key("netG", key)) for key in keys}
    frozen = {key: parameter for key, parameter in frozen.items() if id(parameter) not in learned}
    if not frozen:
        return {}
    for report in engine_of(trainer, batch_of(recording, case), Cursor(stage=depth, step=0, phase=0)).phases():
        if report.phase == f"critic_{options.critic_steps}":
            break
    for parameter in frozen.values():
        parameter.requires_grad = True
    adversarial = -trainer.critic(generator(recording.series("input/noise_"))).mean()
    difference = generator(generator.stored(depth + 1)) - generator.stages[depth].image
    loss = adversarial + options.reconstruction_weight * difference.square().mean()
    return dict(zip(frozen, torch.autograd.grad(loss, [*frozen.values()]), strict=True))
