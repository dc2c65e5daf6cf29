from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from i2i_plugin_ugatit import i2i_models
from i2i_plugin_ugatit.config import PRESETS, Config
from i2i_plugin_ugatit.model import UGATIT
from i2i_runtime import HeatmapOutput, ImageInput, LabelInput

LIGHT = Config(image_size=32, channels=2, res_blocks=1, pooled_style=True, domains=("cat", "dog"))
FULL = LIGHT.model_copy(update={"pooled_style": False})


def test_the_card_is_there_without_torch() -> None:
    code = "import sys, i2i_plugin_ugatit as p; p.i2i_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_card_names_the_models_presets_and_operations() -> None:
    (card,) = i2i_models()
    assert card.presets == tuple(UGATIT.presets) == tuple(PRESETS)
    assert card.operations == tuple(operation.name for operation in UGATIT(LIGHT).operations())


def test_translate_runs_the_graph_of_the_domain_asked_for() -> None:
    (translate,) = UGATIT(LIGHT).operations()
    graphs = {name: [step.graph for step in translate.steps_for({"domain": name})] for name in LIGHT.domains}
    assert graphs == {"cat": ["b_to_a"], "dog": ["a_to_b"]}


def test_the_domain_asked_for_is_the_second_unless_told() -> None:
    (translate,) = UGATIT(LIGHT).operations()
    (label,) = [value for value in translate.inputs if isinstance(value, LabelInput)]
    assert (label.names, label.default) == (("cat", "dog"), "dog")


def test_the_attention_is_a_heatmap() -> None:
    (translate,) = UGATIT(LIGHT).operations()
    assert isinstance(translate.outputs[1], HeatmapOutput)


@pytest.mark.parametrize(
    ("config", "height", "width", "accepted"),
    [
        (LIGHT, 8, 64, True),
        (LIGHT, 4, 64, False),
        (LIGHT, 30, 32, False),
        (FULL, 32, 32, True),
        # These run, and give something without meaning: the network counts values only.
        (FULL, 16, 64, False),
        (FULL, 31, 31, False),
    ],
)
def test_sizes_are_refused_before_they_reach_the_network(
    config: Config, height: int, width: int, *, accepted: bool
) -> None:
    (translate,) = UGATIT(config).operations()
    (image,) = [value for value in translate.inputs if isinstance(value, ImageInput)]
    assert image.size.accepts(height, width) is accepted


@pytest.mark.parametrize("config", [LIGHT, FULL], ids=["light", "full"])
def test_a_graph_gives_the_image_and_the_attention_of_its_generator(config: Config) -> None:
    torch.manual_seed(0)
    model = UGATIT(config)
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    for name, graph in model.graphs().items():
        translated, attention = graph.module(image)
        expected = model.networks[name](image)
        assert graph.outputs == ("translated", "attention")
        assert torch.equal(translated, expected.image)
        assert torch.equal(attention, expected.attention)


def test_graphs_share_the_networks_parameters() -> None:
    model = UGATIT(LIGHT)
    parameters = {id(p) for network in model.networks.values() for p in network.parameters()}
    assert {id(p) for graph in model.graphs().values() for p in graph.module.parameters()} == parameters


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of torch.export itself
def test_the_light_graph_is_traced_once_for_every_size() -> None:
    torch.manual_seed(0)
    module = UGATIT(LIGHT).graphs()["a_to_b"].module.eval()
    free = {
        0: torch.export.Dim("batch"),
        2: 4 * torch.export.Dim("rows", min=2, max=256),
        3: 4 * torch.export.Dim("columns", min=2, max=256),
    }
    traced = torch.export.export(module, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=(free,)).module()
    for shape in ((1, 3, 8, 8), (3, 3, 64, 20)):
        image = torch.rand(shape) * 2 - 1
        torch.testing.assert_close(traced(image), module(image))
