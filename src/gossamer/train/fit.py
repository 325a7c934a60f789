"""The one training loop: any network, any task, any device, with whatever acts on the network between steps.

    gradients → hooks.after_backward → clipping → optimiser → hooks.after_step, and after each epoch
    hooks.after_epoch, validation, early stopping

A run is a function of its arguments: everything random follows from `seed`, and a checkpoint holds all that
the next step depends on (weights, optimiser, hooks, random generators, the place in the epoch). So a run that
was killed and called again ends with the same weights to the last bit, on a CPU with as many threads.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from torch import nn

from gossamer.errors import ModelError
from gossamer.tasks.task import Task
from gossamer.train.history import History
from gossamer.train.hooks import Hooks, NoHooks
from gossamer.train.interrupt import Interrupts
from gossamer.train.progress import Bar
from gossamer.train.randomness import seeded
from gossamer.train.run import Run
from gossamer.train.training import Training

_DEFAULT = Training()


def fit(
    model: nn.Module,
    task: Task,
    training: Training = _DEFAULT,
    *,
    hooks: Hooks | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> History:
    """Trains a network in place and leaves it in evaluation mode.

    The network is trained on the device its parameters are on, to which the task is taken. Under `torchrun`,
    each process takes its share of the batches and the gradients are averaged; the first process validates
    and saves.

    The best weights on validation (see `gossamer.train.best` for ties) are kept, and `patience` counts, only
    from the epoch on that ends with `hooks.settled`. If no epoch does, the last weights stay.

    Ctrl-C ends the run after the step it is in. A checkpoint that cannot be written is a warning and a note
    in the history, not the end of the run.

    Args:
        model: The network; its initial weights are the caller's.
        task: What it must do.
        training: Epochs, optimiser, schedule and so on.
        hooks: What acts on the network between the steps, such as a `Compression`; None for nothing.
        seed: Decides the order of the batches and seeds PyTorch's, NumPy's and Python's global generators for
            the time of the call; afterwards they are as they were.
        checkpoint: A file to save to every `training.checkpoint_minutes`, at Ctrl-C and at the end. If it is
            there already, the run it holds is gone on with; delete it to train anew.
        progress: Whether to show a bar, on a terminal and once the run has taken a few seconds.

    Returns:
        What happened, epoch by epoch.

    Raises:
        TrainingError: The loss or the weights are not finite, or the task gives no batch. The last good
            checkpoint is still there.
        ModelError: The network has no parameter to train.
        FileError: The checkpoint is damaged, or of another model, task or training.
        Interrupted: Ctrl-C was pressed.

    A network of your own needs a `Task`; this one fits a line:

    >>> import torch
    >>> class Line(Task):
    ...     name, metric, higher_is_better = "line", "error", False
    ...     def steps(self): return 1
    ...     def batches(self, split, *, seed=0, epoch=0): yield torch.linspace(-1, 1, 8)[:, None]
    ...     def loss(self, model, batch): return (model(batch) - 3 * batch).square().mean()
    ...     def evaluate(self, model, split):
    ...         with torch.no_grad():
    ...             return {"error": self.loss(model, next(self.batches(split))).item()}
    ...     def example(self): return (torch.zeros(1, 1),)
    ...     def examples_per_step(self): return 8.0
    ...     def to(self, device): return self
    >>> from gossamer.train import SGD
    >>> line = torch.nn.Linear(1, 1)
    >>> plain = SGD(learning_rate=0.5, weight_decay=0.0, momentum=0.0)
    >>> history = fit(line, Line(), Training(epochs=100, optimizer=plain))
    >>> round(line.weight.item(), 3), history.validation["error"][-1] < 1e-6
    (3.0, True)
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ModelError(f"{type(model).__name__} has no parameter that needs a gradient; there is nothing to train")
    run = Run(
        model,
        task,
        training,
        NoHooks() if hooks is None else hooks,
        seed=seed,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        device=trained[0].device,
    )
    console = Console(stderr=True) if progress and run.engine.rank == 0 else None
    with (
        seeded(seed, run.engine.device),
        Interrupts() as interrupts,
        Bar(training.epochs, task.steps(), console) as bar,
    ):
        return run.train(interrupts, bar)
