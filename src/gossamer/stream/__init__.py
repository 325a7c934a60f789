"""Learning links, or classes of nodes, online: a batch is scored before it is learned from, and nothing starts anew."""

from gossamer.stream.base import Learner as Learner
from gossamer.stream.base import Score as Score
from gossamer.stream.known import KnownPairs as KnownPairs
from gossamer.stream.learner import LinkLearner as LinkLearner
from gossamer.stream.nodes import NodeLearner as NodeLearner
from gossamer.stream.replay import StreamResult as StreamResult
from gossamer.stream.replay import replay as replay
from gossamer.stream.settings import Following as Following
from gossamer.stream.settings import Online as Online
from gossamer.stream.settings import OnlineNodes as OnlineNodes

__all__ = [
    "Following",
    "KnownPairs",
    "Learner",
    "LinkLearner",
    "NodeLearner",
    "Online",
    "OnlineNodes",
    "Score",
    "StreamResult",
    "replay",
]
