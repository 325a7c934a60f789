"""A training run under way: its steps, its ends of epochs, and how it is saved and taken up again."""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.errors import FileError, TrainingError
from gossamer.tasks.task import Task
from gossamer.train.best import Best
from gossamer.train.checkpoint import load_state, save_state
from gossamer.train.drop_edges import thinned
from gossamer.train.engine import engine_for, share
from gossamer.train.fingerprint import fingerprint, require_same
from gossamer.train.history import History
from gossamer.train.hooks import Hooks
from gossamer.train.interrupt import Interrupted, Interrupts
from gossamer.train.optimizers import take_step
from gossamer.train.progress import Bar
from gossamer.train.randomness import generator_states, set_generator_states
from gossamer.train.training import Training

_LOOK_EVERY = 16  # steps between two looks at the loss: each look waits for the device


class Run:
    """A training run under way; the arguments are those of `fit`, and the device of the parameters."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        training: Training,
        hooks: Hooks,
        *,
        seed: int,
        checkpoint: Path | None,
        device: torch.device,
    ) -> None:
        self.engine = engine_for(device, training.precision)
        self.model = model.to(self.engine.device)
        self.task = task.to(self.engine.device)
        self.seen = self.task  # what this epoch trains on
        self.training = training
        self.hooks = hooks
        self.seed = seed
        self.checkpoint = checkpoint

        self.fingerprint = fingerprint(model, task, training, hooks, seed)
        self.steps = task.steps()  # of this epoch
        self.batch_size: int | None = None  # of this epoch, where the hooks ask for another than the task's
        self.rate_factor = 1.0  # of this epoch, as the hooks ask
        self.module = self.model  # as the engine wraps it
        self.optimizer = training.optimizer.build(model.parameters())
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.factor: float | None = None  # of the learning rates, as they are set now
        self.best = Best(task, keep=training.keep_best)
        self.history = History()

        self.epoch = 0
        self.step = 0  # steps of this epoch that are over
        self.losses: list[float] = []  # of this epoch's steps
        self.unseen: list[Tensor] = []  # losses of the latest steps, still on the device
        self.generators: dict[str, Any] | None = None  # to set before the next step, after a resumption
        self.earlier = 0.0  # seconds of earlier sittings
        self.begun = time.monotonic()
        self.next_save = self.begun + 60 * training.checkpoint_minutes
        self.saved: tuple[int, int] | None = None  # the epoch and step that the checkpoint holds

    def train(self, interrupts: Interrupts, bar: Bar) -> History:
        """Trains to the end, from the checkpoint if there is one."""
        if self.checkpoint is not None and self.checkpoint.exists():
            self._resume(self.checkpoint)
        self.model.train()
        self.module = self.engine.wrap(self.model).train()
        while self.epoch < self.training.epochs and not self.history.stopped_early:
            for batch in self._batches():
                self._take_step(batch)
                bar.update(
                    self.history.steps,
                    self._latest_loss(),
                    self.task.metric,
                    self._latest_value(),
                    epochs=self.epoch + min(self.step / self.steps, 1.0),
                )
                self._pause(interrupts)
            self._end_epoch()
            self._pause(interrupts)
        self._require_finite()
        self._save()
        self.best.restore(self.model, self.hooks)
        self.model.eval()
        self.history.seconds = self._seconds()
        return self.history

    def _batches(self) -> Iterator[Any]:
        """Yields what is left of this epoch's batches."""
        if self.step == 0:  # an epoch that is taken up again goes on as it began
            self.batch_size, self.rate_factor = self.hooks.batch_size, self.hooks.rate_factor
        self.seen = self.task
        if self.training.drop_edges:
            self.seen = thinned(self.task, self.training.drop_edges, seed=self.seed, epoch=self.epoch)
        if self.batch_size is not None:
            self.seen = self.seen.with_batch_size(self.batch_size)
        self.steps = self.seen.steps()
        batches = share(self.seen.batches("train", seed=self.seed, epoch=self.epoch), self.engine)
        if self.generators is not None:
            skipped = sum(1 for _ in itertools.islice(batches, self.step))
            if skipped < self.step:
                raise TrainingError(
                    f"epoch {self.epoch} has {skipped} batches, the checkpoint was written after "
                    f"{self.step}; the data has changed: delete the checkpoint to train anew"
                )
            set_generator_states(self.generators, self.engine.device)
            self.generators = None
        yield from batches

    def _take_step(self, batch: Any) -> None:
        moment = self.epoch + min(self.step / self.steps, 1.0)
        factor = self.rate_factor * self.training.schedule.factor(moment, self.training.epochs)
        if factor != self.factor:
            self.factor = factor
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor

        loss = self._gradients(batch)
        self.hooks.after_backward()
        if self.training.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.training.clip_norm)
        self.history.forward_passes += self.hooks.training_cost()
        take_step(self.optimizer)
        stepped = _parameters_of(self.optimizer)
        self.hooks.after_step(self.optimizer)
        if self.engine.world_size > 1 and _parameters_of(self.optimizer) != stepped:
            self.module = self.engine.wrap(self.model).train()  # to average the gradients of those that are new

        self.step += 1
        self.history.steps += 1
        self.unseen.append(loss)
        if len(self.unseen) >= _LOOK_EVERY:
            self._look()

    def _gradients(self, batch: Any) -> Tensor:
        """Leaves the gradients of a batch in the parameters, and returns its loss, penalty included."""
        loss = self.seen.learn(self.module, batch) if self.engine.plain else None
        if loss is not None:
            self.hooks.after_loss(loss)
            penalty = self.hooks.penalty()
            if penalty is None:
                return loss
            self.engine.backward(penalty)
            return loss + penalty.detach()
        self.optimizer.zero_grad()
        with self.engine.precision():
            loss = self.seen.loss(self.module, batch)
        self.hooks.after_loss(loss.detach())
        penalty = self.hooks.penalty()
        if penalty is not None:
            loss = loss + penalty
        self.engine.backward(loss)
        return loss.detach().reshape(())

    def _end_epoch(self) -> None:
        if self.step == 0:
            raise TrainingError(f"task {self.task.name!r} gave no training batch in epoch {self.epoch}; expected one")
        self._look()
        self.hooks.after_epoch(self.epoch)
        training, last = self.training, self.epoch + 1 == self.training.epochs
        metrics = None
        if last or (self.epoch + 1) % training.validate_every == 0:
            metrics = self.engine.agreed(self.task.evaluate(self.model, "val") if self.engine.rank == 0 else None)
            if self.hooks.settled:
                self.best.consider(self.epoch, metrics, self.model, self.hooks)
        self.history.add(self.epoch, math.fsum(self.losses) / len(self.losses), metrics)
        self.history.best_epoch = self.best.epoch
        if training.patience is not None and self.best.epoch is not None and metrics and not last:
            self.history.stopped_early = self.epoch - self.best.epoch >= training.patience
        self.epoch, self.step, self.losses = self.epoch + 1, 0, []

    def _look(self) -> None:
        """Reads the losses that are still on the device, and refuses any that is not a number."""
        seen = torch.stack(self.unseen).tolist() if self.unseen else []
        self.unseen.clear()
        for loss in seen:
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss} in epoch {self.epoch}, step {len(self.losses)}")
            self.losses.append(loss)

    def _require_finite(self) -> None:
        """Refuses weights that the next step would find to be no numbers."""
        for name, parameter in self.model.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise self._diverged(f"{name} is not finite after epoch {self.epoch}, step {self.step}")

    def _diverged(self, what: str) -> TrainingError:
        optimizer, clip = self.training.optimizer, self.training.clip_norm
        remedies = [f"a learning rate below {optimizer.learning_rate:g}"]
        remedies += [f"clip_norm={'1.0' if clip is None else format(clip / 10, 'g')}"]
        remedies += ["precision='32-true'"] if self.training.precision != "32-true" else []
        return TrainingError(f"{what} (both from 0); try {' or '.join(remedies)}, and look for such values in the data")

    def _pause(self, interrupts: Interrupts) -> None:
        """Saves if it is time to; stops if Ctrl-C was pressed."""
        stop = self.engine.agreed(interrupts.requested)
        if stop or time.monotonic() >= self.next_save:
            self._save()
        if stop:
            place = f"training was stopped in epoch {self.epoch} after {self.step} steps (of {self.steps})"
            if self.saved == (self.epoch, self.step):
                raise Interrupted(f"{place} and saved to {self.checkpoint}; the same call goes on from there")
            raise Interrupted(f"{place} and not saved; name a writable checkpoint= file to be able to go on")

    def _save(self) -> None:
        """Writes the checkpoint, if one is wanted, this is the process to do it and anything is new."""
        self.next_save = time.monotonic() + 60 * self.training.checkpoint_minutes
        if self.checkpoint is None or self.engine.rank > 0 or self.saved == (self.epoch, self.step):
            return
        self._look()
        self._require_finite()
        self.history.seconds = self._seconds()
        state = {
            "fingerprint": self.fingerprint,
            "epoch": self.epoch,
            "step": self.step,
            "losses": self.losses,
            "pace": [self.batch_size, self.rate_factor],
            "history": asdict(self.history),
            "hooks": self.hooks.state_dict(),
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best.state_dict(),
            "generators": generator_states(self.engine.device),
        }
        try:
            save_state(self.checkpoint, state)
            self.saved = (self.epoch, self.step)
        except FileError as error:
            note = f"a checkpoint was not written: {error}"
            if note not in self.history.notes:
                self.history.notes.append(note)
                warnings.warn(f"{note}; training goes on without it", RuntimeWarning, stacklevel=4)

    def _resume(self, path: Path) -> None:
        if path.is_dir():
            raise FileError(f"{path}: is a folder; expected the name of a checkpoint file")
        state = load_state(path)
        if not isinstance(state, dict) or "fingerprint" not in state:
            raise FileError(f"{path}: holds a state, but not of a training run; name another file")
        require_same(path, state["fingerprint"], self.fingerprint)
        self.epoch, self.step, self.losses = state["epoch"], state["step"], state["losses"]
        self.batch_size, self.rate_factor = state["pace"]
        self.hooks.load_state_dict(state["hooks"])
        self.optimizer = self.training.optimizer.build(self.model.parameters())  # hooks may have put others in place
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best.load_state_dict(state["best"])
        self.history = History(**state["history"])
        self.history.resumed_from = self.epoch
        self.earlier = self.history.seconds
        self.generators = state["generators"]
        set_generator_states(state["generators"], self.engine.device)
        self.saved = (self.epoch, self.step)

    def _seconds(self) -> float:
        return self.earlier + time.monotonic() - self.begun

    def _latest_loss(self) -> float | None:
        """Returns the last training loss that was read, without waiting for the device."""
        losses = self.losses or self.history.train_loss
        return losses[-1] if losses else None

    def _latest_value(self) -> float | None:
        """Returns the headline metric of the last epoch, if it was validated."""
        values = self.history.validation.get(self.task.metric)
        return values[-1] if values else None


def _parameters_of(optimizer: torch.optim.Optimizer) -> list[int]:
    return [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
