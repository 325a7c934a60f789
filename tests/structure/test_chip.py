"""Independence of channels: against its definition, one singular value decomposition a channel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gossamer.structure import ChannelIndependence
from gossamer.structure.chip import independence
from tests.structure.observing import scored


def by_definition(maps: Tensor) -> Tensor:
    """Returns the drop of the nuclear norm of each image when a row is set to zero."""
    result = torch.zeros(maps.shape[:2], dtype=torch.float64)
    for image, a in enumerate(maps.double()):
        for row in range(len(a)):
            without = a.clone()
            without[row] = 0.0
            result[image, row] = torch.linalg.svdvals(a).sum() - torch.linalg.svdvals(without).sum()
    return result


@given(st.integers(1, 7), st.integers(1, 9), st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 1e4]))
def test_equals_the_definition(rows: int, places: int, seed: int, scale: float) -> None:
    maps = scale * torch.randn(2, rows, places, generator=torch.Generator().manual_seed(seed)).relu()
    expected = by_definition(maps)
    largest = max(float(torch.linalg.svdvals(maps.double()).max()), 1e-30)
    assert float((independence(maps) - expected).abs().max()) <= 1e-6 * largest


def test_of_rows_that_have_nothing_in_common_each_is_worth_its_length() -> None:
    maps = torch.diag(torch.tensor([3.0, 0.5, 0.0]))[None]
    torch.testing.assert_close(independence(maps), torch.tensor([[3.0, 0.5, 0.0]], dtype=torch.float64))


def test_of_equal_rows_each_is_worth_the_difference_of_roots() -> None:
    found = independence(torch.ones(1, 4, 9))
    torch.testing.assert_close(found, torch.full((1, 4), 3 * (2 - 3**0.5), dtype=torch.float64))


def test_a_copy_is_worth_less_than_a_channel_of_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(8, 6, 30, generator=generator)
    maps[:, 1] = maps[:, 0]
    found = independence(maps / maps.norm(dim=2, keepdim=True)).mean(0)
    assert float(found[:2].max()) < float(found[2:].min())


def test_maps_are_seen_behind_the_non_linearity_image_by_image() -> None:
    network = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 3, 1), nn.Flatten()).eval()
    images = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    maps = network[:3](images).flatten(2)
    (found,) = scored(ChannelIndependence(), network, images).values()
    torch.testing.assert_close(found, by_definition(maps.detach()).mean(0), rtol=1e-6, atol=1e-6)


def test_batches_of_the_losses_are_averaged_and_may_have_other_sizes() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 1), nn.Flatten())
    images = torch.randn(6, 2, 5, 5, generator=torch.Generator().manual_seed(2))

    def losses(model: nn.Module) -> list[Tensor]:
        return [model(images[:2]).sum(), model(images[2:]).sum()]

    (found,) = scored(ChannelIndependence(), network, images[:1], losses=losses).values()
    expected = by_definition(network[:2](images).flatten(2).detach()).mean(0)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_nodes_of_a_graph_are_places() -> None:
    from torch_geometric.nn import GraphSAGE

    torch.manual_seed(3)
    network = GraphSAGE(3, 4, 2, 2, dropout=0.0).eval()
    x, edges = torch.randn(10, 3), torch.randint(10, (2, 30))
    (found,) = scored(ChannelIndependence(), network, x, edges).values()
    hidden = network.convs[0](x, edges).relu().detach()
    mean = torch.zeros_like(hidden)
    mean.index_add_(0, edges[1], hidden[edges[0]])
    mean /= torch.bincount(edges[1], minlength=10).clamp_min(1)[:, None]
    expected = torch.stack([by_definition(part.T[None])[0] for part in (mean, hidden)]).mean(0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_with_rows_of_unit_length_energy_plays_no_part() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    x = torch.randn(20, 3)
    (before,) = scored(ChannelIndependence(normalised=True), network, x).values()
    with torch.no_grad():
        network[0].weight[1] *= 100
        network[0].bias[1] *= 100
    (after,) = scored(ChannelIndependence(normalised=True), network, x).values()
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_a_network_that_computes_otherwise_on_other_data_is_refused() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x).relu()
            if len(x) > 3:
                x = self.b(x).relu()
            return self.c(x)

    from gossamer.errors import ModelError

    with pytest.raises(ModelError, match="something else on other data"):
        scored(ChannelIndependence(), Deep(), torch.zeros(2, 3), losses=lambda model: [model(torch.randn(5, 3)).sum()])
