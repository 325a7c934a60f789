"""`gossamer run`: a network's .gsm file on arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from gossamer.commands.command import MaybePath, MaybeText, MaybeWhole
from gossamer.errors import DataError, FileError, SettingError

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from gossamer.runtime import Network

_SHOWN = 60  # numbers of an output that is written to no file


@dataclass(frozen=True, kw_only=True)
class Run:
    """Runs a network's .gsm file, which `gossamer export` writes, on arrays from .npy files.

    Without --input it says what the network takes and gives.

    Examples:
      gossamer run net.gsm
      gossamer run net.gsm --input x.npy --output y.npy
      gossamer run net.gsm --input tokens.npy,mask.npy --output outputs.npz
      gossamer run net.gsm --verify
    """

    network: Annotated[Path, Positional, arg(metavar="FILE.gsm")] = field(metadata={"positional": True})
    input: MaybeText = None  # a .npy file an input, in their order, separated by commas
    output: MaybePath = None  # a .npy file for one output, a .npz file for several (default: they are printed)
    threads: MaybeWhole = None  # of the call (default: all cores)
    verify: bool = False  # compare the whole file with its checksums, which every first call does too

    def run(self, console: Console) -> dict[str, Any]:
        """Runs; returns `{"inputs": ..., "outputs": ..., "verified": ...}`."""
        from gossamer.runtime import load

        if self.output is not None and self.input is None:
            raise SettingError("run has --output but no --input; name the arrays with --input x.npy")
        network = load(self.network, threads=self.threads)
        if self.verify:
            network.verify()
            console.print(f"{self.network}: whole, as it was written", markup=False, highlight=False, soft_wrap=True)
        arrays: list[np.ndarray[Any, Any]] = []
        if self.input is not None:
            found = network(*(_read(Path(name.strip())) for name in self.input.split(",")))
            arrays = list(found) if isinstance(found, tuple) else [found]
        if self.input is None:
            for title, ports in (("takes", network.inputs), ("gives", network.outputs)):
                for port in ports:
                    console.print(f"{title} {port}", markup=False, highlight=False, soft_wrap=True)
        elif self.output is None:
            _show(console, network, arrays)
        else:
            _write(self.output, network, arrays)
        shapes = [{"name": port.name, "dtype": port.dtype, "shape": list(port.shape)} for port in network.inputs]
        return {
            "inputs": shapes,
            "outputs": [
                {"name": port.name, "dtype": port.dtype, "shape": list(arrays[place].shape if arrays else port.shape)}
                for place, port in enumerate(network.outputs)
            ],
            "output": None if self.output is None else str(self.output),
            "verified": self.verify or bool(arrays),
        }


def _read(path: Path) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except OSError as error:
        raise FileError(f"{path}: could not be read ({error.strerror or error}); check the path") from None
    except (ValueError, EOFError, SyntaxError):
        raise DataError(f"{path}: is no array of numbers; write one with numpy.save") from None
    if not isinstance(found, np.ndarray):
        raise DataError(f"{path}: holds several arrays; expected a .npy file with one")
    return found


def _show(console: Console, network: Network, arrays: list[np.ndarray[Any, Any]]) -> None:
    import numpy as np

    for port, array in zip(network.outputs, arrays, strict=True):
        console.print(f"{port.name} {array.dtype} {array.shape}", markup=False, highlight=False)
        text = np.array2string(array, threshold=_SHOWN, precision=6, max_line_width=console.width)
        console.print(text, markup=False, highlight=False)


def _write(path: Path, network: Network, arrays: list[np.ndarray[Any, Any]]) -> None:
    import numpy as np

    from gossamer.files import write_atomic

    expected = ".npy" if len(arrays) == 1 else ".npz"
    if path.suffix != expected:
        what = "one output" if len(arrays) == 1 else f"{len(arrays)} outputs"
        raise SettingError(f"--output is {path}; the network has {what}, expected a name that ends with {expected}")
    if expected == ".npy":
        write_atomic(path, lambda stream: np.save(stream, arrays[0], allow_pickle=False))
        return
    names: dict[str, Any] = {port.name: array for port, array in zip(network.outputs, arrays, strict=True)}
    write_atomic(path, lambda stream: np.savez(stream, **names))
