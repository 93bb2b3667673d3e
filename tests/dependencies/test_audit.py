"""What `make audit` makes of pip-audit's answers."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load():
    spec = importlib.util.spec_from_file_location("audit", ROOT / "dependencies" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


AUDIT = load()
DISKCACHE = {
    "name": "diskcache",
    "version": "5.6.3",
    "vulns": [{"id": "GHSA-w8v5-vhqr-4h9v", "aliases": ["CVE-2025-69872"], "fix_versions": []}],
}
OTHER = {"name": "other", "version": "1.0", "vulns": [{"id": "CVE-1", "aliases": [], "fix_versions": ["1.1"]}]}
ACCEPTED = AUDIT.read_accepted((ROOT / AUDIT.ACCEPTED).read_text())


def judged(*dependencies, accepted=ACCEPTED):
    return AUDIT.judged(AUDIT.found_in({"dependencies": list(dependencies)}), accepted)


def test_every_exception_has_a_reason_and_its_package_is_locked():
    text = "".join(
        (ROOT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock", "requirements-cuda.lock")
    )
    assert ("diskcache", "CVE-2025-69872") in ACCEPTED
    assert all(len(reason) > 100 and f"\n{package}==" in text for (package, _), reason in ACCEPTED.items())


def test_an_accepted_one_passes_with_its_reason_by_any_of_its_names():
    [line], code = judged(DISKCACHE)
    assert code == 0
    assert line.startswith("diskcache 5.6.3: GHSA-w8v5-vhqr-4h9v: accepted: DVC keeps hashes")


def test_another_one_is_an_error_that_says_what_mends_it():
    lines, code = judged(DISKCACHE, OTHER)
    assert code == 1
    assert lines[1] == "other 1.0: CVE-1: mended in 1.1: make lock UPGRADE=1, or give a reason in dependencies/accepted.toml"
    assert judged(DISKCACHE, accepted={})[1] == 1


def test_an_exception_that_nothing_needs_any_more_is_an_error():
    [line], code = judged({"name": "diskcache", "version": "6.0", "vulns": []})
    assert code == 1
    assert line == "diskcache: CVE-2025-69872 is no longer reported: take it out of dependencies/accepted.toml"


def test_a_package_that_was_passed_over_proves_nothing():
    skipped = {"name": "thing", "skip_reason": "not found"}
    with pytest.raises(AUDIT.NotAuditedError, match="1 of 2 packages could not be looked up, such as thing: not found"):
        AUDIT.found_in({"dependencies": [DISKCACHE, skipped]})


def test_no_answer_is_one_line(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import sys; sys.exit('a traceback\\nand its last line')\n")
    with pytest.raises(AUDIT.NotAuditedError, match=r"pip-audit got no answer \(and its last line\)"):
        AUDIT.asked([sys.executable, program])
    answer = {"dependencies": [DISKCACHE], "fixes": []}
    program.write_text(f"print({json.dumps(answer)!r})\n")
    assert AUDIT.asked([sys.executable, program]) == answer
