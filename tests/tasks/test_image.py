import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.errors import DataError, ModelError, SettingError
from gossamer.tasks import ImageClassification, Images
from gossamer.tasks.image import crop_and_flip
from gossamer.tasks.seeding import generator


def images(count=50, *, channels=2, size=6, dtype=torch.uint8, **changes):
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count + 20, channels, size, size), generator=draw).to(dtype)
    y = torch.randint(0, 3, (count + 20,), generator=draw)
    parts = {"train_x": pixels[20:], "train_y": y[20:], "test_x": pixels[:20], "test_y": y[:20], "classes": 3}
    return Images(**(parts | changes))


def linear(classes=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(72, classes))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_training_images_are_standardised_by_channel(dtype):
    task = ImageClassification(images(dtype=dtype), batch_size=7)
    x = torch.cat([x for x, _ in task.batches("train")])
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(dim=(0, 2, 3), correction=0), torch.ones(2), atol=1e-5, rtol=0)


def test_a_constant_channel_stays_finite():
    task = ImageClassification(images(train_x=torch.full((50, 2, 6, 6), 7, dtype=torch.uint8)))
    assert torch.equal(next(task.batches("train"))[0], torch.zeros(45, 2, 6, 6))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(10, 60), batch_size=st.integers(1, 40))
def test_batches_hold_every_image_once_and_differ_by_one_in_size(count, batch_size):
    task = ImageClassification(images(count), batch_size=batch_size)
    sizes = [len(x) for x, _ in task.batches("train")]
    assert len(sizes) == task.steps()
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == count - round(count * 0.1)
    assert task.examples_per_step() == pytest.approx(sum(sizes) / len(sizes))


def test_splits_share_no_image_and_the_seed_chooses_the_validation_split():
    data = images()
    flat = data.train_x.flatten(1).tolist()

    def rows(task, split):
        return sorted(
            flat.index((x * task._std[0] + task._mean[0]).round().flatten().tolist())
            for batch, _ in task.batches(split)
            for x in batch
        )

    tasks = [ImageClassification(data, seed=seed) for seed in (0, 0, 1)]
    val = [rows(task, "val") for task in tasks]
    assert len(val[0]) == 5
    assert val[0] == val[1] != val[2]
    assert sorted(val[0] + rows(tasks[0], "train")) == list(range(50))
    assert len(torch.cat([y for _, y in tasks[0].batches("test")])) == 20


def test_order_and_augmentation_follow_seed_and_epoch():
    task = ImageClassification(images(), batch_size=10, augment=True)

    def drawn(seed, epoch):
        return torch.cat([x for x, _ in task.batches("train", seed=seed, epoch=epoch)])

    assert torch.equal(drawn(3, 4), drawn(3, 4))
    assert not torch.equal(drawn(3, 4), drawn(3, 5))
    assert not torch.equal(drawn(3, 4), drawn(4, 4))
    assert torch.equal(next(task.batches("val", epoch=1))[0], next(task.batches("val", epoch=2))[0])


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 7), width=st.integers(1, 7), margin=st.integers(0, 4), seed=st.integers(0, 1000))
def test_each_crop_is_a_window_of_the_framed_image_mirrored_or_not(height, width, margin, seed):
    x = torch.arange(1, 3 * 2 * height * width + 1).reshape(3, 2, height, width)
    cut = crop_and_flip(x, generator(seed), margin=margin)
    assert cut.shape == x.shape
    assert cut.dtype == x.dtype
    framed = F.pad(x, [margin] * 4)
    for image, found in zip(framed, cut, strict=True):
        windows = [
            image[:, top : top + height, left : left + width]
            for top in range(2 * margin + 1)
            for left in range(2 * margin + 1)
        ]
        assert any(torch.equal(found, w) or torch.equal(found, w.flip(2)) for w in windows)


def test_every_shift_and_both_mirror_images_occur():
    x = torch.arange(1, 10).reshape(1, 1, 3, 3).repeat(600, 1, 1, 1)
    cut = crop_and_flip(x, generator(0), margin=1)
    assert len({tuple(image.flatten().tolist()) for image in cut}) == 3 * 3 * 2


def test_loss_and_metrics_are_those_of_the_formula():
    task, model = ImageClassification(images()), linear()
    batch = next(task.batches("train"))
    torch.testing.assert_close(task.loss(model, batch), F.cross_entropy(model(batch[0]), batch[1]))
    for split in ("train", "val", "test"):
        x, y = (torch.cat(part) for part in zip(*task.batches(split), strict=True))
        right = (model(x).argmax(1) == y).float().mean().item()
        assert task.evaluate(model, split)["accuracy"] == pytest.approx(right)


def test_training_metrics_are_taken_without_augmentation():
    model, data = linear(), images()
    plain, augmented = (ImageClassification(data, augment=augment) for augment in (False, True))
    assert plain.evaluate(model, "train") == augmented.evaluate(model, "train")


def test_example_and_dimensions():
    task = ImageClassification(images(), example_batch=30)
    (x,) = task.example()
    assert x.shape == (30, 2, 6, 6)  # more than the 20 test images: they come round again
    assert torch.equal(x[20:], x[:10])
    assert task.examples_per_step() == pytest.approx(45 / 30)
    assert task.dimensions() == {"in_channels": 2, "classes": 3, "image_size": 6}
    with pytest.raises(DataError, match="images are 6x5"):
        ImageClassification(images(train_x=torch.ones(50, 2, 6, 5), test_x=torch.ones(20, 2, 6, 5))).dimensions()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_x": torch.ones(50, 6, 6)}, r"training images: found torch.float32 of shape \(50, 6, 6\)"),
        ({"test_x": torch.ones(20, 2, 6, 6, dtype=torch.int32)}, "test images: found torch.int32"),
        ({"train_y": torch.full((50,), 3)}, "50 are out of range, the first at row 0 with value 3; expected 0..2"),
        ({"train_y": torch.zeros(49, dtype=torch.int64)}, r"shape \(49,\), expected integers of shape \(50,\)"),
        ({"test_x": torch.zeros(20, 1, 6, 6)}, "expected the same"),
        ({"train_x": torch.ones(50, 2, 6, 6).index_fill(0, torch.tensor([4]), torch.nan)}, "72 pixels .* image 4"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(DataError, match=message):
        ImageClassification(images(**changes))


def test_sizes_below_one_are_refused():
    with pytest.raises(SettingError, match="batch_size is 0; expected a number at least 1"):
        ImageClassification(images(), batch_size=0)
    with pytest.raises(DataError, match="val split of 50 rows would be empty"):
        ImageClassification(images(), val=0.001)


def test_a_model_of_other_width_is_refused():
    with pytest.raises(ModelError, match=r"returned shape \(5, 4\), expected .*\(5, 3\).*classes=3"):
        ImageClassification(images()).evaluate(linear(4), "val")


def test_to_moves_everything():
    task = ImageClassification(images()).to("meta")
    assert task.example()[0].device.type == "meta"
    assert {part.device.type for part in next(task.batches("val"))} == {"meta"}
