"""Reads image sets: the idx files of MNIST and Fashion-MNIST, and CIFAR-10 as a tar of JPEG files.

Pixels stay bytes, a quarter of the memory of floats; the task converts a batch at a time.
"""

from __future__ import annotations

import gzip
import importlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossamer.errors import DataError, MissingExtraError
from gossamer.tasks.readers.decoded import Decoded, once


@dataclass(frozen=True)
class Images:
    """Labelled images, split in training and test as published.

    Attributes:
        train_x: (N, C, H, W) uint8.
        train_y: (N,) int64 class of each image.
        test_x: (M, C, H, W) uint8.
        test_y: (M,) int64.
        classes: The number of classes.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int


def read_idx(paths: Sequence[Path]) -> Images:
    """Reads training images, training labels, test images and test labels, in this order, ten classes.

    Raises:
        DataError: A file is damaged, or images and labels differ in number.
    """
    train_x, train_y, test_x, test_y = (_idx(path) for path in paths)
    for x, y, path in ((train_x, train_y, paths[0]), (test_x, test_y, paths[2])):
        if x.ndim != 3 or y.shape != x.shape[:1]:
            raise DataError(f"{path}: found images {x.shape} and labels {y.shape}, expected (N, H, W) and (N,)")
    return Images(
        torch.from_numpy(train_x).unsqueeze(1),
        torch.from_numpy(train_y).long(),
        torch.from_numpy(test_x).unsqueeze(1),
        torch.from_numpy(test_y).long(),
        classes=10,
    )


def _idx(path: Path) -> NDArray[np.uint8]:
    """Reads one gzipped idx file: 0, 0, 8 = unsigned byte, the number of axes, big-endian sizes, data."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: is not a whole gzip file ({error}); get it again") from error
    axes = raw[3] if len(raw) > 3 else 0
    if raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * axes:
        raise DataError(f"{path}: starts with {raw[:4]!r}, expected an idx file of unsigned bytes")
    shape = tuple(np.frombuffer(raw, ">u4", axes, offset=4).tolist())
    if len(raw) != 4 + 4 * axes + int(np.prod(shape)):
        raise DataError(f"{path}: {len(raw)} bytes do not hold an array of shape {shape}; it may be truncated")
    return np.frombuffer(bytearray(raw), np.uint8, offset=4 + 4 * axes).reshape(shape)


def read_jpeg_tars(paths: Sequence[Path]) -> Images:
    """Reads CIFAR-10 from a training and a test tar whose members are `<split>/<class>/<number>.jpg`.

    Classes are numbered in alphabetical order, which is their official order. Decoding takes half a minute, so what
    came of it stays in the cache.

    Raises:
        DataError: A file is damaged, or holds images of different sizes.
        MissingExtraError: Pillow is not installed.
    """
    (train_x, train_y, names), (test_x, test_y, _) = (once(path, _jpegs) for path in paths)
    return Images(train_x, train_y, test_x, test_y, classes=len(names))


def _jpegs(path: Path) -> Decoded:
    try:
        pillow = importlib.import_module("PIL.Image")
    except ImportError as error:
        raise MissingExtraError(
            "reading JPEG images needs Pillow, which is not installed; install gossamer[images]"
        ) from error
    found: dict[str, NDArray[np.uint8]] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:  # a stream: nothing is extracted to disk
            for member in archive:
                stream = archive.extractfile(member) if member.name.endswith(".jpg") else None
                if stream is not None:
                    found[member.name] = np.asarray(pillow.open(io.BytesIO(stream.read())).convert("RGB"))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path}: is not a whole tar.gz file of JPEG images ({error}); get it again") from error
    if not found or len({image.shape for image in found.values()}) != 1:
        raise DataError(f"{path}: found {len(found)} images, expected at least one, all of one size")
    members = sorted(found)
    names = sorted({Path(member).parent.name for member in members})
    labels = [names.index(Path(member).parent.name) for member in members]
    pixels = np.stack([found[member] for member in members]).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.tensor(labels), names
