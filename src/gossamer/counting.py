"""Counts what one call of a network does: multiply-accumulates by module and operator, and peak memory.

Nothing is derived from module types. The network runs once, and every operator that reaches PyTorch's
dispatcher is counted by what it was given, so functional calls, a user's own modules and PyG layers are
counted like ours. One multiply-accumulate (MAC) is one multiplication and one addition: matrix products,
convolutions, attention, recurrent cells, this library's own operators, and one for each element that a
scatter, index or segment sum adds. Elementwise arithmetic, normalisation and activations are not counted,
as is the custom.
"""

from __future__ import annotations

import contextlib
import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from gossamer.kernels.macs import MACS, Formula


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What one call of a network did.

    Attributes:
        total: Multiply-accumulates of the call.
        by_module: Those that ran in a module itself and not in a child of it, by the module's name; "" is the
            network's own forward. A module that is reached by two names is listed under the first.
        by_operator: The same by operator, for example "aten.addmm".
        input_shapes: Shape of the first positional argument that has one, for the last call of each module.
        peak_bytes: Largest total size of the tensors that the call made and that were alive at one time;
            inputs, parameters, buffers and the scratch space inside an operator are not in it.
    """

    total: int
    by_module: dict[str, int]
    by_operator: dict[str, int]
    input_shapes: dict[str, tuple[int, ...]]
    peak_bytes: int


def count_macs(model: nn.Module, example: tuple[Any, ...]) -> Profile:
    """Runs `model(*example)` once and counts what it does.

    The network runs in eval mode without gradients; its mode is put back, and the hooks that tell its modules
    apart are taken away, also if the call fails.

    Args:
        model: Any module on any device.
        example: Its positional arguments.
    """
    counter = _Counter()
    with evaluating(model), _watched(model, counter), torch.no_grad(), products_in_sight(), counter:
        model(*example)
    return Profile(
        total=sum(counter.by_module.values()),
        by_module=dict(counter.by_module),
        by_operator=dict(counter.by_operator),
        input_shapes=counter.input_shapes,
        peak_bytes=counter.memory.peak,
    )


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts every module of `model` in eval mode, and each back in its own mode at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yields the tensors in nested tuples, lists and dicts, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)


class Macs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the multiply-accumulates of all operators while it is entered; where `count_macs` says more, it is quick.

    Attributes:
        total: Multiply-accumulates so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = _formula(func)
        if formula is not None:
            self.total += formula(args, out)
        return out


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator of a call and adds up its multiply-accumulates and the memory that is alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by_module: Counter[str] = Counter()
        self.by_operator: Counter[str] = Counter()
        self.input_shapes: dict[str, tuple[int, ...]] = {}
        self.running = [""]
        self.memory = _Memory()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        formula = _formula(func)
        if formula is None and isinstance(func, OpOverload):
            with self:  # inference mode hands over whole operators such as aten.linear: look inside them
                inner = func.decompose(*args, **kwargs)
            if inner is not NotImplemented:
                return inner
        out = func(*args, **kwargs)
        self.memory.see((args, kwargs), out)
        if formula is not None:
            macs = formula(args, out)
            self.by_module[self.running[-1]] += macs
            self.by_operator[str(func._overloadpacket)] += macs
        return out


class _Memory:
    """Adds up the storages that are alive: from the operator that made each to the last tensor on it."""

    def __init__(self) -> None:
        self.alive: dict[int, weakref.ref[Any]] = {}  # by address of the data
        self.now = 0
        self.peak = 0

    def see(self, given: Any, made: Any) -> None:
        """Notes the storages of `made` that neither are in `given` (views, in-place results) nor known."""
        old = {_address(tensor) for tensor in tensors_in(given)}
        for tensor in tensors_in(made):
            address = _address(tensor)
            if address == 0 or address in old or address in self.alive:
                continue
            storage = tensor.untyped_storage()
            self.alive[address] = weakref.ref(storage, self._forget(address, storage.nbytes()))
            self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)

    def _forget(self, address: int, size: int) -> Callable[[Any], None]:
        def freed(_: Any) -> None:
            del self.alive[address]
            self.now -= size

        return freed


def _address(tensor: Tensor) -> int:
    """Where the tensor's storage begins; 0 for layouts without one storage, such as sparse tensors."""
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0


@contextlib.contextmanager
def _watched(model: nn.Module, counter: _Counter) -> Iterator[None]:
    """Tells the counter which module is running, by hooks that live as long as this context."""
    handles = []

    def leave(module: nn.Module, args: Any, out: Any) -> None:
        del module, args, out
        counter.running.pop()

    for name, module in model.named_modules():

        def enter(module: nn.Module, args: tuple[Any, ...], name: str = name) -> None:
            del module
            counter.running.append(name)
            shapes = [arg.shape for arg in args if isinstance(getattr(arg, "shape", None), tuple)]
            if shapes:
                counter.input_shapes[name] = tuple(map(int, shapes[0]))

        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def products_in_sight() -> Iterator[None]:
    """Turns off the fused attention layers, which do the same products and ReLUs inside one opaque operator."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _formula(func: Any) -> Formula | None:
    """Returns the formula of an operator, or None for one that multiplies nothing."""
    return MACS.get(func) or _FORMULAS.get(getattr(func, "_overloadpacket", None))


def _product(left: int, right: int) -> Formula:
    """The matrix product of two arguments (..., m, k) and (..., k, n), either of which may be sparse.

    A product of complex numbers is four of real ones.
    """

    def macs(args: Sequence[Any], out: Any) -> int:
        a, b = args[left], args[right]
        if a.layout != torch.strided:
            return int(a._nnz()) * int(b.shape[-1])
        if b.layout != torch.strided:
            return int(b._nnz()) * int(a.shape[-2])
        return int(a.numel()) * int(b.shape[-1] if b.dim() > 1 else 1) * (4 if a.is_complex() else 1)

    return macs


def _convolution(args: Sequence[Any], out: Any) -> int:
    x, weight = args[0], args[1]
    transposed = bool(args[6]) if len(args) > 6 else False
    return int((x if transposed else out).numel()) * int(weight.numel()) // max(1, int(weight.shape[0]))


def _attention(args: Sequence[Any], out: Any) -> int:
    query, key, value = args[0], args[1], args[2]
    return int(query.numel() // max(1, query.shape[-1])) * int(key.shape[-2]) * int(key.shape[-1] + value.shape[-1])


def _recurrent(args: Sequence[Any], out: Any) -> int:
    """A recurrent layer that is one operator: each weight matrix once for every vector of the sequence."""
    x, *rest = args
    weights = sum(int(tensor.numel()) for tensor in tensors_in(rest[:4]) if tensor.dim() == 2)
    return int(x.numel() // max(1, x.shape[-1])) * weights


def _fourier(args: Sequence[Any], out: Any) -> int:
    """Fast Fourier transforms: n / 2 · log₂ n butterflies of a complex product and two sums, half of it if real.

    A butterfly is ten operations, five multiply-accumulates.
    """
    x, axes = args[0], args[1]
    inner = out if not out.is_complex() else x  # the real side, or either of two complex ones
    length = math.prod(int(inner.shape[axis]) for axis in axes)
    both = 1 if out.is_complex() and x.is_complex() else 2
    return int(inner.numel() * 2.5 * math.log2(max(length, 1))) // both


def _added(position: int) -> Formula:
    """One for each element of the argument at `position`."""
    return lambda args, out: int(args[position].numel())


def _index_put(args: Sequence[Any], out: Any) -> int:
    return int(args[2].numel()) * bool(len(args) > 3 and args[3])


def _embedding_bag(args: Sequence[Any], out: Any) -> int:
    return int(args[1].numel()) * int(args[0].shape[1])


def _trilinear(args: Sequence[Any], out: Any) -> int:
    """Bilinear layers: out (B, O) from x (B, 1, I, 1), weight (1, O, I, J) and y (B, 1, 1, J)."""
    return int(args[0].shape[0]) * int(args[1].numel())


_aten = torch.ops.aten
_FORMULAS: dict[Any, Formula] = {
    _aten.mm: _product(0, 1),
    _aten.bmm: _product(0, 1),
    _aten.mv: _product(0, 1),
    _aten.dot: _product(0, 1),
    _aten.vdot: _product(0, 1),
    _aten._int_mm: _product(0, 1),
    _aten._scaled_mm: _product(0, 1),
    _aten._sparse_mm: _product(0, 1),
    _aten.addmm: _product(1, 2),
    _aten.addmv: _product(1, 2),
    _aten.baddbmm: _product(1, 2),
    _aten.addbmm: _product(1, 2),
    _aten.addr: lambda args, out: int(out.numel()),
    _aten._trilinear: _trilinear,
    _aten.convolution: _convolution,
    _aten._convolution: _convolution,
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_flash_attention: _attention,
    _aten._scaled_dot_product_efficient_attention: _attention,
    _aten._scaled_dot_product_cudnn_attention: _attention,
    _aten.mkldnn_rnn_layer: _recurrent,
    _aten._cudnn_rnn: _recurrent,
    _aten._embedding_bag: _embedding_bag,
    _aten._embedding_bag_forward_only: _embedding_bag,
    _aten._fft_r2c: _fourier,
    _aten._fft_c2r: _fourier,
    _aten._fft_c2c: _fourier,
    _aten.scatter_add: _added(3),
    _aten.scatter_add_: _added(3),
    _aten.scatter_reduce: _added(3),
    _aten.scatter_reduce_: _added(3),
    _aten.index_add: _added(3),
    _aten.index_add_: _added(3),
    _aten.index_reduce: _added(3),
    _aten.index_reduce_: _added(3),
    _aten.index_put: _index_put,
    _aten.index_put_: _index_put,
    _aten.segment_reduce: _added(0),
}
