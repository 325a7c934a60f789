"""Images that are classified."""

from __future__ import annotations

from functools import partial

from gossamer.tasks.catalogue.entry import DataSet, below
from gossamer.tasks.readers.images import read_idx, read_jpeg_tars


def image_sets() -> list[DataSet]:
    """Returns MNIST, Fashion-MNIST and CIFAR-10."""
    idx = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    grey = {"images": 70000, "classes": 10, "image_size": 28, "channels": 1}
    return [
        DataSet(
            name="fashion-mnist",
            kind="images",
            summary="photographs of clothing, 28x28 grey",
            sizes=grey,
            read=read_idx,
            files=tuple(f"fashion-mnist/FashionMNIST/raw/{file}" for file in idx),
            url=partial(below, "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"),
        ),
        DataSet(
            name="mnist",
            kind="images",
            summary="handwritten digits, 28x28 grey",
            sizes=grey,
            read=read_idx,
            files=tuple(f"mnist/MNIST/raw/{file}" for file in idx),
            url=partial(below, "https://ossci-datasets.s3.amazonaws.com/mnist/"),
        ),
        DataSet(
            name="cifar10",
            kind="images",
            summary="photographs of ten kinds of things, 32x32 colour, as JPEG",
            sizes={"images": 60000, "classes": 10, "image_size": 32, "channels": 3},
            read=read_jpeg_tars,
            files=("cifar10/cifar10_train_jpg.tar.gz", "cifar10/cifar10_test_jpg.tar.gz"),
            options={"augment": True},
            advice="each tar holds <split>/<class>/<number>.jpg",
        ),
    ]
