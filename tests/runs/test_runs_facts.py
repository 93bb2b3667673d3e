import os
import subprocess

import pytest

from pipeline.runs.facts import commit


def test_no_commit_outside_of_git(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert commit() is None
    assert capsys.readouterr().out == ""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    return tmp_path


def test_the_commit_and_whether_there_is_more(repository):
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert commit() == head
    (repository / "a").write_text("a")
    subprocess.run(["git", "add", "a"], check=True)
    assert commit() == f"{head}+"


def test_a_folder_of_another_user_is_said_to_be_one(repository, monkeypatch, capsys):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert commit() is None
    said = capsys.readouterr().out
    assert said.startswith("Git refuses this folder, since it belongs to another user, so no commit is recorded")
    assert said.rstrip().endswith(f"git config --global --add safe.directory {repository}")
