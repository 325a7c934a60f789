"""The C library: the example program, compiled and run, gives what Python gives."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gossamer import runtime
from gossamer.kernels import native
from tests.runtime.networks import small_file

COMPILER = shutil.which(os.environ.get("CC", "cc"))
EXAMPLE = Path(__file__).parents[2] / "examples" / "c" / "classify.c"
pytestmark = [
    pytest.mark.skipif(not native.available(), reason="needs the native kernels"),
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("c") / "classify"
    library = runtime.library()
    words = [str(COMPILER), "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", str(EXAMPLE), str(library)]
    subprocess.run([*words, f"-I{runtime.include_folder()}", f"-Wl,-rpath,{library.parent}", "-o", built], check=True)
    return built


def run(program: Path, file: Path, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, file], input=text, capture_output=True, text=True, check=False, timeout=60)


def test_the_example_gives_what_python_gives(program: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 8, 8)).astype(np.float32)
    done = run(program, small_file(), "\n".join(f"{number:.9g}" for number in x.ravel()))
    assert done.returncode == 0, done.stderr
    loaded = runtime.load(small_file(), threads=1)
    wanted = np.concatenate([loaded(x[i : i + 1]) for i in range(3)])
    assert np.array_equal(np.array([line.split() for line in done.stdout.splitlines()], np.float32), wanted)


def test_a_damaged_file_is_a_message(program: Path, tmp_path: Path) -> None:
    data = small_file().read_bytes()
    (tmp_path / "net.gsm").write_bytes(data[:-1])
    done = run(program, tmp_path / "net.gsm", "")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is damaged: it has" in done.stderr


def test_it_needs_neither_python_nor_pytorch() -> None:
    ldd = shutil.which("ldd")
    if ldd is None:
        pytest.skip("needs ldd")
    needed = subprocess.run([ldd, runtime.library()], capture_output=True, text=True, check=True).stdout
    assert "python" not in needed
    assert "torch" not in needed
