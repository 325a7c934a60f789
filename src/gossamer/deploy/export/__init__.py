"""Takes networks elsewhere: to ONNX, and to `torch.export` programs."""

from gossamer.deploy.export.compare import Form as Form
from gossamer.deploy.export.compare import compare_exports as compare_exports
from gossamer.deploy.export.export import Exported as Exported
from gossamer.deploy.export.export import export as export

__all__ = ["Exported", "Form", "compare_exports", "export"]
