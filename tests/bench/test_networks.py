from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from gossamer import cli
from gossamer.bench.networks import compare_network
from gossamer.deploy import export
from gossamer.errors import FileError, MissingExtraError, SettingError
from gossamer.kernels import native
from tests.runtime.networks import net, small_file

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    found = tmp_path_factory.mktemp("networks")
    for suffix in ("gsm", "onnx", "pt2"):
        export(net(), (torch.randn(2, 2, 8, 8),), found / f"net.{suffix}")
    return found


def test_each_peer_runs_the_same_network(folder: Path) -> None:
    rows = compare_network(folder / "net.gsm", batches=(1, 3), threads=(1,), against=("onnx", "eager"), seconds=0.05)
    assert [(row.engine, row.batch) for row in rows] == [
        (name, batch) for batch in (1, 3) for name in ("gossamer", "onnx", "eager")
    ]
    assert all(row.difference < 1e-4 for row in rows)
    assert all(row.ratio == 1.0 for row in rows if row.engine == "gossamer")
    assert all(row.median_ms > 0 for row in rows)


def test_what_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError, match=r"small\.onnx: is not there; write the same network"):
        compare_network(small_file(), against=["onnx"])
    with pytest.raises(SettingError, match="unknown engine 'onx'; did you mean 'onnx'"):
        compare_network(small_file(), against=["onx"])
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match="pip install openvino"):
        compare_network(folder / "net.gsm", against=["openvino"])


def test_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--against", "onnx", "--batch", "2", "--threads", "1", "--seconds", "0.05"]
    assert cli.main(["bench", str(folder / "net.gsm"), *words]) == 0
    assert "onnx" in capsys.readouterr().out
    assert cli.main(["bench", "net.txt"]) == 2
    assert "bench times kernels, page or FILE.gsm" in capsys.readouterr().err
