"""Publications that gossamer follows: what each claims, and the experiment that checks it.

One file a paper. A file ends in `PAPER = register(Paper(...))` and is found by itself; the machinery that all of
them share is `gossamer.papers.protocol`.
"""

from gossamer.papers.protocol.check import check as check
from gossamer.papers.protocol.evidence import Evidence as Evidence
from gossamer.papers.protocol.evidence import load_evidence as load_evidence
from gossamer.papers.protocol.experiment import Outcome as Outcome
from gossamer.papers.protocol.experiment import Pair as Pair
from gossamer.papers.protocol.experiment import Run as Run
from gossamer.papers.protocol.experiment import Untestable as Untestable
from gossamer.papers.protocol.experiment import dataset as dataset
from gossamer.papers.protocol.judge import Judgement as Judgement
from gossamer.papers.protocol.judge import Verdict as Verdict
from gossamer.papers.protocol.judge import judge as judge
from gossamer.papers.protocol.ledger import write_ledger as write_ledger
from gossamer.papers.protocol.paper import Claim as Claim
from gossamer.papers.protocol.paper import Paper as Paper
from gossamer.papers.protocol.paper import Scale as Scale
from gossamer.papers.protocol.registry import paper as paper
from gossamer.papers.protocol.registry import papers as papers
from gossamer.papers.protocol.registry import register as register

__all__ = [
    "Claim",
    "Evidence",
    "Judgement",
    "Outcome",
    "Pair",
    "Paper",
    "Run",
    "Scale",
    "Untestable",
    "Verdict",
    "check",
    "dataset",
    "judge",
    "load_evidence",
    "paper",
    "papers",
    "register",
    "write_ledger",
]
