from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_conformance.releases import converted, recorded, released
from i2i_plugin_ugatit.config import Config
from i2i_plugin_ugatit.model import UGATIT
from i2i_plugin_ugatit.official import ZNXLWM_FORMAT
from i2i_registry import CheckpointError, Store, discover, import_checkpoint

TINY = Config(image_size=16, channels=2, res_blocks=2)
LIGHT = Config(channels=2, res_blocks=2, pooled_style=True)


def checkpoint(config: Config) -> dict[str, Tensor]:
    discriminators = recorded(Path(__file__).with_name("official_names.json"))["full_64"]
    shapes = {key: shape for key, shape in discriminators.items() if key.startswith("dis")} | saved(config)
    return {key: torch.zeros(shape) for key, shape in shapes.items()}


def saved(config: Config) -> dict[str, tuple[int, ...]]:
    return released(ZNXLWM_FORMAT, UGATIT, config)


@pytest.mark.parametrize("pooled_style", [True, False])
@pytest.mark.parametrize("res_blocks", [1, 3, 4])
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("image_size", [8, 20, 64])
def test_the_config_is_told_from_the_shapes(
    image_size: int, channels: int, res_blocks: int, *, pooled_style: bool
) -> None:
    config = Config(image_size=image_size, channels=channels, res_blocks=res_blocks, pooled_style=pooled_style)
    inferred = ZNXLWM_FORMAT.infer_config(saved(config))
    # A light generator's tensors do not depend on the size of its images.
    expected = config.model_copy(update={"image_size": 256}) if pooled_style else config
    assert inferred == expected


@pytest.mark.parametrize("config", [TINY, LIGHT], ids=["full", "light"])
def test_the_key_map_fills_every_tensor_of_ours_and_drops_only_discriminators(config: Config) -> None:
    report = converted(ZNXLWM_FORMAT, UGATIT(config), checkpoint(config))
    assert {key.split(".")[0] for key in report.dropped} == {"disGA", "disGB", "disLA", "disLB"}


@pytest.mark.parametrize(
    "missing", ["genA2B.UpBlock2.3.rho", "genA2B.gap_fc.weight", "genB2A.DownBlock.1.weight", "genA2B.FC.0.weight"]
)
def test_a_checkpoint_without_a_mark_of_the_release_is_not_recognised(missing: str) -> None:
    shapes = dict(saved(TINY))
    assert ZNXLWM_FORMAT.detect(shapes)
    del shapes[missing]
    assert not ZNXLWM_FORMAT.detect(shapes)


def test_heads_with_a_bias_are_not_of_this_release() -> None:
    assert not ZNXLWM_FORMAT.detect({**saved(TINY), "genA2B.gap_fc.bias": (1,)})


def test_a_mark_of_the_wrong_rank_is_not_recognised() -> None:
    assert not ZNXLWM_FORMAT.detect({**saved(TINY), "genA2B.DownBlock.1.weight": ()})


def test_our_own_weights_are_not_a_checkpoint_of_the_release() -> None:
    networks = UGATIT(TINY).networks
    shapes = {f"{n}.{key}": tuple(t.shape) for n, net in networks.items() for key, t in net.state_dict().items()}
    assert not ZNXLWM_FORMAT.detect(shapes)


def test_a_style_layer_of_no_square_image_is_an_error() -> None:
    shapes = {**saved(TINY), "genA2B.FC.0.weight": (8, 8 * 15)}
    with pytest.raises(CheckpointError, match="takes 120 values"):
        ZNXLWM_FORMAT.infer_config(shapes)


def import_into(folder: Path, tensors: dict[str, Tensor]) -> None:
    file = folder / "release.pt"
    torch.save(tensors, file)
    import_checkpoint(discover(), Store(folder / "store"), file, "imported", model="ugatit")


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    tensors = checkpoint(LIGHT)
    del tensors["genB2A.gamma.weight"]
    with pytest.raises(CheckpointError, match=r"b_to_a\.style\.gamma\.weight"):
        import_into(tmp_path, tensors)


def test_an_unknown_tensor_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"genA2B\.surprise\.weight"):
        import_into(tmp_path, {**checkpoint(LIGHT), "genA2B.surprise.weight": torch.zeros(1)})


def test_an_unknown_tensor_of_a_discriminator_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"disGA\.surprise\.weight"):
        import_into(tmp_path, {**checkpoint(LIGHT), "disGA.surprise.weight": torch.zeros(1)})


def test_a_transposed_tensor_is_named(tmp_path: Path) -> None:
    tensors = checkpoint(LIGHT)
    key = "genA2B.DownBlock.5.weight"
    tensors[key] = tensors[key].transpose(0, 1).contiguous()
    with pytest.raises(CheckpointError, match=r"a_to_b\.encoder\.1\.conv\.weight"):
        import_into(tmp_path, tensors)


def test_an_import_loads_the_networks_of_no_other_paper(tmp_path: Path) -> None:
    torch.save(checkpoint(LIGHT), tmp_path / "release.pt")
    code = (
        "import sys; from pathlib import Path\n"
        "from i2i_registry import Store, discover, import_checkpoint\n"
        "import_checkpoint(discover(), Store(Path(sys.argv[2])), Path(sys.argv[1]), 'imported')\n"
        "print(*(name for name in sys.modules if name.startswith('i2i_plugin_')))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "release.pt"), str(tmp_path / "store")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    heavy = {name.split(".")[0] for name in found if name.endswith((".networks", ".model", ".official"))}
    assert heavy == {"i2i_plugin_ugatit"}
