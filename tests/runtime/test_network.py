"""Files of networks: what they compute, what they say of themselves, and that every damage is refused."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gossamer import extension, runtime
from gossamer.deploy import compile as compile_network
from gossamer.deploy import load_engine
from gossamer.errors import DataError, FileError, GossamerError, ModelError, SettingError
from gossamer.kernels import native
from tests.runtime.networks import net, small_file

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")


def resealed(data: bytes, version: int | None = None, level: int | None = None) -> bytes:
    """A file with other words in its head, and a checksum that fits them."""
    changed = bytearray(data)
    head = struct.unpack_from("<q", data, 16)[0]
    if version is not None:
        struct.pack_into("<q", changed, 8, version)
    if level is not None:
        struct.pack_into("<q", changed, 32, level)
    module, _ = extension.load()
    assert module is not None
    sealed = np.frombuffer(bytes(changed[: head - 8]), np.uint8)
    struct.pack_into("<Q", changed, head - 8, module.checksum(sealed.ctypes.data, len(sealed)))
    return bytes(changed)


def refused(data: bytes) -> None:
    with pytest.raises(FileError):
        load_engine(data, threads=1).verify()


def test_a_file_computes_what_its_network_does() -> None:
    loaded = load_engine(small_file(), threads=2)
    for batch in (1, 2, 7, 0):
        x = torch.randn(batch, 2, 8, 8)
        found = loaded(x)
        assert isinstance(found, Tensor)
        torch.testing.assert_close(found, net()(x).detach(), rtol=1e-4, atol=1e-5)
        assert np.array_equal(loaded(x.numpy()), found.numpy())


def test_the_bits_are_those_of_the_engine_it_was_saved_from(tmp_path: Path) -> None:
    engine = compile_network(net(3), (torch.randn(1, 2, 8, 8),), threads=1)
    x = torch.randn(5, 2, 8, 8)
    assert torch.equal(load_engine(engine.save(tmp_path / "net.gsm"))(x), engine(x))


def test_the_signature() -> None:
    loaded = load_engine(small_file())
    assert [str(port) for port in (*loaded.inputs, *loaded.outputs)] == [
        "input float32 (batch, 2, 8, 8)",
        "output float32 (batch, 4)",
    ]
    assert loaded.independent
    assert loaded.prepare((3, 2, 8, 8)) == [(3, 4)]


class Several(nn.Module):
    """Tokens to their mean and to themselves, twice; the mean is taken over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 5)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.table(tokens)
        return found, found.mean(0), found


def test_several_outputs_one_of_them_twice(tmp_path: Path) -> None:
    model, tokens = Several().eval(), torch.arange(6).reshape(3, 2)
    loaded = load_engine(compile_network(model, (tokens,)).save(tmp_path / "net.gsm"))
    for found, wanted in zip(loaded(tokens), model(tokens), strict=True):
        torch.testing.assert_close(found, wanted.detach())
    assert not loaded.independent, "its second output is a mean over the batch"
    with pytest.raises(DataError, match="out of range"):
        loaded(tokens + 9)


class Centred(nn.Module):
    """Rows that depend on each other, in the shape of rows that do not."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0, keepdim=True)


def test_rows_that_depend_on_each_other_are_noticed(tmp_path: Path) -> None:
    engine = compile_network(Centred(), (torch.randn(4, 3),))
    assert not load_engine(engine.save(tmp_path / "net.gsm")).independent


def test_what_pytorch_runs_is_named(tmp_path: Path) -> None:
    class Sorts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sort(x, 1).values + 1

    with pytest.raises(ModelError, match=r"PyTorch runs aten\.sort"):
        compile_network(Sorts(), (torch.randn(2, 3),)).save(tmp_path / "net.gsm")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileError, match=r"ends with \.gsm"):
        compile_network(net(), (torch.randn(1, 2, 8, 8),)).save(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((1, 2, 8, 7), np.float32), r"has shape \(1, 2, 8, 7\)"),
        (np.zeros((2, 8, 8), np.float32), r"takes input float32 \(batch, 2, 8, 8\)"),
        (np.zeros((1, 2, 8, 8)), "found float64"),
        ([1.0], "found an argument of list"),
    ],
)
def test_wrong_inputs_are_refused(array: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_engine(small_file())(array)


def test_memory_that_lies_otherwise_is_copied() -> None:
    loaded, x = load_engine(small_file()), np.random.default_rng(0).normal(size=(8, 8, 2, 3)).astype(np.float32)
    assert np.array_equal(loaded(x.T), loaded(np.ascontiguousarray(x.T)))


def test_cut_off_anywhere() -> None:
    data = small_file().read_bytes()
    for size in range(len(data)):
        refused(data[:size])
    refused(data + b"\0")


def test_bits_that_flip() -> None:
    data, chance = small_file().read_bytes(), random.Random(0)
    for _ in range(10_000):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        refused(bytes(changed))


def test_damaged_weights_give_no_answer_however_often_they_are_asked(tmp_path: Path) -> None:
    data = bytearray(small_file().read_bytes())
    data[-5] ^= 4
    path = tmp_path / "net.gsm"
    path.write_bytes(data)
    loaded = load_engine(path)  # its head is whole
    for _ in range(2):
        with pytest.raises(FileError, match="weights differ from their checksum"):
            loaded(torch.randn(1, 2, 8, 8))


def test_newer_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "net.gsm"
    path.write_bytes(resealed(small_file().read_bytes(), version=2))
    with pytest.raises(FileError, match="version 2 of the format, which is newer"):
        load_engine(path)
    path.write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(FileError, match=r"no \.gsm file"):
        load_engine(path)
    path.write_bytes(b"")
    with pytest.raises(FileError, match=r"no \.gsm file"):
        load_engine(path)
    with pytest.raises(FileError, match="No such file"):
        load_engine(tmp_path / "none.gsm")
    with pytest.raises(FileError, match="Is a directory"):
        load_engine(tmp_path)
    with pytest.raises(SettingError, match="threads is 0"):
        load_engine(small_file(), threads=0)


def test_an_instruction_set_that_is_missing(tmp_path: Path) -> None:
    best = native.instruction_sets()[0]
    if best == "avx512vnni":
        pytest.skip("this processor has every instruction set")
    path = tmp_path / "net.gsm"
    path.write_bytes(resealed(small_file().read_bytes(), level=3))
    with pytest.raises(FileError, match="needs the instruction set avx512vnni"):
        load_engine(path)


@pytest.mark.parametrize("isa", native.instruction_sets())
def test_every_instruction_set_runs_it(isa: str) -> None:
    x = torch.randn(3, 2, 8, 8)
    with native.force(isa):
        torch.testing.assert_close(load_engine(small_file())(x), net()(x).detach(), rtol=1e-4, atol=1e-5)


def test_threads_share_one_network() -> None:
    loaded = load_engine(small_file(), threads=1)
    x = [np.random.default_rng(i).normal(size=(1 + i % 5, 2, 8, 8)).astype(np.float32) for i in range(20)]
    wanted, wrong = [loaded(one) for one in x], []

    def work() -> None:
        for _ in range(20):
            wrong.extend(i for i, one in enumerate(x) if not np.array_equal(loaded(one), wanted[i]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_checksums_are_xxh64() -> None:
    module, _ = extension.load()
    assert module is not None
    data = np.frombuffer(b"abc", np.uint8)
    assert module.checksum(0, 0) == 0xEF46DB3751D8E999  # the specification's value for no input
    assert module.checksum(data.ctypes.data, 3) == 0x44BC2CF5AD770999  # and a published one
    xxhash = pytest.importorskip("xxhash")
    chance = np.random.default_rng(0)
    for size in (1, 3, 4, 7, 8, 31, 32, 33, 63, 64, 1000):
        data = chance.integers(0, 256, size, dtype=np.uint8)
        assert module.checksum(data.ctypes.data, size) == xxhash.xxh64_intdigest(data.tobytes())


def test_runs_without_pytorch() -> None:
    script = (
        "import sys, numpy, gossamer.runtime as runtime\n"
        f"net = runtime.load({str(small_file())!r})\n"
        "out = net(numpy.ones((2, 2, 8, 8), numpy.float32))\n"
        "print([out.shape, 'torch' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[(2, 4), False]"


def test_the_description_is_json() -> None:
    description = load_engine(small_file()).description
    assert json.loads(json.dumps(description))["example"] == [[1, 2, 8, 8]]


def test_all_errors_are_ours() -> None:
    """Files with changed heads whose checksum fits are refused or run, and nothing else happens."""
    data, chance = small_file().read_bytes(), random.Random(1)
    head = struct.unpack_from("<q", data, 16)[0]
    for _ in range(2000):
        changed = bytearray(data)
        struct.pack_into(
            "<q", changed, 8 * chance.randrange(4, head // 8 - 1), chance.choice([-1, 0, 1, 2, 9, 1 << 40])
        )
        try:
            loaded = runtime.load(resealed(bytes(changed)), threads=1)
            loaded.prepare((1, 2, 8, 8))
        except (GossamerError, MemoryError):
            continue
