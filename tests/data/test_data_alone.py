"""A kind of the user's own whose rows are not each for itself is refused before anything relies on it."""

import pytest
from series_samples import OWN, built, policy, write_series

from pipeline import extensions
from pipeline.data.alone import check_alone
from pipeline.errors import ConfigError


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    (tmp_path / extensions.FILE).write_bytes(OWN.read_bytes())
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path])
    return lambda kind, form="ragged": built(write_series(tmp_path / "s.parquet", 60), tmp_path / "data", form, kind=kind)


@pytest.mark.parametrize("form", ["ragged windows", "ragged", "windows", "plain"])
def test_rows_each_for_itself_are_taken(prepared, form):
    check_alone(prepared("series", form), policy())


def test_inputs_that_depend_on_other_rows_are_refused(prepared):
    with pytest.raises(ConfigError, match=r"KINDS\['beside'\].to_input makes something else of a row beside others than alone"):
        check_alone(prepared("beside"), policy())


def test_views_that_are_drawn_otherwise_the_second_time_are_refused(prepared):
    data = prepared("restless")
    own = extensions.registered_objects("KINDS")["restless"].POLICY(**policy().model_dump())
    with pytest.raises(ConfigError, match=r"KINDS\['restless'\].batch_views makes something else"):
        check_alone(data, own)
    check_alone(data, own.model_copy(update={"strength": 0.0}))
