"""What a network must do: tasks on nodes, links, graphs and images, and the data sets known by name."""

from gossamer.tasks import datasets as datasets
from gossamer.tasks.graph_classification import GraphBatch as GraphBatch
from gossamer.tasks.graph_classification import GraphClassification as GraphClassification
from gossamer.tasks.image import ImageClassification as ImageClassification
from gossamer.tasks.link import LinkPrediction as LinkPrediction
from gossamer.tasks.link import Pairs as Pairs
from gossamer.tasks.loader import LoaderTask as LoaderTask
from gossamer.tasks.node import NodeClassification as NodeClassification
from gossamer.tasks.readers.images import Images as Images
from gossamer.tasks.robust import Attack as Attack
from gossamer.tasks.robust import Robust as Robust
from gossamer.tasks.robust import Robustness as Robustness
from gossamer.tasks.sampled_node import SampledNodeClassification as SampledNodeClassification
from gossamer.tasks.task import Split as Split
from gossamer.tasks.task import Task as Task
from gossamer.tasks.temporal import TemporalLink as TemporalLink
from gossamer.tasks.temporal import TemporalNode as TemporalNode
from gossamer.tasks.temporal import WalkVectors as WalkVectors

__all__ = [
    "Attack",
    "GraphBatch",
    "GraphClassification",
    "ImageClassification",
    "Images",
    "LinkPrediction",
    "LoaderTask",
    "NodeClassification",
    "Pairs",
    "Robust",
    "Robustness",
    "SampledNodeClassification",
    "Split",
    "Task",
    "TemporalLink",
    "TemporalNode",
    "WalkVectors",
    "datasets",
]
