"""Runs the HTTP face of a network until it is told to stop."""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gossamer.errors import MissingExtraError, SettingError
from gossamer.runtime import Network
from gossamer.serve.limits import Limits

_SWITCH_S = 0.0005  # after which a thread has to let another one go on


def serve(network: Network, *, host: str = "127.0.0.1", port: int = 8000, limits: Limits | None = None) -> None:
    """Answers requests until the process gets SIGINT or SIGTERM; what is under way is finished.

    Args:
        network: From `gossamer.runtime.load`; its whole file is checked first.
        host: Address to listen on.
        port: 0 takes any that is free, and prints it.
        limits: How much it takes on.

    Raises:
        FileError: The file is damaged.
        MissingExtraError: A library of the `serve` extra is not installed.
        SettingError: The address cannot be listened on.
    """
    try:
        import uvicorn

        from gossamer.serve.app import application
    except ImportError as error:
        raise MissingExtraError(f"the server needs {error.name}: pip install 'gossamer[serve]'") from error
    network.verify()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay only on sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingError(f"{host}, port {port}: cannot be listened on ({error}); choose another --port") from None
    config = uvicorn.Config(
        application(network, limits), log_level="warning", access_log=False, timeout_graceful_shutdown=5, lifespan="on"
    )
    with listener, _prompt():
        print(f"http://{host}:{listener.getsockname()[1]} answers with {network.path}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _prompt() -> Iterator[None]:
    """Keeps the interpreter from holding answers up.

    What lives as long as the server is left out of garbage collection, and the network's thread lets others go on soon.
    """
    before = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()
