from __future__ import annotations

import json

import pytest

from gossamer.compression import method
from gossamer.errors import ModelError, SettingError
from gossamer.prune import Allocation, HardMasks, LayerSparsity, Profile
from tests.prune.toy import Regression, network, train

PROFILE = Profile.of({"0.*": 0.75, "*": 0.25, "2": 0.5})


@pytest.mark.parametrize("name", ["magnitude", "slr", "admm"])
def test_each_layer_has_the_sparsity_of_the_first_pattern_that_matches(name: str) -> None:
    model = train(method(name, allocation=PROFILE).start(network(), Regression(), epochs=4), Regression())
    zeros = {key: int((value == 0).sum()) for key, value in model.named_parameters() if "weight" in key}
    assert zeros == {"0.weight": 180, "2.weight": 20}


def test_layers_without_a_pattern_take_the_sparsity_of_the_method() -> None:
    chosen = HardMasks(sparsity=0.5, allocation=Profile.of({"2": 0.75}))
    model = train(chosen.start(network(), Regression(), epochs=0), Regression())
    zeros = {key: int((value == 0).sum()) for key, value in model.named_parameters() if "weight" in key}
    assert zeros == {"0.weight": 120, "2.weight": 60}


def test_it_goes_to_json_and_back() -> None:
    assert Allocation.from_json(json.loads(json.dumps(PROFILE.to_json()))) == PROFILE
    with pytest.raises(SettingError, match="sparsity is 1"):
        LayerSparsity(layer="*", sparsity=1.0)


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    chosen = HardMasks(allocation=Profile.of({"convs.*": 0.5}))
    with pytest.raises(ModelError, match=r"no pruned weight matches 'convs\.\*'; there are: 0\.weight, 2\.weight"):
        train(chosen.start(network(), Regression(), epochs=0), Regression())
