"""A real server, called over real connections."""

from __future__ import annotations

import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gossamer import cli
from gossamer.deploy import compile as compile_network
from gossamer.kernels import native
from gossamer.runtime import load
from tests.runtime.networks import small_file

for name in ("uvicorn", "starlette", "prometheus_client"):
    pytest.importorskip(name)
pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")

JSON, NPY = {"Content-Type": "application/json"}, {"Content-Type": "application/x-npy"}


@contextmanager
def server(file: Path, *words: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server on a free port."""
    command = [sys.executable, "-m", "gossamer", "serve", str(file), "--port", "0", "--threads", "1", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("http://127.0.0.1:"), process.stderr and process.stderr.read()
            yield int(line.split(":")[2].split()[0]), process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with server(small_file()) as (found, _):
        yield found


def ask(
    port: int, path: str = "/predict", body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET" if body is None else "POST", path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 2, 8, 8)).astype(np.float32)


def test_answers_in_both_forms(port: int) -> None:
    x, network = rows(3), load(small_file(), threads=1)
    code, body, _ = ask(port, body=json.dumps({"inputs": {"input": x.tolist()}}), headers=JSON)
    assert code == 200
    assert np.allclose(json.loads(body)["outputs"]["output"], network(x), rtol=1e-5, atol=1e-6)
    code, body, _ = ask(port, body=npy(x), headers=NPY)
    assert code == 200
    assert np.allclose(np.load(io.BytesIO(body)), network(x), rtol=1e-5, atol=1e-6)


def test_many_callers_get_their_own_answers(port: int) -> None:
    network = load(small_file(), threads=1)

    def call(seed: int) -> bool:
        x = rows(1 + seed % 3, seed)
        code, body, _ = ask(port, body=npy(x), headers=NPY)
        return code == 200 and np.allclose(np.load(io.BytesIO(body)), network(x), rtol=1e-5, atol=1e-6)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(call, range(200)))
    text = ask(port, "/metrics")[1].decode()
    assert 'gossamer_requests_total{code="200"}' in text
    assert "gossamer_batch_rows_bucket" in text


def test_says_what_it_takes_and_that_it_is_well(port: int) -> None:
    found = json.loads(ask(port, "/")[1])
    assert found["inputs"] == [{"name": "input", "dtype": "float32", "shape": ["batch", 2, 8, 8]}]
    assert found["batched"]
    assert json.loads(ask(port, "/health")[1])["status"] == "ok"


@pytest.mark.parametrize(
    ("code", "path", "body", "headers"),
    [
        (400, "/predict", b"{", JSON),
        (400, "/predict", b"[" * 60_000, JSON),
        (400, "/predict", b"", JSON),
        (400, "/predict", b"\0" * 100, NPY),
        (400, "/predict", npy(np.zeros((1, 2, 8, 9), np.float32)), NPY),
        (413, "/predict", b"x" * 5_000_000, JSON),
        (413, "/predict", b"", {**JSON, "Content-Length": "9999999999999"}),
        (400, "/predict", b"", {**JSON, "Content-Length": "99999999999999999999999"}),
        (415, "/predict", b"<x/>", {"Content-Type": "application/xml"}),
        (405, "/health", b"x", {}),
        (404, "/nothing", b"x", {}),
    ],
)
def test_bad_requests_are_refused(port: int, code: int, path: str, body: bytes, headers: dict[str, str]) -> None:
    try:
        found = ask(port, path, body, headers)[0]
    except (BrokenPipeError, ConnectionResetError):  # it closed the connection while the body was on its way
        found = 413
    assert found == code
    assert ask(port, "/health")[0] == 200


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_broken_http_harms_nobody(port: int, text: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := connection.recv(4096):
                answer += part
        except ConnectionResetError:
            pass
    assert not answer or answer.split(b" ")[1][:1] == b"4"
    assert ask(port, body=npy(rows(1)), headers=NPY)[0] == 200


def slow_file(folder: Path) -> Path:
    """A network that takes some tens of milliseconds."""
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Conv2d(32, 32, 3, padding=1) for _ in range(6)]).eval()
    return compile_network(model, (torch.randn(1, 32, 64, 64),), threads=1, dynamic=False).save(folder / "slow.gsm")


def test_overload_refuses_at_once_and_goes_on(tmp_path: Path) -> None:
    x = npy(np.zeros((1, 32, 64, 64), np.float32))
    with server(slow_file(tmp_path), "--queue", "4") as (port, _):
        with ThreadPoolExecutor(32) as pool:
            found = list(pool.map(lambda _: ask(port, body=x, headers=NPY), range(64)))
        codes = Counter(code for code, _, _ in found)
        assert set(codes) == {200, 503}
        assert codes[200] >= 4
        refused = next((body, headers) for code, body, headers in found if code == 503)
        assert int({name.lower(): value for name, value in refused[1].items()}["retry-after"]) >= 1
        assert "too many" in json.loads(refused[0])["error"]
        assert ask(port, body=x, headers=NPY)[0] == 200


def test_a_slow_body_does_not_hold_others_up(tmp_path: Path) -> None:
    with server(small_file(), "--timeout-s", "1", "--queue", "8") as (port, _):
        slow = socket.create_connection(("127.0.0.1", port), timeout=10)
        slow.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        )
        assert ask(port, body=npy(rows(1)), headers=NPY)[0] == 200
        assert b" 408 " in slow.recv(4096)
        slow.close()


def test_stops_when_told_and_starts_again_at_once() -> None:
    with server(small_file()) as (port, process):
        done = threading.Event()

        def call() -> None:
            while not done.is_set():
                try:
                    ask(port, body=npy(rows(1)), headers=NPY)
                except OSError:
                    time.sleep(0.01)

        caller = threading.Thread(target=call)
        caller.start()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) in {0, -signal.SIGTERM}
        with server(small_file(), "--port", str(port)):
            assert ask(port, "/health")[0] == 200
        done.set()
        caller.join()


def test_starts_without_pytorch() -> None:
    script = (
        "import sys, threading, os, signal, gossamer.cli as cli\n"
        "threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        f"    cli.main(['serve', {str(small_file())!r}, '--port', '0'])\n"
        "finally:\n"
        "    print('torch' in sys.modules, 'scipy' in sys.modules, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines()[-1] == "False False", done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "99999"], "cannot be listened on"),
        (["--batch", "0"], "batch is 0"),
        (["--wait-ms", "-1"], "wait_ms is -1"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", str(small_file()), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_damaged_file_is_not_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(small_file().read_bytes())
    data[-5] ^= 1
    (tmp_path / "net.gsm").write_bytes(data)
    assert cli.main(["serve", str(tmp_path / "net.gsm"), "--port", "0"]) == 2
    assert "is damaged" in capsys.readouterr().err
