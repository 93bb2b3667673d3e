"""A study's figures, from one variant to many, from one seed to none that finished."""

import numpy as np
import pytest
import report_builder as rb

from pipeline.report.study import figures, panels
from pipeline.report.study.pictures import study_pictures
from pipeline.report.study.studies import studies
from pipeline.report.svg import png, style
from pipeline.report.words import signed


def study(root, num=3, definition=None, failing=("", 0), epochs=6, shifts=None, **changes):
    shifts = shifts or [0.01 * (i % 5 - 2) for i in range(num)]
    changes = changes or {"model.activation": "tanh"}
    variants = [(rb.Variant(f"variant-{i}", changes), shift, 1.0 + i) for i, shift in enumerate(shifts)]
    root.mkdir(exist_ok=True)
    rb.write_project(root)
    definition = definition or rb.Definition("?")
    rb.write_study(root / "artifacts" / "study", "dropout", definition, variants, failing, epochs)
    return studies(root, rb.DATASET)[0]


def texts(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def tips(figure):
    return [gid[4:] for artist in figure.findobj() if (gid := artist.get_gid() or "").startswith("tip:")]


@pytest.mark.parametrize("num", [1, 2, 4, 5, 25])
def test_every_figure_is_drawn_for_any_number_of_variants(tmp_path, num):
    found = study_pictures(study(tmp_path, num))
    assert [picture.name for picture in found] == [
        "study-dropout", "study.gap-dropout", "study.time-dropout", "study.curves-dropout", "study.gradients-dropout",
    ]  # fmt: skip
    for picture in found:
        assert picture.png
        assert picture.svg.startswith("<svg")
    assert sum(len(picture.svg) for picture in found) < 30_000 + 20_000 * num


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("epochs", [1, 2])
def test_one_seed_and_one_epoch(tmp_path, seeds, epochs):
    assert len(study_pictures(study(tmp_path, 2, rb.Definition("?", seeds=seeds), epochs=epochs))) == 5


def test_nothing_finished(tmp_path):
    found = study(tmp_path, 1, rb.Definition("?", seeds=1), failing=("variant-0", 0))
    assert len(study_pictures(found)) == 5
    with style():
        assert "no run finished" in texts(panels.curves(found))
    found = study(tmp_path / "2", 1, rb.Definition("?", seeds=1), failing=("baseline", 0))
    assert len(study_pictures(found)) == 5


def test_the_forest_shows_verdicts_margin_and_numbers(tmp_path):
    found = study(tmp_path, shifts=[0.2, -0.2, 0.0], definition=rb.Definition("?", metric="val_accuracy", margin=0.005))
    with style():
        figure = figures.forest(found.effects)
        assert {"hurts", "helps", "equivalent", "variant-0"} <= set(texts(figure))
        assert "difference in validation accuracy to the baseline\n(higher is better)" in texts(figure)
        assert tips(figure)[0].startswith("variant-0: hurts, validation accuracy \u22120.0")


def test_one_far_variant_leaves_room_for_the_others(tmp_path):
    found = study(tmp_path, shifts=[0.01, -0.01, 0.02, 0.015, 5.0])
    with style():
        figure = figures.forest(found.effects)
        low, high = figure.axes[0].get_xlim()
        assert high < 0.5
        assert low < -0.005
        assert signed(found.effects["variants"][4]["difference"]) in texts(figure)


def test_the_gap_is_written_beside_its_row(tmp_path):
    found = study(tmp_path, 2)
    with style():
        figure = figures.losses(found)
    gaps = [value for value in texts(figure) if value.startswith("+")]
    means = [row["others"]["gap"]["mean"] for row in found.rows]
    assert [float(gap) for gap in gaps] == pytest.approx(means, rel=1e-2)


def test_names_of_dots_never_cover_each_other(tmp_path):
    found = study(tmp_path, 25, shifts=[0.0001 * i for i in range(25)])
    with style():
        figure = figures.cost(found)
        named = [text for text in texts(figure) if text.startswith("variant-") or text == "baseline"]
    assert 2 <= len(named) <= 26
    assert len(tips(figure)) == 26


def test_a_panel_is_on_the_same_scale_as_the_others(tmp_path):
    found = study(tmp_path, shifts=[0.0, 0.3])
    with style():
        figure = panels.curves(found)
    assert "grey: baseline" in texts(figure)
    assert [tip.split(":")[0] for tip in tips(figure)] == ["variant-0", "variant-1"]


def test_long_names_are_whole_in_every_legend(tmp_path):
    rb.build_long(tmp_path)
    found = studies(tmp_path, rb.DATASET)[-1]
    with style():
        for draw in (
            panels.curves,
            panels.gradients,
            figures.losses,
            lambda s: figures.forest(s.effects),
        ):
            named = {text.replace("\n", "") for text in texts(draw(found))}
            assert {variant["name"] for variant in found.effects["variants"]} <= named


def test_a_curve_ends_where_most_runs_have_ended():
    values = np.array([[3.0, 2.0, 1.0, 0.5], [3.0, 2.0, np.nan, np.nan], [4.0, 2.5, 2.0, np.nan]])
    assert panels._median(values).tolist()[:3] == [3.0, 2.0, 1.5]
    assert np.isnan(panels._median(values)[3])


@pytest.mark.parametrize(
    ("norms", "num", "top"), [([1.0, 2.0], 4, 0.5), ([1e-9, 1.0], 8, 1.0), ([1e-5, 1.0], 6, 1.0), ([0.0, 0.0], 4, 0.5)]
)
def test_levels_of_gradients(norms, num, top):
    edges = panels._edges(np.array(norms))
    assert (len(edges) - 1, edges[-1]) == (num, top)


def test_stretches_of_one_level():
    norms = np.array([0.5, 0.6, 0.05, np.nan, 0.0, 0.7])
    edges = np.array([-3.0, -2.0, -1.0, 0.0])
    assert panels._stretches(norms, edges) == [(2, 0, 2), (1, 2, 3), (0, 4, 5), (2, 5, 6)]


def test_vanishing_gradients_are_told(tmp_path):
    found = study(tmp_path, 1, **{"model.activation": "sigmoid", "model.widths": [8] * 5})
    with style():
        figure = panels.gradients(found)
        assert "variant-0, dense1: 0.0000130 in the first epoch" in " ".join(tips(figure)) or any(
            tip.startswith("variant-0, dense1: 1.30e-05 in the first epoch") for tip in tips(figure)
        )
        assert {"dense5", "output", "gradient norm"} <= set(texts(figure))
        assert png(figure)
