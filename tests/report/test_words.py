import pytest

from pipeline.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0712, "0.0712"), (2.302585, "2.30"), (0.0, "0"), (1234.5, "1,234"), (0.00001234, "1.23e-05"), (-0.5, "-0.500"),
     (float("nan"), "not finite"), (float("inf"), "not finite"), (20500.0, "20,500")],
)  # fmt: skip
def test_number(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.84 s"), (12.3, "12 s"), (59.7, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (0.0, "0 s")],
)
def test_duration(seconds, text):
    assert words.duration(seconds) == text


def test_plural_and_times():
    assert [words.plural(n, "epoch") for n in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]
    assert words.plural(3, "class", "classes") == "3 classes"
    assert [words.times(n) for n in (1, 2, 3)] == ["once", "twice", "3 times"]


def test_short_keeps_both_ends_and_the_width():
    name = "photos/2024/cats/IMG_0001_very_long_name.jpeg"
    for width in (8, 12, 24, 44):
        assert len(words.short(name, width)) == width
    assert words.short(name).startswith("photos/2024")
    assert words.short(name).endswith(".jpeg")
    assert words.short("short") == "short"
    assert words.short("a\x00b\u202ec\nd") == "a b c d"


def test_wide_letters_take_two_columns_and_added_accents_none():
    assert [words.columns(text) for text in ("abc", "写真", "e\u0301", "")] == [3, 4, 1, 0]
    assert words.short("一種名字非常長的葡萄品種", 12) == "一種名字…種"


@pytest.mark.parametrize(
    ("name", "width", "told"),
    [("short", 8, "short"),
     ("regularised-with-a-very-long-name", 22, "regularised-with-a-\nvery-long-name"),
     ("x" * 30, 20, "x" * 20 + "\n" + "x" * 10),
     ("ab-" + "x" * 20, 12, "ab-xxxxxxxxx\n" + "x" * 11),  # a neat end would leave too much
     ("一種名字非常長的葡萄品種", 16, "一種名字非常長的\n葡萄品種")],
)  # fmt: skip
def test_a_name_over_lines_is_whole(name, width, told):
    assert words.lines(name, width, 2) == told
    assert told.replace("\n", "") == name


def test_a_name_too_long_for_its_lines_loses_its_middle():
    told = words.lines("photos/2024/" + 80 * "x" + ".jpeg", 20, 3)
    assert told.count("\n") == 2
    assert max(map(words.columns, told.split("\n"))) <= 20
    assert (told[:7], told[-5:], told.count("\u2026")) == ("photos/", ".jpeg", 1)


def test_signed():
    assert [words.signed(x) for x in (0.02, -0.02, 0.0, None)] == ["+0.0200", "\u22120.0200", "0", "\u2013"]


def test_moment():
    assert words.moment("2026-11-23T18:45:03+00:00") == "2026-11-23 18:45 UTC"
    assert words.moment("2026-11-23T19:45:03+01:00") == "2026-11-23 18:45 UTC"
    assert words.moment("soon") == "soon"


def test_a_metric_has_words_and_a_better_side():
    assert words.metric_words("last_val_loss") == "validation loss of the last epoch"
    told = {metric: words.better(metric) for metric in ("gap", "val_accuracy", "best_epoch")}
    assert told == {"gap": "lower is better", "val_accuracy": "higher is better", "best_epoch": "neither side is better"}


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("val_accuracy", 0.9712, "97.1%"),
        ("val_loss", 0.1234, "0.123"),
        ("seconds", 75.0, "1 min 15 s"),
        ("gap", None, "\u2013"),
    ],
)
def test_measure(metric, value, text):
    assert words.measure(metric, value) == text


@pytest.mark.parametrize(("p", "text"), [(None, "\u2013"), (1e-9, "< 0.0001"), (0.0312, "0.031"), (1.0, "1")])
def test_probability(p, text):
    assert words.probability(p) == text


def test_what_stands_between_backticks_is_code_and_escaped():
    assert (
        words.coded("say `regatta run a='<b>'`, and & wait")
        == "say <code>regatta run a=&#39;&lt;b&gt;&#39;</code>, and &amp; wait"
    )
    assert words.coded("one ` alone") == "one ` alone"


def test_a_name_breaks_after_its_joins():
    assert words.parted("card_not<b>-x") == "card_<wbr>not&lt;b&gt;-<wbr>x"
    assert words.parted("top: absent, 0.5") == "top: absent, 0.5"
    assert words.parted("plain name") == "plain name"
