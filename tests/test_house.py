"""The rules of the house: who may import whom, what may not be called, and what no committed file may name."""

import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A module imports its own package and what stands in an earlier row.
ORDER = [
    {"errors", "keyed", "closure", "metrics", "progress"},
    {"processes"},
    {"artifacts", "wording", "wandb_file"},
    {"extensions"},
    {"networks"},
    {"schema"},
    {"kinds", "evaluation", "mirror"},
    {"backbones"},
    {"model", "data", "tracking"},
    {"prepare", "runs", "baselines", "explanation", "export"},
    {"train", "prediction"},
    {"study", "report"},
    {"distributed"},
    {"stages"},
    {"config"},
    {"overrides"},
    {"commands"},
    {"cli"},
]
# The only importers of what is heavy, replaceable or can't be everywhere.
EDGES = {
    "wandb": {"tracking", "wandb_file"},
    "ray": {"distributed"},
    "pytorch_lightning": {"train"},
    "kornia": {"kinds"},
    "PIL": {"kinds"},
    "transformers": {"backbones"},
    "huggingface_hub": {"backbones"},
    "hydra": {"config", "overrides"},
    "dvc": {"commands"},
    "sklearn": {"prepare", "baselines"},
    "jinja2": {"report"},
    "aiohttp": {"prediction"},
    "prometheus_client": {"prediction"},
}
# Files that write otherwise than through artifacts.py: into a folder or file that is published whole, lines of a log, a copy
# to try.
WRITERS = {
    "backbones/hub.py",
    "commands/isolated.py",
    "commands/predict.py",
    "commands/verify.py",
    "data/features.py",
    "data/view_files.py",
    "overrides.py",
    "prediction/output.py",
    "prepare/writing.py",
    "stages/evaluate.py",
    "stages/study.py",
}
EXECUTING_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "runpy"}
EXECUTING_CALLS = {"eval", "exec", "compile", "__import__"}
EXECUTING_METHODS = {
    "torch.load",
    "torch.hub",
    "pandas.read_pickle",
    "pd.read_pickle",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
}


def modules():
    return sorted((ROOT / "pipeline").rglob("*.py"))


def name_of(file):
    """cli, model/net.py -> "cli", "model"."""
    return file.relative_to(ROOT / "pipeline").parts[0].removesuffix(".py")


def short(file):
    return file.relative_to(ROOT / "pipeline").as_posix()


@functools.cache
def tree(file):
    return ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def imports(node):
    """Full names of everything imported anywhere, inside functions too."""
    return tuple(_imports(node))


def _imports(node):
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)


@functools.cache
def at_load(file):
    return ast.Module([node for node in tree(file).body if isinstance(node, ast.Import | ast.ImportFrom)], [])


def rank(name):
    found = [i for i, row in enumerate(ORDER) if name in row]
    assert found, f"{name}: give it a place in ORDER"
    return found[0]


def dotted(node):
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else getattr(node, "id", "")


@functools.cache
def calls(file):
    return [node for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]


@functools.cache
def committed_text():
    """Name and text of every file that Git holds or would take."""
    return tuple(_committed_text())


def _committed_text():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" not in content:
            yield name, content.decode("utf-8")


def test_imports_point_one_way():
    wrong = []
    for file in modules():
        own = name_of(file)
        for target in imports(tree(file)):
            package, _, rest = target.partition(".")
            to = rest.split(".")[0]
            if package == "pipeline" and own != "__init__" and to and own != to and rank(to) >= rank(own):
                wrong.append(f"{short(file)} imports {target}")
    assert wrong == []


def test_what_the_page_says_of_runs_and_of_studies_knows_nothing_of_each_other():
    for one, other in (("run", "study"), ("study", "run")):
        for file in (ROOT / "pipeline" / "report" / one).rglob("*.py"):
            assert [name for name in imports(tree(file)) if name.startswith(f"pipeline.report.{other}")] == [], file


def test_what_composes_a_configuration_knows_no_studies():
    """Their checks are called from above (commands/checks.py)."""
    for name in ("config.py", "overrides.py"):
        found = imports(tree(ROOT / "pipeline" / name))
        assert [target for target in found if target.startswith("pipeline.study")] == [], name


def test_no_two_modules_need_each_other_to_load():
    files = {short(file).removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in modules()}
    graph = {}
    for name, file in files.items():
        targets = [target.removeprefix("pipeline.") for target in imports(at_load(file)) if target.startswith("pipeline.")]
        graph[name] = {module for target in targets for module in (target, target.rpartition(".")[0]) if module in files} - {
            name
        }

    def reaches_itself(start):
        seen, waiting = set(), list(graph[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(graph[name])
        return start in seen

    assert [name for name in graph if reaches_itself(name)] == []


@pytest.mark.parametrize("library", sorted(EDGES))
def test_library_stays_at_its_edge(library):
    importers = {name_of(file) for file in modules() for target in imports(tree(file)) if target.split(".")[0] == library}
    assert importers <= EDGES[library]


def test_nothing_outside_of_kinds_knows_what_a_sample_is():
    """Neither one kind's modules nor its words; what all know stands in `kinds` itself, beside the kinds' folders."""
    own = sorted(path.name for path in (ROOT / "pipeline" / "kinds").iterdir() if (path / "__init__.py").exists())
    assert own
    wrong = []
    for file in modules():
        if name_of(file) != "kinds" or file.parent.name == "kinds":
            names = {node.id for node in ast.walk(tree(file)) if isinstance(node, ast.Name)}
            names |= {node.attr for node in ast.walk(tree(file)) if isinstance(node, ast.Attribute)}
            wrong += [f"{short(file)}: {name}" for name in names if "pixel" in name.lower()]
            wrong += [f"{short(file)} imports {target}" for target in imports(tree(file)) if target.split(".")[2:3] != []
                      and target.startswith("pipeline.kinds.") and target.split(".")[2] in own]  # fmt: skip
    assert wrong == []


def test_networks_and_augmentation_know_no_configuration_of_training_and_no_trainer():
    allowed = {"model": set(), "kinds": {"augment", "data", "base"}}
    for package, sections in allowed.items():
        for file in (ROOT / "pipeline" / package).rglob("*.py"):
            schemas = {target.split(".")[2] for target in imports(tree(file)) if target.startswith("pipeline.schema.")}
            assert schemas <= sections, file


def test_light_modules_import_no_torch():
    light = {
        "cli.py",
        "config.py",
        "errors.py",
        "artifacts.py",
        "closure.py",
        "metrics.py",
        "progress.py",
        "stages/entry.py",
        "stages/prepare.py",
        "mirror.py",
        "tracking/process.py",
        "tracking/local_file.py",
    }
    light |= {short(file) for file in modules() if name_of(file) in ("schema", "data", "prepare", "runs", "commands")}
    light -= {"data/alone.py", "data/batches.py", "data/view_files.py"}
    for file in modules():
        if short(file) in light:
            heavy = {target.split(".")[0] for target in imports(at_load(file))} & {
                "torch",
                "pytorch_lightning",
                "ray",
                "wandb",
                "kornia",
            }
            assert heavy == set(), file


def test_nothing_that_data_or_configuration_contain_is_executed():
    for file in modules():
        assert {target.split(".")[0] for target in imports(tree(file))} & EXECUTING_MODULES == set(), file
        for call in calls(file):
            name = dotted(call.func)
            assert name not in EXECUTING_CALLS, f"{file}:{call.lineno}"
            assert not any(name == method or name.startswith(method + ".") for method in EXECUTING_METHODS), (
                f"{file}:{call.lineno}"
            )
            if name.endswith("import_module"):
                assert ast.unparse(call.args[0]).startswith("f'pipeline."), f"{file}:{call.lineno}: a name from outside"
            options = {keyword.arg: keyword.value for keyword in call.keywords}
            if name == "np.load":
                assert ast.unparse(options["allow_pickle"]) == "False", (
                    f"{file}:{call.lineno}: np.load without allow_pickle=False"
                )
            assert "shell" not in options, f"{file}:{call.lineno}: a shell"
    assert [name for name, text in committed_text() if name.startswith(("pipeline/", "conf/")) and "_target_" in text] == []


def test_files_are_written_by_artifacts_alone():
    writers = set()
    for file in modules():
        for call in calls(file):
            name = dotted(call.func).rpartition(".")[2]
            modes = [node.value for node in [*call.args, *(k.value for k in call.keywords)] if isinstance(node, ast.Constant)]
            opened = name == "open" and any(
                isinstance(mode, str) and re.fullmatch(r"[rwax]b?\+?b?", mode) and mode[0] != "r" for mode in modes
            )
            if (
                opened
                or name in ("write_text", "to_csv", "to_parquet", "write_table")
                or dotted(call.func) in ("np.save", "json.dump")
            ):
                writers.add(short(file))
    assert writers - {"artifacts.py"} <= WRITERS


def test_every_module_says_what_it_is():
    assert [short(file) for file in modules() if tree(file).body and not ast.get_docstring(tree(file))] == []


def test_no_committed_file_names_a_machine_or_a_registry():
    places = re.compile(r"(?<![\w.~$\-/})])/(?:home|root|Users|work|opt|mnt|srv)/\w")
    here = re.compile("|".join(re.escape(str(path)) for path in (ROOT, Path.home()) if len(path.parts) > 2) or "(?!)")
    registries = re.compile(r"https?://\S*(?:pypi|pythonhosted|npmjs|conda|debian|ubuntu)\S*")
    found = []
    for name, text in committed_text():
        patterns = (here, registries) if name.startswith("tests/") else (places, here, registries)
        found += [f"{name}: {match.group()}" for pattern in patterns if (match := pattern.search(text))]
    assert found == []


def test_results_are_those_of_the_rows(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.table import measured, page

    assert (ROOT / "RESULTS.md").read_text() == page(measured()), "make results"
