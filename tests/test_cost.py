"""Costs against closed forms; budgets against arithmetic."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gossamer import storage
from gossamer.cost import Budget, Cost, distinct, measure
from gossamer.errors import SettingError

COUNTED = Cost(parameters=10, nonzeros=5, bytes=40, macs=100)


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Linear(16, 4, bias=False))


def test_counts_of_a_small_network_by_hand():
    model = small()
    with torch.no_grad():
        model[0].weight[:8] = 0.0
    cost = measure(model, (torch.randn(5, 8),), latency=False, training_macs=7.0)
    assert cost.parameters == 8 * 16 + 16 + 2 * 16 + 16 * 4
    # the first layer's upper half and the batch norm's shift are zeros
    assert cost.nonzeros == cost.parameters - 8 * 8 - 16
    assert cost.macs == 5 * (8 * 16 + 16 * 4)
    assert cost.bytes == sum(storage.stored_bytes(t) for t in model.state_dict().values())
    assert cost.training_macs == 7.0
    assert cost.latency_ms is None
    assert cost.latency_spread_ms is None


def test_memory_is_what_stays_plus_the_most_that_lives_at_once():
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
    cost = measure(model, (torch.randn(5, 8),), latency=False)
    held = 4 * (8 * 64 + 64 + 64 * 2 + 2)
    assert cost.peak_memory_bytes == held + 4 * 5 * (64 + 64)  # the hidden layer before and after ReLU


def test_a_shared_parameter_counts_once():
    model = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    model[1].weight = model[0].weight
    cost = measure(model, (torch.randn(2, 6),), latency=False)
    assert cost.parameters == 36
    assert cost.bytes == 36 * 4
    assert cost.macs == 2 * 2 * 36  # it multiplies twice
    assert list(distinct(model.state_dict())) == ["0.weight"]


def test_tensors_of_one_size_are_not_taken_for_the_same():
    model = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    assert len(distinct(model.state_dict())) == 2


def test_the_model_and_the_threads_are_left_as_they_were():
    model = small()
    model[0].eval()
    modes = [module.training for module in model.modules()]
    before, threads = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_num_threads()
    cost = measure(model, (torch.randn(5, 8),), repeats=2, threads=1)
    assert [module.training for module in model.modules()] == modes
    assert torch.get_num_threads() == threads
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert cost.latency_ms > 0
    assert cost.latency_spread_ms >= 0


def test_what_a_network_caches_while_measured_can_still_be_trained_on():
    class Caching(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.scale = None

        def forward(self, x):
            if self.scale is None:
                self.scale = x.mean(0)
            return self.linear(x) * self.scale

    model = Caching()
    measure(model, (torch.randn(4, 3),), repeats=1)
    model(torch.randn(4, 3)).sum().backward()
    assert model.linear.weight.grad is not None


def test_cost_goes_to_json_and_back():
    cost = Cost(parameters=3, nonzeros=2, bytes=12, macs=6, latency_ms=0.5, latency_spread_ms=0.1)
    assert Cost.from_json(cost.to_json()) == cost


def test_cost_from_json_names_what_is_wrong():
    with pytest.raises(SettingError, match="did you mean 'latency_ms'"):
        Cost.from_json(COUNTED.to_json() | {"latency": 3})
    with pytest.raises(SettingError, match="nonzeros, macs missing"):
        Cost.from_json({"parameters": 1, "bytes": 4})


def test_ratio_is_field_by_field_where_known():
    half = Cost(parameters=5, nonzeros=5, bytes=10, macs=25, latency_ms=1.0)
    assert half.ratio(COUNTED) == {"parameters": 0.5, "nonzeros": 1.0, "bytes": 0.25, "macs": 0.25}


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("bytes<=100k", {"bytes": 100_000.0}),
        ("bytes<=100Ki", {"bytes": 102_400.0}),
        (" latency_ms <= 2 , macs<1.5M", {"macs": 1_500_000.0, "latency_ms": 2.0}),
        ("parameters<=1e3,peak_memory_bytes<=2Gi", {"parameters": 1000.0, "peak_memory_bytes": 2.0 * 2**30}),
        ("training_macs<=3T", {"training_macs": 3e12}),
        ("nonzeros<=0", {"nonzeros": 0.0}),
        ("latency<=2ms", {"latency_ms": 2.0}),
        ("latency<=1.5s", {"latency_ms": 1500.0}),
        ("latency_ms <= 250 us", {"latency_ms": 0.25}),
        ("latency<=250µs", {"latency_ms": 0.25}),
        ("bytes<=100kB,memory<=2MiB", {"bytes": 100_000.0, "peak_memory_bytes": 2.0 * 2**20}),
        ("bytes<=7B", {"bytes": 7.0}),
    ],
)
def test_budgets_are_read(text, bounds):
    assert Budget.parse(text).bounds() == bounds
    assert Budget.parse(str(Budget.parse(text))) == Budget.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("byte<=3", "did you mean 'bytes'"),
        ("latency_spread_ms<=3", "unknown field"),
        ("bytes=3", "cannot read 'bytes=3'"),
        ("bytes>=3", "cannot read"),
        ("", "cannot read ''"),
        ("bytes<=3,", "cannot read ''"),
        ("bytes<=many", "cannot read"),
        ("bytes<=1.2.3", "not a number"),
        ("bytes<=3,bytes<=4", "twice"),
        ("latency<=3,latency_ms<=4", "twice"),
        ("latency<=3k", "no unit of latency_ms; expected us, ms or s"),
        ("bytes<=3ms", "no unit of bytes; expected a prefix"),
        ("macs<=3B", "no unit of macs"),
        ("bytes<=-3", "at least 0"),
    ],
)
def test_budgets_that_say_nothing_are_refused(text, message):
    with pytest.raises(SettingError, match=message):
        Budget.parse(text)


def test_a_budget_is_met_on_its_bound_and_not_above():
    assert Budget(bytes=40).met_by(COUNTED)
    assert not Budget(bytes=39, macs=1000).met_by(COUNTED)
    assert Budget(bytes=39, macs=1000).violations(COUNTED) == {"bytes": (40.0, 39.0)}
    assert Budget(bytes=20, macs=50).excess(COUNTED) == 1.0
    assert Budget(macs=0).excess(COUNTED) == float("inf")
    assert Budget().met_by(COUNTED)
    assert Budget().excess(COUNTED) == -1.0


def test_a_bound_on_what_was_not_measured_is_an_error():
    with pytest.raises(SettingError, match="latency_ms, which was not measured"):
        Budget(latency_ms=1.0).met_by(COUNTED)


@given(st.dictionaries(st.sampled_from(["parameters", "nonzeros", "bytes", "macs"]), st.floats(0.5, 1e6)))
def test_excess_and_met_by_agree_and_budgets_go_to_json_and_back(bounds):
    budget = Budget(**bounds)
    assert (budget.excess(COUNTED) <= 0) == budget.met_by(COUNTED) == (not budget.violations(COUNTED))
    assert Budget.from_json(budget.to_json()) == budget
