"""Training with a teacher: what its answers add to a loss, and a task that adds them."""

from gossamer.distill.lessons import Distilled as Distilled
from gossamer.distill.lessons import SoftTargets as SoftTargets
from gossamer.distill.losses import attention as attention
from gossamer.distill.losses import hint as hint
from gossamer.distill.losses import logits as logits
from gossamer.distill.losses import soft_targets as soft_targets
from gossamer.distill.teaching import Teaching as Teaching

__all__ = ["Distilled", "SoftTargets", "Teaching", "attention", "hint", "logits", "soft_targets"]
