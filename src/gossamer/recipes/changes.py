"""What a recipe changes in how its network is trained; what it leaves out stays the network's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gossamer.errors import SettingError
from gossamer.recipes.choice import Choice
from gossamer.settings import Settings, bounded

if TYPE_CHECKING:
    from gossamer.train import Training

_CHOSEN = ("learning_rate", "optimizer", "schedule")


@dataclass(frozen=True, kw_only=True)
class Changes(Settings):
    """The fields of `Training`, each None where the network's own value is kept.

    A network of the zoo has training of its own, by its paper; any other is trained by `Training()`. Where the
    optimiser or the schedule is of the same kind as the network's own, settings not named keep the network's values.
    """

    epochs: int | None = bounded(None, ge=0, doc="epochs each network trains", example=100)
    learning_rate: float | None = bounded(None, ge=0, doc="of the optimiser", example=0.01)
    optimizer: Choice | None = bounded(
        None, doc="adam, adamw or sgd, optionally with settings", example="adam[weight_decay=5e-4]"
    )
    schedule: Choice | None = bounded(
        None,
        doc="of the learning rate: constant, linear, cosine, exponential, step, multistep, onecycle or warmup",
        example="cosine",
    )
    patience: int | None = bounded(None, ge=1, doc="epochs without progress before training stops", example=50)
    keep_best: bool | None = bounded(None, doc="keep the weights that did best on validation", example=True)
    clip_norm: float | None = bounded(None, gt=0, doc="largest norm of the whole gradient", example=1.0)
    precision: Literal["32-true", "bf16-mixed"] | None = bounded(None, doc="32-true or bf16-mixed", example="32-true")
    drop_edges: float | None = bounded(
        None, ge=0, lt=1, doc="fraction of the graph's edges left out of training, others every epoch", example=0.2
    )
    validate_every: int | None = bounded(None, ge=1, doc="epochs between two validations", example=1)
    checkpoint_minutes: float | None = bounded(None, ge=0, doc="minutes between two checkpoints", example=5.0)

    def __post_init__(self) -> None:
        """Reads choices that are given as text or as a table."""
        for name in ("optimizer", "schedule"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Choice.of(getattr(self, name)))
        super().__post_init__()

    def given(self) -> dict[str, Any]:
        """Returns the fields that are not None."""
        return {key: value for key, value in vars(self).items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Returns what is changed, in its JSON form."""
        return {key: value for key, value in super().to_json().items() if value is not None}

    def over(self, own: Training) -> Training:
        """Returns `own` with these changes.

        Raises:
            SettingError: An unknown optimiser, schedule or setting (with the nearest name), or a value out of range.
        """
        from gossamer.train.optimizers import Optimizer
        from gossamer.train.schedules import Schedule

        kept = {key: value for key, value in self.given().items() if key not in _CHOSEN}
        optimizer = _changed(Optimizer, own.optimizer, self.optimizer)
        if self.learning_rate is not None:
            if self.optimizer is not None and self.optimizer.settings.get("learning_rate") is not None:
                raise SettingError("learning_rate is given alone and in the optimizer; give it once")
            optimizer = optimizer.replace(learning_rate=self.learning_rate)
        return own.replace(optimizer=optimizer, schedule=_changed(Schedule, own.schedule, self.schedule), **kept)


def _changed(family: Any, own: Any, choice: Choice | None) -> Any:
    """Returns the member of a family that is chosen; what is not named keeps the values of `own` if that is one."""
    if choice is None:
        return own
    kept = own if choice.kind == own.name else family.from_json({"name": choice.kind})
    return kept.replace(**choice.settings)
