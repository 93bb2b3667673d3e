"""The lock files: a hash for every file, nothing that pyproject.toml does not ask for, made by dependencies/lock.py."""

import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements-build.lock", "requirements.lock", "requirements-cuda.lock", "requirements-dev.lock"]
INCLUDED = {"requirements.lock": ["-r requirements-build.lock"], "requirements-dev.lock": ["-r requirements.lock"]}
PIN = re.compile(
    r"[a-z0-9][a-z0-9._-]*(\[[a-z,-]+\])?==[0-9][0-9a-z.]*"
    r"( ; \(?[a-z_]+ (==|!=|<|>=) '[^']+'\)?( (and|or) \(?[a-z_]+ (==|!=|<|>=) '[^']+'\)?)*)?"
)


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "dependencies" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOCK = load("lock")


def pins(name):
    """(line, hashes) of each pin, and the other lines that are not comments."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE).replace("\\\n", "")
    lines = [line.split("--hash=") for line in text.splitlines()]
    return [(line.strip(), [h.strip() for h in hashes]) for line, *hashes in lines if hashes], [
        line for line, *hashes in lines if not hashes
    ]


def names(name):
    return [re.split(r"[=\[]", line)[0] for line, _ in pins(name)[0]]


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_version_with_hashes(name):
    pinned, others = pins(name)
    assert others == INCLUDED.get(name, [])
    assert [line for line, _ in pinned if not PIN.fullmatch(line)] == []
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for _, hashes in pinned for digest in hashes)
    assert all(len(set(hashes)) == len(hashes) for _, hashes in pinned)


def test_what_a_cuda_build_of_torch_needs_is_apart():
    assert {"nvidia-cublas", "triton", "cuda-bindings"} <= set(names("requirements-cuda.lock"))
    assert {LOCK.place(name) for name in names("requirements-cuda.lock")} == {Path("requirements-cuda.lock")}
    assert all("sys_platform == 'linux'" in line for line, _ in pins("requirements-cuda.lock")[0])
    assert [name for name in names("requirements.lock") if LOCK.place(name) != Path("requirements.lock")] == []
    every = [name for lock in LOCKS for name in set(names(lock))]
    assert len(every) == len(set(every))


def test_torch_may_be_a_wheel_of_either_index_and_is_the_version_of_the_makefile():
    version = re.search(r"^TORCH := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    [hashes] = [hashes for line, hashes in pins("requirements.lock")[0] if line == f"torch=={version}"]
    [(line, own)], _ = pins("requirements-cpu.lock")
    assert line == f"torch=={version}+cpu"
    assert set(own) < set(hashes)
    told = re.search(r"^# (cp.*)$", (ROOT / "requirements-cpu.lock").read_text(), re.MULTILINE)[1].split(", ")
    assert told == [f"cp{v} {machine}" for v in (311, 312, 313) for machine in ("aarch64", "x86_64")]
    assert len(own) == len(told)


@pytest.mark.parametrize(("lock", "wanted"), [("requirements.lock", None), ("requirements-dev.lock", "dev")])
def test_lock_satisfies_the_project(lock, wanted):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = [Requirement(line) for line, _ in pins(lock)[0]]
    extras = project["optional-dependencies"]
    others = Requirement(extras["dev"][0]).extras
    assert others == {"audio", "backbones", "export", "tokenizers"}
    own = [*extras["dev"][1:], *(line for name in others for line in extras[name])]
    listed = own if wanted else project["dependencies"]
    for requirement in map(Requirement, listed):
        name = requirement.name.lower().replace("_", "-")
        versions = [str(pin.specifier).removeprefix("==") for pin in pinned if pin.name == name]
        assert versions, f"{requirement} is not in {lock}: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: {lock} has {versions}"


def test_a_lock_is_read_as_pins_with_their_hashes_and_refused_without():
    text = "a==1 ; python_version < '3' \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\nb[x]==2 \\\n    --hash=sha256:3\n"
    found = LOCK.entries(text)
    assert list(found) == ["a==1 ; python_version < '3'", "b[x]==2"]
    assert "".join(found.values()) == text
    assert LOCK.with_hashes(found["b[x]==2"], ["0"]).splitlines()[1:] == [
        "b[x]==2 \\", "    --hash=sha256:0 \\", "    --hash=sha256:3",
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="without a hash"):
        LOCK.entries("a==1\n")


def test_a_list_of_cpu_builds_of_another_version_is_refused():
    with pytest.raises(SystemExit, match=r"holds torch==2[0-9.]*\+cpu, not torch==9\.9\.9\+cpu"):
        LOCK.cpu_hashes("9.9.9")


def make_wheel(folder, note):
    """A wheel of one module, whose bytes depend on the note."""
    path = folder / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("thing.py", f"# {note}\n")
        wheel.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        wheel.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("thing-1.0.dist-info/RECORD", "thing.py,,\n")
    return path


def test_make_installs_the_file_with_the_hash_and_no_other(tmp_path):
    """With pip as the Makefile calls it: what was locked goes in, another file of the same name and version does not."""
    import hashlib

    words = re.search(r"^INSTALL := \.venv/bin/pip (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    digest = hashlib.sha256(make_wheel(tmp_path, "as locked").read_bytes()).hexdigest()
    (tmp_path / "some.lock").write_text(f"thing==1.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{digest}\n")
    command = [sys.executable, "-m", "pip", *words, "--no-index", "--find-links", tmp_path, "--target", tmp_path / "there"]

    def install():
        return subprocess.run([*command, "-r", tmp_path / "some.lock"], capture_output=True, text=True, check=False)

    assert install().returncode == 0
    assert (tmp_path / "there/thing.py").read_text() == "# as locked\n"
    make_wheel(tmp_path, "replaced")
    done = install()
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert (tmp_path / "there/thing.py").read_text() == "# as locked\n"
    (tmp_path / "some.lock").write_text("thing==1.0\n")
    assert "--hash=sha256:" in install().stderr
