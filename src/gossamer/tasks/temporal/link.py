"""Prediction of links in time: which events come next, from walks over those that came before.

Talati et al., "A deep dive into understanding the random walk-based temporal graph learning", IISWC 2021. A pair's
input is the vectors of its source and target side by side; each event is set against one pair without an edge, half of
which keep the event's source. The earliest events train and the latest test. Ours, so that nothing of the future is
known: walks see training events only, training pairs are drawn against training events only, and validation lies
between training and test. Pairs without an edge are of nodes that the events of their split, or earlier ones, touch.
Were they of all nodes, one that comes later would be in training in such pairs alone, and the network would learn that
nodes without a history have no events. Where nearly all nodes come and go within an hour, the last ones say nothing of
vectors that were learned before them; there `span` cuts each hour in three, and all that is said above holds within it:
an event is set against pairs of the same hour, or of any where that has none. What is learned on one hour's nodes is
then tried on those of earlier ones too, but never on an earlier part of what it has seen. `leaky` gives the protocol of
the paper's code instead, for comparison.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import DataError, SettingError
from gossamer.graph import EdgeList, Graph, NegativeSampler
from gossamer.kernels.random import stream_key
from gossamer.models.graph import FNN
from gossamer.tasks import checks, metrics
from gossamer.tasks.seeding import generator
from gossamer.tasks.task import Split
from gossamer.tasks.temporal.events import Events
from gossamer.tasks.temporal.vectors import OnVectors, Rows, WalkVectors

_HELD_OUT: tuple[Split, ...] = ("val", "test")


class TemporalLink(OnVectors):
    """Predicts events; the model gets (B, 2 D), a source and a target a row, and returns (B, 1), the scores.

    Training pairs without an edge are drawn anew each epoch; those of validation and test are fixed, and no event
    ever joins them. `auroc_new` is over the events whose pair no training event joins: a repeated pair is easy. Of a
    node that no training event touches nothing is known but a random vector. In a stream where most test events are
    between such nodes, as of visitors who come once, no vector of a node can predict better than chance, and a network
    that tells known nodes from others can do worse: `auroc_known` is over pairs of which both ends were in training.

    Args:
        events: Time-stamped edges.
        walks: How vectors are made.
        val: Fraction of the events for validation, in (0, 1).
        test: Fraction of the events for the test, the latest, in (0, 1).
        span: Length of time, as events have it, within which events are split: those of [n · span, (n + 1) · span), for
            each n, the earliest for training and the latest for the test; None for all events together.
        leaky: Whether to do as the paper's code: walks over all events, those of the test too; training and
            validation events drawn from all before the test, apart from each other, so that they overlap; and no
            drawn pair, of any two nodes, is ever an event.
        batch_size: Pairs a training step, at least 1; every second is an event.
        seed: Of walks, vectors and drawn pairs.
        name: What reports call the task.

    Raises:
        DataError: The edges have no time, a split would be empty, or every pair of nodes that a split may draw from is
            an event.
        SettingError: A number is out of its range.
    """

    metric = "auroc"

    def __init__(
        self,
        events: Events | EdgeList | Graph,
        *,
        walks: WalkVectors | None = None,
        val: float = 0.2,
        test: float = 0.2,
        span: float | None = None,
        leaky: bool = False,
        batch_size: int = 1024,
        seed: int = 0,
        name: str = "temporal-link",
    ) -> None:
        checks.check_setting("val", val, gt=0, lt=1)
        checks.check_setting("test", test, gt=0, lt=1 - val)
        if span is not None:
            checks.check_setting("span", span, gt=0)
            if leaky:
                raise SettingError("span and leaky are both given; the papers' protocol has no spans: leave one out")
        events = events if isinstance(events, Events) else Events.of(events)
        self.splits = _split(events, val, test, span=span, leaky=leaky, seed=seed)
        known = events if leaky else self.splits["train"]
        vectors, stages = (walks or WalkVectors()).embed(known, seed=seed)
        super().__init__(name, vectors, stages, batch_size=batch_size, outputs=1)
        samplers = _samplers(events, self.splits, span=span, leaky=leaky)
        self._samplers = samplers["train"]
        self._fixed: dict[Split, Tensor] = {
            part: _against(self.splits[part], samplers[part], stream_key(seed, 3, place))
            for place, part in enumerate(_HELD_OUT)
        }
        joined = torch.unique(_numbers(self.splits["train"]))
        self._new = {part: ~torch.isin(_numbers(self.splits[part]), joined) for part in self._fixed}
        self._met = torch.zeros(events.nodes, dtype=torch.bool)
        self._met[_touched(self.splits["train"])] = True

    def loss(self, model: nn.Module, batch: Rows) -> Tensor:
        """Returns the mean binary cross entropy over the pairs of a batch."""
        if isinstance(model, FNN) and model.linears[-1].out_features == 1:
            return model.logistic_loss(batch.x, batch.y)
        return F.binary_cross_entropy_with_logits(self._predict(model, batch.x)[:, 0], batch.y)

    def learn(self, model: nn.Module, batch: Rows) -> Tensor | None:
        """Returns the loss of a batch, its gradients left in the parameters of a plain network; None for others."""
        own = type(self).loss is TemporalLink.loss  # a subclass may have another
        if own and type(model) is FNN and model.linears[-1].out_features == 1:
            return model.learn_logistic(batch.x, batch.y)
        return None

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns the area under the ROC curve, average precision and accuracy, and areas of some pairs.

        `auroc_new` and `auroc_known` are not of the training split, and left out where there are no such pairs.

        Raises:
            ModelError: The model's output is not (B, 1).
        """
        return super().evaluate(model, split)

    def _train_rows(self) -> int:
        return 2 * len(self.splits["train"])

    def _rows(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        events = self.splits[split]
        drawn = _against(events, self._samplers, stream_key(seed, epoch)) if split == "train" else self._fixed[split]
        pairs = torch.cat([torch.stack([events.source, events.target], dim=1), drawn])
        return pairs, torch.cat([torch.ones(len(events)), torch.zeros(len(drawn))])

    def _scores(self, split: Split, output: Tensor, y: Tensor) -> dict[str, float]:
        scores, truth = output[:, 0], y.long()
        parts = {name: part.to(y.device) for name, part in self._parts(split).items()}
        found, *others = metrics.rankings(scores, truth, *parts.values())
        found["accuracy"] = float(((scores > 0) == (y > 0)).double().mean())
        return found | {name: other["auroc"] for name, other in zip(parts, others, strict=True)}

    def _parts(self, split: Split) -> dict[str, Tensor]:
        """Returns, of a split that is not trained on, which rows the areas of some pairs are over."""
        found: dict[str, Tensor] = {}
        if split == "train":
            return found
        if bool(self._new[split].any()):
            found["auroc_new"] = torch.cat([self._new[split], torch.ones_like(self._new[split])])
        pairs, truth = self._rows(split, 0, 0)
        known = self._met[pairs].all(dim=1)
        if 0 < int(truth[known].sum()) < int(known.sum()):
            found["auroc_known"] = known
        return found


def _split(
    events: Events, val: float, test: float, *, span: float | None, leaky: bool, seed: int
) -> dict[Split, Events]:
    parts: dict[Split, list[Tensor]] = {"train": [], "val": [], "test": []}
    for rows in _by_span(events, span).values():
        n_val, n_test = round(len(rows) * val), round(len(rows) * test)
        for part, some in zip(
            parts.values(), torch.split(rows, [len(rows) - n_val - n_test, n_val, n_test]), strict=True
        ):
            part.append(some)
    chosen = {part: torch.cat(some) for part, some in parts.items()}
    sizes = [len(rows) for rows in chosen.values()]
    if min(sizes) < 1:
        raise DataError(
            f"{len(events)} events make {sizes[0]} for training, {sizes[1]} for validation, {sizes[2]} for the test; "
            "expected at least one each"
        )
    if leaky:
        before = sizes[0] + sizes[1]
        draws = [torch.randperm(before, generator=generator(seed, part)) for part in (4, 5)]
        chosen["train"], chosen["val"] = (
            rows[:size].sort().values for rows, size in zip(draws, sizes[:2], strict=True)
        )
    return {part: events.at(rows) for part, rows in chosen.items()}


def _by_span(events: Events, span: float | None) -> dict[float, Tensor]:
    """Returns the rows of the events of each span that has any, by its number, in order."""
    rows = torch.arange(len(events))
    if span is None:
        return {0.0: rows}
    numbers, counts = torch.unique_consecutive((events.time.double() / span).floor(), return_counts=True)
    return dict(zip(numbers.tolist(), torch.split(rows, counts.tolist()), strict=True))


Samplers = list[tuple[Tensor, NegativeSampler]]
"""For the events of a split, rows of a span and what draws pairs without an edge against them."""


def _samplers(events: Events, splits: dict[Split, Events], *, span: float | None, leaky: bool) -> dict[Split, Samplers]:
    """Returns what draws the pairs without an edge of each split: of nodes that were met by its end, in its span."""
    every = events.graph()
    if leaky:
        one = NegativeSampler(every)
        return {part: [(torch.arange(len(some)), one)] for part, some in splits.items()}
    whole = _known(splits, every)
    if span is None:
        return {part: [(torch.arange(len(splits[part])), sampler)] for part, sampler in whole.items()}
    found: dict[Split, Samplers] = {part: [] for part in splits}
    rows = {part: _by_span(some, span) for part, some in splits.items()}
    for number, within in _by_span(events, span).items():
        parts = {part: splits[part].at(mine[number]) for part, mine in rows.items() if number in mine}
        for part, sampler in _known(parts, events.at(within).graph()).items():
            found[part].append((rows[part][number], sampler if len(sampler) else whole[part]))
    return found


def _known(parts: dict[Split, Events], every: Graph) -> dict[Split, NegativeSampler]:
    """Returns what draws, for each part, pairs of nodes that were met by its end, without any edge there is.

    Training knows its own edges only.
    """
    met = torch.empty(0, dtype=torch.int64)
    found: dict[Split, NegativeSampler] = {}
    for part, some in parts.items():
        met = torch.cat([met, _touched(some)])
        found[part] = NegativeSampler(some.graph() if part == "train" else every, among=met)
    return found


def _touched(events: Events) -> Tensor:
    found: Tensor = torch.unique(torch.cat([events.source, events.target]))
    return found


def _against(events: Events, samplers: Samplers, seed: int) -> Tensor:
    """Returns a pair without an edge for each event, (E, 2): with the event's source, or, as likely, drawn whole."""
    keeps = torch.rand(len(events), generator=generator(seed, 0)) < 0.5
    pairs = torch.empty(len(events), 2, dtype=torch.int64)
    for number, (rows, sampler) in enumerate(samplers):
        key = stream_key(seed, number) if number else seed
        sources, kept = events.source[rows], keeps[rows]
        kept &= sampler.free(sources) > 0
        targets = sampler.targets(sources[kept], 1, seed=key)
        pairs[rows[kept]] = torch.cat([sources[kept, None], targets], dim=1)
        pairs[rows[~kept]] = sampler.pairs(int((~kept).sum()), seed=key).T
    return pairs


def _numbers(events: Events) -> Tensor:
    return events.source * events.nodes + events.target
