"""Results of runs that are known already: in `runs/cells`, and in the tables of a study that was pulled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline import artifacts
from pipeline.errors import StorageError
from pipeline.runs.identity import Identity
from pipeline.study.result import Result
from pipeline.study.tables import results_of


def known_results(
    names: Sequence[Identity], test: bool, tables: Path | None, accept_code: bool
) -> tuple[dict[str, Result], set[str]]:
    """Results by the hash of the run that is wanted, and the hashes of those that older code computed (--accept-code)."""
    pulled = pulled_results(tables)
    known: dict[str, Result] = {}
    accepted = set()
    for own in names:
        result = stored_result(own.run, pulled)
        if result is not None and usable(result, test):
            known[own.run] = result
    if accept_code and len(known) < len(names):
        older = {result.without_code: result for result in [*_all_stored(), *pulled.values()] if usable(result, test)}
        for own in names:
            if own.run not in known and own.without_code in older:
                known[own.run] = older[own.without_code]
                accepted.add(own.run)
    return known, accepted


def usable(result: Result, test: bool) -> bool:
    """Whether a result has all that is asked for, and says which samples it was judged on (older ones do not)."""
    return result.val_samples is not None and (not test or "test_loss" in result.metrics)


def pulled_results(tables: Path | None) -> dict[str, Result]:
    """The results that a study's tables hold; none where there are no tables, which is said where they can't be read."""
    if tables is None or not (tables / "cells.parquet").exists():
        return {}
    try:
        return results_of(tables / "cells.parquet", tables / "curves.parquet")
    except StorageError as error:
        print(f"study: {error}; what they hold is computed again", flush=True)
        return {}


def keep_pulled_results(tables: Path) -> int:
    """Store the results that a study's tables hold and `runs/cells` lacks; how many there are."""
    results = pulled_results(tables)
    if results:
        artifacts.make_dir(artifacts.cells_root())
    for name, result in results.items():
        if not place(name).exists():
            artifacts.write_json(place(name), result.to_json())
    return len(results)


def place(name: str) -> Path:
    """The file of a run's result."""
    return artifacts.cells_root() / f"{name}.json"


def stored_result(name: str, tables: Mapping[str, Result], tell: bool = True) -> Result | None:
    """The result of a run's hash, from the tables where it has no file; tell: say it where a file can't be read."""
    if not place(name).exists():
        return tables.get(name)
    try:
        return Result.from_json(artifacts.read_json(place(name)))
    except StorageError as error:
        if tell:
            print(f"study: {error}; this run is computed again", flush=True)
        return None


def _all_stored() -> list[Result]:
    """Every stored result, oldest first."""
    files = sorted(artifacts.cells_root().glob("*.json"), key=lambda file: file.stat().st_mtime)
    return [result for file in files if (result := stored_result(file.stem, {})) and result.without_code]
