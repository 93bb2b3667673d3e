import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from html import escape, unescape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import report_builder as rb
import yaml
from PIL import Image

from pipeline.artifacts import read_csv, read_json, write_csv, write_json
from pipeline.data.dataset import open_dataset
from pipeline.data.examples import Example, write_examples
from pipeline.errors import StorageError
from pipeline.evaluation.mistakes import surest_mistakes
from pipeline.explanation.record import Explained, Importance, write_explanations, write_importance
from pipeline.report import material
from pipeline.report.page import rendered
from pipeline.report.run.records import read_records
from pipeline.report.run.verdict import verdict
from pipeline.report.words import number, percent
from pipeline.schema.report import ReportConfig

VOID = {"meta", "img", "br", "hr", "link", "input", "wbr"}
PICTURES = {"curves", "accuracy", "gap", "gradients", "calibration", "confusion", "learning_rate", "speed",
            "risk", "roc", "precision_recall"}  # fmt: skip
STUDY_PICTURES = {f"study{part}-dropout" for part in ("", ".gap", ".time", ".curves", ".gradients")}


class Page(HTMLParser):
    """What a browser would make of the page: tags, attributes, visible text, and whether the tags balance."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append((self.section(), data))

    def section(self) -> str:
        ids = [attributes["id"] for tag, attributes in self.tags if tag in ("section", "header") and "id" in attributes]
        return ids[-1] if ids else ""

    def visible(self, *leave_out: str) -> str:
        named = [attributes[key] for _, attributes in self.tags for key in ("alt", "aria-label", "title") if key in attributes]
        return " ".join([data for section, data in self.text if section not in leave_out] + named)


def page_of(root: Path, num_mistakes: int = 24):
    html, pictures = rendered(root, ReportConfig(title="A <script>title</script>", num_mistakes=num_mistakes, samples=True), 15)
    return html, pictures, Page(html)


@cache
def first_page_of(root: Path):
    """For tests that only read it."""
    return page_of(root)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    rb.build(root)
    return root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Every name that a user can choose is an attack."""
    root = tmp_path_factory.mktemp("hostile")
    artifacts = rb.build(root, data=rb.several(), classes=rb.HOSTILE, task="multi", epochs=3, prefix=rb.HOSTILE[1])
    manifest = read_json(artifacts / "prepare" / "dataset.json")
    write_json(artifacts / "prepare" / "dataset.json", {**manifest, "notes": rb.HOSTILE, "source": rb.HOSTILE[0]})
    write_csv(artifacts / "prepare" / "rejected.csv", ["source", "row", "reason"], [[name] * 3 for name in rb.HOSTILE[:3]])
    shutil.rmtree(artifacts / "study")
    variants = [(rb.Variant(name, {name: name}), 0.02, 1.0) for name in rb.HOSTILE]
    rb.write_study(
        artifacts / "study", "dropout", rb.Definition(rb.HOSTILE[0], rb.HOSTILE[1], {rb.HOSTILE[0]: "helps"}), variants
    )
    run = read_json(artifacts / "train" / "run.json")
    write_json(
        artifacts / "train" / "run.json", {**run, "commit": rb.HOSTILE[1], "device": rb.HOSTILE[0], "finished": rb.HOSTILE[2]}
    )
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["data"]["path"] = rb.HOSTILE[0]
    params["study"]["definitions"]["dropout"]["question"] = rb.HOSTILE[1]
    params["study"]["definitions"]["later"] = {"question": rb.HOSTILE[0], "finding": rb.HOSTILE[1]}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return root


def assert_safe(html: str, page: Page) -> None:
    assert page.open == [], "tags stay open"
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on")], (tag, attributes)
        for key in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert attributes.get(key, "#").startswith(("#", "data:image/png;base64,")), (tag, attributes)
    assert not re.search(r"url\((?!#)|@import|expression\(", html)


def test_nothing_that_users_name_is_executed(hostile):
    html, _, page = first_page_of(hostile)
    assert_safe(html, page)
    assert "default-src 'none'" in str(page.tags[:6])
    assert "<script" not in html
    assert "<img src=x" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 5


def test_names_in_the_confusion_matrix_are_only_names(tmp_path):
    names = ["<script>1</script>", '"><img src=x>', "$\\frac{1}{0}$"]
    images, labels = rb.digits()
    rb.build(tmp_path, data=(images, labels % 3), classes=names, epochs=2)
    html, pictures, page = page_of(tmp_path)
    assert_safe(html, page)
    drawn = html[html.index('id="figure-confusion"') : html.index("</svg>", html.index('id="figure-confusion"'))]
    assert all(f">{escape(name, quote=False)}</text>" in drawn for name in names)
    assert "confusion" in pictures


def test_control_characters_and_turned_writing_are_made_visible(hostile):
    html, _, _ = first_page_of(hostile)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)


def test_the_same_records_give_the_same_bytes(hostile):
    assert page_of(hostile)[:2] == first_page_of(hostile)[:2]


def test_the_users_matplotlib_settings_change_nothing(digits):
    import matplotlib as mpl

    settings = {"text.usetex": True, "figure.dpi": 33, "axes.facecolor": "red", "font.size": 40, "svg.fonttype": "path"}
    with mpl.rc_context(settings):
        assert page_of(digits)[:2] == first_page_of(digits)[:2]


def test_the_page_needs_no_network(digits):
    html, _, page = first_page_of(digits)
    assert_safe(html, page)
    assert "http" not in re.sub(r'xmlns="http://www\.w3\.org/2000/svg"|http-equiv', "", html)


def test_it_speaks_the_readers_words(digits):
    _, _, page = first_page_of(digits)
    # The configuration shows keys as they are written in params.yaml.
    seen = re.findall(r"\b(?:lane|pack|cell|view)s?\b", page.visible("configuration"), re.IGNORECASE)
    assert seen == []


def test_the_verdict_comes_first_in_words(digits):
    _, _, page = first_page_of(digits)
    words = " ".join(data for section, data in page.text if section == "verdict")
    assert words.index("The network learned well") < words.index("It is right on 9") < words.index("Test loss")


def test_answers_stand_first_here_and_in_their_study(digits):
    html, _, page = first_page_of(digits)
    effects = read_json(digits / "artifacts/study/dropout/effects.json")
    for text in (effects["question"], effects["answer"], *(step["text"] for step in effects["advice"])):
        first, second, *_ = (found.start() for found in re.finditer(re.escape(escape(text, quote=False)), html))
        assert html.index('id="verdict"') < first < html.index('class="tiles"')
        assert html.index('id="studies"') < second < html.index(escape(effects["sentences"][0], quote=False))
    commands = [step["command"] for step in effects["advice"]]
    assert commands == ["regatta run 'model.widths=[96,64]'", "regatta study dropout study.seeds=10"]
    shown = re.findall('<code class="command">(.*?)</code>', html)
    steps = [step.command for finding in verdict(read_records(digits / "artifacts")).findings for step in finding.steps]
    assert len(steps) > 1
    assert [unescape(command) for command in shown] == [*commands, *steps, *commands]
    assert ("a", "#study-1") in [(tag, attributes.get("href")) for tag, attributes in page.tags]


def test_the_answer_of_an_only_variant_is_not_said_twice(tmp_path):
    root = study_alone(tmp_path)
    text = re.sub(r"\s+", " ", page_of(root)[2].visible())
    assert text.count(read_json(root / "artifacts/study/dropout/effects.json")["answer"]) == 2
    assert text.count("Keep dropout 0.2, as your configuration has it") == 2
    assert "no-dropout (no dropout against 0.2) hurts" not in text


def study_alone(root):
    artifacts = rb.build(root, epochs=1, studies=False)
    rb.write_study(artifacts / "study", "dropout", rb.Definition("Does it help?"), rb.DROPOUT_VARIANTS[:1])
    return root


def test_an_answer_of_other_settings_says_so_first(tmp_path):
    rb.build(tmp_path, epochs=1)
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    params["train"]["learning_rate"] = 0.01
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    html, _, _ = page_of(tmp_path)
    assert html.index("made with other settings") < html.index('class="tiles"')


def test_effects_of_an_older_version_have_no_answer(tmp_path):
    root = study_alone(tmp_path)
    path = root / "artifacts/study/dropout/effects.json"
    write_json(path, {key: value for key, value in read_json(path).items() if key not in ("answer", "advice")})
    html, _, page = page_of(root)
    assert 'class="answer"' not in html
    assert "no-dropout (no dropout against 0.2) hurts" in page.visible()


@pytest.fixture(scope="module")
def long_names(tmp_path_factory):
    root = tmp_path_factory.mktemp("long")
    rb.build_long(root)
    return root


def test_long_names_are_whole(long_names):
    _, _, page = first_page_of(long_names)
    text = [data for _, data in page.text]
    sources = [a["alt"].partition(":")[0] for tag, a in page.tags if tag == "img" and "actual" in a["alt"]]
    assert len(sources) == 24
    assert min(map(len, sources)) > 110
    assert {*sources, *rb.LONG_VARIANTS, *rb.LONG_CLASSES} <= set(text)


def test_a_value_of_a_listed_table_has_its_name_beside_it(long_names):
    """On a narrow screen the table's head is gone."""
    html, _, _ = first_page_of(long_names)
    tables = re.findall(r'<table class="[^"]*listed".*?</table>', html, re.DOTALL)
    assert len(tables) == 7
    for table in tables:
        heads = re.findall("<th scope=.col.[^>]*>([^<]*)</th>", table)
        labels = re.findall(r'<td[^>]* data-label="([^"]*)"', table)
        assert set(labels) == set(heads[1:])
        assert len(re.findall("<td(?![^>]*data-label)[^>]*>(?!</td>|<bdi></bdi></td>)", table)) == 0


MEASURE = """
const page = document.querySelector("iframe").contentDocument, view = page.defaultView;
const found = ["measured", page.documentElement.clientWidth];
for (const e of page.querySelectorAll("html, body *:not(svg *)")) {
  if (e.clientWidth && view.getComputedStyle(e).display != "inline" && e.scrollWidth > e.clientWidth + 1)
    found.push(`${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}`);
  if (view.getComputedStyle(e).overflowY == "auto" && e.scrollHeight > e.clientHeight + 1)
    found.push(`${e.tagName}.${e.className} shows ${e.clientHeight} of ${e.scrollHeight}`);
}
for (const text of page.querySelectorAll("svg text")) {
  const own = text.getBoundingClientRect(), whole = text.ownerSVGElement.getBoundingClientRect();
  if (own.left < whole.left - 1 || own.right > whole.right + 1) found.push(`cut: ${text.textContent.trim()}`);
}
document.body.textContent = JSON.stringify(found);
"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_is_cut_or_scrolls_away(long_names, tmp_path, width):
    """In a frame, since a window of chromium is never narrower than 500."""
    html, _, _ = first_page_of(long_names)
    frame = f'<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{escape(html)}" onload="measure()"></iframe>'
    (tmp_path / "frame.html").write_text(f"<script>function measure() {{ {MEASURE} }}</script><body>{frame}")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1300,1000"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    place = f"file://{tmp_path / 'frame.html'}"
    done = subprocess.run([*command, profile, "--dump-dom", place], capture_output=True, text=True, check=True, timeout=120)
    assert re.search(r'\["measured",\d.*?\]', unescape(done.stdout))[0] == f'["measured",{width}]'


def test_a_table_of_many_classes_scrolls_in_a_box_that_says_so(digits, tmp_path):
    rb.build(tmp_path, data=rb.many(), epochs=1, studies=False)
    html, _, page = page_of(tmp_path)
    assert page.visible().count("All 77 classes are in the box: scroll in it.") == 3
    assert html.count('class="scroll tall"') == 3
    html, _, page = first_page_of(digits)
    assert "in the box" not in page.visible()
    assert "scroll tall" not in html


def test_a_figure_is_not_judged_otherwise_than_the_findings_do(digits):
    html, _, _ = first_page_of(digits)
    found = {finding.topic: finding.headline for finding in verdict(read_records(digits / "artifacts")).findings}
    assert found["Overfitting"] == "Overfits mildly"
    captions = dict(re.findall('id="figure-(\\w+)">.*?<figcaption>(.*?)</figcaption>', html, re.DOTALL))
    topics = {"curves": "Overfitting", "gap": "Overfitting", "gradients": "Gradients", "calibration": "Calibration"}
    for name, topic in topics.items():
        here = captions[name].partition(" Here: ")[2]
        assert unescape(here).lower() == f"{found[topic]}.".lower()
    assert "Here:" not in captions["accuracy"]


def test_every_picture_can_be_read_out(digits):
    _, _, page = first_page_of(digits)
    for tag, attributes in page.tags:
        if tag == "img":
            assert len(attributes["alt"]) > 10
        if tag == "svg":
            assert attributes["role"] == "img"
            assert len(attributes["aria-label"]) > 20
    assert "best (epoch" in page.visible()


def test_tables_have_headers_and_ids_are_unique(digits):
    _, _, page = first_page_of(digits)
    scopes = [attributes.get("scope") for tag, attributes in page.tags if tag == "th"]
    assert set(scopes) == {"col", "row"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [value[1:] for _, attributes in page.tags for key, value in attributes.items() if key == "href"]
    labels = [attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes]
    assert set(links) | set(labels) <= set(ids)
    used = re.findall(r"url\(#([^)]+)\)", str([list(attributes.values()) for _, attributes in page.tags]))
    assert set(used) <= set(ids)


def test_each_figure_is_also_a_png(digits):
    _, pictures, _ = first_page_of(digits)
    assert set(pictures) == {*PICTURES, *STUDY_PICTURES}
    for content in pictures.values():
        image = Image.open(BytesIO(content))
        assert min(image.size) > 300
        assert len(set(image.convert("RGB").resize((64, 64)).get_flattened_data())) > 8


def test_the_numbers_are_those_of_the_records(digits):
    _, _, page = first_page_of(digits)
    run, metrics = (read_json(digits / "artifacts" / path) for path in ("train/run.json", "evaluate/metrics.json"))
    text = page.visible()
    for part in (f"{100 * metrics['accuracy']:.1f}%", f"{metrics['macro_f1']:.3f}", f"Best at epoch {run['best_epoch']} of 30",
                 f"{run['num_parameters']:,}", run["id"], run["commit"], run["hashes"]["run"], "1" * 32 + ".dir",
                 "git checkout " + run["commit"], "dvc repro", "3.11.7", "ab" * 32):  # fmt: skip
        assert part in text, part


def test_overridden_keys_are_marked(digits):
    html, _, _ = first_page_of(digits)
    marked = re.findall(r"<div class=changed><dt>([\w.]+)</dt>", html)
    assert marked == ["model.dropout", "train.epochs"]


def test_the_quarantine_is_shown(digits):
    _, _, page = first_page_of(digits)
    assert "3 samples left out" in page.visible()
    assert "scans/<b>7</b>.png" in page.visible()
    assert "truncated: ends after 812 of 1,204 bytes" in page.visible()


def test_mistakes_are_the_surest_wrong_answers(digits):
    import pyarrow.parquet as pq

    html, _, page = first_page_of(digits)
    table = pq.read_table(digits / "artifacts/evaluate/predictions.parquet").to_pylist()
    wrong = sorted((row for row in table if row["label"] != row["prediction"]), key=lambda row: -row["confidence"])
    found = [(a["alt"], a.get("class")) for tag, a in page.tags if tag == "img" and "actual" in a["alt"]]
    expected = [f"{row['source']}: actual {row['label']}, predicted {row['prediction']}" for row in wrong]
    assert found == [(alt, "pixels") for alt in expected]
    assert [f"{100 * row['confidence']:.1f}% sure" in html for row in wrong] == [True] * len(wrong)


def test_beside_the_surest_mistakes_stands_what_they_came_from(tmp_path):
    artifacts = rb.build(tmp_path, studies=False, epochs=3)
    _, _, plain = page_of(tmp_path)
    assert "asked again" not in plain.visible()
    predictions = material.read_predictions(artifacts)
    worst = surest_mistakes(predictions.labels, predictions.predictions, predictions.probabilities, 2)
    odds = [np.log(p / (1 - p)) for p in worst.size.tolist()]
    after = [[0.0 if part == 7 else before for part in range(49)] for before in odds]
    pairs = zip(worst.samples.tolist(), worst.of.tolist(), odds, after, strict=True)
    every = [Explained(sample, 0, of, 0, before, left) for sample, of, before, left in pairs]
    write_explanations(artifacts / "evaluate" / "tables", every)
    html, _, page = page_of(tmp_path)
    assert_safe(html, page)
    assert len([1 for tag, own in page.tags if "where the answer came from" in own.get("alt", "")]) == 2
    text = re.sub(r"\s+", " ", page.visible())
    assert "painted over with the mean colour of training, one at a time, and the network was asked again" in text
    assert "not what is true of the sample" in text
    assert text.count("the boxed square 50.0%") == 2
    columns = Importance("income", 400, 5, 1.25, 1.0, 1.5, 0.4, 0.3, 0.5)
    write_importance(artifacts / "evaluate" / "tables", [columns])
    for own in ({"num_mistakes": 0, "samples": True}, {"num_mistakes": 9, "samples": False}):
        without = Page(rendered(tmp_path, ReportConfig(title="t", **own), 15)[0]).visible()
        assert "came from" not in without
        assert "income" in without, "of all samples together"


def test_where_no_part_changes_an_answer_much_it_is_said_and_drawn_weaker(tmp_path):
    manifest = open_dataset(rb.build(tmp_path, studies=False, epochs=1) / "prepare").manifest
    weak = Explained(0, 0, 1, 0, np.log(0.777 / 0.223), [np.log(0.748 / 0.252), np.log(0.78 / 0.22)])
    parts = material.parts_of(weak, manifest)
    assert parts.strengths.round(2).tolist() == [0.16, -0.02], "of 1 in log odds"
    assert parts.strongest(1) == []
    said = material.steady(weak, manifest, parts)
    assert (
        "No single part matters much: without any one of them the answer lies between 74.8% and 78.0% (with all 77.7%)." in said
    )
    one = replace(weak, after=[weak.after[0]])
    assert "stays at 74.8% (with" in material.steady(one, manifest, material.parts_of(one, manifest))
    strong = replace(weak, after=[-1.0, 0.0])
    parts = material.parts_of(strong, manifest)
    assert parts.strengths.max() == 1
    assert material.steady(strong, manifest, parts) == ""
    number = replace(manifest, task="number", target_fit={"mean": [0.0], "std": [10.0]})
    off = Explained(0, 0, 0, 0, 50.0, [49.8, 50.1])
    parts = material.parts_of(off, number)
    assert np.allclose(parts.strengths, [0.2, -0.1]), "of a tenth of a deviation, which is 1"
    assert "lies between 49.8 and 50.1 (with all 50.0)" in material.steady(off, number, parts)
    assert material.full_strength(manifest) == "1 in log odds (as from 90% to 77%)"
    assert material.full_strength(number) == "0.1 deviations of the training split"


def test_mistakes_of_classes_that_are_never_answered_are_not_called_wrong_labels(tmp_path):
    artifacts = rb.build(tmp_path, studies=False, epochs=1)
    assert "Look whether labels are wrong" in page_of(tmp_path)[2].visible()
    path = artifacts / "evaluate" / "tables" / "confusion.csv"
    rows = read_csv(path)
    answered = [{**row, "predicted": rows[0]["predicted"]} for row in rows]
    write_csv(path, list(rows[0]), [list(row.values()) for row in answered])
    text = page_of(tmp_path)[2].visible()
    assert "never answered, most may show that" in text
    assert "labels are wrong" not in text


def test_columns_are_told_by_their_importance(tmp_path):
    artifacts = rb.build(tmp_path, studies=False, epochs=1)
    assert 'href="#columns"' not in page_of(tmp_path)[0]
    strong = Importance("income", 400, 5, 1.25, 1.0, 1.5, 0.4, 0.3, 0.5)
    noise = Importance("<b>noise", 400, 5, -0.01, -0.05, 0.03, 0.0, -0.01, 0.01)
    write_importance(artifacts / "evaluate" / "tables", [noise, strong])
    html, _, page = page_of(tmp_path)
    assert_safe(html, page)
    text = re.sub(r"\s+", " ", "".join(data for section, data in page.text if section == "columns"))
    assert re.search(r"income ?\+1\.25 ?\+1\.00 to \+1\.50 ?40\.0 points ?30\.0 points to 50\.0 points ?yes", text)
    assert re.search(r"<b>noise ?−0\.0100 ?−0\.0500 to \+0\.0300 ?0\.0 points ?−1\.0 points to 1\.0 points ?no evidence", text)
    assert "Used, by the loss" in text
    assert "used where the interval of the loss lies above 0" in text


def studies_of(root):
    return "".join(data for section, data in page_of(root)[2].text if section == "studies")


def test_a_study_says_what_it_found_and_what_was_expected(digits):
    text = re.sub(r"\s+", " ", studies_of(digits))
    effects = read_json(digits / "artifacts/study/dropout/effects.json")
    assert "Without dropout a small network overfits." in text
    assert effects["agreement"] in text
    for sentence in effects["sentences"][:-1]:
        assert sentence in text
    assert "not run yet" not in text
    assert "made with other settings" not in text
    for change in ("train.epochs: 12", "model.dropout: 0.0", "model.widths: [96, 64]", 'model.activation: "tanh"'):
        assert change in text
    assert "not as expected" in text


def test_stale_and_missing_studies_are_marked(tmp_path):
    rb.build(tmp_path, epochs=1)
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    params["train"]["learning_rate"] = 0.01
    params["study"]["definitions"]["batch"] = {"question": "Which batch size?"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    text = re.sub(r"\s+", " ", studies_of(tmp_path))
    assert "made with other settings train.learning_rate 0.001 \u2192 0.01; run regatta study dropout" in text
    assert "Which batch size? not run yet regatta study batch" in text
    del params["study"]["definitions"]["dropout"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    assert "no longer in params.yaml" in studies_of(tmp_path)


def test_no_studies_no_augmentation_no_mistakes(tmp_path):
    artifacts = rb.build(tmp_path, studies=False)
    (artifacts / "augment" / "preview.png").unlink()
    html, pictures, page = page_of(tmp_path, num_mistakes=0)
    assert set(pictures) == PICTURES
    assert 'href="#studies"' not in html
    assert "Augmented copies" not in page.visible("reproduce")
    assert "report.num_mistakes is 0" in page.visible()


def test_samples_beside_their_copies(tmp_path):
    artifacts = rb.build(tmp_path, studies=False)
    shape = open_dataset(artifacts / "prepare").manifest.shape
    rows = [np.full(shape, 40 * i, np.uint8) for i in range(4)]
    write_examples(artifacts / "augment", [Example("<i>seven</i>", rows[0], rows[1:])])
    write_json(artifacts / "augment" / "augment.json", {"told": ["80 % of the words have synonyms"]})
    html, _, page = page_of(tmp_path)
    assert_safe(html, page)
    assert html.count('alt="<i>seven</i>, copy'.replace("<", "&lt;").replace(">", "&gt;")) == 3
    said = re.sub(r"\s+", " ", page.visible())
    assert "Label Original Copy 1 Copy 2 Copy 3 <i>seven</i> Training draws further copies" in said
    assert "80 % of the words have synonyms" in said


@pytest.mark.parametrize(
    ("num", "said"),
    [
        (0, "draws further copies of each"),
        (1, "the first copy of each alone, which is stored"),
        (2, "the first 2 copies of each alone, which are stored"),
        (3, "has the first 3 copies of each"),
    ],
)
def test_what_training_sees_of_copies_is_told(num, said, tmp_path):
    (tmp_path / "augment").mkdir()
    write_json(tmp_path / "augment" / "augment.json", {"views": num})
    assert said in material.copies_seen(tmp_path)


def test_a_mean_of_several_networks_says_so_at_the_top(tmp_path):
    file = rb.build(tmp_path, epochs=2, studies=False) / "train" / "model.json"
    num = read_json(file.with_name("run.json"))["num_parameters"]
    write_json(file, {**read_json(file), "members": [{"id": "a"}, {"id": "b"}]})
    _, _, page = page_of(tmp_path)
    said = re.sub(r"\s+", " ", page.visible())
    assert said.index("This is a mean of 2 networks") < said.index("Best epoch")
    assert f"{2 * num:,} trained weights of 2 networks" in said
    assert "of 2, first of 2 networks" in said
    assert "The first of 2 networks: 2.3" in said


def test_many_classes(tmp_path):
    names = [f"card_payment_reason_{i:02d}" for i in range(77)]
    rb.build(tmp_path, data=rb.many(), classes=names, epochs=2)
    html, pictures, page = page_of(tmp_path)
    assert_safe(html, page)
    assert names[-1] in page.visible()
    assert len(html) < 3_000_000
    assert max(Image.open(BytesIO(pictures["confusion"])).size) < 2000


def test_several_labels(tmp_path):
    rule = {"threshold": "precision>=0.9"}
    rb.build(tmp_path, data=rb.several(), classes=["top", "bottom", "left", "right"], task="multi", epochs=2, rate=0.05,
             evaluate=rule)  # fmt: skip
    _, pictures, page = page_of(tmp_path)
    told = " ".join(data for section, data in page.text if section == "separation")
    assert "precision>=0.9" in told
    assert "3 classes that are told from the others worst by average precision, of 4" in told
    for row in read_csv(tmp_path / "artifacts/evaluate/tables/thresholds.csv"):
        assert percent(float(row["threshold"])) in told
    for row in read_csv(tmp_path / "artifacts/evaluate/tables/areas.csv"):
        for name in ("roc_area", "average_precision"):
            value, low, high = (f"{float(row[f'{name}{end}']):.3f}" for end in ("", "_low", "_high"))
            assert re.search(rf"{value}\s+\({low} to {high}\)", told)
    assert "confusion" not in pictures
    text = page.visible()
    assert "Label accuracy" in text
    assert "All labels right" in text
    assert re.search(r"(top|bottom|left|right): (absent|present)", text)


@pytest.mark.parametrize("kind", ["two", "several", "many"])
def test_what_is_left_open_is_on_the_page(tmp_path, kind):
    images, labels = rb.digits()
    halves = images, (labels > 4).astype(np.int64)
    data, classes, task = {"two": (halves, ["small", "large"], "single"), "many": (rb.digits(), None, "single"),
                           "several": (rb.several(), ["top", "bottom", "left", "right"], "multi")}[kind]  # fmt: skip
    costs = {"false_positive": 1.0, "false_negative": 1.0, "abstain": 0.05}
    artifacts = rb.build(tmp_path, data=data, classes=classes, task=task, epochs=3, rate=0.05, studies=False,
                         evaluate={"threshold": "costs", "costs": costs})  # fmt: skip
    metrics = read_json(artifacts / "evaluate" / "metrics.json")
    html, _, page = page_of(tmp_path)
    assert_safe(html, page)
    assert 0 < metrics["abstained"] < 1
    text = page.visible()
    assert f"It would leave {percent(metrics['abstained'])} of these answers open" in text
    assert f"is right on {percent(1 - metrics['risk'])} of the others" in text
    assert f"A sample costs {number(metrics['cost'])} on average" in text
    if kind == "many":
        assert f"where it is more probable than {percent(metrics['least_confidence'])}" in text
        return
    positive = "'large' is the positive class, the second of the two: a false positive is 'small' taken for 'large'"
    assert (positive in text) == (kind == "two")
    for row in read_csv(artifacts / "evaluate/tables/thresholds.csv"):
        for end in ("open_above", "open_to"):
            assert percent(float(row[end])) in text


def test_without_dvc_overrides_git_and_a_second_layer(tmp_path):
    artifacts = rb.build(tmp_path, epochs=1, commit=None)
    (tmp_path / "dvc.lock").unlink()
    (tmp_path / "conf" / "overrides.yaml").unlink()
    path = artifacts / "train" / "metrics.jsonl"
    path.write_text(re.sub(r'"layer_grad_norms": \{[^}]*\}', '"layer_grad_norms": {"output": 0.5}', path.read_text()))
    html, pictures, page = page_of(tmp_path)
    assert "git checkout" not in html
    assert "not made in a Git repository" in page.visible()
    assert "without DVC" in page.visible()
    assert "gradients" in pictures
    assert "Too few epochs to tell" in page.visible()


@pytest.mark.parametrize(
    ("path", "told"),
    [("evaluate/metrics.json", "metrics.json"), ("evaluate/predictions.parquet", "artifacts/evaluate"),
     ("train/run.json", "run.json"), ("train/metrics.jsonl", "no epoch on the validation split")],
)  # fmt: skip
def test_a_missing_record_is_named(tmp_path, path, told):
    artifacts = rb.build(tmp_path, epochs=1)
    (artifacts / path).unlink()
    with pytest.raises(StorageError, match=re.escape(told)):
        page_of(tmp_path)


def test_predictions_of_another_dataset_are_refused(tmp_path):
    artifacts = rb.build(tmp_path, epochs=1)
    ids = np.load(artifacts / "prepare/test/ids.npy")
    np.save(artifacts / "prepare/test/ids.npy", ids[::-1].copy())
    with pytest.raises(StorageError, match="of another dataset"):
        page_of(tmp_path)


def test_the_page_is_made_without_torch(digits):
    code = (
        "import sys; from pathlib import Path; from pipeline.report.page import rendered; "
        "from pipeline.schema.report import ReportConfig; "
        "rendered(Path(sys.argv[1]), ReportConfig(title='t', num_mistakes=1, samples=True), 15); "
        "assert not {'torch', 'pandas', 'sklearn', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(digits)], check=True)


def test_lost_workers_are_told(tmp_path):
    lost = {"time": "2026-11-24T05:00:00+00:00", "reason": "worker 2 has gone", "epoch": 3, "step": 7}
    rb.build(tmp_path, epochs=2, studies=False, num_workers=4, restarts=1, interruptions=[lost])
    _, _, page = page_of(tmp_path)
    text = " ".join(page.visible().split())
    assert "on cpu with 4 workers of 2 threads; interrupted and resumed once" in text
    assert "2026-11-24T05:00:00+00:00: worker 2 has gone; went on from epoch 4, step 7" in text


def test_what_belongs_to_other_data_is_said_at_the_top(tmp_path):
    artifacts = rb.build(tmp_path)
    path = artifacts / "evaluate" / "metrics.json"
    write_json(path, {**read_json(path), "dataset": "another"})
    html, _ = rendered(tmp_path, ReportConfig(title="A report", num_mistakes=4, samples=True), 15)
    text = re.sub(r"\s+", " ", html)
    assert "<h2>The test results belong to other data than what is prepared now.</h2>" in text
    assert text.index("belong to other data") < text.index('aria-label="Key numbers"')
    assert "None are shown: they are of other data than what is prepared." in text
    assert '<th scope="row">Test results, dataset</th><td><code>another</code></td>' in text


def test_predictions_of_other_classes_are_refused(tmp_path):
    artifacts = rb.build(tmp_path)
    path = artifacts / "prepare" / "dataset.json"
    manifest = read_json(path)
    write_json(path, {**manifest, "classes": manifest["classes"][::-1]})
    with pytest.raises(StorageError, match=r"its 10 classes are not the 10 of artifacts/prepare.*dvc repro evaluate"):
        rendered(tmp_path, ReportConfig(title="A report", num_mistakes=4, samples=True), 15)


def test_numbers_have_errors_instead_of_classes(tmp_path):
    rb.build(tmp_path, data=rb.ink(), task="number", epochs=20, studies=False)
    html, pictures, page = page_of(tmp_path)
    assert_safe(html, page)
    assert {"curves", "mae", "gap", "gradients", "predicted", "residuals"} <= pictures.keys()
    assert not {"accuracy", "calibration", "confusion"} & pictures.keys()
    scores = read_json(tmp_path / "artifacts" / "evaluate" / "metrics.json")
    said = page.visible("configuration")
    assert f"{scores['r2']:.3f}" in said
    assert "Too much by" in said
    assert all(name in said for name in ("Each number in its own unit", "ink", "right", "deviations"))
    assert not re.search(r"accuracy|class frequencies|confidence|nats|\bnan\b", said, re.IGNORECASE)
    assert 'href="#errors"' in html


def test_the_largest_errors_come_first(tmp_path):
    images, labels = rb.ink()
    rb.build(tmp_path, data=(images, labels[:, :1]), task="number", epochs=5, studies=False)
    _, _, page = page_of(tmp_path, num_mistakes=3)
    off = [float(part) for part in re.findall(r"off by ([\d.]+) deviations", page.visible())]
    assert len(off) == 3
    assert off == sorted(off, reverse=True)
    manifest = read_json(tmp_path / "artifacts" / "prepare" / "dataset.json")
    table = pq.read_table(tmp_path / "artifacts" / "evaluate" / "predictions.parquet")
    errors = np.abs(table["label"].to_numpy() - table["prediction"].to_numpy()) / manifest["target_fit"]["std"][0]
    assert off[0] == pytest.approx(errors.max(), rel=0.01)
    assert "Each number in its own unit" not in page.visible()


def test_a_training_that_predicts_something_else_is_told(tmp_path):
    rb.build(tmp_path, data=rb.ink(), task="number", epochs=2, studies=False)
    path = tmp_path / "artifacts" / "train" / "run.json"
    run = read_json(path)
    write_json(path, {**{k: v for k, v in run.items() if k != "best_val_mae"}, "best_val_accuracy": 0.5})
    with pytest.raises(StorageError, match=r"run.json: of a training that predicts something else .*dvc repro train"):
        page_of(tmp_path)
