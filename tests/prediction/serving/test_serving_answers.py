"""Over HTTP a network says what `predict` says, number by number."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import encoded, picture
from PIL import Image
from published import Case, published
from served import WAIT_S, serving

from pipeline.artifacts import file_digest, load_tensors, read_json, save_tensors, weights_digest, write_json
from pipeline.model.members import joined_weights
from pipeline.prediction.model import Model, Predicted


def numbers_of(body: dict[str, Any], model: Model) -> np.ndarray:
    """(n, classes) float32, or (n, targets) float64, as the answers say them."""
    if model.predictor.task == "number":
        return np.array([[answer["numbers"][name] for name in model.targets] for answer in body["answers"]])
    rows = [{one["class"]: one["probability"] for one in answer["classes"]} for answer in body["answers"]]
    return np.array([[row[name] for name in model.classes] for row in rows], np.float32)


def assert_same(body: dict[str, Any], known: Predicted, model: Model) -> None:
    """To the last bit."""
    values = known.probabilities if known.numbers is None else known.numbers
    assert values is not None
    assert numbers_of(body, model).tobytes() == values.tobytes()
    assert body["problems"] == []
    assert body["unseen"] == known.unseen
    if known.numbers is None:
        assert [answer["prediction"] for answer in body["answers"]] == known.predictions


@pytest.mark.parametrize("kind", ["digits", "photos"])
def test_pictures(kind: str, made: Callable[[str], Case]) -> None:
    case = made(kind)
    model, files = Model.load(case.model), pictures(case, kind)
    with serving(case.model) as ask:
        alone = ask.files((files[0].name, files[0].read_bytes()))
        assert_same(alone.body, model.predict(files[0]), model)
        together = ask.files(*[(path.name, path.read_bytes()) for path in files])
        assert_same(together.body, model.predict(files), model)
        assert [answer["input"] for answer in together.body["answers"]] == [path.name for path in files]
        stored = np.array(case.data.split("val").inputs[:5])
        assert_same(ask.json({"arrays": stored.tolist()}).body, model.predict(stored), model)
        first = ask.json({"arrays": stored[:1].tolist()}, "?top=1").body["answers"][0]
        assert len(first["classes"]) == 1
        assert first["classes"][0]["class"] == first["prediction"]


def pictures(case: Case, kind: str) -> list[Path]:
    """Three files that such a network may be asked about."""
    if kind == "photos":
        return sorted(case.source.rglob("*.png"))[:3]
    own = [case.source / f"{i}.png" for i in range(3)]
    for path, pixels in zip(own, case.data.split("test").inputs[:3], strict=True):
        path.write_bytes(encoded(Image.fromarray(np.array(pixels[0]))))
    return own


def test_an_answer_does_not_depend_on_who_else_asks(made: Callable[[str], Case]) -> None:
    case = made("digits")
    model, digits = Model.load(case.model), np.array(case.data.split("val").inputs[:8])
    found: dict[int, list[str]] = {i: [] for i in range(len(digits))}
    with serving(case.model) as ask:

        def repeat(i: int) -> None:
            found[i] += [ask.json({"arrays": digits[i : i + 1].tolist()}).text for _ in range(4)]

        threads = [threading.Thread(target=repeat, args=(i,)) for i in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
    for i, said in found.items():
        assert len(said) == 4
        assert len({*said}) == 1
        assert_same(json.loads(said[0]), model.predict(digits[i : i + 1]), model)


def test_rows(made: Callable[[str], Case]) -> None:
    case = made("rows")
    model = Model.load(case.model)
    lines = case.source.read_text().splitlines()
    names = lines[0].split(",")
    rows: list[dict[str, Any]] = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:6]]
    rows[1]["city"] = None
    rows[2]["city"] = "Atlantis"
    with pytest.warns(UserWarning, match="Atlantis"):
        known = model.predict(rows)
    with serving(case.model) as ask:
        said = ask.json({"rows": rows})
        assert_same(said.body, known, model)
        assert said.body["unseen"] == 1
        table = ask.files(("people.csv", case.source.read_bytes()))
        assert_same(table.body, model.predict(case.source), model)
        assert [answer["input"] for answer in table.body["answers"]][:2] == ["people.csv:2", "people.csv:3"]
        asked = ask("GET", "/schema").body
        assert [column["name"] for column in asked["columns"]] == ["age", "city", "joined"]
        assert ask.json(asked["example"]["json"]).body["unseen"] == 0


def test_several_networks_are_told_in_the_schema(made: Callable[[str], Case], tmp_path: Path) -> None:
    folder = made("rows").model
    described, (weights, about) = read_json(folder / "model.json"), load_tensors(folder / "best.safetensors")
    save_tensors(tmp_path / "best.safetensors", dict(joined_weights([weights, weights])), about)
    digest = file_digest(tmp_path / "best.safetensors")
    write_json(tmp_path / "model.json", {**described, "members": [{"id": "a"}, {"id": "b"}], "weights_sha256": digest})
    with serving(folder) as one, serving(tmp_path) as two:
        alone, both = (ask("GET", "/schema").body["model"] for ask in (one, two))
    assert (alone["members"], alone["mirrored"], both["members"]) == (1, False, 2)
    assert both["num_parameters"] == 2 * alone["num_parameters"]


def test_numbers(made: Callable[[str], Case]) -> None:
    case = made("a number")
    model, row = Model.load(case.model), {"area": 3.5, "rooms": 2, "town": "Bern"}
    with serving(case.model) as ask:
        assert_same(ask.json({"rows": [row]}).body, model.predict([row]), model)
        assert ask("GET", "/schema").body["targets"] == ["label"]


def test_texts(made: Callable[[str], Case], tmp_path: Path) -> None:
    case = made("texts")
    model, texts = Model.load(case.model), ["a fine story", "dull and far too long, \u00e9t\u00e9"]
    alone = tmp_path / "one.txt"
    alone.write_text(texts[0])
    with serving(case.model) as ask:
        assert_same(ask.json({"texts": texts}).body, model.predict(texts), model)
        assert_same(ask.files(("one.txt", alone.read_bytes())).body, model.predict(alone), model)
        table = ask.files(("texts.jsonl", case.source.read_bytes()))
        assert_same(table.body, model.predict(case.source), model)


def test_sounds(made: Callable[[str], Case]) -> None:
    case = made("sounds")
    model, file = Model.load(case.model), sorted(case.source.rglob("*.wav"))[0]
    with serving(case.model) as ask:
        assert_same(ask.files((file.name, file.read_bytes())).body, model.predict(file), model)
        said = ask.json({"arrays": [[0.0]]})
        assert (said.status, said.error["field"]) == (415, "Content-Type")
        assert "max_seconds" in ask("GET", "/schema").body["limits"]


def test_several_labels(made: Callable[[str], Case]) -> None:
    case = made("several labels in Parquet")
    model, content = Model.load(case.model), encoded(picture(4))
    with serving(case.model) as ask:
        said = ask.files(("four.png", content)).body
    assert_same(said, next(model.content("four.png", content)), model)
    assert sum(one["probability"] for one in said["answers"][0]["classes"]) != pytest.approx(1.0)


def test_the_threshold_and_the_temperature_that_were_chosen(made: Callable[[str], Case], tmp_path: Path) -> None:
    case = made("photos")
    own = tmp_path / "train"
    shutil.copytree(case.model, own)
    stored = np.array(case.data.split("val").inputs)
    plain = Model.load(case.model).predict(stored)
    assert plain.probabilities is not None
    cut = {"threshold": float(np.median(plain.probabilities[:, 1])), "kept": True, "open_above": None, "open_to": None}
    decision = {
        "format": 1, "rule": "f1", "temperature": None, "fitted_temperature": 2.0, "task": "single",
        "weights_sha256": weights_digest(own), "classes": case.data.manifest.classes, "cuts": [cut], "shares": None,
        "least_confidence": None,
    }  # fmt: skip
    (own / "decision.json").write_text(json.dumps(decision))
    model = Model.load(own)
    with serving(own) as ask:
        schema = ask("GET", "/schema").body
        assert (schema["rule"], schema["calibrated"]) == ("f1", True)
        body = {"arrays": stored.tolist()}
        assert_same(ask.json(body, "?calibrated=true").body, model.predict(stored, calibrated=True), model)
        said = ask.json(body).body
    assert_same(said, model.predict(stored), model)
    assert [answer["prediction"] for answer in said["answers"]] != plain.predictions


@pytest.mark.parametrize("form", ["plain", "ragged"])
def test_kinds_of_somebodys_own(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = published(f"own kind, {form}", tmp_path, monkeypatch)
    model, stored = Model.load(case.model), [np.array(row) for row in case.data.split("val").inputs[:3]]
    with serving(case.model) as ask:
        schema, said = ask("GET", "/schema").body, ask.json({"arrays": [row.tolist() for row in stored]})
    assert schema["kind"] == model.predictor.kind
    assert schema["columns"] == []
    if form == "ragged":
        assert (schema["takes"]["json"], said.status) == (None, 415)
        return
    assert_same(said.body, model.predict(np.stack(stored)), model)


def test_what_can_not_be_read_is_told_and_the_rest_goes_on(made: Callable[[str], Case]) -> None:
    case = made("photos")
    good = sorted(case.source.rglob("*.png"))[0].read_bytes()
    with serving(case.model) as ask:
        said = ask.files(("bad.png", b"none"), ("../../cut.png", good[:60]), ("a.png", good), ("", b"x"), ("empty.png", b""))
        assert said.status == 200
        assert [answer["input"] for answer in said.body["answers"]] == ["a.png"]
        told = {one["input"]: one["reason"] for one in said.body["problems"]}
        assert told["bad.png"] == told["file"] == "not an image of a format that can be read"
        assert told["empty.png"] == "empty file"
        assert set(told) == {"bad.png", "cut.png", "file", "empty.png"}
        assert ask.files(("bad.png", b"none")).status == 422
        text = ask("GET", "/metrics").text
    assert "regatta_answers_total 1.0" in text
    assert "regatta_problems_total 5.0" in text
    assert 'regatta_requests_total{status="422"} 1.0' in text
    assert "regatta_latency_seconds_count 2.0" in text
    assert "regatta_queue 0.0" in text


def test_a_list_of_images_is_no_way_to_files_of_the_server(made: Callable[[str], Case], tmp_path: Path) -> None:
    """`predict` reads what a table names; what somebody has sent names nothing."""
    case = made("photos")
    secret = sorted(case.source.rglob("*.png"))[0]
    for name in ("list.csv", "list.jsonl", "list.parquet", "list.png"):
        with serving(case.model) as ask:
            said = ask.files((name, f"image\n{secret}\n".encode()))
        assert said.status == 422
        assert said.body["problems"] == [{"input": name, "reason": "not an image of a format that can be read"}]


def test_no_place_of_the_server_is_told(made: Callable[[str], Case]) -> None:
    case = made("rows")
    bodies = (b"", b"age,city\n30,Oslo\n", b"\xff\xfe\x00", b'age,city,joined\n1,"a,b\n', b"age,city,joined\nold,x,y\n")
    with serving(case.model) as ask:
        said = [ask.files(("t.csv", body)) for body in bodies] + [ask("GET", "/schema"), ask("GET", "/"), ask("GET", "/none")]
    assert [one.status for one in said] == [422] * 5 + [200, 200, 404]
    for one in said:
        for place in ("/tmp", "regatta-", "upload", str(Path.cwd()), str(Path.home())):
            assert place not in one.text, one.text


def test_the_schema_says_what_the_network_is(made: Callable[[str], Case]) -> None:
    case = made("photos")
    with serving(case.model) as ask:
        said = ask("GET", "/schema").body
        assert said["example"]["json"] == {"arrays": [[[[0] * 6] * 6] * 3]}
        assert ask.json(said["example"]["json"]).body["answers"][0]["prediction"] in said["classes"]
    run = json.loads((case.model / "run.json").read_text())
    assert said["model"]["monitor"]["value"] == run["best_monitored"]
    assert said["model"]["monitor"]["words"] == "validation loss"
    assert (said["kind"], said["classes"], said["shape"]) == ("image", ["cat", "dog"], [3, 6, 6])
    assert said["limits"]["max_pixels"] == 10**6
    assert said["takes"] == {"json": "arrays", "files": True, "tables": []}
    assert said["example"]["command"].startswith("curl -F file=@FILE http://127.0.0.1:")
