"""Which of our files a file imports, and a digest of what they say (comments, docstrings and positions aside)."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def import_closure(file: str) -> list[str]:
    """Paths, relative to the root and sorted, of our own modules that a file imports, directly or not, and the file itself.

    Imports inside functions count; those under `if TYPE_CHECKING` do not, since they never run.
    """
    seen: set[str] = set()
    waiting = [file]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_imported(name))
    return sorted(seen)


@cache
def code_digest(file: str) -> str:
    """A 128-bit hex digest of the syntax trees of a file's import closure."""
    hashed = hashlib.blake2b(digest_size=16)
    for name in import_closure(file):
        hashed.update(f"{name}\n{ast.dump(_bare(_tree(name)))}\n".encode())
    return hashed.hexdigest()


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


@cache
def _imported(name: str) -> tuple[str, ...]:
    found: list[str] = []
    for node in _running_nodes(_tree(name)):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.append(node.module)
            found.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(file for module in found if module.split(".")[0] == "pipeline" for file in _files(module))


def _files(module: str) -> list[str]:
    parts = module.split(".")
    candidates = [Path(*parts).with_suffix(".py")]
    candidates += [Path(*parts[: i + 1], "__init__.py") for i in range(len(parts))]
    return [path.as_posix() for path in candidates if (ROOT / path).is_file()]


def _running_nodes(node: ast.AST) -> list[ast.AST]:
    nodes: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            nodes.extend(n for branch in child.orelse for n in (branch, *_running_nodes(branch)))
        else:
            nodes.extend((child, *_running_nodes(child)))
    return nodes


def _bare(tree: ast.Module) -> ast.Module:
    """A copy without docstrings; ast.dump leaves out comments and positions by itself."""
    tree = ast.parse(ast.unparse(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))] or [
                ast.Pass()
            ]
    return tree
