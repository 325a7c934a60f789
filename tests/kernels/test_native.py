from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gossamer.errors import SettingError
from gossamer.kernels import native

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")
SUM = (
    "import torch, gossamer.kernels as k\n"
    "print(k.native.isa(), k.native.available(), k.native.why_unavailable())\n"
    "print(k.aggregate(torch.tensor([0, 2]), torch.tensor([0, 1]), torch.ones(2, 3)).tolist())\n"
)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_environment_switches_the_kernels_off():
    done = run(SUM, GOSSAMER_NATIVE="0")
    assert done.stdout.splitlines() == ["none False GOSSAMER_NATIVE=0 is set", "[[2.0, 2.0, 2.0]]"]


@needs_kernels
def test_the_environment_chooses_an_instruction_set():
    done = run(SUM, GOSSAMER_ISA="baseline")
    assert done.stdout.splitlines() == ["baseline True ", "[[2.0, 2.0, 2.0]]"]


@needs_kernels
def test_an_unknown_instruction_set_is_refused_with_those_there_are():
    with pytest.raises(SettingError, match=r"avx51.*Known: .*baseline"), native.force("avx51"):
        pass
    done = run(SUM, GOSSAMER_ISA="avx51")
    assert "SettingError" in done.stderr


@needs_kernels
def test_force_puts_the_choice_back_even_after_an_error():
    def fail() -> None:
        with native.force("baseline"):
            assert native.isa() == "baseline"
            raise KeyError

    before = native.isa()
    with pytest.raises(KeyError):
        fail()
    assert native.isa() == before


def test_availability_and_reason_agree():
    assert native.available() == (native.why_unavailable() == "")
    assert (native.isa() == "none") == (not native.available())


@needs_kernels
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")
@pytest.mark.skipif(not torch.backends.openmp.is_available(), reason="torch without OpenMP")
def test_torch_and_the_kernels_share_one_openmp_runtime():
    # In a process of its own: other libraries bring runtimes too.
    code = "from gossamer.kernels import native; native.kernels(); print(open('/proc/self/maps').read())"
    maps = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    runtimes = {line.split()[-1] for line in maps.splitlines() if "libgomp" in line or "libomp" in line}
    torch_runtimes = {path for path in runtimes if "torch" in path}
    assert runtimes == torch_runtimes or not torch_runtimes
