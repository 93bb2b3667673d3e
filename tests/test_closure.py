"""Import closures and code digests."""

from pathlib import Path

import pytest

from pipeline import closure


@pytest.fixture
def tree(tmp_path, monkeypatch):
    files = {
        "pipeline/__init__.py": "",
        "pipeline/a.py": "from pipeline.b import f\nif TYPE_CHECKING:\n    import pipeline.never\n",
        "pipeline/b.py": '"""Doc."""\ndef f(x):\n    """Doc."""\n    from pipeline.sub import late\n    return x + 1\n',
        "pipeline/never.py": "",
        "pipeline/other.py": "",
        "pipeline/sub/page.html": "<p>",
        "pipeline/sub/.page.html.swp": "",
        "pipeline/sub/__init__.py": "",
        "pipeline/sub/late.py": "import pipeline.a\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(closure, "ROOT", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget():
    closure._read.cache_clear()
    closure._files.cache_clear()
    closure.code_digest.cache_clear()


def test_a_closure_has_what_is_imported_even_late_but_not_for_types(tree):
    names = ["__init__.py", "a.py", "b.py", "sub/__init__.py", "sub/late.py"]
    assert closure.import_closure("pipeline/a.py") == [f"pipeline/{name}" for name in names]


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    pass\nexcept ValueError:\n    {}",
        "try:\n    pass\nfinally:\n    {}",
        "for i in range(2):\n    pass\nelse:\n    {}",
        "with open('x') as file:\n    {}",
        "match 1:\n    case 1:\n        {}",
        "if TYPE_CHECKING:\n    pass\nelse:\n    {}",
        "class A:\n    def f(self):\n        while True:\n            {}",
    ],
)
def test_an_import_counts_wherever_it_stands(tree, text):
    (tree / "pipeline/b.py").write_text(text.format("import pipeline.other\n"))
    forget()
    assert "pipeline/other.py" in closure.import_closure("pipeline/a.py")


def changed(path: Path, old: str, new: str) -> str:
    path.write_text(path.read_text().replace(old, new))
    forget()
    return closure.code_digest("pipeline/a.py")


def test_only_what_runs_counts(tree):
    before, b = closure.code_digest("pipeline/a.py"), tree / "pipeline/b.py"
    assert changed(b, "return x + 1", "return (x\n        + 1)  # a comment") == before
    assert changed(b, '"""Doc."""', '"""Another."""') == before
    assert changed(tree / "pipeline/other.py", "", "x = 1") == before
    assert changed(tree / "pipeline/sub/.page.html.swp", "", "x") == before
    assert changed(tree / "pipeline/sub/late.py", "import pipeline.a", "import pipeline.a\nx = 1") != before
    assert changed(b, "+ 1", "+ 2") != before


def test_templates_beside_what_is_imported_count(tree):
    before = closure.code_digest("pipeline/a.py")
    assert changed(tree / "pipeline/sub/page.html", "<p>", "<b>") != before


@pytest.mark.parametrize(
    ("one", "other"),
    [("f(1)", "f('1')"), ("f(None)", "f()"), ("f([])", "f()"), ("f(*a)", "f(a)"), ("x = ['a b']", "x = ['a', 'b']")],
)
def test_what_differs_has_another_digest(tree, one, other):
    path = tree / "pipeline/a.py"
    digests = set()
    for text in (one, other):
        path.write_text(text)
        forget()
        digests.add(closure.code_digest("pipeline/a.py"))
    assert len(digests) == 2
