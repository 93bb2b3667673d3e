"""A user's callbacks and Lightning's profiler, by name: they see the run, what they log is kept, and no bit changes."""

import shutil
import textwrap

import pytest
from run_helpers import configs, identity_of, run, weights
from training_helpers import lane, training

from pipeline import artifacts, extensions
from pipeline.errors import ConfigError, Stopped
from pipeline.train.fit import RunKeeper
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.watching import watching

EXTENSIONS = '''
"""Callbacks that watch, and one that does not."""

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor


class Losses(Callback):
    def on_validation_end(self, trainer, module):
        trainer.logger.log_metrics({"seen": trainer.callback_metrics["val_loss"]}, trainer.global_step)


CALLBACKS = {"rates": LearningRateMonitor, "losses": Losses, "early": lambda: EarlyStopping("val_loss")}
'''
STEPS = 20
"""Of an epoch, in blocks of 16 and 4."""


@pytest.fixture(autouse=True)
def _own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def own(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / extensions.FILE).write_text(textwrap.dedent(EXTENSIONS))
    monkeypatch.setattr(extensions, "_unpacked", [folder])
    return folder


def logged(folder):
    return artifacts.read_jsonl(folder.logged)


def of(name, rows):
    return [(row["step"], row[name]) for row in rows if name in row]


@pytest.mark.usefixtures("own")
def test_callbacks_log_beside_the_records_and_change_no_bit(digits):
    bare, _ = run(digits)
    folder, _ = run(digits, train__seed=1)
    assert not folder.logged.exists()
    watched, _ = run(digits, train__seed=2, train__callbacks=["rates", "losses"])
    rows, records = logged(watched), artifacts.read_jsonl(watched.metrics)
    assert of("seen", rows) == [(STEPS * row["epoch"], pytest.approx(row["loss"])) for row in records if row["split"] == "val"]
    rates = of("lr-LaneOptimizer", rows)
    assert [step for step, _ in rates] == [0, 0, 16, 20, 20, 36, 40, 40, 56], "epochs and blocks begin"
    assert rates[3][1] == pytest.approx(2e-3), "the warm-up has ended with the first epoch"
    assert identity_of(bare) == identity_of(run(digits, train__callbacks=["losses"])[0]), "who watches is no part of a run"


@pytest.mark.usefixtures("own")
def test_a_run_that_goes_on_logs_each_step_once(digits, monkeypatch):
    words = {"train__callbacks": ["losses", "rates"], "train__epochs": 4}
    whole, _ = run(digits, train__seed=3, **words)
    expected = logged(whole)
    shown = RunKeeper.after_block

    def stops_once(self, trained):
        shown(self, trained)
        if trained.progress.epoch == 2:
            monkeypatch.setattr(RunKeeper, "after_block", shown)
            raise Stopped("as a signal would")

    shutil.rmtree(whole.path)
    monkeypatch.setattr(RunKeeper, "after_block", stops_once)
    with pytest.raises(Stopped):
        run(digits, train__seed=3, **words)
    again, _ = run(digits, train__seed=3, **words)
    assert again.read()["restarts"] == 1
    assert logged(again) == expected


@pytest.mark.usefixtures("own")
def test_a_longer_run_goes_on_with_all_that_the_shorter_one_logged(digits):
    words = {"train__callbacks": ["losses", "rates"], "train__schedule": "constant", "train__save_every_s": 1000.0}
    whole, _ = run(digits, train__seed=6, train__epochs=4, **words)
    expected = logged(whole)
    shutil.rmtree(whole.path)
    shorter, _ = run(digits, train__seed=6, train__epochs=2, **words)
    longer, _ = run(digits, train__seed=6, train__epochs=4, **words)
    assert longer.read()["continued_from"] == shorter.id
    assert logged(longer) == expected


@pytest.mark.usefixtures("own")
def test_names_are_checked_before_anything_runs(digits):
    with pytest.raises(
        ConfigError, match=r"callbacks has ratse: extensions\.CALLBACKS has rates, losses, early; did you mean rates\?"
    ):
        configs(train__callbacks=["ratse"])
    with pytest.raises(ConfigError, match=r"train\.callbacks: 'early'.*EarlyStopping would change the run.*train.early_stop=N"):
        run(digits, train__callbacks=["early"], train__seed=5)


def test_the_profiler_writes_its_table_to_the_runs_folder(digits):
    folder, _ = run(digits, train__profiler="simple", train__seed=4)
    (table,) = folder.path.glob("*profile*.txt")
    assert "run_training_epoch" in table.read_text()


def test_a_built_in_network_computes_in_full_precision(digits):
    with pytest.raises(ConfigError, match=r"train\.precision = 'bf16-mixed': a dnn computes in 32-true; say .*model=module"):
        run(digits, train__precision="bf16-mixed")


@pytest.mark.usefixtures("own_modules")
def test_a_module_in_bfloat16_has_other_bits_and_the_same_again(digits):
    module = {"model__arch": "module", "model__name": "cnn", "model__widths": [], "model__dropout": 0.0, "train__epochs": 2}
    full, _ = run(digits, **module)
    mixed, _ = run(digits, **module, train__precision="bf16-mixed")
    assert identity_of(full).run != identity_of(mixed).run
    first, second = weights(full), weights(mixed)
    assert first.keys() == second.keys()
    assert any((first[name] != second[name]).any() for name in first)
    shutil.rmtree(mixed.path)
    third = weights(run(digits, **module, train__precision="bf16-mixed")[0])
    assert all((second[name] == third[name]).all() for name in second)


def test_nobody_watches_where_nobody_is_named(digits):
    nobody = watching([], print)
    assert (nobody.callbacks, nobody.log, nobody.profiler) == ([], None, None)
    run_to_end(training(digits, [lane(0)], epochs=1), Keeper(), watching=nobody)


BROKEN = """
from pytorch_lightning import Callback


class Counts(Callback):
    def on_validation_end(self, trainer, module):
        if trainer.current_epoch == 1:
            self.counts = {}
            self.counts["epoch"] += 1


class Full(Callback):
    def on_train_start(self, trainer, module):
        raise MemoryError("no room")


CALLBACKS = {"counts": Counts, "full": Full, "unmade": lambda: Counts(1, 2)}
"""


def test_a_callback_that_raises_is_told_as_such(own, digits):
    (own / extensions.FILE).write_text(BROKEN)
    extensions._loaded.cache_clear()
    with pytest.raises(ConfigError) as told:
        run(digits, train__seed=4, train__callbacks=["counts"])
    assert str(told.value) == (
        "train.callbacks: 'counts' raised KeyError: 'epoch' (extensions.py, line 9); mend it, or leave it out: "
        "regatta run 'train.callbacks=[]'"
    )
    with pytest.raises(
        ConfigError, match=r"^train.callbacks: making 'unmade' raised TypeError: .* \(extensions.py, line 1\d\)$"
    ):
        run(digits, train__seed=4, train__callbacks=["unmade"])
    with pytest.raises(MemoryError):
        run(digits, train__seed=4, train__callbacks=["full"])


@pytest.mark.usefixtures("own")
def test_a_callback_that_comes_to_a_finished_run_has_nothing_to_watch(digits, capsys):
    folder, _ = run(digits, train__seed=5, train__callbacks=["losses"])
    capsys.readouterr()
    run(digits, train__seed=5, train__callbacks=["losses"])
    assert "nothing to watch" not in capsys.readouterr().out
    run(digits, train__seed=5, train__callbacks=["losses", "rates"])
    said = capsys.readouterr().out
    assert f"train: run {folder.id} is finished and taken as it is, so train.callbacks has nothing to watch (rates)" in said
