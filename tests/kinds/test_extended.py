"""A kind of the user's own: series of different lengths, of which a sample owns several windows."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import DATA, prepare_config
from run_helpers import configs
from series_samples import OWN, SHARED

from pipeline import extensions
from pipeline.data.dataset import form_words, open_dataset
from pipeline.errors import ConfigError
from pipeline.kinds.extended import NEEDED, code_for
from pipeline.kinds.keys import data_section
from pipeline.prepare.build import build_dataset
from pipeline.train.program import program_of

LENGTHS = [3 + (7 * i) % 23 for i in range(120)]


@pytest.fixture
def own(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    folder.mkdir()
    shutil.copyfile(OWN, folder / "extensions.py")
    monkeypatch.setattr(extensions, "_unpacked", [folder])
    return folder


@pytest.fixture
def series(own, tmp_path):
    """120 series of 3 to 25 numbers in a table; the first of each value is its row's number."""
    values = [np.r_[float(i), np.random.default_rng(i).random(length - 1)].tolist() for i, length in enumerate(LENGTHS)]
    pq.write_table(pa.table({"series": values, "label": [i % 2 for i in range(120)]}), tmp_path / "series.parquet")
    keys = {name: DATA[name] for name in SHARED}
    return {"data": keys | {"kind": "series", "source": "parquet", "path": str(tmp_path / "series.parquet"),
                            "series": "series", "window": 10, "even": False}}  # fmt: skip


def built(params, folder, workers=1):
    folder.mkdir()
    build_dataset(data_section(params), prepare_config(), folder, "code", workers)
    return open_dataset(folder)


def test_a_sample_owns_its_windows_and_everything_counts_samples(series, tmp_path):
    dataset = built(series, tmp_path / "a")
    manifest = dataset.manifest
    assert (manifest.kind, manifest.shape, manifest.dtype) == ("series", [], "float32")
    assert (manifest.lengths, manifest.windows) == ([1, 10, 10], [1, 2, 3])
    assert form_words(manifest) == "1 to 3 rows of 1 to 10 items of float32"
    assert sum(manifest.counts.values()) == 120
    assert "the longest of 120 series has 25" in manifest.notes
    seen = set()
    for name in ("train", "val", "test"):
        split = dataset.split(name)
        assert len(split) == len(split.labels) == len(split.rows) - 1 == manifest.counts[name]
        for i in range(len(split)):
            whole = split.sample(i)
            row = round(float(whole[0]))
            seen.add(row)
            assert len(whole) == LENGTHS[row]
            assert split.labels[i] == row % 2
            lengths = np.diff(split.offsets[split.rows[i] : split.rows[i + 1] + 1])
            assert lengths.tolist() == [min(10, LENGTHS[row] - at) for at in range(0, LENGTHS[row], 10)]
    assert seen == set(range(120))
    train = dataset.split("train")
    assert manifest.fit["num"] == len(train.inputs)
    assert manifest.fit["mean"] == pytest.approx(float(train.inputs.astype(np.float64).mean()), rel=1e-12)


def test_a_dataset_of_ragged_rows_has_the_same_bytes_in_any_order_of_the_table(series, tmp_path):
    first = built(series, tmp_path / "a")
    table = pq.read_table(tmp_path / "series.parquet").take(np.random.default_rng(1).permutation(120))
    pq.write_table(table, tmp_path / "series.parquet")
    second = built(series, tmp_path / "b")
    names = [
        f"{split}/{part}.npy" for split in ("train", "val", "test") for part in ("inputs", "offsets", "rows", "ids", "labels")
    ]
    assert {name: first.manifest.files[name] for name in names} == {name: second.manifest.files[name] for name in names}


def test_what_is_no_sample_of_the_kind_is_listed(series, tmp_path):
    values = [*([[1.0, 2.0, float(i)] for i in range(60)]), None]
    pq.write_table(pa.table({"series": values, "label": [0, 1] * 30 + [1]}), tmp_path / "series.parquet")
    (tmp_path / "a").mkdir()
    manifest = build_dataset(data_section(series), prepare_config(max_bad_fraction=0.1), tmp_path / "a", "code", 1)
    assert (manifest.num_rejected, sum(manifest.counts.values())) == (1, 60)
    assert "series missing" in (tmp_path / "a" / "rejected.csv").read_text()


def test_a_built_in_network_refuses_ragged_rows_and_says_what_takes_them(series, tmp_path):
    manifest = built(series, tmp_path / "a").manifest
    said = (
        r"model\.arch = 'dnn': the data has rows of different lengths, and a dnn takes numbers of one shape; say model=module"
    )
    with pytest.raises(ConfigError, match=said):
        program_of(*configs(train__batch_size=8), manifest)


def test_a_series_without_a_number_is_listed(series, tmp_path):
    values = [*([[1.0, 2.0, float(i)] for i in range(60)]), [-999.0, -999.0]]
    pq.write_table(pa.table({"series": values, "label": [0, 1] * 30 + [1]}), tmp_path / "series.parquet")
    (tmp_path / "a").mkdir()
    manifest = build_dataset(data_section(series), prepare_config(max_bad_fraction=0.1), tmp_path / "a", "code", 1)
    assert (manifest.num_rejected, sum(manifest.counts.values())) == (1, 60)
    assert "it has no items" in (tmp_path / "a" / "rejected.csv").read_text()


def test_keys_are_those_of_the_kind(series):
    with pytest.raises(ConfigError, match=r"data\.window"):
        data_section({"data": series["data"] | {"window": 1}})
    with pytest.raises(ConfigError, match=r"data\.resize"):
        data_section({"data": series["data"] | {"resize": "pad"}})


def test_a_kind_that_is_not_registered_or_not_whole_is_refused_by_name(own):
    with pytest.raises(
        ConfigError, match=r"data\.kind = 'sound': allowed are image, table, audio, text, series, half, .*; more are registered"
    ):
        data_section({"data": {"kind": "sound"}})
    with pytest.raises(ConfigError, match=f"KINDS\\['half'\\] lacks {', '.join(NEEDED)}"):
        data_section({"data": {"kind": "half"}})


def test_the_users_code_is_part_of_its_own_kinds_datasets_alone(own):
    assert code_for("image", "c") == "c"
    before = code_for("series", "c")
    assert before != "c"
    (own / "extensions.py").write_text((own / "extensions.py").read_text().replace("10**6", "10**7"))
    extensions.closure.code_digest.cache_clear()
    extensions.closure._read.cache_clear()
    assert code_for("series", "c") != before


def test_what_a_kinds_own_code_raises_is_told_with_its_place(own, series, tmp_path):
    text = (own / "extensions.py").read_text()
    at = text.index("    def decode(")
    body = text.index(":\n", at) + 2
    (own / "extensions.py").write_text(text[:body] + "        return {}['no such key']\n" + text[body:])
    extensions._loaded.cache_clear()
    line = text[:body].count("\n") + 1
    said = rf"^data.kind = 'series': decode raised KeyError: 'no such key' \(extensions.py, line {line}\)$"
    with pytest.raises(ConfigError, match=said):
        built(series, tmp_path / "a")
