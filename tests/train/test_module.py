"""How a training stops when asked, and what it shows."""

import os
import signal
import subprocess
import sys

import pytest
from training_helpers import lane, training

from pipeline.errors import Stopped
from pipeline.runs.display import EpochDisplay
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end


class StoppingKeeper(Keeper):
    """Asks for a stop at a step, as a user would."""

    def __init__(self, at, number):
        self.at, self.number, self.saved_at = at, number, []

    def save(self):
        self.saved_at.append(self.at.progress.step)

    def after_block(self, trained):
        if trained.progress.step == 16:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")])
def test_a_signal_stops_after_the_step_with_the_state_saved(digits, number, name):
    trained = training(digits, [lane(0)])
    keeper = StoppingKeeper(trained, number)
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=f"stopped by {name} in epoch 1 after step 16; the same command goes on"):
        run_to_end(trained, keeper)
    assert keeper.saved_at == [16]
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_ends_at_once():
    program = (
        "import os, signal, time\n"
        "from pipeline.train.stopping import StopRequest\n"
        "with StopRequest().listening():\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('once', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('twice', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "once\n")


def test_plain_lines_tell_of_the_first_and_the_last_epoch_and_the_log_of_all(digits, tmp_path, capsys):
    trained = training(digits, [lane(0)], epochs=4)
    display = EpochDisplay(tmp_path / "log.txt", trained.program.epochs, trained.steps_per_epoch, trained.progress, "val_loss")

    class Showing(Keeper):
        def after_block(self, trained):
            display.step(trained.progress)

        def after_epoch(self, trained):
            display.epoch(trained.progress, trained.latest_rows())

    run_to_end(trained, Showing())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["1/4", "4/4"]
    assert not any("left" in line for line in lines), "what takes no second gives no basis"
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 4


def test_a_long_epoch_is_not_silent(digits, tmp_path, capsys):
    trained = training(digits, [lane(0)])
    display = EpochDisplay(tmp_path / "log.txt", trained.program.epochs, trained.steps_per_epoch, trained.progress, "val_loss")
    display.shown.told -= 60
    trained.progress.step = 7
    display.step(trained.progress)
    display.step(trained.progress)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "epoch 1/3, step 7/20"


def test_lines_name_what_the_best_epoch_is_chosen_by_and_its_value(digits, tmp_path, capsys):
    trained = training(digits, [lane(0, monitor="val_macro_f1")], epochs=1)
    display = EpochDisplay(tmp_path / "log.txt", 1, trained.steps_per_epoch, trained.progress, "val_macro_f1")

    class Showing(Keeper):
        def after_epoch(self, trained):
            display.epoch(trained.progress, trained.latest_rows())

    run_to_end(trained, Showing())
    (line,) = capsys.readouterr().out.splitlines()
    assert f"  val macro_f1 {trained.progress.best[0]['macro_f1']:.4f}  best epoch 1 by val_macro_f1  " in line
