"""What the image and compose.yaml promise: read off their files here, and off a built image where one can be built."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.cli import parsed
from pipeline.schema.cluster import ClusterConfig

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
PIP = {"PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"}
SECRET = re.compile(r"(?<!auth_)token(?!_path|_file)|password|secret|api_?key|credential", re.IGNORECASE)
TARGETS = ("cpu", "cuda")


def instructions():
    """(stage, its parent, [(word, rest)]) for every stage, and the arguments before the first one."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    before, stages = {}, {}
    for line in filter(str.strip, text.splitlines()):
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            parent, _, name = rest.partition(" AS ")
            stages[name] = (parent, [])
            last = stages[name][1]
        elif stages:
            last.append((word, " ".join(rest.split())))
        else:
            name, _, value = rest.partition("=")
            before[name] = value
    return before, stages


def lineage(target):
    """All instructions that make a target, without those of the stages that it only copies from."""
    _, stages = instructions()
    parent, own = stages[target]
    return (lineage(parent) if parent in stages else []) + own


def values(target, word):
    return [rest for own, rest in lineage(target) if own == word]


def compose(**environment):
    """compose.yaml with its variables filled in."""

    def filled(match):
        name, kind, rest = match.groups()
        return environment.get(name, rest if kind == ":-" else f"<{name}>")

    return yaml.safe_load(re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", filled, (DOCKER / "compose.yaml").read_text()))


SERVICES = compose()["services"]


def test_every_base_has_an_explicit_version():
    before, stages = instructions()
    bases = {parent for parent, _ in stages.values()} - set(stages)
    assert bases == {"python:${PYTHON}"}
    assert re.fullmatch(r"3\.1[123](\.\d+)?-slim-[a-z]+", before["PYTHON"])


@pytest.mark.parametrize("target", TARGETS)
def test_target_is_not_root_and_starts_with_an_init(target):
    assert values(target, "USER") == ["${UID}:${UID}"]
    assert int(next(rest for rest in values(target, "ARG") if rest.startswith("UID=")).removeprefix("UID=")) >= 1000
    assert shlex.split(values(target, "ENTRYPOINT")[-1].strip("[]").replace(",", " "))[0] == "tini"
    assert "tini" in shlex.split(next(rest for rest in values(target, "RUN") if "apt-get install" in rest))


@pytest.mark.parametrize("target", TARGETS)
def test_target_has_no_secrets_no_pip_arguments_and_no_build_tools(target):
    told = [rest for word in ("ARG", "ENV", "LABEL") for rest in values(target, word)]
    assert [rest for rest in told if SECRET.search(rest.replace("RAY_AUTH_MODE=token", ""))] == []
    assert {rest.partition("=")[0] for rest in values(target, "ARG")} & PIP == set()
    installed = [word for rest in values(target, "RUN") if "apt-get install" in rest for word in shlex.split(rest)]
    assert not {"gcc", "g++", "make", "build-essential", "curl", "wget"} & set(installed)
    assert not any("pip install" in rest for rest in values(target, "RUN"))


def test_targets_differ_in_torch_alone():
    found = [[(word, rest.replace(f"build-{target}", "build")) for word, rest in lineage(target)] for target in TARGETS]
    assert found[0] == found[1]
    own = re.compile("torch|cuda|requirements.lock", re.IGNORECASE)
    built = [[line for line in lineage(f"build-{target}") if not own.search(line[1])] for target in TARGETS]
    assert built[0] == built[1]


def test_dependencies_are_those_of_the_locks_by_their_hashes():
    files = {"cpu": ["-cpu", "-build", ""], "cuda": ["-build", "", "-cuda"]}
    for target in TARGETS:
        runs = values(f"build-{target}", "RUN")
        installs = [shlex.split(rest) for rest in runs if "pip install" in rest]
        assert all({"--require-hashes", "--no-deps"} <= set(words) for words in installs)
        named = [word for words in installs for word in words if word.endswith(".lock")]
        assert named == [f"/requirements{kind}.lock" for kind in files[target]]
        assert "--no-build-isolation" in installs[-1]
        assert runs[-1] == "python -m pip check"


def test_the_image_has_all_code_but_what_is_of_the_work_on_it():
    copied = {source for rest in values("project", "COPY") for source in rest.split()[:-1]}
    code = {path.parent.name for path in ROOT.glob("[a-z]*/*.py")}
    assert code - copied == {"tests", "benchmarks", "docker", "dependencies"}


def test_the_build_takes_what_it_copies_and_nothing_else():
    _, stages = instructions()
    copied = {
        source
        for _, own in stages.values()
        for word, rest in own
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    first, *lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
    assert {name.split("/")[0] for name in copied} & {".git", ".venv", "artifacts", "data", "runs", "tests"} == set()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_service_is_closed(name):
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["init"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert {"ports", "privileged", "user", "cap_add", "network_mode", "pid", "ipc"} & set(one) == set()
    assert [entry.split(":")[0] for entry in one["tmpfs"]] == ["/tmp"]
    assert one["shm_size"]
    assert one["networks"] == ["cluster"]
    assert one["volumes"] == ["project:/project"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_service_is_authenticated_by_a_file_that_the_image_does_not_have(name):
    one = SERVICES[name]
    assert one["environment"]["RAY_AUTH_MODE"] == "token"
    assert one["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/token"
    assert one["secrets"] == ["token"]
    assert compose()["secrets"] == {"token": {"file": "<REGATTA_TOKEN_FILE>"}}
    assert not any(SECRET.search(key) for key in one["environment"])


def test_the_network_has_no_way_out_and_the_dashboard_stays_inside():
    file = compose()
    assert file["networks"]["cluster"]["internal"] is True
    commands = {name: shlex.split(one["command"]) for name, one in file["services"].items()}
    assert [name for name, words in commands.items() if "--head" in words] == ["head"]
    assert "--dashboard-host=127.0.0.1" in commands["head"]
    assert not any("dashboard-host=0" in word for words in commands.values() for word in words)


def test_the_driver_asks_for_the_workers_that_are_started():
    file = compose(REGATTA_WORKERS="3")
    program, *words = shlex.split(file["services"]["driver"]["command"])
    assert program == "regatta"
    given = dict(word.split("=", 1) for word in parsed(words).overrides)
    assert given.pop("cluster") == "ray"
    assert {key.removeprefix("cluster.") for key in given} <= set(ClusterConfig.model_fields)
    assert given["cluster.workers"] == str(file["services"]["worker"]["deploy"]["replicas"]) == "3"
    port = next(word for word in shlex.split(file["services"]["head"]["command"]) if word.startswith("--port="))
    address = f"head:{port.removeprefix('--port=')}"
    assert given["cluster.address"] == address
    assert f"--address={address}" in shlex.split(file["services"]["worker"]["command"])
    joined = shlex.split(file["services"]["driver"]["environment"]["REGATTA_JOIN"])
    assert {f"--address={address}", "--num-cpus=0"} <= set(joined)


@pytest.mark.parametrize("gigabytes", ["2", "30"])
def test_objects_fit_into_shared_memory(gigabytes):
    for one in compose(REGATTA_OBJECTS_GB=gigabytes)["services"].values():
        words = shlex.split(one["command"]) + shlex.split(one["environment"].get("REGATTA_JOIN", ""))
        [limit] = [int(word.partition("=")[2]) for word in words if word.startswith("--object-store-memory=")]
        assert limit <= int(one["shm_size"].removesuffix("gb")) * 2**30
        assert limit == int(gigabytes) * 10**9


def enter(folder, *words, code=0):
    """Run a command as the image's entrypoint does; its output."""
    done = subprocess.run(
        ["sh", DOCKER / "entrypoint.sh", *words], cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_an_empty_folder_becomes_a_project_without_git(tmp_path):
    assert enter(tmp_path, "echo", "a b") == "a b\n"
    assert (tmp_path / "pipeline").resolve() == ROOT / "pipeline"
    assert not (tmp_path / ".git").exists()
    assert [path.name for path in (tmp_path / "hydra_plugins").iterdir()] == ["references_only.py"]
    assert "params.yaml" in enter(tmp_path, sys.executable, "-m", "pipeline.cli", "compose")
    assert "prepare" in enter(tmp_path, sys.executable, "-m", "dvc", "status")


def test_a_project_keeps_what_is_its_own_and_follows_the_image(tmp_path):
    enter(tmp_path, "true")
    mine = {"conf/overrides.yaml": "# mine\n", "params.yaml": "# mine\n", "conf/study/mine.yaml": "definitions: {}\n"}
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "dvc.yaml").write_text("# of an older image\n")
    (tmp_path / "pipeline").unlink()
    (tmp_path / "pipeline").symlink_to("/older/pipeline")
    enter(tmp_path, "true")
    assert {name: (tmp_path / name).read_text() for name in mine} == mine
    assert (tmp_path / "dvc.yaml").read_text() == (ROOT / "dvc.yaml").read_text()
    assert (tmp_path / "pipeline").resolve() == ROOT / "pipeline"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    enter(tmp_path, "true")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_mounted_clone_is_left_alone(project):
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    enter(project, "true")
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


def test_a_node_of_the_cluster_needs_no_project_and_exit_codes_pass(tmp_path):
    (tmp_path / "ray").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "ray").chmod(0o755)
    folder = tmp_path / "empty"
    folder.mkdir()
    done = subprocess.run(
        ["sh", DOCKER / "entrypoint.sh", "ray", "start"], cwd=folder, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False,
    )  # fmt: skip
    assert done.returncode == 7
    assert list(folder.iterdir()) == []
    enter(folder, "sh", "-c", "exit 3", code=3)


def rehearsal():
    """docker/rehearse.py as a module."""
    spec = importlib.util.spec_from_file_location("rehearse", DOCKER / "rehearse.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["rehearse"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_image_builds_and_runs_as_promised():
    if lacking := rehearsal().missing():
        pytest.skip(f"docker/rehearse.py {lacking}")
    done = subprocess.run([sys.executable, DOCKER / "rehearse.py"], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything holds" in done.stdout
