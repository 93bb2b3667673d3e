import numpy as np
import pytest
import torch

from pipeline.artifacts import view_path
from pipeline.data.dataset import Stored
from pipeline.data.view_files import check_space, stored_bytes, write_views
from pipeline.errors import StorageError
from pipeline.kinds.image.views import batch_views

CPU = torch.device("cpu")


def test_stored_views_equal_drawn_ones(batch, everything, tmp_path):
    images, ids, _ = batch(150, 3, 12, 12)
    policy = everything.model_copy(update={"views": 3})
    write_views(Stored(images.numpy()), ids, policy, {}, tmp_path, CPU)
    rows = np.random.default_rng(0).integers(0, 150, 40)
    for view in range(3):
        stored = np.load(view_path(tmp_path, view), mmap_mode="r")
        assert stored.shape == images.shape
        assert stored.dtype == np.uint8
        drawn = batch_views(images[rows], ids[rows], np.full(40, view), policy, {})
        np.testing.assert_array_equal(stored[rows], drawn.numpy())


def test_the_batch_size_changes_no_byte(batch, policy, tmp_path, monkeypatch):
    images, ids, _ = batch(50, 1, 8, 8)
    light = policy("light", views=2)
    for name, num_bytes in (("a", 2**26), ("b", 64 * 7)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("pipeline.data.view_files.BATCH_BYTES", num_bytes)
        write_views(Stored(images.numpy()), ids, light, {}, tmp_path / name, CPU)
    for view in range(2):
        assert view_path(tmp_path / "a", view).read_bytes() == view_path(tmp_path / "b", view).read_bytes()


def test_the_announced_size_is_the_size_on_disk(batch, policy, tmp_path):
    images, ids, _ = batch(33, 1, 5, 7)
    write_views(Stored(images.numpy()), ids, policy("light", views=3), {}, tmp_path, CPU)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == stored_bytes(Stored(images.numpy()), 3)


def test_too_little_space_is_said_before_writing(tmp_path):
    check_space(tmp_path / "not" / "yet", Stored(np.zeros((10, 3, 8, 8), np.uint8)), 2)
    with pytest.raises(StorageError, match=r"need 9,000,000,000,001,152 bytes .* bytes \(.* GB\) are free; .* augment\.views"):
        check_space(tmp_path / "not" / "yet", Stored(np.broadcast_to(np.uint8(0), (10**9, 1, 1000, 1000))), 9)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_is_a_storage_error(batch, policy, tmp_path):
    """/dev/full takes no byte: a real ENOSPC."""
    images, ids, _ = batch(20_000, 1, 8, 8)
    view_path(tmp_path, 0).symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left"):
        write_views(Stored(images.numpy()), ids, policy("light", views=1), {}, tmp_path, CPU)


def test_lines_instead_of_a_bar_without_a_terminal(batch, policy, tmp_path, monkeypatch, capsys):
    images, ids, _ = batch(20, 1, 8, 8)
    monkeypatch.setattr("pipeline.data.view_files.BATCH_BYTES", 64 * 10)
    monkeypatch.setattr("pipeline.progress.LINE_EVERY_S", -1.0)
    write_views(Stored(images.numpy()), ids, policy("light", views=1), {}, tmp_path, CPU)
    out = capsys.readouterr()
    assert "augment: 10 of 20 samples" in out.out
    assert out.err == ""
