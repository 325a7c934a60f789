"""Structured pruning of any network: which dimensions hang together, and units that are really removed."""

from gossamer.structure.activation import MeanActivation as MeanActivation
from gossamer.structure.allocation import AllTogether as AllTogether
from gossamer.structure.allocation import Exactly as Exactly
from gossamer.structure.allocation import GroupAllocation as GroupAllocation
from gossamer.structure.allocation import SameRatio as SameRatio
from gossamer.structure.causal import CausalInformation as CausalInformation
from gossamer.structure.causal import Correlations as Correlations
from gossamer.structure.causal import Entropies as Entropies
from gossamer.structure.causal import Estimator as Estimator
from gossamer.structure.causal import Histograms as Histograms
from gossamer.structure.chip import ChannelIndependence as ChannelIndependence
from gossamer.structure.curvature import GroupFisher as GroupFisher
from gossamer.structure.curvature import GroupHessian as GroupHessian
from gossamer.structure.depth import DepthPlan as DepthPlan
from gossamer.structure.depth import PlannedBlock as PlannedBlock
from gossamer.structure.depth import plan_depth as plan_depth
from gossamer.structure.edits import Edit as Edit
from gossamer.structure.edits import LeaveOut as LeaveOut
from gossamer.structure.edits import MergeLayers as MergeLayers
from gossamer.structure.geometric_median import GeometricMedian as GeometricMedian
from gossamer.structure.groups import Group as Group
from gossamer.structure.groups import Member as Member
from gossamer.structure.groups import groups as groups
from gossamer.structure.merging import mergeable as mergeable
from gossamer.structure.network_graph import NetworkGraph as NetworkGraph
from gossamer.structure.network_graph import network_graph as network_graph
from gossamer.structure.norm_scale import NormScale as NormScale
from gossamer.structure.observer import Observer as Observer
from gossamer.structure.plan import Plan as Plan
from gossamer.structure.plan import PlannedGroup as PlannedGroup
from gossamer.structure.plan import plan as plan
from gossamer.structure.removal import Cut as Cut
from gossamer.structure.removal import NewSize as NewSize
from gossamer.structure.removal import Removal as Removal
from gossamer.structure.scores import GroupMagnitude as GroupMagnitude
from gossamer.structure.scores import GroupRandom as GroupRandom
from gossamer.structure.scores import GroupScore as GroupScore
from gossamer.structure.scores import GroupTaylor as GroupTaylor
from gossamer.structure.shrinking import Shrinking as Shrinking
from gossamer.structure.trace import Trace as Trace
from gossamer.structure.trace import trace as trace
from gossamer.structure.units import UnitWeights as UnitWeights
from gossamer.structure.worth import Dissimilarity as Dissimilarity
from gossamer.structure.worth import LossIncrease as LossIncrease
from gossamer.structure.worth import Worth as Worth

__all__ = [
    "AllTogether",
    "CausalInformation",
    "ChannelIndependence",
    "Correlations",
    "Cut",
    "DepthPlan",
    "Dissimilarity",
    "Edit",
    "Entropies",
    "Estimator",
    "Exactly",
    "GeometricMedian",
    "Group",
    "GroupAllocation",
    "GroupFisher",
    "GroupHessian",
    "GroupMagnitude",
    "GroupRandom",
    "GroupScore",
    "GroupTaylor",
    "Histograms",
    "LeaveOut",
    "LossIncrease",
    "MeanActivation",
    "Member",
    "MergeLayers",
    "NetworkGraph",
    "NewSize",
    "NormScale",
    "Observer",
    "Plan",
    "PlannedBlock",
    "PlannedGroup",
    "Removal",
    "SameRatio",
    "Shrinking",
    "Trace",
    "UnitWeights",
    "Worth",
    "groups",
    "mergeable",
    "network_graph",
    "plan",
    "plan_depth",
    "trace",
]
