import threading
import time

import pytest
import wandb

from pipeline.tracking.local_file import _has_end, wait_until_whole


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A run's local file of several blocks, whole."""
    folder = tmp_path_factory.mktemp("run")
    with wandb.init(mode="offline", dir=folder, settings={"silent": True, "x_disable_stats": True}) as run:
        for step in range(500):
            run.log({f"loss/{k}": step / 7 for k in range(10)})
    wandb.teardown()
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    return file.read_bytes()


def test_a_file_is_whole_only_with_its_last_byte(tmp_path, content):
    file = tmp_path / "run.wandb"
    assert len(content) > 3 * 32 * 1024
    for size in (0, 5, 100, 32 * 1024 - 3, 32 * 1024 + 3, 70_000, len(content) - 1):
        file.write_bytes(content[:size])
        assert not _has_end(file), size
    file.write_bytes(content)
    assert _has_end(file)


def test_the_end_of_a_file_is_waited_for(tmp_path, content):
    file = tmp_path / "run.wandb"
    file.write_bytes(content[:-20])

    def write_the_rest():
        time.sleep(0.1)
        file.write_bytes(content)

    thread = threading.Thread(target=write_the_rest)
    thread.start()
    wait_until_whole(file, 60)
    thread.join()
    file.write_bytes(content[:-20])
    with pytest.raises(TimeoutError, match=r"^run.wandb has no end after 0 s$"):
        wait_until_whole(file, 0.05)
