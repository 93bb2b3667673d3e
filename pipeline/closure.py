"""Which of our files a file imports, and a digest of what they say (comments, docstrings and positions aside)."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "pipeline"
SHOWN = (".css", ".html")
"""Files beside the modules of a package that they read: templates and styles."""


def import_closure(file: str, kind: str | None = None, root: Path | None = None) -> list[str]:
    """Paths, relative to the root and sorted, of our own modules that a file imports, directly or not, and the file itself.

    Imports inside functions count; those under `if TYPE_CHECKING` do not, since they never run. A module that is imported by
    the name of the data's kind is that of `kind`; None: those of all kinds. root: of this code unless given. A file of the
    user's own, no part of `pipeline`, is followed to what lies beside it, not into `pipeline`.
    """
    place, seen, waiting = root or ROOT, set[str](), [file]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_imported(name, place))
            waiting.extend(_imported_by_kind(name, kind or "*", place))
    return sorted(seen)


def stage_digest(stage: str, kind: str | None = None) -> str:
    """The code digest of a stage for a kind of data; None: for all kinds."""
    return code_digest(f"pipeline/stages/{stage}.py", kind)


@cache
def code_digest(file: str, kind: str | None = None, root: Path | None = None) -> str:
    """A 128-bit hex digest of a file's import closure: syntax trees, templates and styles."""
    hashed, place = hashlib.blake2b(digest_size=16), root or ROOT
    for name in import_closure(file, kind, place):
        hashed.update(f"{name}\n{_said(name, place)}\n".encode())
        for path in _shown_beside(place / name):
            hashed.update(f"{path.name}\n".encode() + path.read_bytes())
    return hashed.hexdigest()


def _shown_beside(file: Path) -> list[Path]:
    if file.name != "__init__.py":
        return []
    return sorted(path for path in file.parent.iterdir() if path.suffix in SHOWN)


@cache
def _said(name: str, root: Path) -> str:
    """What a file says: its syntax tree without docstrings, comments and positions."""
    return " ".join(_words(_tree(name, root)))


def _words(node: object) -> Iterator[str]:
    if isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            if value is not None and value != []:  # so that fields that only newer versions of Python know count nothing
                yield f"{name}="
                yield from _words(_undocumented(value) if name == "body" else value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for part in node:
            yield from _words(part)
        yield "]"
    else:
        yield repr(node)


def _undocumented(body: object) -> object:
    """A body without what stands in it as a bare constant: docstrings."""
    if not isinstance(body, list):
        return body
    return [part for part in body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]


@cache
def _tree(name: str, root: Path) -> ast.Module:
    return ast.parse((root / name).read_text(encoding="utf-8"))


@cache
def _imported(name: str, root: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in _running_nodes(_tree(name, root)):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = _package(name, node.level) + ([node.module] if node.module else [])
            found.append(".".join(above))
            found.extend(".".join([*above, alias.name]) for alias in node.names)
    ours = _top(name) == PACKAGE
    followed = [module for module in found if module and (module.split(".")[0] == PACKAGE) == ours]
    return tuple(file for module in followed for file in _files(module, root))


def _imported_by_kind(name: str, kind: str, root: Path) -> list[str]:
    """The files of `import_module(f"pipeline.kinds.{kind}.PART")`."""
    modules = [module.replace("{}", kind) for module in _named_by_kind(name, root)]
    found = [path for module in modules for path in root.glob(f"{module.replace('.', '/')}.py")]
    paths = [path.relative_to(root) for path in found]
    return [file.as_posix() for path in paths for file in (path, path.with_name("__init__.py")) if (root / file).is_file()]


@cache
def _named_by_kind(name: str, root: Path) -> tuple[str, ...]:
    calls = [node for node in _running_nodes(_tree(name, root)) if isinstance(node, ast.Call) and node.args]
    named = [call.args[0] for call in calls if ast.unparse(call.func).endswith("import_module")]
    texts = ["".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in text.values)
             for text in named if isinstance(text, ast.JoinedStr)]  # fmt: skip
    return tuple(text for text in texts if text.startswith("pipeline.kinds.{}"))


def _top(name: str) -> str:
    return Path(name).parts[0].removesuffix(".py")


def _package(name: str, level: int) -> list[str]:
    """The package that a relative import of so many dots begins at; none of an absolute one."""
    return list(Path(name).parts[:-level]) if level else []


def _files(module: str, root: Path) -> list[str]:
    parts = module.split(".")
    candidates = [Path(*parts).with_suffix(".py")]
    candidates += [Path(*parts[: i + 1], "__init__.py") for i in range(len(parts))]
    return [path.as_posix() for path in candidates if (root / path).is_file()]


def _running_nodes(node: ast.AST) -> list[ast.AST]:
    nodes: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            nodes.extend(n for branch in child.orelse for n in (branch, *_running_nodes(branch)))
        else:
            nodes.extend((child, *_running_nodes(child)))
    return nodes
