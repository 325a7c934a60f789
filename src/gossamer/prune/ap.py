"""AP: lottery tickets of which each round also removes negative weights that moved little, so that fewer neurons die.

Liu, Ghosh, Tan & Motani, "AP: selective activation for de-sparsifying pruned networks", TMLR 2023: global magnitude
pruning in rounds that each remove p = 20 % of what is left, q = 2 % of it by `activating`. The sparsity and the ten
rounds here are nearly that; the authors' script goes on for 25. AP goes with any other choice of `HardMasks` as well:

| the paper's | here |
|---|---|
| lottery tickets: weights are rewound | `schedule=Iterative(rounds=10)`, the default |
| fine-tuning: weights are kept | `schedule=Iterative(rounds=10, rewind=False)` |
| rewinding of the learning rate | the same, with `Training(schedule=Restarts(parts=11))` |
| another base | `HardMasks(score=Lamp(), schedule=Iterative(), activation=Activating())`, or any |

The dead neurons at the end of each round's training are in the report of the result.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.activating import Activating
from gossamer.prune.allocation import Global
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import Iterative
from gossamer.prune.scores import Magnitude

AP = register(
    "ap",
    HardMasks(
        score=Magnitude(), allocation=Global(), schedule=Iterative(rounds=10), activation=Activating(), sparsity=0.9
    ),
    summary="Lottery tickets that also lose negative weights that moved little, so that fewer neurons are dead.",
    paper="ap",
)
