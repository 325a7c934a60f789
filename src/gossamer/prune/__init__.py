"""Pruning as a product of choices: score, granularity, allocation, schedule, growth, algorithm."""

from gossamer.prune.activating import Activating as Activating
from gossamer.prune.allocation import Allocation as Allocation
from gossamer.prune.allocation import ErdosRenyiKernel as ErdosRenyiKernel
from gossamer.prune.allocation import Global as Global
from gossamer.prune.allocation import Uniform as Uniform
from gossamer.prune.batch_sizing import BatchSizing as BatchSizing
from gossamer.prune.channel_search import ChannelSearch as ChannelSearch
from gossamer.prune.channels import ChannelPruning as ChannelPruning
from gossamer.prune.coactivity import Coactive as Coactive
from gossamer.prune.coactivity import Coactivity as Coactivity
from gossamer.prune.coactivity import Statistics as Statistics
from gossamer.prune.constrained import Constrained as Constrained
from gossamer.prune.constraints import L1 as L1
from gossamer.prune.constraints import Conditioning as Conditioning
from gossamer.prune.constraints import SparsePenalty as SparsePenalty
from gossamer.prune.constraints import TransformedL1 as TransformedL1
from gossamer.prune.contributions import Activity as Activity
from gossamer.prune.contributions import Contribution as Contribution
from gossamer.prune.contributions import SoftGate as SoftGate
from gossamer.prune.contributions import WeightProduct as WeightProduct
from gossamer.prune.deep_r import DeepR as DeepR
from gossamer.prune.depth import DepthPruning as DepthPruning
from gossamer.prune.dhspg import UnitsToZero as UnitsToZero
from gossamer.prune.drop_and_grow import DropAndGrow as DropAndGrow
from gossamer.prune.dynhp import DynamicHardPruning as DynamicHardPruning
from gossamer.prune.ensembles import GroupToGroup as GroupToGroup
from gossamer.prune.ensembles import modularity as modularity
from gossamer.prune.fisher import Fisher as Fisher
from gossamer.prune.fisher import SecondOrder as SecondOrder
from gossamer.prune.granularity import NM as NM
from gossamer.prune.granularity import Channels as Channels
from gossamer.prune.granularity import Columns as Columns
from gossamer.prune.granularity import Filters as Filters
from gossamer.prune.granularity import Granularity as Granularity
from gossamer.prune.granularity import Kernels as Kernels
from gossamer.prune.granularity import SIMDBlocks as SIMDBlocks
from gossamer.prune.granularity import SingleWeights as SingleWeights
from gossamer.prune.granularity import Vectors as Vectors
from gossamer.prune.graph_lottery import GraphLottery as GraphLottery
from gossamer.prune.grasp import Grasp as Grasp
from gossamer.prune.growing_penalty import GrowingPenalty as GrowingPenalty
from gossamer.prune.growth import AtRandom as AtRandom
from gossamer.prune.growth import ByGradient as ByGradient
from gossamer.prune.growth import ByHebb as ByHebb
from gossamer.prune.growth import ByMomentum as ByMomentum
from gossamer.prune.growth import Growth as Growth
from gossamer.prune.growth import Untried as Untried
from gossamer.prune.h2spg import OperatorsToZero as OperatorsToZero
from gossamer.prune.hard_masks import HardMasks as HardMasks
from gossamer.prune.hydra import LearnedScores as LearnedScores
from gossamer.prune.lamp import Lamp as Lamp
from gossamer.prune.meta_pruning import MetaPruning as MetaPruning
from gossamer.prune.meta_training import MetaTraining as MetaTraining
from gossamer.prune.meta_training import TrainedNetwork as TrainedNetwork
from gossamer.prune.meta_training import train_metanetwork as train_metanetwork
from gossamer.prune.metanetwork import Metanetwork as Metanetwork
from gossamer.prune.metanetwork import MetanetworkShape as MetanetworkShape
from gossamer.prune.movement import Movement as Movement
from gossamer.prune.movement import Travel as Travel
from gossamer.prune.multipliers import Alternating as Alternating
from gossamer.prune.multipliers import Multipliers as Multipliers
from gossamer.prune.multipliers import Surrogate as Surrogate
from gossamer.prune.n_m import NMPattern as NMPattern
from gossamer.prune.obs import BlockFisher as BlockFisher
from gossamer.prune.overlap import Structure as Structure
from gossamer.prune.overlap import overlap as overlap
from gossamer.prune.patterns import Patterns as Patterns
from gossamer.prune.pressing import Chance as Chance
from gossamer.prune.pressing import DirectionAndSize as DirectionAndSize
from gossamer.prune.pressing import FiveSigns as FiveSigns
from gossamer.prune.pressing import HalfSpace as HalfSpace
from gossamer.prune.pressing import PartByPart as PartByPart
from gossamer.prune.pressing import Pressing as Pressing
from gossamer.prune.pressing import Redundancy as Redundancy
from gossamer.prune.pressing import SoftThreshold as SoftThreshold
from gossamer.prune.pressure import GrowingPressure as GrowingPressure
from gossamer.prune.pressure import Pressure as Pressure
from gossamer.prune.pressure import ScalePenalty as ScalePenalty
from gossamer.prune.profile import LayerSparsity as LayerSparsity
from gossamer.prune.profile import Profile as Profile
from gossamer.prune.schedules import Cubic as Cubic
from gossamer.prune.schedules import Iterative as Iterative
from gossamer.prune.schedules import OneShot as OneShot
from gossamer.prune.schedules import Progressive as Progressive
from gossamer.prune.schedules import Schedule as Schedule
from gossamer.prune.scores import Gradient as Gradient
from gossamer.prune.scores import Magnitude as Magnitude
from gossamer.prune.scores import Random as Random
from gossamer.prune.scores import Score as Score
from gossamer.prune.scores import SignedRank as SignedRank
from gossamer.prune.scores import Taylor as Taylor
from gossamer.prune.sensitivity import Sensitivity as Sensitivity
from gossamer.prune.snip import Snip as Snip
from gossamer.prune.sparsegpt import LayerOutput as LayerOutput
from gossamer.prune.sparsify_edges import SparsifyEdges as SparsifyEdges
from gossamer.prune.splitting import Splitting as Splitting
from gossamer.prune.supertickets import SuperTicket as SuperTicket
from gossamer.prune.synflow import SynFlow as SynFlow
from gossamer.prune.top_k_gradients import TopKGradients as TopKGradients
from gossamer.prune.top_kast import TopKAST as TopKAST
from gossamer.prune.wanda import Wanda as Wanda
from gossamer.prune.widths import Fastest as Fastest
from gossamer.prune.widths import Multiples as Multiples
from gossamer.prune.widths import Widths as Widths

__all__ = [
    "L1",
    "NM",
    "Activating",
    "Activity",
    "Allocation",
    "Alternating",
    "AtRandom",
    "BatchSizing",
    "BlockFisher",
    "ByGradient",
    "ByHebb",
    "ByMomentum",
    "Chance",
    "ChannelPruning",
    "ChannelSearch",
    "Channels",
    "Coactive",
    "Coactivity",
    "Columns",
    "Conditioning",
    "Constrained",
    "Contribution",
    "Cubic",
    "DeepR",
    "DepthPruning",
    "DirectionAndSize",
    "DropAndGrow",
    "DynamicHardPruning",
    "ErdosRenyiKernel",
    "Fastest",
    "Filters",
    "Fisher",
    "FiveSigns",
    "Global",
    "Gradient",
    "Granularity",
    "GraphLottery",
    "Grasp",
    "GroupToGroup",
    "GrowingPenalty",
    "GrowingPressure",
    "Growth",
    "HalfSpace",
    "HardMasks",
    "Iterative",
    "Kernels",
    "Lamp",
    "LayerOutput",
    "LayerSparsity",
    "LearnedScores",
    "Magnitude",
    "MetaPruning",
    "MetaTraining",
    "Metanetwork",
    "MetanetworkShape",
    "Movement",
    "Multiples",
    "Multipliers",
    "NMPattern",
    "OneShot",
    "OperatorsToZero",
    "PartByPart",
    "Patterns",
    "Pressing",
    "Pressure",
    "Profile",
    "Progressive",
    "Random",
    "Redundancy",
    "SIMDBlocks",
    "ScalePenalty",
    "Schedule",
    "Score",
    "SecondOrder",
    "Sensitivity",
    "SignedRank",
    "SingleWeights",
    "Snip",
    "SoftGate",
    "SoftThreshold",
    "SparsePenalty",
    "SparsifyEdges",
    "Splitting",
    "Statistics",
    "Structure",
    "SuperTicket",
    "Surrogate",
    "SynFlow",
    "Taylor",
    "TopKAST",
    "TopKGradients",
    "TrainedNetwork",
    "TransformedL1",
    "Travel",
    "Uniform",
    "UnitsToZero",
    "Untried",
    "Vectors",
    "Wanda",
    "WeightProduct",
    "Widths",
    "modularity",
    "overlap",
    "train_metanetwork",
]
