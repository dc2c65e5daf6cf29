"""Folding normalised weights changes the module's form and not its numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from i2i_exporter_onnx.rewrites import folded, outputs_of
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.evaluating import evaluating

STYLES: dict[str, Callable[[nn.Conv2d], nn.Module]] = {
    "spectral hook": spectral_norm,
    "spectral parametrisation": parametrizations.spectral_norm,
    "weight parametrisation": parametrizations.weight_norm,
}


def network(style: Callable[[nn.Conv2d], nn.Module]) -> tuple[nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    module = nn.Sequential(style(nn.Conv2d(3, 4, 3)), nn.ReLU(), style(nn.Conv2d(4, 2, 3)))
    x = torch.randn(2, 3, 8, 8)
    module.train()
    for _ in range(3):
        module(x)  # with gradients: the hook style then holds a weight that deepcopy refuses
    return module, (x,)


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_a_folded_network_gives_the_same(style: Callable[[nn.Conv2d], nn.Module]) -> None:
    module, x = network(style)

    rewritten = folded(module, x, "net")

    with evaluating(module), torch.no_grad():
        torch.testing.assert_close(outputs_of(rewritten, x), outputs_of(module, x))


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_a_folded_network_has_plain_weights_only(style: Callable[[nn.Conv2d], nn.Module]) -> None:
    module, x = network(style)

    rewritten = folded(module, x, "net")

    names = ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert sorted(rewritten.state_dict()) == names
    assert sorted(module.state_dict()) != names


def test_the_old_weight_norm_is_folded() -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        module = nn.Sequential(weight_norm(nn.Conv2d(3, 4, 3)))

    rewritten = folded(module, (torch.randn(1, 3, 8, 8),), "net")

    assert sorted(rewritten.state_dict()) == ["0.bias", "0.weight"]


def test_the_original_keeps_its_weights_and_its_modes() -> None:
    module, x = network(spectral_norm)
    module[1].eval()  # pyright: ignore[reportIndexIssue] - a Sequential
    before = {key: value.clone() for key, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]

    folded(module, x, "net")

    torch.testing.assert_close(dict(module.state_dict()), before, rtol=0, atol=0)
    assert [part.training for part in module.modules()] == modes


def test_a_fold_that_changes_the_numbers_is_an_error() -> None:
    class Restless(nn.Module):
        """Scales by something that is never twice the same."""

        calls = 0

        def forward(self, weight: Tensor) -> Tensor:
            Restless.calls += 1
            return weight * Restless.calls

    module = nn.Conv2d(3, 4, 3)
    nn.utils.parametrize.register_parametrization(module, "weight", Restless(), unsafe=True)

    with pytest.raises(ExportError, match="folding the normalised weights"):
        folded(module, (torch.randn(1, 3, 8, 8),), "net")
