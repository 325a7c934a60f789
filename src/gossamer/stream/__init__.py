"""Learning links online: events are scored before they are learned from, and a stopped stream goes on where it was."""

from gossamer.stream.known import KnownPairs as KnownPairs
from gossamer.stream.learner import LinkLearner as LinkLearner
from gossamer.stream.learner import Score as Score
from gossamer.stream.replay import StreamResult as StreamResult
from gossamer.stream.replay import replay as replay
from gossamer.stream.settings import Online as Online

__all__ = ["KnownPairs", "LinkLearner", "Online", "Score", "StreamResult", "replay"]
