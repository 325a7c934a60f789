"""Which operators of a network may go as a whole: branches that end in a sum or a concatenation of several.

One run of the network gives a graph of operator calls, joined where the memory that one wrote is read by another. A
branch is one input of a joint (`add`, `cat`) with everything that leads to nothing else. A network without some of its
branches is still one if every call outside of them has what it needs, all of its inputs, where a joint with none left
counts as a branch that is gone; and if every input of the network that led to an output still does.

After the segment graph and removal structures of Chen et al., "Automated search-space generation neural architecture
search" (ASGNAS), arXiv 2305.18030, whose details were not at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gossamer.counting import evaluating
from gossamer.structure.rules.table import plain_name
from gossamer.structure.trace import plain_paths, results_in, tensors_in
from gossamer.train.randomness import seeded

JOINTS = {"add": "add", "cat": "cat", "concat": "cat"}


@dataclass(frozen=True)
class Step:
    """One call of an operator.

    Attributes:
        name: The operator.
        inputs: The steps whose results it reads, in the order of its arguments; inputs of the network count as steps.
        parameters: Names of the parameters and buffers that it reads.
        modules: Names of the modules that were running, the outermost first.
        joint: "add" or "cat" where several steps meet in it; "" elsewhere.
        place: Of a concatenation, how many there were before it.
    """

    name: str
    inputs: tuple[int, ...]
    parameters: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    joint: str = ""
    place: int = -1


@dataclass(frozen=True)
class Branch:
    """Operators that may go together.

    Attributes:
        name: The modules that hold its parameters.
        steps: Its calls.
        joint: The call that it ends in.
        slot: Which input of the joint it is.
        kind: "add" or "cat".
        place: Of a concatenation, how many there were before it.
        parameters: Names of its parameters and buffers.
        modules: The outermost modules that run in it and nowhere else, with how many tensors each returns; 0 for a
            tensor that is not in a tuple.
    """

    name: str
    steps: frozenset[int]
    joint: int
    slot: int
    kind: str
    place: int
    parameters: tuple[str, ...]
    modules: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Flow:
    """The graph of one run: steps in the order in which they ran, and which of them are inputs and results."""

    steps: tuple[Step, ...]
    sources: tuple[int, ...]
    sinks: tuple[int, ...]
    returns: Mapping[str, int]  # how many tensors each module returns in a tuple; 0 for a tensor

    def stands_without(self, branches: Iterable[Branch]) -> bool:
        """Says whether the network is one without these branches."""
        gone = {step for branch in branches for step in branch.steps}
        ends = {(branch.joint, branch.slot) for branch in branches}
        alive = [False] * len(self.steps)
        reach: list[set[int]] = [set() for _ in self.steps]  # inputs of the network that lead to each step, now
        for number, step in enumerate(self.steps):
            if number in gone:
                continue
            if not step.inputs:
                alive[number] = True
                reach[number] = {number} & set(self.sources)
                continue
            seen = [
                alive[given] and not ((number, slot) in ends and given in gone)
                for slot, given in enumerate(step.inputs)
            ]
            alive[number] = any(seen) if step.joint else all(seen)
            if not alive[number]:
                if step.joint:
                    continue  # a sum of nothing, which another joint may do without
                return False
            led = [reach[given] for given, ok in zip(step.inputs, seen, strict=True) if ok]
            reach[number] = set().union(*led)
        return all(alive[sink] and reach[sink] >= whole for sink, whole in self._reached().items())

    def _reached(self) -> dict[int, set[int]]:
        """Returns the inputs of the network that lead to each of its results."""
        found: list[set[int]] = []
        for number, step in enumerate(self.steps):
            own = {number} & set(self.sources)
            found.append(own.union(*(found[given] for given in step.inputs)))
        return {sink: found[sink] for sink in self.sinks}

    def branches(self) -> list[Branch]:
        """Returns the smallest branches that hold parameters, in the order in which they run."""
        readers: list[list[tuple[int, int]]] = [[] for _ in self.steps]
        for number, step in enumerate(self.steps):
            for slot, given in enumerate(step.inputs):
                readers[given].append((number, slot))
        found = []
        for number, step in enumerate(self.steps):
            for slot, start in enumerate(step.inputs) if step.joint else ():
                steps = self._leading_to(start, (number, slot), readers)
                branch = self._branch(steps, number, slot)
                if branch is not None:
                    found.append(branch)
        return [one for one in found if not any(other.steps < one.steps for other in found)]

    def _leading_to(
        self, start: int, end: tuple[int, int], readers: Sequence[Sequence[tuple[int, int]]]
    ) -> frozenset[int]:
        """Returns the steps whose results are used for one input of a joint only."""
        steps: set[int] = set()
        waiting = [start]
        while waiting:
            step = waiting.pop()
            if step in self.sinks or step in self.sources or step in steps:
                continue
            if all(reader in steps or (reader, slot) == end for reader, slot in readers[step]):
                steps.add(step)
                waiting += self.steps[step].inputs
        return frozenset(steps)

    def _branch(self, steps: frozenset[int], joint: int, slot: int) -> Branch | None:
        read = dict.fromkeys(name for step in sorted(steps) for name in self.steps[step].parameters)
        elsewhere = {name for number, step in enumerate(self.steps) if number not in steps for name in step.parameters}
        if not read or elsewhere & read.keys():
            return None
        inside = dict.fromkeys(name for step in sorted(steps) for name in self.steps[step].modules if name)
        outside = {name for number, step in enumerate(self.steps) if number not in steps for name in step.modules}
        whole = [name for name in inside if name not in outside]
        outermost = [name for name in whole if not any(name.startswith(f"{other}.") for other in whole)]
        holding = [name for name in outermost if any(one.startswith(f"{name}.") for one in read)]
        if not all(any(one.startswith(f"{name}.") for name in outermost) for one in read):
            return None  # a parameter of a module that also does something else
        end = self.steps[joint]
        return Branch(
            name=", ".join(holding),
            steps=steps,
            joint=joint,
            slot=slot,
            kind=end.joint,
            place=end.place,
            parameters=tuple(read),
            modules=tuple((name, self.returns.get(name, 0)) for name in outermost),
        )


def flow(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Flow:
    """Runs a network once, in eval mode and without gradients, and returns what led to what."""
    watch = _Watch(model)
    for tensor in tensors_in((tuple(args), dict(kwargs))):
        watch.source(tensor)
    with evaluating(model), torch.no_grad(), plain_paths(model), seeded(0, torch.device("cpu")), watch.modules(), watch:
        result = model(*args, **kwargs)
    sinks = dict.fromkeys(
        number for tensor in results_in(result) if (number := watch.written.get(_memory(tensor))) is not None
    )
    return Flow(tuple(watch.steps), tuple(watch.sources), tuple(sinks), dict(watch.returns))


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every call of an operator, by the memory that it reads and writes; views are no calls of their own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step] = []
        self.sources: list[int] = []
        self.written: dict[int, int] = {}  # memory to the step that wrote it last
        self.returns: dict[str, int] = {}
        self._held: list[Tensor] = []  # so that no memory is used twice
        self._model = model
        self._running = [""]
        self._places = 0
        self._named = {_memory(tensor): name for name, tensor in [*model.named_parameters(), *model.named_buffers()]}

    def source(self, tensor: Tensor) -> None:
        """Notes an input of the network."""
        self.written[_memory(tensor)] = len(self.steps)
        self.sources.append(len(self.steps))
        self.steps.append(Step("input", ()))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        given = [tensor for tensor in tensors_in((args, kwargs)) if _memory(tensor)]
        read = [_memory(tensor) for tensor in given]
        out = func(*args, **kwargs)
        name = plain_name(func)
        results = [tensor for tensor in tensors_in(out) if _memory(tensor)]
        self._held += results
        mutates = func._schema.is_mutable
        made = [tensor for tensor in results if _memory(tensor) not in read]
        if not results or not (made or mutates):
            return out  # a view
        inputs = tuple(self.written[one] for one in read if one in self.written)
        parameters = tuple(dict.fromkeys(self._named[one] for one in read if one in self._named))
        places = name in {"cat", "concat"} and any(tensor.shape != (0,) for tensor in given)
        if inputs or parameters:
            joint = JOINTS.get(name, "") if len(set(inputs)) == len(inputs) > 1 else ""
            step = Step(name, inputs, parameters, tuple(self._running), joint, self._places if places else -1)
            for tensor in results:
                self.written[_memory(tensor)] = len(self.steps)
            self.steps.append(step)
        self._places += places
        return out

    def modules(self) -> Any:
        """Keeps `_running` while a network runs."""
        return _Modules(self)


class _Modules:
    """Hooks that tell a watch which modules run, for the time of a block."""

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        watch = self._watch
        for name, module in watch._model.named_modules():

            def enter(_module: nn.Module, _inputs: Any, name: str = name) -> None:
                watch._running.append(name)

            def leave(_module: nn.Module, _inputs: Any, output: Any, name: str = name) -> None:
                watch._running.pop()
                watch.returns[name] = len(output) if isinstance(output, tuple) else 0

            self._handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def _memory(tensor: Tensor) -> int:
    """Returns where a tensor lies; 0 of one without numbers, or without a memory of its own."""
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0
