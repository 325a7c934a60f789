"""Times walking, embedding and classifying against plain NumPy, gensim and PyTorch, all in one run, on one stream.

    GOSSAMER_DATA=... python -m benchmarks.temporal_stages --data collegemsg --threads 1

Walks: ten of five steps from every node, later edges preferred, against the same walks in NumPy, node by node, with
each row sorted by time beforehand. Vectors: one epoch of skip-gram over these walks, width 8, window 10, 5 negatives,
against gensim with as many workers. Classify: twenty epochs of the link network with plain gradient descent in batches
of 1024, and the scores of the test, against `nn.Sequential` with `torch.optim.SGD`; both begin with the same pairs and
weights, and both qualities are shown. The bars are 10, 3 and 2 times. Prints one JSON object; times are medians of
`--rounds` rounds in turns.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.graph import SkipGram, TemporalWalker, embed_walks, from_every_node
from gossamer.models import for_task
from gossamer.tasks import TemporalLink, datasets
from gossamer.tasks.temporal import Events
from gossamer.train import SGD, Training, fit

BARS = {"walk": 10.0, "embed": 3.0, "classify": 2.0}
EPOCHS, RATE, BATCH = 20, 0.05, 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="collegemsg")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = datasets.task(options.data, kind="temporal-link")
    assert isinstance(task, TemporalLink)
    events = task.splits["train"]
    graph = events.graph()
    walker, starts = TemporalWalker(graph), from_every_node(graph, 10)
    rows = by_source(events)
    walks = walker.walk(starts, 5)
    quality: dict[str, float] = {}
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object] | None]] = {
        "walk": (lambda: TemporalWalker(graph).walk(starts, 5), lambda: plain_walks(rows, starts.numpy(), 5)),
        "embed": (
            lambda: embed_walks(walks, events.nodes, SkipGram(dimensions=8, window=10), hogwild=options.threads > 1),
            gensim(walks, options.threads),
        ),
        "classify": (lambda: quality.update(ours=our_network(task)), lambda: quality.update(plain=plain_network(task))),
    }
    found: dict[str, Any] = {"data": options.data, "events": len(events), "threads": options.threads}
    for stage, (ours, theirs) in pairs.items():
        if theirs is None:
            found[stage] = "gensim is not installed: pip install gensim"
            continue
        ours()
        times = [(seconds(ours), seconds(theirs)) for _ in range(options.rounds)]
        mine, peer = (statistics.median(side) for side in zip(*times, strict=True))
        found[stage] = {"ours_s": round(mine, 4), "peer_s": round(peer, 4), "ratio": round(peer / mine, 2)}
        found[stage]["met"] = peer / mine >= BARS[stage]
    found["auroc"] = {name: round(value, 4) for name, value in quality.items()}
    print(json.dumps(found))


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def by_source(events: Events) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns, for each node, the targets and times of its events, the earliest first."""
    order = np.lexsort((events.time.numpy(), events.source.numpy()))
    source, target, moment = (part.numpy()[order] for part in (events.source, events.target, events.time))
    ends = np.searchsorted(source, np.arange(events.nodes + 1))
    return [(target[a:b], moment[a:b].astype(float)) for a, b in pairwise(ends)]


def plain_walks(rows: list[tuple[np.ndarray, np.ndarray]], starts: np.ndarray, steps: int) -> np.ndarray:
    """Returns walks in time, each edge by the softmax of its time: the paper's algorithm, as one writes it."""
    random = np.random.default_rng(0)
    first = min(moment[0] for _, moment in rows if len(moment))
    walks = np.full((len(starts), steps + 1), -1)
    for number, start in enumerate(starts):
        node, now = start, first
        walks[number, 0] = node
        for step in range(steps):
            targets, moments = rows[node]
            begin = np.searchsorted(moments, now, side="right")
            if begin == len(moments):
                break
            span = moments[-1] - moments[0]
            weights = np.exp((moments[begin:] - moments[-1]) / span) if span > 0 else np.ones(len(moments) - begin)
            sums = np.cumsum(weights)
            place = begin + np.searchsorted(sums, random.random() * sums[-1], side="right")
            node, now = targets[place], moments[place]
            walks[number, step + 1] = node
    return walks


def gensim(walks: Tensor, workers: int) -> Callable[[], object] | None:
    """Returns one epoch of gensim over the walks, from its vocabulary to its vectors."""
    if not importlib.util.find_spec("gensim"):
        return None
    sentences = [[str(node) for node in walk if node >= 0] for walk in walks.tolist()]
    word2vec = importlib.import_module("gensim.models").Word2Vec
    return lambda: word2vec(
        sentences, vector_size=8, window=10, min_count=0, sg=1, negative=5, workers=workers, sample=1e-3, epochs=1
    )


def our_network(task: TemporalLink) -> float:
    """Trains and scores as the command line does; returns the area under the ROC curve of the test."""
    torch.manual_seed(0)
    network = for_task("fnn", task)
    plain = SGD(learning_rate=RATE, weight_decay=0.0, momentum=0.0)
    fit(network, task, Training(epochs=EPOCHS, optimizer=plain), progress=False)
    return task.evaluate(network, "test")["auroc"]


def plain_network(task: TemporalLink) -> float:
    """The same by PyTorch alone, from the pairs of each epoch on; each epoch is validated, as ours is."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    for epoch in range(EPOCHS):
        pairs, truth = task._rows("train", 0, epoch)
        order = torch.randperm(len(truth))
        network.train()
        for begin in range(0, len(order), BATCH):
            some = order[begin : begin + BATCH]
            optimizer.zero_grad()
            output = network(task.vectors[pairs[some]].flatten(1))[:, 0]
            F.binary_cross_entropy_with_logits(output, truth[some]).backward()
            optimizer.step()
        plain_score(task, network, "val")
    return plain_score(task, network, "test")


def plain_score(task: TemporalLink, network: nn.Module, split: Any) -> float:
    network.eval()
    pairs, truth = task._rows(split, 0, 0)
    with torch.no_grad():
        output = network(task.vectors[pairs].flatten(1))[:, 0]
    return float(roc_auc_score(truth.numpy(), output.numpy()))


if __name__ == "__main__":
    main()
