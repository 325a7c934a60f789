"""A file gives back the same network, or says why it cannot; it never gives back another one."""

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors import torch as safetensors
from torch import nn
from torch_geometric.nn import SAGEConv

from gossamer.cost import measure
from gossamer.deploy import SwapLayer, changes, load, read_plan, save
from gossamer.errors import FileError, ModelError, SettingError
from gossamer.files import sha256
from gossamer.nn import SparseLinear


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 33), nn.ReLU(), nn.BatchNorm1d(33), nn.Linear(33, 4))


def pruned(model: nn.Module, seed: int = 0) -> nn.Module:
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng).to(parameter.dtype))
            if parameter.dim() > 1:
                parameter.mul_(torch.rand(parameter.shape, generator=rng) < 0.3)
    return model


def same_state(one: nn.Module, two: nn.Module) -> bool:
    mine, its = one.state_dict(), two.state_dict()
    return list(mine) == list(its) and all(
        value.dtype == its[key].dtype and torch.equal(value, its[key]) for key, value in mine.items()
    )


@pytest.fixture
def file(tmp_path):
    return save(tmp_path / "model.safetensors", pruned(network()), metadata={"accuracy": 0.9})


def test_a_plain_network_comes_back_in_eval_mode(file):
    untouched = network()
    before = [parameter.clone() for parameter in untouched.parameters()]
    model = load(file, untouched)
    assert same_state(model, pruned(network()))
    assert not model.training
    assert untouched.training
    assert all(torch.equal(a, b) for a, b in zip(before, untouched.parameters(), strict=True))


def test_packed_layers_come_back_packed_and_compute_the_same(tmp_path):
    swaps = (SwapLayer(layer="0", kernel="csr"), SwapLayer(layer="3", kernel="blocks"))
    model = changes.apply(swaps, pruned(network())).eval()
    path = save(tmp_path / "model", model)
    back = load(path, network())
    assert read_plan(path).changes == swaps
    assert [type(m) for m in back] == [type(m) for m in model]
    x = torch.randn(5, 20)
    with torch.no_grad():
        assert torch.equal(back(x), model(x))


def test_the_file_holds_as_many_bytes_as_the_cost_says(file):
    model = load(file, network())
    arrays = safetensors.load_file(file)
    held = sum(array.numel() * array.element_size() for array in arrays.values())
    assert measure(model, (torch.randn(2, 20),), latency=False).bytes == held
    assert held < file.stat().st_size < held + 4000


def test_any_safetensors_reader_finds_dense_tensors_by_name(file):
    with safe_open(file, "pt") as reader:
        assert torch.equal(reader.get_tensor("3.bias"), pruned(network()).state_dict()["3.bias"])


def test_the_same_network_gives_the_same_file(tmp_path):
    one, two = (save(tmp_path / name, pruned(network())).read_bytes() for name in "ab")
    assert one == two


def test_the_plan_says_what_the_file_holds(file):
    plan = read_plan(file)
    assert plan.metadata == {"accuracy": 0.9}
    assert plan.changes == ()
    assert plan.model == {"class": "torch.nn.modules.container.Sequential", "zoo": None}
    assert set(plan.tensors) == {"0.weight", "3.weight"}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtypes_are_those_that_were_saved(tmp_path, dtype):
    model = pruned(network().to(dtype))
    assert same_state(load(save(tmp_path / "m", model), network()), model)
    swapped = changes.apply([SwapLayer(layer="0", kernel="csr")], model)
    assert same_state(load(save(tmp_path / "m", swapped), network()), swapped)


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    def tied() -> nn.Module:
        model = nn.ModuleDict({"embed": nn.Embedding(40, 8), "head": nn.Linear(8, 40, bias=False)})
        model["head"].weight = model["embed"].weight
        return model

    model = tied()
    path = save(tmp_path / "m", model)
    assert list(safetensors.load_file(path)) == ["embed.weight"]
    back = load(path, tied())
    assert back["head"].weight is back["embed"].weight
    assert same_state(back, model)


def test_layers_of_unknown_size_are_filled(tmp_path):
    model = SAGEConv(7, 5)
    back = load(save(tmp_path / "m", model), SAGEConv((-1, -1), 5))
    assert same_state(back, model)


def test_a_network_of_the_zoo_needs_no_class_at_hand(tmp_path):
    from gossamer import models

    model = models.build("mlp", in_features=6, hidden=8, out_features=3)
    back = load(save(tmp_path / "m", model))
    assert type(back) is type(model)
    assert same_state(back, model)


def test_a_network_of_ones_own_needs_its_class(file):
    with pytest.raises(ModelError, match="pass an instance"):
        load(file)


def test_a_network_that_does_not_fit_is_named_with_shapes(file):
    other = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.BatchNorm1d(33), nn.Linear(33, 4, bias=False))
    with pytest.raises(ModelError) as caught:
        load(file, other)
    message = str(caught.value)
    assert "3.bias is not in the model" in message
    assert "0.weight is (33, 20) in the file, the model expects (30, 20)" in message
    assert "\n" not in message
    with pytest.raises(ModelError, match="missing in the file"):
        load(file, network().append(nn.Linear(4, 4)))


def test_a_plan_for_layers_that_are_not_there_is_refused(tmp_path):
    path = save(tmp_path / "m", network(), plan=[SwapLayer(layer="9", kernel="csr")])
    with pytest.raises(ModelError, match="no layer '9'"):
        load(path, network())


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return save(tmp_path_factory.mktemp("whole") / "model", pruned(network())).read_bytes()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_altered_byte_is_believed(tmp_path_factory, content, data):
    place = data.draw(st.one_of(st.integers(0, 400), st.integers(0, len(content) - 1)))
    flip = data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "altered"
    path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
    with pytest.raises(FileError):
        load(path, network())


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_truncated_or_grown_file_is_believed(tmp_path_factory, content, data):
    path = tmp_path_factory.getbasetemp() / "altered"
    size = data.draw(st.one_of(st.integers(0, 100), st.integers(0, len(content) - 1)))
    path.write_bytes(data.draw(st.sampled_from([content[:size], content + content[: size + 1]])))
    with pytest.raises(FileError):
        load(path, network())


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(tmp_path_factory, foreign):
    path = tmp_path_factory.getbasetemp() / "foreign"
    path.write_bytes(foreign)
    with pytest.raises(FileError, match="not a gossamer model"):
        load(path, network())


def test_a_foreign_safetensors_file_and_a_missing_one_are_refused(tmp_path):
    safetensors.save_file({"a": torch.ones(2)}, tmp_path / "foreign")
    with pytest.raises(FileError, match="not a gossamer model"):
        load(tmp_path / "foreign", network())
    with pytest.raises(FileError, match="could not be read"):
        load(tmp_path / "missing", network())


def forged(path, change) -> None:
    """Rewrites a file's plan and gives it a true checksum, as a newer or a careless writer would."""
    with safe_open(path, "pt") as reader:
        plan = json.loads(reader.metadata()["gossamer"])
    arrays = safetensors.load_file(path)
    change(plan, arrays)
    plan["sha256"] = "0" * 64
    data = safetensors.save(arrays, metadata={"gossamer": json.dumps(plan, separators=(",", ":"))})
    path.write_bytes(data.replace(b"0" * 64, sha256(data).encode(), 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan, arrays: plan.update(format=3), "format 3"),
        (lambda plan, arrays: plan.update(format="x"), "plan cannot be read"),
        (lambda plan, arrays: plan.pop("tensors"), "plan cannot be read"),
        (lambda plan, arrays: plan.update(changes=[{"name": "fuse"}]), "does not know"),
        (lambda plan, arrays: arrays.pop("0.weight./positions"), "does not fit the tensors"),
        (lambda plan, arrays: plan["tensors"]["0.weight"].update(shape=[1]), "does not fit the tensors"),
        (lambda plan, arrays: plan["tensors"].update({"x": {"same_as": "y"}}), "does not fit the tensors"),
        (lambda plan, arrays: plan.update(tensors=[1]), "does not fit the tensors"),
        (lambda plan, arrays: plan["tensors"]["0.weight"].update(shape=[2**40, 2**40]), "does not fit"),
        (lambda plan, arrays: plan["tensors"]["0.weight"].update(shape=[-1, 20]), "does not fit"),
    ],
)
def test_a_true_checksum_does_not_make_a_plan_right(file, change, message):
    forged(file, change)
    with pytest.raises(FileError, match=message):
        load(file, network())


def test_forging_without_a_change_still_loads(file):
    forged(file, lambda plan, arrays: None)
    assert same_state(load(file, network()), pruned(network()))


def test_metadata_that_are_not_json_are_refused_and_nothing_is_written(tmp_path):
    for metadata in ({"x": object()}, {"x": float("nan")}):
        with pytest.raises(SettingError, match="JSON"):
            save(tmp_path / "m", network(), metadata=metadata)
    assert not list(tmp_path.iterdir())


def test_a_state_dict_with_other_things_than_tensors_is_refused(tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return {"a": 1}

        def set_extra_state(self, state):
            pass

    with pytest.raises(ModelError, match="_extra_state: the state dict holds a dict"):
        save(tmp_path / "m", Odd(2, 2))


def test_a_folder_that_cannot_be_written_is_a_file_error(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(FileError, match="could not be written"):
        save(tmp_path / "taken" / "model", network())


@pytest.mark.parametrize("kernel", ["csr", "blocks"])
def test_a_network_in_sparse_training_is_saved_for_prediction(tmp_path, kernel):
    dense = pruned(network()).eval()
    trained = changes.apply([SwapLayer(layer="0", kernel=kernel)], copy.deepcopy(dense))
    trained[0].train_weights()
    back = load(save(tmp_path / "m", trained), network())
    assert trained[0].trains
    assert isinstance(back[0], SparseLinear)
    assert not back[0].trains
    assert torch.equal(back[0].weight, dense[0].weight)
