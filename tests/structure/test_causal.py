"""Information about an intervention: against closed forms and counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gossamer.structure import CausalInformation, Correlations, Entropies, Estimator, Histograms
from tests.structure.observing import scored

SAMPLES = 20_000
ESTIMATORS = [Histograms(), Correlations(), Entropies()]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("estimator", [Histograms(), Correlations()], ids=lambda one: one.name)
@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_information_of_a_gaussian_pair_is_that_of_its_correlation(estimator: Estimator, rho: float) -> None:
    z = draw(SAMPLES, 1)
    y = rho * z + math.sqrt(1 - rho**2) * draw(SAMPLES, 1, seed=1)
    found = estimator.information(z, y, y)
    assert float(found) == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.03)


def test_information_is_summed_over_inputs() -> None:
    z, y = draw(SAMPLES, 3), draw(SAMPLES, 2, seed=1)
    y = y + z[:, :1]
    for estimator in (Histograms(), Correlations()):
        apart = sum(estimator.information(z[:, i : i + 1], y, y) for i in range(3))
        torch.testing.assert_close(estimator.information(z, y, y), apart, rtol=0.05, atol=0.01)


def test_entropy_of_uniform_and_of_constant_outputs() -> None:
    uniform = torch.rand(SAMPLES, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.cat([uniform, torch.zeros_like(uniform)], 1)
    found = Entropies(bins=16).information(y, y, y)
    torch.testing.assert_close(found, torch.tensor([math.log(16), 0.0], dtype=torch.float64), atol=0.01, rtol=0)


def test_the_bias_of_few_samples_is_taken_off() -> None:
    z, y = torch.rand(2000, 1, dtype=torch.float64), torch.rand(2000, 1, dtype=torch.float64)
    plain = _plain_information(z, y, 16)
    assert plain > 0.05  # independent, but few samples look as if they were not
    assert float(Histograms(bins=16).information(z, y, y)) < 0.2 * plain


def _plain_information(z: Tensor, y: Tensor, bins: int) -> float:
    joint = torch.histogramdd(torch.cat([z, y], 1), bins=[bins, bins]).hist / len(z)
    expected = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return float(torch.special.xlogy(joint, joint / expected.clamp_min(1e-12)).sum())


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.name)
@pytest.mark.parametrize("do", ["propagated", "local"])
def test_dead_units_carry_nothing(estimator: Estimator, do: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 1), nn.Flatten()).eval()
    with torch.no_grad():
        network[0].weight[2] = 0.0
        network[0].bias[2] = 0.0
    score = CausalInformation(estimator=estimator, do=do, draws=64)
    (found,) = scored(score, network, torch.randn(1, 2, 8, 8)).values()
    assert float(found[2]) == pytest.approx(0.0, abs=1e-9)
    assert float(found.sum()) > 0.0


def test_inputs_of_a_convolution_are_means_under_the_kernel() -> None:
    """A unit that is the mean of one input channel is that channel's mean, so they have a correlation of 1."""
    network = nn.Sequential(nn.Conv2d(2, 2, 3, stride=2, padding=1), nn.Conv2d(2, 1, 1), nn.Flatten())
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.zero_()
        network[0].weight[0, 0] = 1.0 / 9.0
        network[0].weight[1] = torch.randn(2, 3, 3)
    (found,) = scored(CausalInformation(estimator=Correlations()), network, torch.rand(1, 2, 9, 9)).values()
    assert float(found[0]) > 5.0 > float(found[1])


def test_later_groups_see_the_disturbance_through_what_is_left() -> None:
    """The second layer repeats the two units of the first; the one that the first layer loses says nothing then."""
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    with torch.no_grad():
        for layer in network:
            layer.bias.zero_()
        network[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.01]]))  # common bins: the second is hardly heard
        network[1].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 100.0]]))
    first, second = scored(CausalInformation(), network, torch.rand(4, 2)).values()
    assert float(first[0]) > float(first[1])
    assert float(second[0]) > 0.5
    assert float(second[1]) == pytest.approx(0.0, abs=1e-9)


def test_the_network_is_left_as_it_was_and_the_same_seed_gives_the_same() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = [scored(CausalInformation(), network, torch.rand(4, 3)) for _ in range(2)]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for name in found[0]:
        assert found[0][name].shape == (5,)
    torch.manual_seed(1)
    x = torch.rand(4, 3)
    one, other = (scored(CausalInformation(), network, x) for _ in range(2))
    for name, values in one.items():
        assert torch.equal(values, other[name])


def test_graph_networks_are_disturbed_at_their_nodes() -> None:
    from torch_geometric.nn import GraphSAGE

    network = GraphSAGE(3, 6, 3, 2, dropout=0.0).eval()
    found = scored(CausalInformation(), network, torch.randn(20, 3), torch.randint(20, (2, 60)))
    assert len(found) == 2
    assert all(float(values.max()) > 0 for values in found.values())
