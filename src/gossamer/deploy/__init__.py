"""Makes a compressed network fast on this machine, and keeps it in a file."""

from gossamer.deploy.accelerate import accelerate as accelerate
from gossamer.deploy.changes import Change as Change
from gossamer.deploy.changes import EraseModule as EraseModule
from gossamer.deploy.changes import FactorizeLayer as FactorizeLayer
from gossamer.deploy.changes import FoldNorm as FoldNorm
from gossamer.deploy.changes import ShareWeights as ShareWeights
from gossamer.deploy.changes import SwapGraphLayer as SwapGraphLayer
from gossamer.deploy.changes import SwapLayer as SwapLayer
from gossamer.deploy.changes import SwapPool as SwapPool
from gossamer.deploy.choice import Accelerated as Accelerated
from gossamer.deploy.choice import Choice as Choice
from gossamer.deploy.engine import Engine as Engine
from gossamer.deploy.engine import Explained as Explained
from gossamer.deploy.engine import compile as compile  # noqa: A004
from gossamer.deploy.export import Exported as Exported
from gossamer.deploy.export import Form as Form
from gossamer.deploy.export import compare_exports as compare_exports
from gossamer.deploy.export import export as export
from gossamer.deploy.running import Deployment as Deployment
from gossamer.deploy.running import deployment as deployment
from gossamer.deploy.running import measure_deployed as measure_deployed
from gossamer.deploy.store import Plan as Plan
from gossamer.deploy.store import load as load
from gossamer.deploy.store import load_task as load_task
from gossamer.deploy.store import read_plan as read_plan
from gossamer.deploy.store import save as save
from gossamer.runtime import load as load_engine

__all__ = [
    "Accelerated",
    "Change",
    "Choice",
    "Deployment",
    "Engine",
    "EraseModule",
    "Explained",
    "Exported",
    "FactorizeLayer",
    "FoldNorm",
    "Form",
    "Plan",
    "ShareWeights",
    "SwapGraphLayer",
    "SwapLayer",
    "SwapPool",
    "accelerate",
    "compare_exports",
    "compile",
    "deployment",
    "export",
    "load",
    "load_engine",
    "load_task",
    "measure_deployed",
    "read_plan",
    "save",
]
