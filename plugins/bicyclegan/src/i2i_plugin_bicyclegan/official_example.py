"""What the authors' release saves, built from its rules: names and shapes of all tensors at a Config."""

from __future__ import annotations

from itertools import pairwise

from i2i_plugin_bicyclegan.config import Config
from i2i_registry import TensorShapes

_OUTER = "model.model.1.model."


def saved_by_release(config: Config) -> TensorShapes:
    """A generator, an encoder where there is one, and two discriminators of two scales."""
    in_file = {"G": _generator_shapes(config), "D": _discriminator_shapes(config)}
    in_file["D2"] = in_file["D"]
    if config.encoder:
        in_file["E"] = _encoder_shapes(config)
    return {f"{name}.{key}": shape for name, shapes in in_file.items() for key, shape in shapes.items()}


def _generator_shapes(config: Config) -> TensorShapes:
    """State dict of the release's U-Net at this Config."""
    at_all, last = config.latent_at == "all", config.levels - 1
    sources = (config.source_channels + (0 if at_all else config.latent_dim), *config.widths[:-1])
    results = (config.target_channels, *config.widths[:-1])
    shapes: dict[str, tuple[int, ...]] = {}
    for level, width in enumerate(config.widths):
        down, down_norm, up, up_norm = _generator_keys(config, level)
        joined = width if level == last else 2 * width
        shapes |= _layer(down, (width, sources[level] + (config.latent_dim if at_all else 0), 4, 4))
        if config.upsampling == "transposed":
            shapes |= {f"{up}.weight": (joined, results[level], 4, 4), f"{up}.bias": (results[level],)}
        else:
            shapes |= _layer(up, (results[level], joined, 3, 3))
        if config.norm == "batch":
            shapes |= _batch_norm(down_norm, width) if 0 < level < last else {}
            shapes |= _batch_norm(up_norm, results[level]) if level else {}
    return shapes


def _generator_keys(config: Config, level: int) -> tuple[str, str, str, str]:
    """The release's names of a level's convolution and norm on the way down, and of those on the way up."""
    shift = 0 if config.upsampling == "transposed" else 2
    if config.latent_at == "all":
        inside = "model." + "submodule." * level
        return f"{inside}down.{min(level, 1)}", f"{inside}down.2", f"{inside}up.{1 + shift}", f"{inside}up.{2 + shift}"
    if level == 0:
        return "model.model.0", "", f"model.model.{3 + shift}", ""
    # Without a norm the levels inside and the way up come one module earlier; innermost there is none on the way down.
    place = 2 if config.norm == "none" else 3
    inside = _OUTER + f"{place}.model." * (level - 1)
    up = (3 if level == config.levels - 1 else place + 2) + shift
    return f"{inside}1", f"{inside}2", f"{inside}{up}", f"{inside}{up + 1}"


def _encoder_shapes(config: Config) -> TensorShapes:
    """State dict of the release's encoder at this Config."""
    e, residual = config.encoder_channels, config.encoder == "resnet"
    factors = [min(i + 1 if residual else 2**i, 4) for i in range(config.encoder_halvings)]
    widths = [e * factor for factor in factors]
    shapes = _layer("conv.0", (e, config.target_channels, 4, 4))
    for number, (width, wider) in enumerate(pairwise(widths)):
        if residual:
            block = f"conv.{number + 1}"
            first, second = (1, 3) if config.norm == "none" else (2, 5)
            shapes |= _layer(f"{block}.conv.{first}", (width, width, 3, 3))
            shapes |= _layer(f"{block}.conv.{second}.0", (wider, width, 3, 3))
            shapes |= _layer(f"{block}.shortcut.1", (wider, width, 1, 1))
            norms = {f"{block}.conv.0": width, f"{block}.conv.3": width}
        else:
            shapes |= _layer(f"conv.{(2 if config.norm == 'none' else 3) * number + 2}", (wider, width, 4, 4))
            norms = {f"conv.{3 * number + 3}": wider}
        if config.norm == "batch":
            for key, channels in norms.items():
                shapes |= _batch_norm(key, channels)
    heads = ("fc.0", "fcVar.0")
    return shapes | {k: s for head in heads for k, s in _layer(head, (config.latent_dim, widths[-1])).items()}


def _discriminator_shapes(config: Config) -> TensorShapes:
    """State dict of a release's discriminator of two scales and three halvings, as wide as the generator."""
    shapes: dict[str, tuple[int, ...]] = {}
    for scale in range(2):
        d = max(config.channels // 2**scale, 1)
        widths = (config.target_channels, d, 2 * d, 4 * d, 8 * d, 1)
        for position, (width, wider) in zip((0, 2, 5, 8, 11), pairwise(widths), strict=True):
            shapes |= _layer(f"model_{scale}.{position}", (wider, width, 4, 4))
    return shapes


def _layer(key: str, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{key}.weight": kernel, f"{key}.bias": kernel[:1]}


def _batch_norm(key: str, channels: int) -> dict[str, tuple[int, ...]]:
    vectors = {f"{key}.{name}": (channels,) for name in ("weight", "bias", "running_mean", "running_var")}
    return vectors | {f"{key}.num_batches_tracked": ()}
