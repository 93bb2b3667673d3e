import dataclasses

import numpy as np
import pytest
from made_up import FLAT, manifest, records
from report_builder import HOSTILE

from pipeline.evaluation.classes import reliability_bins
from pipeline.report.material import Predictions
from pipeline.report.run import figures, pictures, separation
from pipeline.report.run.records import curves_of
from pipeline.report.svg import png, style, svg


def curves(num=5, **more):
    rows = []
    for epoch in range(1, num + 1):
        norms = more.get("norms", {"dense1": 0.1 / epoch, "output": 1.0 / epoch})
        rows.append({"epoch": epoch, "split": "train", "loss": 1 / epoch, "accuracy": 0.5, "layer_grad_norms": norms,
                     "learning_rate": 0.1, "seconds": 1.0, "samples_per_s": 100.0})  # fmt: skip
        rows.append({"epoch": epoch, "split": "train_clean", "loss": 0.9 / epoch, "accuracy": 0.6})
        rows.append({"epoch": epoch, "split": "val", "loss": 1.1 / epoch, "accuracy": 0.55})
    return curves_of(rows)


def texts(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_spread_moves_only_what_is_too_close():
    assert figures._spread([0.0, 50.0, 100.0], 12) == [0.0, 50.0, 100.0]
    apart = np.diff(figures._spread([10.0, 10.0, 11.0, 80.0], 12))
    assert (apart >= 11.9).all()


@pytest.mark.parametrize("num", [1, 2, 30, 500])
def test_every_curve_is_drawn_for_any_number_of_epochs(num):
    with style():
        for draw in (figures.loss_curves, figures.measure_curves, figures.gap_curve):
            figure = draw(curves(num), max(1, num // 2))
            assert f"best: epoch {max(1, num // 2)}" in " ".join(texts(figure))
            assert png(figure)
        for draw in (figures.gradient_norms, figures.learning_rate, figures.speed):
            assert svg(draw(curves(num)), "x", "alt")


def separated(num=20_000, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, num)
    p = np.exp(random.normal(size=(num, 4)) + 2 * np.eye(4)[labels])
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    no = np.zeros(num, bool)
    return Predictions("single", [], labels, p.argmax(axis=1), p, np.arange(num, dtype=np.uint64), HOSTILE, no)


def test_curves_of_many_samples_are_drawn_with_few_points_and_end_where_they_do():
    found = separation.separations(separated())[: separation.SHOWN]
    with style():
        for draw in (figures.roc, figures.precision_recall):
            figure = draw(found)
            lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) > 2]
            assert len(lines) == 3
            assert all(len(line.get_xdata()) <= figures.MOST_CORNERS + 3 for line in lines)
            assert all(line.get_xdata()[-1] == 1 for line in lines)
            assert len(svg(figure, "x", "alt")) < 200_000
        assert svg(figures.risk_and_coverage(separation.risk_of(separated(1))), "x", "alt")


def test_the_area_under_the_points_that_are_drawn_is_the_area():
    (one, *_) = separation.separations(separated())
    with style():
        line = figures.roc([one]).axes[0].get_lines()[1]
    assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(one.roc.value, abs=2e-3)


def of(**columns):
    """Curves of two epochs, with some columns."""
    return dataclasses.replace(curves(2), **{name: np.array(values, np.float64) for name, values in columns.items()})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("draw", "columns"),
    [
        (figures.measure_curves, {"val_measure": [1, 1], "clean_measure": [0.2, 0.5], "running_measure": [0, 0.1]}),
        (figures.loss_curves, {"clean_loss": [0.5, 0], "val_loss": [0.6, 0.01]}),
        (figures.loss_curves, {"clean_loss": [0, 0], "val_loss": [0, 0], "running_loss": [0, 0]}),
    ],
)
def test_curves_far_apart_and_losses_of_0_leave_the_axes_their_room(draw, columns):
    with style():
        figure = draw(of(**columns), 2)
        figure.draw_without_rendering()
        assert figure.axes[0].get_window_extent().width > 200


def test_every_point_of_an_accuracy_is_within_the_axes():
    with style():
        drawn = of(val_measure=[0.9, 1], clean_measure=[0.7, 1], running_measure=[0.1, 0.95])
        low, high = figures.measure_curves(drawn, 2).axes[0].get_ylim()
        assert low < 0.1
        assert 1 < high < 1.01
        low, _ = figures.measure_curves(of(val_measure=[0, 1], running_measure=[0, 1]), 2).axes[0].get_ylim()
        assert -0.01 < low < 0


def test_lines_are_named_at_their_ends():
    with style():
        assert {"training", "validation", "while training"} <= set(texts(figures.loss_curves(curves(), 3)))
        assert {"dense1", "output"} <= set(texts(figures.gradient_norms(curves())))


def test_gradients_of_zero_do_not_break_the_log_scale():
    with style():
        assert png(figures.gradient_norms(curves(norms={"dense1": 0.0, "output": 1.0})))
        assert png(figures.gradient_norms(curves(norms={"dense1": 0.0, "output": 0.0})))


def test_the_confusion_matrix_draws_each_pair_that_occurs():
    matrix = np.array([[8, 2, 0], [0, 10, 0], [1, 1, 8]])
    with style():
        figure = figures.confusion(matrix, ["cat", "dog", "$bird$"])
    squares = [patch.get_gid() for patch in figure.axes[0].patches]
    assert len(squares) == 6
    assert "tip:actual cat, predicted dog: 2 samples (20.0%)" in squares
    assert {"8", "2", "10", "1"} <= set(texts(figure))


def test_a_class_without_test_samples_leaves_an_empty_row():
    with style():
        figure = figures.confusion(np.array([[0, 0], [1, 3]]), HOSTILE[:2])
        assert len(figure.axes[0].patches) == 2
        assert png(figure)


def test_reliability_shows_the_bins_that_hold_something():
    bins = reliability_bins(np.array([0.95, 0.97, 0.55]), np.array([1, 1, 0]), 10)
    with style():
        tips = [patch.get_gid() for patch in figures.reliability(bins).axes[0].patches]
    assert tips == ["tip:sure by 55.0%, right on 0.0% of 1", "tip:sure by 96.0%, right on 100.0% of 2"]


@pytest.mark.parametrize(
    ("settings", "changes", "said"),
    [
        ({}, {}, "while training: with dropout and augmentation on."),
        ({}, {"windows": [1, 2, 3]}, "augmentation on, by one of each sample's rows, drawn anew in each epoch."),
        ({"train.mixup": 0.2}, {}, "augmentation on, of mixed samples."),
        ({"train.balance": "sampling"}, {}, "of the samples that were drawn, each class as often as the others."),
    ],
)
def test_the_dashed_line_is_said_to_be_of_what_it_is(settings, changes, said):
    given = records(FLAT, task=manifest(**changes), settings=settings)
    for name in ("curves", "accuracy", "mae"):
        assert pictures.caption(name, given, []).endswith(said)
    assert "dashed line is taken" not in pictures.caption("gap", given, [])
