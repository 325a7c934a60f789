"""`gossamer stream`: links, or classes of nodes, learned online, each batch scored before it is learned from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gossamer.commands.command import MaybeColumns, MaybeWhole, Whole
from gossamer.errors import DataError, SettingError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Follows a stream of time-stamped edges: scores each batch of events, then learns from it.

    Walks start from the nodes that a batch touches, and vectors and network go on from where they are. Says how well
    events were known before they were learned from, and what each stage took. A killed run goes on at its last
    checkpoint when given again. Writes stream.json and stream.state.

    Examples:
      gossamer stream --data collegemsg --out runs/messages
      gossamer stream --data talk.csv.gz --columns source,target,time --walks 'dimensions=16,per_node=5' --out runs/talk
    """

    data: str  # a data set by name (`gossamer datasets` lists them), or path/to/events.csv
    task: Literal["temporal-link", "temporal-node"] = "temporal-link"  # what is learned
    out: Path  # folder of the results and checkpoints
    batch: Whole = 1000  # events that are scored, then learned from, together
    walks: str = ""  # changes of walks and vectors, such as 'per_node=5,steps=6,dimensions=16,both_ways=true'
    network: str = ""  # changes of how the network learns, such as 'hidden=64,epochs=2,replay=0.5'
    limit: MaybeWhole = None  # events to follow (default: all)
    checkpoint: Whole = 100_000  # events between two checkpoints
    seed: Whole = 0  # seed of walks, vectors, network and drawn pairs
    threads: MaybeWhole = None  # of every product (default: PyTorch's own); small networks are fastest with 1
    columns: MaybeColumns = None  # of an edge list: source,target,time in its order; _ leaves one out
    string_ids: bool = False  # nodes of an edge list are names, whatever they look like

    def run(self, console: Console) -> dict[str, Any]:
        """Follows the stream, prints what it was worth, and returns the content of stream.json."""
        from gossamer.commands import inputs
        from gossamer.graph import EdgeList, Graph
        from gossamer.naming import parse_settings
        from gossamer.stream import Online, OnlineNodes, replay
        from gossamer.tasks import datasets
        from gossamer.tasks.temporal import Events

        for name, value in (("--checkpoint", self.checkpoint), ("--limit", 1 if self.limit is None else self.limit)):
            if value < 1:
                raise SettingError(f"{name} is {value}; expected at least 1")
        inputs.use_threads(self.threads)
        start = Online() if self.task == "temporal-link" else OnlineNodes()
        walks = start.walks.replace(**parse_settings(self.walks, of="--walks"))
        settings = start.replace(**parse_settings(self.network, of="--network")).replace(batch=self.batch, walks=walks)
        begin = time.perf_counter()
        raw = datasets.read(self.data, columns=self.columns, string_ids=self.string_ids or None)
        if not isinstance(raw, EdgeList | Graph):
            raise DataError(f"{self.data} holds no edges; expected time-stamped ones")
        events, labels = Events.of(raw)[: self.limit], None
        if self.task == "temporal-node":
            labels = raw.y if isinstance(raw, Graph) else None
            if labels is None:
                raise DataError(
                    f"{self.data}: the nodes have no labels; --task temporal-node needs a set that has them"
                )
        reading = time.perf_counter() - begin
        result = replay(
            events, settings, labels=labels, out=self.out, checkpoint_events=self.checkpoint, seed=self.seed
        )
        took = sum(result.seconds.values())
        rate = result.events / max(took, 1e-9)
        found = (
            f"accuracy {result.accuracy:.4f}, area under the ROC curve {result.auroc:.4f}, each event before it was "
            "learned from"
            if labels is None
            else f"accuracy {result.accuracy:.4f} of {result.pairs:,} scores of nodes whose labels were never learned"
        )
        console.print(f"{result.events:,} events, {rate:,.0f} a second: {found}", markup=False, highlight=False)
        shares = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in result.seconds.items())
        console.print(f"Stages: read {reading:.2f} s, {shares}", markup=False, highlight=False)
        return result.to_json()
