from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.schema.data import PATHS
from pipeline.stages.code import check_links, digest_file, locked_digest

CONF = {f"{key}": "conf/data/digits.yaml" for key in PATHS}


def test_what_dvc_locks_is_the_hash_of_the_file() -> None:
    assert locked_digest("train", "image") == hashlib.md5(digest_file("train", "image"), usedforsecurity=False).hexdigest()
    assert locked_digest("train", "image") != locked_digest("prepare", "image")


def test_a_link_that_dvcs_copy_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmp1"
    copy.mkdir(parents=True)
    (tmp_path / "data" / "photos").mkdir(parents=True)
    monkeypatch.chdir(copy)
    Path("params.yaml").write_text(str({"data": CONF | {"path": "data/photos"}}))
    with pytest.raises(DataError, match=r"data\.path = data/photos: a link of the clone.*regatta run --isolated"):
        check_links(tmp_path)
    Path("data/photos").mkdir(parents=True)
    check_links(tmp_path)
