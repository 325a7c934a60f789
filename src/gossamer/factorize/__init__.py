"""Low-rank factorisation of layers: decompositions, ceilings of ranks, allocation, penalties, named methods."""

from gossamer.factorize.allocation import Allocation as Allocation
from gossamer.factorize.allocation import LeastError as LeastError
from gossamer.factorize.allocation import Uniform as Uniform
from gossamer.factorize.ceilings import VBMF as VBMF
from gossamer.factorize.ceilings import Ceiling as Ceiling
from gossamer.factorize.ceilings import Energy as Energy
from gossamer.factorize.ceilings import Fraction as Fraction
from gossamer.factorize.ceilings import Rank as Rank
from gossamer.factorize.channel import Channels as Channels
from gossamer.factorize.cp import CP as CP
from gossamer.factorize.decomposition import Decomposition as Decomposition
from gossamer.factorize.depthwise import Depthwise as Depthwise
from gossamer.factorize.depthwise import DepthwiseSeparable as DepthwiseSeparable
from gossamer.factorize.low_rank import LowRank as LowRank
from gossamer.factorize.matrix import MatrixDecomposition as MatrixDecomposition
from gossamer.factorize.penalties import NuclearNorm as NuclearNorm
from gossamer.factorize.penalties import Penalty as Penalty
from gossamer.factorize.penalties import TailEnergy as TailEnergy
from gossamer.factorize.spatial import Spatial as Spatial
from gossamer.factorize.svd import SVD as SVD
from gossamer.factorize.tensor_train import TensorTrain as TensorTrain
from gossamer.factorize.tucker import Tucker as Tucker
from gossamer.factorize.vbmf import vbmf_rank as vbmf_rank
from gossamer.factorize.whitened import WhitenedSVD as WhitenedSVD

__all__ = [
    "CP",
    "SVD",
    "VBMF",
    "Allocation",
    "Ceiling",
    "Channels",
    "Decomposition",
    "Depthwise",
    "DepthwiseSeparable",
    "Energy",
    "Fraction",
    "LeastError",
    "LowRank",
    "MatrixDecomposition",
    "NuclearNorm",
    "Penalty",
    "Rank",
    "Spatial",
    "TailEnergy",
    "TensorTrain",
    "Tucker",
    "Uniform",
    "WhitenedSVD",
    "vbmf_rank",
]
