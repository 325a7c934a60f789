"""Takes networks elsewhere: to ONNX, and to `torch.export` programs."""

from gossamer.deploy.export.export import Exported as Exported
from gossamer.deploy.export.export import export as export

__all__ = ["Exported", "export"]
