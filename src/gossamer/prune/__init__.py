"""Pruning as a product of choices: score, granularity, allocation, schedule, growth, algorithm."""

from gossamer.prune.allocation import Allocation as Allocation
from gossamer.prune.allocation import ErdosRenyiKernel as ErdosRenyiKernel
from gossamer.prune.allocation import Global as Global
from gossamer.prune.allocation import Uniform as Uniform
from gossamer.prune.channels import ChannelPruning as ChannelPruning
from gossamer.prune.drop_and_grow import DropAndGrow as DropAndGrow
from gossamer.prune.fisher import Fisher as Fisher
from gossamer.prune.fisher import SecondOrder as SecondOrder
from gossamer.prune.granularity import NM as NM
from gossamer.prune.granularity import Channels as Channels
from gossamer.prune.granularity import Columns as Columns
from gossamer.prune.granularity import Filters as Filters
from gossamer.prune.granularity import Granularity as Granularity
from gossamer.prune.granularity import SIMDBlocks as SIMDBlocks
from gossamer.prune.granularity import SingleWeights as SingleWeights
from gossamer.prune.grasp import Grasp as Grasp
from gossamer.prune.growth import AtRandom as AtRandom
from gossamer.prune.growth import ByGradient as ByGradient
from gossamer.prune.growth import ByMomentum as ByMomentum
from gossamer.prune.growth import Growth as Growth
from gossamer.prune.growth import Untried as Untried
from gossamer.prune.hard_masks import HardMasks as HardMasks
from gossamer.prune.lamp import Lamp as Lamp
from gossamer.prune.movement import Movement as Movement
from gossamer.prune.movement import Travel as Travel
from gossamer.prune.multipliers import Alternating as Alternating
from gossamer.prune.multipliers import Multipliers as Multipliers
from gossamer.prune.multipliers import Surrogate as Surrogate
from gossamer.prune.n_m import NMPattern as NMPattern
from gossamer.prune.obs import BlockFisher as BlockFisher
from gossamer.prune.patterns import Patterns as Patterns
from gossamer.prune.profile import LayerSparsity as LayerSparsity
from gossamer.prune.profile import Profile as Profile
from gossamer.prune.schedules import Cubic as Cubic
from gossamer.prune.schedules import Iterative as Iterative
from gossamer.prune.schedules import OneShot as OneShot
from gossamer.prune.schedules import Schedule as Schedule
from gossamer.prune.scores import Gradient as Gradient
from gossamer.prune.scores import Magnitude as Magnitude
from gossamer.prune.scores import Random as Random
from gossamer.prune.scores import Score as Score
from gossamer.prune.scores import SignedRank as SignedRank
from gossamer.prune.scores import Taylor as Taylor
from gossamer.prune.snip import Snip as Snip
from gossamer.prune.sparsegpt import LayerOutput as LayerOutput
from gossamer.prune.splitting import Splitting as Splitting
from gossamer.prune.synflow import SynFlow as SynFlow
from gossamer.prune.top_kast import TopKAST as TopKAST
from gossamer.prune.wanda import Wanda as Wanda

__all__ = [
    "NM",
    "Allocation",
    "Alternating",
    "AtRandom",
    "BlockFisher",
    "ByGradient",
    "ByMomentum",
    "ChannelPruning",
    "Channels",
    "Columns",
    "Cubic",
    "DropAndGrow",
    "ErdosRenyiKernel",
    "Filters",
    "Fisher",
    "Global",
    "Gradient",
    "Granularity",
    "Grasp",
    "Growth",
    "HardMasks",
    "Iterative",
    "Lamp",
    "LayerOutput",
    "LayerSparsity",
    "Magnitude",
    "Movement",
    "Multipliers",
    "NMPattern",
    "OneShot",
    "Patterns",
    "Profile",
    "Random",
    "SIMDBlocks",
    "Schedule",
    "Score",
    "SecondOrder",
    "SignedRank",
    "SingleWeights",
    "Snip",
    "Splitting",
    "Surrogate",
    "SynFlow",
    "Taylor",
    "TopKAST",
    "Travel",
    "Uniform",
    "Untried",
    "Wanda",
]
