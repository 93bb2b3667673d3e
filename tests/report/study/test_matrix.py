"""A study's gains as a matrix: which cells it has, what they say, and that no verdict is told by its colour alone."""

import re
from dataclasses import replace

import pytest
import report_builder as rb

from pipeline.report.study import matrix
from pipeline.report.study.pictures import study_pictures
from pipeline.report.study.studies import studies
from pipeline.report.svg import png, style


def texts(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def test_a_row_is_a_source_and_a_column_a_size(tmp_path):
    effects = rb.write_transfer(tmp_path)
    grid = matrix.grid_of(effects)
    assert (grid.first, grid.rows, grid.columns, grid.across) == ("scratch", ["photos", "sketches"], ["all", "5"], "samples")
    with style():
        figure = matrix.drawn(grid)
        shown = texts(figure)
        assert png(figure)
    assert {"photos", "sketches", "all", "5", "samples"} <= set(shown)
    [gained, lost] = [next(text for text in shown if text.endswith(word)) for word in ("helps", "hurts")]
    assert (gained, lost) == ("\u25b2 helps", "\u25bc hurts"), "a sign, not a colour alone"
    photos, sketches = (grid.cells[row, "5"] for row in ("photos", "sketches"))
    assert (photos["difference"], sketches["difference"]) == pytest.approx((-0.05, 0.05), abs=0.01)
    [told] = [line for line in matrix.told(grid) if line.startswith("sketches, 5")]
    assert re.fullmatch(
        r"sketches, 5: hurts: validation loss (\+0\.\d+ \[0\.\d+, 0\.\d+\]), validation accuracy [+-]\S+ points", told
    )
    [sentence] = [line for line in effects["sentences"] if line.startswith("sketches-5 ")]
    assert told.split("loss ")[1].split("],")[0] in sentence, "the same number in the same form as in the study's own line"
    assert "(lower is better); validation accuracy in points." in matrix.captions(grid)[1]


@pytest.mark.parametrize("keys", [{"factors": {}}, {"grid": "one_at_a_time"}, {"sources": None}])
def test_a_study_that_is_no_grid_has_no_matrix(tmp_path, keys):
    assert matrix.grid_of(rb.write_transfer(tmp_path, **keys)) is None


def test_any_grid_has_one_and_only_that_of_sources_speaks_of_transfer(tmp_path):
    own = {"remedy": {"none": {}, "photos": {}, "sketches": {}}, **rb.SIZES}
    grid = matrix.grid_of(rb.write_transfer(tmp_path, sources=None, factors=own))
    assert (grid.first, grid.rows) == ("none", ["photos", "sketches"])
    assert "negative transfer" not in matrix.captions(grid)[1]
    assert "negative transfer" in matrix.captions(matrix.grid_of(rb.write_transfer(tmp_path / "b")))[1]


def test_the_page_shows_it_first(tmp_path):
    rb.write_project(tmp_path)
    rb.write_transfer(tmp_path / "artifacts" / "study")
    [study] = [study for study in studies(tmp_path, rb.DATASET) if study.name == "transfer"]
    assert [picture.name for picture in study_pictures(study)][:2] == ["study.matrix-transfer", "study-transfer"]


def test_grids_of_several_projects_are_one_below_the_other(tmp_path):
    shoes, hats = (matrix.grid_of(rb.write_transfer(tmp_path / name)) for name in ("shoes", "hats"))
    both = matrix.joined({"shoes": shoes, "hats": hats})
    assert both.rows == ["shoes: photos", "shoes: sketches", "hats: photos", "hats: sketches"]
    assert both.columns == ["all", "5"]
    assert both.cells["hats: sketches", "5"] == hats.cells["sketches", "5"]
    with style():
        assert png(matrix.drawn(both))
    with pytest.raises(ValueError, match="judged by different metrics"):
        matrix.joined({"shoes": shoes, "hats": matrix.grid_of(rb.write_transfer(tmp_path / "c", metric="val_accuracy"))})


def test_a_cell_without_runs_is_empty_and_many_columns_keep_to_the_numbers(tmp_path):
    grid = matrix.grid_of(rb.write_transfer(tmp_path))
    many = [str(num) for num in range(6)]
    wide = replace(grid, rows=["photos"], columns=many, cells={("photos", "0"): grid.cells["photos", "5"]})
    with style():
        shown = texts(matrix.drawn(wide))
    assert sum("helps" in text for text in shown) == 1
    assert not any(" to " in text for text in shown)
