"""The time that a study takes: nothing before there is a basis, then the jobs' own pace over the cores that they share."""

from pathlib import Path

import pytest
from study_project import definition, make_project, planned_study

from pipeline import artifacts
from pipeline.data.dataset import open_dataset
from pipeline.progress import Pace
from pipeline.study.forecast import Forecast, makespan, tried
from pipeline.study.schedule import StudyDisplay

WIDTHS = {"small": {"model.widths": [8]}, "large": {"model.widths": [512, 512]}, "batch": {"train.batch_size": 16}}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("study")
        make_project(folder)
        patch.chdir(folder)
        patch.delenv("REGATTA_RUNS", raising=False)
        yield planned_study(definition(WIDTHS, seeds=2)).jobs


def gone(share, seconds, first=0.0):
    """A pace that began so long ago and has come so far."""
    pace = Pace(lambda: 1000.0)
    pace.first, pace.done, pace.seen = (1000.0 - seconds, first), share, 1000.0
    return pace


def test_whoever_is_free_first_takes_the_longest_that_waits():
    assert makespan([3.0, 1.0], []) == 3.0
    assert makespan([3.0, 1.0], [2.0]) == 3.0
    assert makespan([0.0, 0.0], [4.0, 3.0, 3.0]) == 6.0
    assert makespan([5.0], [1.0, 2.0]) == 8.0


def test_nothing_is_told_before_there_is_a_basis(jobs):
    assert Forecast().left([(jobs[0], Pace())], jobs[1:]) is None
    assert Forecast().left([(jobs[0], gone(0.1, 0.5))], jobs[1:]) is None
    assert Forecast().left([], jobs) is None


def test_jobs_at_work_tell_their_own_rest(jobs):
    assert Forecast().left([(jobs[0], gone(0.5, 10)), (jobs[1], gone(0.75, 30))], []) == pytest.approx(10.0)
    assert Forecast().left([(jobs[0], gone(0.6, 10, first=0.1))], []) == pytest.approx(8.0), "from its first sign on"


def test_jobs_that_wait_take_as_long_as_their_work_says(jobs):
    left = Forecast().left([(jobs[0], gone(0.5, 10))], jobs[1:3])
    assert left == pytest.approx(10 + 20 * (jobs[1].work + jobs[2].work) / jobs[0].work)


def test_jobs_that_have_ended_are_a_basis_however_short_they_were_and_so_is_what_they_took_to_start(jobs):
    found = Forecast()
    found.ended(jobs[0], gone(1.0, 0.5), started=900.0)
    assert found.start_s is None, "the first one waited for torch to be loaded"
    found.ended(jobs[0], gone(1.0, 0.5), started=999.5)
    found.ended(jobs[0], gone(1.0, 0.25), started=999.5)
    assert found.start_s == pytest.approx(0.0)
    found.start_s = 2.0
    each = (0.5 + 0.5 + 0.25) / 3
    assert found.left([(jobs[0], Pace())], [jobs[0]]) == pytest.approx(2 * each + 2.0)


def test_a_core_that_is_free_for_a_moment_counts(jobs):
    found = Forecast()
    both = [(jobs[0], gone(0.5, 10)), (jobs[0], gone(0.5, 10))]
    assert found.left(both, [jobs[0]] * 2) == pytest.approx(30.0)
    assert found.left(both[:1], [jobs[0]] * 2) == pytest.approx(30.0), "one of the two takes over at once"


def test_a_job_that_has_hardly_begun_goes_by_the_others_pace(jobs):
    found = Forecast()
    found.ended(jobs[0], gone(1.0, 20), started=0.0)
    assert found.left([(jobs[0], gone(0.05, 5))], []) == pytest.approx(0.95 * 25 / 1.05)


def test_the_work_of_a_job_goes_with_epochs_samples_and_shapes(jobs):
    by_name = {job.program.spec.widths: job for job in jobs if job.program.batch_size == 64}
    assert by_name[(512, 512)].work > by_name[(16,)].work > by_name[(8,)].work
    [batch, *_] = [job for job in jobs if job.program.batch_size == 16]
    assert batch.work > by_name[(16,)].work
    counts = open_dataset(Path(jobs[0].data_path)).manifest.counts
    assert {(job.num_train, job.num_val) for job in jobs} == {(counts["train"], counts["val"])}


def test_lines_tell_of_the_time_left_once_it_is_known(jobs, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.progress.LINE_EVERY_S", -1.0)
    display = StudyDisplay(jobs, 3)
    num = sum(len(job.cells) for job in jobs) + 3
    display.show([(jobs[0], Pace())], [])
    display.show([(jobs[0], gone(0.5, 10))], [])
    half = f"{3 + len(jobs[0].cells) / 2:.0f}"
    assert capsys.readouterr().out.splitlines() == [f"study: 3 of {num} runs", f"study: {half} of {num} runs, 10 s left"]


def test_a_plan_tries_every_kind_of_job_and_writes_nothing(jobs, tmp_path, monkeypatch):
    class Todo:
        workers = 2

    data = open_dataset(Path(jobs[0].data_path)).manifest
    monkeypatch.chdir(tmp_path)
    Todo.jobs = jobs
    assert tried(Todo(), data) > 0
    assert list(tmp_path.iterdir()) == []
    assert not list(artifacts.cells_root().glob("*"))
