"""The one training loop, its settings, and its checkpoints."""

from gossamer.train.checkpoint import load_state as load_state
from gossamer.train.checkpoint import save_state as save_state
from gossamer.train.fit import fit as fit
from gossamer.train.history import History as History
from gossamer.train.hooks import Hooks as Hooks
from gossamer.train.interrupt import Interrupted as Interrupted
from gossamer.train.memory import StepMemory as StepMemory
from gossamer.train.memory import step_memory as step_memory
from gossamer.train.optimizers import SGD as SGD
from gossamer.train.optimizers import Adam as Adam
from gossamer.train.optimizers import AdamW as AdamW
from gossamer.train.optimizers import Optimizer as Optimizer
from gossamer.train.schedules import Constant as Constant
from gossamer.train.schedules import Cosine as Cosine
from gossamer.train.schedules import Exponential as Exponential
from gossamer.train.schedules import Linear as Linear
from gossamer.train.schedules import MultiStep as MultiStep
from gossamer.train.schedules import OneCycle as OneCycle
from gossamer.train.schedules import Restarts as Restarts
from gossamer.train.schedules import Schedule as Schedule
from gossamer.train.schedules import Step as Step
from gossamer.train.schedules import Warmup as Warmup
from gossamer.train.training import Training as Training

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "Exponential",
    "History",
    "Hooks",
    "Interrupted",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Optimizer",
    "Restarts",
    "Schedule",
    "Step",
    "StepMemory",
    "Training",
    "Warmup",
    "fit",
    "load_state",
    "save_state",
    "step_memory",
]
