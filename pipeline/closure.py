"""Which of our files a file imports, and a digest of what they say (comments, docstrings and positions aside)."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

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
            waiting.extend(_read(name, place).imported)
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
        hashed.update(f"{name}\n{_read(name, place).said}\n".encode())
        for path in _shown_beside(place / name):
            hashed.update(f"{path.name}\n".encode() + path.read_bytes())
    return hashed.hexdigest()


def _shown_beside(file: Path) -> list[Path]:
    if file.name != "__init__.py":
        return []
    return sorted(path for path in file.parent.iterdir() if path.suffix in SHOWN)


class _File(NamedTuple):
    """What is asked of a file. Its syntax tree is not kept: the collector of garbage would look through all of them."""

    said: str
    """Its syntax tree without docstrings, comments and positions."""
    imported: tuple[str, ...]
    """Our own modules that it names."""
    by_kind: tuple[str, ...]
    """What it imports by the name of the data's kind, which is left out as `{}`."""


@cache
def _read(name: str, root: Path) -> _File:
    text = (root / name).read_text(encoding="utf-8")
    tree, words = ast.parse(text), list[str]()
    _say(tree, words)
    by_kind = _named_by_kind(tree) if "import_module" in text else ()
    return _File(" ".join(words), _imported(tree, name, root), by_kind)


def _say(node: object, words: list[str]) -> None:
    """Add what a node says. A list that grows takes a fifth of the time of generators within each other."""
    if isinstance(node, ast.AST):
        words.append(f"{type(node).__name__}(")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != []:  # so that fields that only newer versions of Python know count nothing
                words.append(f"{name}=")
                _say(_undocumented(value) if name == "body" else value, words)
        words.append(")")
    elif isinstance(node, list):
        words.append("[")
        for part in node:
            _say(part, words)
        words.append("]")
    else:
        words.append(repr(node))


def _undocumented(body: object) -> object:
    """A body without what stands in it as a bare constant: docstrings."""
    if not isinstance(body, list):
        return body
    return [part for part in body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]


def _imported(tree: ast.Module, name: str, root: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in _running(tree):
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
    modules = [module.replace("{}", kind) for module in _read(name, root).by_kind]
    found = [path for module in modules for path in root.glob(f"{module.replace('.', '/')}.py")]
    paths = [path.relative_to(root) for path in found]
    return [file.as_posix() for path in paths for file in (path, path.with_name("__init__.py")) if (root / file).is_file()]


def _named_by_kind(tree: ast.Module) -> tuple[str, ...]:
    nodes = _running(tree, ast.iter_child_nodes)
    calls = [node for node in nodes if isinstance(node, ast.Call) and node.args]
    named = [call.args[0] for call in calls if ast.unparse(call.func).endswith("import_module")]
    texts = ["".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in text.values)
             for text in named if isinstance(text, ast.JoinedStr)]  # fmt: skip
    return tuple(text for text in texts if text.startswith("pipeline.kinds.{}"))


def _top(name: str) -> str:
    return Path(name).parts[0].removesuffix(".py")


def _package(name: str, level: int) -> list[str]:
    """The package that a relative import of so many dots begins at; none of an absolute one."""
    return list(Path(name).parts[:-level]) if level else []


@cache
def _files(module: str, root: Path) -> list[str]:
    parts = module.split(".")
    candidates = [Path(*parts).with_suffix(".py")]
    candidates += [Path(*parts[: i + 1], "__init__.py") for i in range(len(parts))]
    return [path.as_posix() for path in candidates if (root / path).is_file()]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements right below one, with the branches of `try` and `match`."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        yield from getattr(node, name, ())


def _running(node: ast.AST, below: Callable[[ast.AST], Iterable[ast.AST]] = _statements) -> Iterator[ast.AST]:
    """All nodes below one but those that never run: what `if TYPE_CHECKING` holds."""
    waiting = [*below(node)]
    while waiting:
        child = waiting.pop()
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            waiting += child.orelse
        else:
            yield child
            waiting += below(child)
