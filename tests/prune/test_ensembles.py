"""Group-to-group masks by hand, their exact densities, and modularity against networkx."""

from __future__ import annotations

import math

import networkx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.compression import method, methods
from gossamer.errors import ModelError, SettingError
from gossamer.prune import (
    AtRandom,
    ByGradient,
    ByHebb,
    DropAndGrow,
    GroupToGroup,
    Kernels,
    Random,
    Statistics,
    Uniform,
    modularity,
)
from gossamer.prune.ensembles import Labels, favoured
from gossamer.prune.selection import GONE
from gossamer.prune.weights import prunable_weights
from tests.prune.toy import Regression, epoch_of, network, sgd


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def begun(model: nn.Module, initial: GroupToGroup, sparsity: float, **settings: object) -> dict[str, torch.Tensor]:
    chosen = DropAndGrow(
        sparsity=sparsity, initial=initial, allocation=Uniform(), granularity=Kernels(), until=0.0, **settings
    )

    first = next(layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d))

    class Example(Regression):
        def example(self) -> tuple[torch.Tensor]:
            wide = isinstance(first, nn.Linear)
            return (torch.zeros(2, first.in_features) if wide else torch.zeros(2, 4, 6, 6),)

    return chosen.start(model, Example(), epochs=0).masks


def test_two_groups_of_a_tiny_network_by_hand() -> None:
    masks = begun(nn.Sequential(nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)), GroupToGroup(groups=2), 0.5)
    first, second = masks["0.weight"], masks["2.weight"]
    assert first.tolist() == [[True] * 6 + [False] * 6] * 2 + [[False] * 6 + [True] * 6] * 2
    assert second.tolist() == [[True, True, False, False], [False, False, True, True]]


def test_channels_are_the_units_of_convolutions_and_all_taps_go_together() -> None:
    model = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 36, 4))
    masks = begun(model, GroupToGroup(groups=4), 0.75)
    expected = torch.block_diag(*[torch.ones(2, 1)] * 4).bool()
    assert torch.equal(masks["0.weight"], expected[:, :, None, None].expand(8, 4, 3, 3))
    assert torch.equal(masks["2.weight"], torch.block_diag(*[torch.ones(1, 72)] * 4).bool())


def test_thirds_of_attention_are_grouped_each_for_itself() -> None:
    model = nn.MultiheadAttention(8, 2)
    found = GroupToGroup(groups=2).labels(model, prunable_weights(model))
    assert found["in_proj_weight"].outputs.tolist() == [0, 0, 0, 0, 1, 1, 1, 1] * 3
    assert found["out_proj.weight"].inputs.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 5),
    st.integers(5, 24),
    st.integers(5, 24),
    st.tuples(st.floats(0.05, 1.0), st.floats(0.0, 1.0), st.floats(0.05, 1.0)),
    st.integers(0, 99),
)
def test_any_first_part_of_the_order_has_the_mixture(
    groups: int, rows: int, columns: int, chances: tuple[float, float, float], seed: int
) -> None:
    within, between, share = chances
    wiring = "permuted" if seed % 2 else "identity"
    model = nn.Sequential(nn.Linear(columns, rows))
    score = GroupToGroup(groups=groups, within=within, between=between, wiring=wiring, seed=seed)
    inside = score.labels(model, prunable_weights(model))["0.weight"].within(columns)
    order = score.score(model[0].weight, inside, chance(seed)).flatten().argsort(descending=True)
    assert len(torch.unique(order)) == rows * columns
    assert bool(torch.zeros(rows).index_fill(0, order[:rows] // columns, 1.0).all()), "an output without an input"
    count = max(rows, round(share * rows * columns))
    taken = int(inside.flatten()[order[:count]].sum())
    n_in, n_out = int(inside.sum()), int((~inside).sum())
    expected = count * within * n_in / (within * n_in + between * n_out)
    full = min(max(expected, count - n_out), n_in)
    slack = 1 + rows  # as many outputs may have been given their only input before its turn
    assert abs(taken - full) <= slack


def test_the_presets_have_the_density_and_the_odds_of_the_paper() -> None:
    model = nn.Sequential(nn.Linear(64, 64))
    inside = torch.block_diag(*[torch.ones(16, 16)] * 4).bool()
    assert torch.equal(begun(model, GroupToGroup(), 0.75)["0.weight"], inside)
    linked = begun(nn.Sequential(nn.Linear(64, 64)), GroupToGroup(within=0.9, between=0.033), 0.75)["0.weight"]
    assert int(linked.sum()) == 1024
    wanted = 1024 * 0.9 / (0.9 + 3 * 0.033)
    assert abs(int((linked & inside).sum()) - wanted) <= 1


def test_wiring_permutes_whole_groups_and_shuffling_the_inputs_of_the_first_layer_only() -> None:
    model = nn.Sequential(nn.Linear(12, 8), nn.Linear(8, 8))
    weights = prunable_weights(model)
    plain = GroupToGroup(groups=4).labels(model, weights)
    wired = GroupToGroup(groups=4, wiring="permuted", seed=3).labels(model, weights)
    for name, columns in (("0.weight", 12), ("1.weight", 8)):
        blocks = wired[name].within(columns).view(4, 2, 4, columns // 4)
        table = blocks[:, 0, :, 0]
        assert torch.equal(blocks, table[:, None, :, None].expand_as(blocks))
        assert table.sum(0).tolist() == table.sum(1).tolist() == [1] * 4
    assert not torch.equal(wired["0.weight"].inputs, plain["0.weight"].inputs)
    mixed = GroupToGroup(groups=4, inputs="shuffled", seed=3).labels(model, weights)
    assert torch.equal(mixed["1.weight"].inputs, plain["1.weight"].inputs)
    assert not torch.equal(mixed["0.weight"].inputs, plain["0.weight"].inputs)
    assert torch.equal(mixed["0.weight"].inputs.sort().values, plain["0.weight"].inputs)


def test_layers_too_small_for_groups_stay_dense_and_are_named() -> None:
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 4))
    run = method("g2gnet").start(model, Regression(), epochs=1)
    assert set(run.masks) == {"0.weight"}
    assert any("Left dense: 2.weight. A layer has groups only if" in note for note in run.notes())
    model = nn.Sequential(nn.Linear(12, 3), nn.ReLU(), nn.Linear(3, 4))
    with pytest.raises(ModelError, match=r"no layer has inputs and outputs for 4 groups; .* 0.weight \(3, 12\)"):
        method("g2gnet").start(model, Regression(), epochs=1)
    depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(8, 8, 3))
    assert set(GroupToGroup(groups=4).labels(depthwise, prunable_weights(depthwise))) == {"1.weight"}


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_modularity_is_that_of_the_weighted_graph(rows: int, columns: int, groups: int, taps: int, seed: int) -> None:
    draw = chance(seed)
    labels = Labels(torch.randint(groups, (rows,), generator=draw), torch.randint(groups, (columns,), generator=draw))
    weight = torch.randn(rows, columns * taps, generator=draw)
    graph = networkx.Graph()
    graph.add_nodes_from([("out", j) for j in range(rows)] + [("in", i) for i in range(columns)])
    for j in range(rows):
        for i in range(columns):
            graph.add_edge(("out", j), ("in", i), weight=float(weight[j, i * taps : (i + 1) * taps].abs().sum()))
    communities = [
        {("out", j) for j in range(rows) if labels.outputs[j] == c}
        | {("in", i) for i in range(columns) if labels.inputs[i] == c}
        for c in range(groups)
    ]
    expected = networkx.community.modularity(graph, [part for part in communities if part])
    assert modularity(weight, labels) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_equal_blocks_have_modularity_one_less_one_over_their_number(groups: int) -> None:
    layer = nn.Linear(16, 16)
    labels = GroupToGroup(groups=groups).labels(nn.Sequential(layer), prunable_weights(nn.Sequential(layer)))
    blocks = torch.block_diag(*[torch.ones(16 // groups, 16 // groups)] * groups)
    assert modularity(blocks, labels["0.weight"]) == pytest.approx(1.0 - 1.0 / groups)
    assert modularity(torch.ones(16, 16), labels["0.weight"]) == pytest.approx(0.0)
    assert modularity(torch.zeros(16, 16), labels["0.weight"]) == 0.0


@given(st.integers(0, 12), st.floats(0.0, 1.0), st.integers(0, 99))
def test_favoured_candidates_are_the_best_within_groups(number: int, odds: float, seed: int) -> None:
    draw = chance(seed)
    promise = torch.rand(20, generator=draw, dtype=torch.float64)
    promise[torch.rand(20, generator=draw) < 0.3] = GONE
    within = torch.rand(20, generator=draw) < 0.5
    coins = int((torch.rand(number, generator=chance(seed + 1), dtype=torch.float64) < odds).sum())
    result = favoured(promise, within, number, odds, chance(seed + 1))
    raised = (result != promise).nonzero().flatten().tolist()
    pool = [i for i in range(20) if within[i] and promise[i] > GONE]
    assert raised == sorted(sorted(pool, key=lambda i: -float(promise[i]))[:coins])
    assert all(float(result[i]) > float(promise.max()) for i in raised)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(
        [ByHebb(), ByHebb(absolute=True), ByHebb(temperature=0.1), ByHebb(start=0.5), AtRandom(), ByGradient()]
    ),
    st.floats(0.3, 0.9),
    st.booleans(),
    st.booleans(),
)
def test_the_number_of_weights_never_changes_and_within_groups_it_stays_modular(
    grow, sparsity: float, in_groups: bool, linked: bool
) -> None:
    torch.manual_seed(1)
    task, model = Regression(), network()
    initial = GroupToGroup(groups=4, within=0.9, between=0.1 if linked else 0.0)
    chosen = method("g2gnet", sparsity=sparsity, grow=grow, initial=initial, in_groups=in_groups, every=1)
    run = chosen.start(model, task, epochs=4)
    before = {name: int(mask.sum()) for name, mask in run.masks.items()}
    assert before == {"0.weight": math.ceil(round((1 - sparsity) * 240, 6))}
    optimizer = sgd(model)
    for epoch in range(4):
        epoch_of(run, task, optimizer, epoch)
        assert {name: int(mask.sum()) for name, mask in run.masks.items()} == before
    inside = initial.labels(model, prunable_weights(model))["0.weight"].within(12)
    mask = run.masks["0.weight"]
    if in_groups and not linked and before["0.weight"] <= int(inside.sum()):
        assert bool(inside[mask].all())
    small = run.finish()
    report = run.report()
    assert report["modularity"]["0.weight"] == report["mean_modularity"] <= 0.75
    assert int((small[0].weight != 0).sum()) <= before["0.weight"]
    assert bool(small[2].weight.all())
    assert not any(module._forward_hooks for module in small.modules())


def test_growth_takes_the_pairs_that_correlate_most_and_starts_them_as_asked() -> None:
    torch.manual_seed(2)
    task, model = Regression(), network()
    grow = ByHebb(start=0.5, statistics=Statistics(over="between-updates"))
    run = method("g2gnet", grow=grow, every=3, until=1.0).start(model, task, epochs=2)
    before, optimizer = run.masks["0.weight"], sgd(model)
    samples = []
    for batch in task.batches("train"):
        optimizer.zero_grad()
        task.loss(model, batch).backward()
        with torch.no_grad():
            samples.append(torch.cat([model[1](model[0](batch[0])), batch[0]], dim=1))
        run.after_backward()
        optimizer.step()
        size = model[0].weight.detach().clone() * before
        run.after_step(optimizer)
    correlation = torch.corrcoef(torch.cat(samples).T.double())[:20, 20:]
    active = size[before]
    dropped = math.ceil(run.fraction(3) * 60)
    survivors = before.clone()
    survivors[before] = active.abs().argsort().argsort() >= dropped
    promise = correlation.nan_to_num(-2.0).masked_fill(survivors, -3.0)
    expected = torch.zeros(240, dtype=torch.bool).index_fill(0, promise.flatten().topk(dropped).indices, True)
    grown = run.masks["0.weight"] & ~survivors
    assert torch.equal(grown, expected.view(20, 12))
    value = 0.5 * float(active.std(correction=0))
    torch.testing.assert_close(model[0].weight[grown], value * correlation[grown].sign().float(), rtol=1e-4, atol=1e-6)


def test_redrawn_weights_have_the_spread_of_the_inputs_that_stay() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(400, 64)
    masks = begun(nn.Sequential(layer), GroupToGroup(within=0.9, between=0.033), 0.75, begin="redrawn")
    fan_in = masks["0.weight"].sum(1)
    unit = layer.weight.detach() * (fan_in / 2.0).sqrt()[:, None]
    assert float(unit[masks["0.weight"]].std()) == pytest.approx(1.0, abs=0.05)


def test_names_and_refusals() -> None:
    chosen = methods()["g2gnet"].method
    assert (chosen.sparsity, chosen.initial, chosen.grow) == (0.75, GroupToGroup(groups=4), ByHebb())
    assert methods()["g2gnet-static"].method == chosen.replace(until=0.0)
    with pytest.raises(SettingError, match="within and between are both 0; expected one above 0"):
        GroupToGroup(within=0.0)
    with pytest.raises(SettingError, match="initial is 'random', which has no groups; set initial to 'group-to-group'"):
        chosen.replace(initial=Random(), in_groups=True)
    with pytest.raises(SettingError, match=r"granularity is 'kernels'; backend 'stored' has 'single-weights'"):
        chosen.replace(backend="stored", grow=AtRandom())
