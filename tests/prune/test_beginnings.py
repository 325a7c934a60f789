"""The first weights of sparse training, divided by the root of their layer's density."""

from __future__ import annotations

import copy

import torch

from gossamer.compression import method
from gossamer.models import for_task
from gossamer.tasks import datasets


def test_what_stays_is_divided_by_the_root_of_its_density():
    task = datasets.task("digits-graph")
    torch.manual_seed(0)
    network = for_task("gcn", task)
    found = []
    for begin in ("kept", "rescaled"):
        torch.manual_seed(1)
        run = method("rigl", sparsity=0.9, begin=begin).start(copy.deepcopy(network), task, epochs=2)
        found.append({name: (run.model.get_parameter(name).detach(), keep) for name, keep in run.masks.items()})
    for name, (plain, keep) in found[0].items():
        scaled, again = found[1][name]
        assert torch.equal(keep, again)
        torch.testing.assert_close(scaled, plain / keep.float().mean().sqrt())
        assert not scaled[~keep].any()
