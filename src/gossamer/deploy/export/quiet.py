"""Keeps what torch and its exporters say of their own code from the user, who can do nothing about it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

_LOGGERS = ("torch.onnx", "torch.fx", "torch.export", "torch._subclasses", "onnx_ir", "onnxscript")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, these libraries neither log errors, which are raised too, warn of outdated code, nor print programs."""
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in _LOGGERS}
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.filterwarnings("ignore", message=r".*LeafSpec", category=FutureWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)
