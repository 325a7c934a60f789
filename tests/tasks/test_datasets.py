import gzip
import json
import os
import pickle

import numpy as np
import pytest
import torch
from scipy import io, sparse

from gossamer.errors import DataError, FileError, SettingError
from gossamer.graph import CSR, EdgeList, Graph
from gossamer.tasks import (
    GraphClassification,
    ImageClassification,
    Images,
    LinkPrediction,
    NodeClassification,
    datasets,
    locate,
)
from gossamer.tasks.catalogue import CATALOGUE

PRESENT = [entry.name for entry in CATALOGUE.values() if all(locate.find(file) for file in entry.files)]


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A data folder with nothing in it, and no network."""
    monkeypatch.setenv("GOSSAMER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GOSSAMER_CACHE", str(tmp_path / "cache"))

    def refuse(url, timeout):
        raise OSError(f"no network, asked for {url} with a timeout of {timeout} s")

    monkeypatch.setattr(locate.urllib.request, "urlopen", refuse)
    return tmp_path / "data"


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_names_are_sorted_and_cover_the_literature():
    assert datasets.names() == sorted(datasets.names())
    assert {"cora", "citeseer", "pubmed", "coauthor-cs", "amazon-computers", "minesweeper", "usair", "email-eu"} < set(
        datasets.names()
    )
    assert {"digits", "digits-graph", "csbm", "fashion-mnist", "cifar10", "mutag"} < set(datasets.names())


def test_descriptions_say_what_is_there_and_where_it_would_be(alone):
    found = {entry.name: entry for entry in datasets.describe()}
    assert sorted(found) == datasets.names()
    assert found["digits"].present
    assert found["digits"].where == ""
    assert not found["cora"].present
    assert found["cora"].where == str(alone / "planetoid/Cora/raw/ind.cora.x")
    assert found["cora"].sizes == {"nodes": 2708, "edges": 10556, "features": 1433, "classes": 7}
    assert found["cora"].download
    assert not found["flickr"].download
    assert json.loads(json.dumps([entry.to_json() for entry in found.values()]))


def test_an_unknown_name_brings_the_nearest(alone):
    with pytest.raises(DataError, match=r"unknown data set 'coar'; did you mean 'cora'.*path of an edge list"):
        datasets.read("coar")


@pytest.mark.parametrize("name", sorted(entry.name for entry in CATALOGUE.values() if entry.files))
def test_a_missing_set_names_file_folders_and_what_to_do(alone, name):
    entry = CATALOGUE[name]
    with pytest.raises(DataError) as caught:
        datasets.task(name)
    message = str(caught.value)
    assert f"{name}: found no {entry.files[0]} in {alone}" in message
    assert "GOSSAMER_DATA" in message
    assert ("no network" in message and "timeout of 20" in message) == (entry.url is not None)
    assert "\n" not in message


def test_pubmed_says_what_a_partial_copy_lacks(alone):
    with pytest.raises(DataError, match=r"without ind\.pubmed\.allx .* pubmed-structure needs none"):
        datasets.read("pubmed")


def test_addresses_end_in_the_file_that_is_wanted():
    for entry in CATALOGUE.values():
        for file in entry.files if entry.url else ():
            assert entry.url is not None
            assert entry.url(file).startswith("https://")
            assert entry.url(file).endswith("/" + file.rsplit("/", 1)[1])


def test_digits_come_with_the_library(alone):
    raw = datasets.read("digits")
    assert isinstance(raw, Images)
    assert (len(raw.train_x), len(raw.test_x)) == (1437, 360)
    assert raw.train_x.max() == 16
    pixels = {tuple(image.flatten().tolist()) for image in torch.cat([raw.train_x, raw.test_x])}
    assert len(pixels) == 1797  # every image once
    task = datasets.task("digits", seed=3, batch_size=100)
    assert isinstance(task, ImageClassification)
    assert (task.name, task.batch_size) == ("digits", 100)
    assert task.dimensions() == {"in_channels": 1, "classes": 10, "image_size": 8}


def test_the_digits_graph_is_learnable_from_its_neighbours(alone):
    task = datasets.task("digits-graph")
    assert isinstance(task, NodeClassification)
    graph = task.graph
    assert {name: int(mask.sum()) for name, mask in graph.masks.items()} == {"train": 200, "val": 300, "test": 1297}
    assert graph.num_edges == CATALOGUE["digits-graph"].sizes["edges"]
    assert graph.is_undirected()
    source, target = graph.to_edge_index()
    assert (graph.y[source] == graph.y[target]).float().mean() > 0.9


def test_drawn_splits_follow_the_seed_and_the_options(alone):
    rows = [next(datasets.task("csbm", seed=seed).batches("train")).tolist() for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]
    assert len(next(datasets.task("csbm", per_class=5).batches("train"))) == 20
    assert isinstance(datasets.task("csbm", edge_index=True).example()[1], torch.Tensor)


def test_generated_graphs_have_about_the_stated_size(alone):
    graph, sizes = datasets.read("csbm"), CATALOGUE["csbm"].sizes
    assert (graph.num_nodes, graph.x.shape[1], int(graph.y.max()) + 1) == (2000, 64, 4)
    assert abs(graph.num_edges - sizes["edges"]) < 0.05 * sizes["edges"]


def test_unknown_options_bring_the_nearest(alone):
    with pytest.raises(SettingError, match=r"unknown option of csbm 'per_clas'; did you mean 'per_class'"):
        datasets.task("csbm", per_clas=3)
    with pytest.raises(SettingError, match=r"unknown option of digits 'batchsize'; did you mean 'batch_size'"):
        datasets.task("digits", batchsize=3)
    with pytest.raises(SettingError, match="columns and string_ids are for edge lists"):
        datasets.read("csbm", columns=("source", "target"))


def test_an_edge_list_of_ones_own_becomes_link_prediction(tmp_path):
    lines = "source,target\n" + "".join(f"n{i},n{(3 * i + 1) % 50}\n" for i in range(50))
    path = put(tmp_path / "edges.csv", lines.encode())
    assert isinstance(datasets.read(str(path)), EdgeList)
    task = datasets.task(str(path), seed=1, hits=2)
    assert isinstance(task, LinkPrediction)
    assert task.name == "edges.csv"
    assert task.graph.num_nodes == 50


def test_an_edge_list_with_times_is_split_by_time(tmp_path):
    lines = "".join(f"{i} {i + 1} 1.5 {1000 - i}\n" for i in range(100))
    path = put(tmp_path / "events.txt.gz", gzip.compress(lines.encode()))
    columns = ("source", "target", "weight", "time")
    by_time, drawn = (
        next(datasets.task(str(path), columns=columns, **options).batches("test")).positive[0].sort().values.tolist()
        for options in ({}, {"by_time": False})
    )
    assert by_time == list(range(10))  # the first lines are the latest events
    assert drawn != by_time


def test_many_nodes_without_features_get_random_ones(tmp_path):
    lines = "".join(f"{i},{i + 1}\n" for i in range(50_001))
    path = put(tmp_path / "long.csv", lines.encode())
    assert datasets.task(str(path)).dimensions()["in_features"] == 64
    assert datasets.task(str(path), features=8).dimensions()["in_features"] == 8


def test_a_missing_edge_list_is_named(tmp_path):
    with pytest.raises(FileError, match=r"nowhere\.csv"):
        datasets.task(str(tmp_path / "nowhere.csv"))


def test_sets_are_read_from_the_data_folder_which_stays_as_it_is(alone):
    pairs = [(i, j) for i in range(12) for j in range(i) if (i + j) % 3]
    net = sparse.csc_matrix((np.ones(len(pairs)), tuple(zip(*pairs, strict=True))), shape=(12, 12))
    path = alone / "linkpred_small/USAir.mat"
    path.parent.mkdir(parents=True)
    io.savemat(path, {"net": net})
    before = sorted(str(p) for p in alone.rglob("*"))
    task = datasets.task("usair", val=0.1, test=0.1)
    assert isinstance(task, LinkPrediction)
    assert sorted(str(p) for p in alone.rglob("*")) == before
    assert next(entry for entry in datasets.describe() if entry.name == "usair").present


def test_published_splits_are_chosen_by_the_seed(alone):
    rng = np.random.default_rng(0)
    masks = rng.permuted(np.tile(np.arange(60) % 3, (10, 1)), axis=1)
    arrays = {
        "node_features": rng.random((60, 4), dtype=np.float32),
        "node_labels": np.arange(60) % 2,
        "edges": rng.integers(60, size=(90, 2)),
    } | {f"{split}_masks": masks == i for i, split in enumerate(("train", "val", "test"))}
    path = alone / "heterophilous/minesweeper/raw/minesweeper.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays)
    for seed, row in ((0, 0), (3, 3), (13, 3)):
        task = datasets.task("minesweeper", seed=seed)
        assert next(task.batches("val")).tolist() == np.flatnonzero(masks[row] == 1).tolist()
    assert task.metric == "auroc"
    assert datasets.task("minesweeper", metric="accuracy").metric == "accuracy"
    assert len(next(datasets.task("minesweeper", per_class=4, val_per_class=2).batches("train"))) == 8


def test_graph_sets_become_graph_classification(alone):
    texts = {
        "A": "1, 2\n2, 1\n",
        "graph_indicator": "".join(f"{1 + i // 2}\n" for i in range(20)),
        "graph_labels": "1\n-1\n" * 5,
        "node_labels": "0\n1\n" * 10,
    }
    for part, text in texts.items():
        put(alone / f"tudataset/MUTAG/raw/MUTAG_{part}.txt", text.encode())
    task = datasets.task("mutag", batch_size=4)
    assert isinstance(task, GraphClassification)
    assert task.dimensions() == {"in_features": 2, "out_features": 2}


def test_a_hostile_file_is_refused(alone):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(alone / "made"),)

    for file in CATALOGUE["cora"].files:
        put(alone / file, pickle.dumps(Hostile()))
    with pytest.raises(DataError, match=r"refused, because it names \w+\.mkdir"):
        datasets.task("cora")
    assert not (alone / "made").exists()


@pytest.mark.skipif("GOSSAMER_DATA" not in os.environ, reason="GOSSAMER_DATA is not set")
@pytest.mark.parametrize("name", [name for name in PRESENT if name not in ("csbm", "cifar10")])
def test_real_sets_have_the_stated_sizes(name):
    raw, sizes = datasets.read(name), CATALOGUE[name].sizes
    if isinstance(raw, Graph):
        found = {"nodes": raw.num_nodes, "edges": raw.num_edges}
        if raw.x is not None:
            found |= {"features": raw.x.shape[1], "classes": int(raw.y.max()) + 1}
            narrow = sizes["features"] < 32 or isinstance(raw.x, torch.Tensor)
            assert narrow or raw.x.density < 0.2
        elif raw.y is not None:
            found["classes"] = int(raw.y.max()) + 1
        assert raw.is_undirected() or "time" in raw.edge_data
    elif isinstance(raw, EdgeList):
        found = {"nodes": raw.num_nodes, "edges": len(raw)}
    elif isinstance(raw, Images):
        _, channels, size, _ = raw.train_x.shape
        count = len(raw.train_x) + len(raw.test_x)
        found = {"images": count, "classes": raw.classes, "image_size": size, "channels": channels}
    else:
        found = {"graphs": len(raw), "classes": len({int(graph.y) for graph in raw})}
    assert found == dict(sizes)


@pytest.mark.skipif("cora" not in PRESENT, reason="Cora is not in GOSSAMER_DATA")
def test_cora_has_its_public_split_and_sparse_normalised_features():
    graph = datasets.read("cora")
    counts = {name: int(mask.sum()) for name, mask in graph.masks.items()}
    assert counts == {"train": 140, "val": 500, "test": 1000}
    assert graph.y[graph.masks["train"]].bincount().tolist() == [20] * 7
    assert isinstance(graph.x, CSR)
    torch.testing.assert_close(graph.x.to_dense().sum(dim=1), torch.ones(2708))
    other = datasets.task("cora", seed=5).graph
    assert torch.equal(other.masks["test"], graph.masks["test"])
