"""Training on rows of different lengths and on samples that own windows: a kind of the user's own, in all four forms."""

import os
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from run_helpers import configs
from series_samples import OFF, OWN, built, drawn, install, numbers, policy, spec_for, write_series
from training_helpers import equal, gone_on, interrupted, lane, program, train_one_epoch, train_to_end, untimed

from pipeline import extensions, keyed
from pipeline.data.dataset import open_dataset
from pipeline.data.views import open_views, write_view_folder
from pipeline.errors import ConfigError
from pipeline.kinds.ragged import Ragged
from pipeline.model.losses import probabilities
from pipeline.train.program import program_of
from pipeline.train.training import Training
from pipeline.train.tree import Team
from pipeline.train.trial import MadeUp

CPU = torch.device("cpu")
USED = {"epochs": 2, "batch_size": 40, "shards": 4, "loss": "sigmoid", "warmup_epochs": 0.0}


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    """The same series in each form."""
    folder = tmp_path_factory.mktemp("series")
    install(folder / "own")
    table = write_series(folder / "series.parquet")
    try:
        yield {
            form: built(table, folder / form.replace(" ", "-"), form)
            for form in ("ragged windows", "ragged", "windows", "plain")
        }
    finally:
        extensions._unpacked.pop()


def trained_on(data, lanes=None, views=OFF, module="pooled", team=None, **changes):
    lanes = lanes or [lane(0)]
    if module:
        spec = spec_for(data, module)
        own = replace(program(**USED | changes), spec=spec)
    else:
        own = program(input_shape=tuple(data.manifest.shape), num_outputs=1, widths=(8,), **USED | changes)
    every = views if isinstance(views, list) else [views] * len(lanes)
    return Training(own, lanes, data, every, CPU, team)


@pytest.mark.parametrize("module", ["pooled", "recurrent"])
def test_it_resumes_exactly_at_any_step(forms, module):
    data, views = forms["ragged windows"], drawn()
    whole = train_to_end(trained_on(data, views=views, module=module))
    for after in random.Random(0).sample(range(1, 2 * whole.steps_per_epoch), 4):
        torch.manual_seed(after)
        first, second = (trained_on(data, views=views, module=module) for _ in range(2))
        assert equal(whole, 0, gone_on(interrupted(first, after), second)), after


def _worker(rank, size, port, folder, own, out, tests):
    sys.path.insert(0, tests)
    extensions._unpacked.append(Path(own))
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=size)
    trained = train_to_end(trained_on(open_dataset(Path(folder)), views=drawn(), team=Team(rank, size)))
    rows = [untimed(rows) for rows in trained.rows]
    torch.save({"flat": trained.net.flat, "best": trained.best.flat, "rows": rows}, f"{out}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_workers_give_the_bits_of_one(forms, tmp_path, request, size):
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.set_num_threads(1)
    data = forms["ragged windows"]
    alone = train_to_end(trained_on(data, views=drawn()))
    (tmp_path / extensions.FILE).write_bytes(OWN.read_bytes())
    port, tests = 30500 + (os.getpid() + 400 * size) % 1000, str(Path(__file__).parents[1])
    mp.spawn(_worker, (size, port, str(data.path), str(tmp_path), str(tmp_path), tests), nprocs=size)
    for rank in range(size):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert torch.equal(found["flat"], alone.net.flat)
        assert torch.equal(found["best"], alone.best.flat)
        assert found["rows"] == [untimed(rows) for rows in alone.rows]


@pytest.mark.parametrize("form", ["ragged windows", "ragged", "windows"])
def test_stored_views_are_those_that_are_drawn(forms, tmp_path, form):
    """And copies that are on disk alone are read to the same bits."""
    data, own = forms[form], policy(views=3)
    write_view_folder(data, own, tmp_path, CPU)
    stored = open_views(tmp_path)
    module = "pooled" if data.manifest.lengths else None
    from_disk, from_draws = (trained_on(data, views=views, module=module) for views in (stored, drawn()))
    train, ragged = data.split("train"), data.manifest.lengths is not None
    assert len(stored.arrays[0]) == int(train.num_rows.sum())
    [one] = from_draws.batches.stocks
    owners = np.repeat(np.arange(len(train)), train.num_rows)
    ids = train.row_ids(owners, np.arange(len(owners)))
    batch = one.source.inputs.take(np.arange(len(owners))[::-1].copy())
    views = extensions.registered_objects("KINDS")["series"].batch_views(batch, ids[::-1], np.full(len(ids), 2), own, {})
    inputs = from_disk.batches.stocks[0].source.inputs
    again = inputs.take(2 * len(owners) + np.arange(len(owners))[::-1])
    assert torch.equal(*((each.items if ragged else each) for each in (views, again)))
    assert not ragged or views.lengths.tolist() == again.lengths.tolist() != batch.lengths.tolist()
    mapped = trained_on(data, views=stored, module=module)
    mapped.batches.stocks[0].source.inputs.resident, mapped.batches.stocks[0].source.inputs._values = False, None
    assert equal(train_to_end(from_disk), 0, train_to_end(mapped))


def test_each_epoch_shows_one_window_of_every_sample_drawn_by_seed_and_epoch(forms):
    data = forms["ragged windows"]
    trained, train = trained_on(data, [lane(7)], limit=60), data.split("train")
    stock = trained.batches.stocks[0]
    plans = [trained.batches._plan(stock, {7: trained.batches.order(7, epoch)}, epoch) for epoch in (0, 1)]
    for epoch, plan in enumerate(plans):
        samples = trained.batches.samples[plan.orders[0]]
        assert sorted(samples.tolist()) == sorted(trained.batches.samples.tolist())
        windows = plan.rows[0] - train.first_rows[samples]
        assert (windows == keyed.which_window(7, train.ids[samples], epoch, train.num_rows[samples])).all()
        assert (windows < train.num_rows[samples]).all()
    assert set(plans[0].rows[0].tolist()) != set(plans[1].rows[0].tolist())
    block = trained.batches.of_epoch(1)(range(1))
    assert isinstance(block.inputs, Ragged)
    first = train.offsets[plans[1].rows[0, 0]]
    expected = trained.to_input(torch.from_numpy(np.array(train.inputs[first : train.offsets[plans[1].rows[0, 0] + 1]])))
    assert torch.equal(block.inputs.rows()[0], expected)
    assert block.targets.labels[0, 0] == int(train.labels[trained.batches.samples[plans[1].orders[0, 0]]])


def test_a_shard_is_filled_up_to_its_own_longest_row(forms):
    trained = trained_on(forms["ragged"])
    block = trained.batches.of_epoch(0)(range(1))
    widths = set()
    for a, b in ((0, 10), (10, 20), (20, 30), (30, 40)):
        inputs, targets = block.shard(0, a, b)
        padded, lengths = inputs.padded()
        assert padded.shape == (10, int(lengths.max()))
        assert targets.labels.shape == (1, 10)
        widths.add(padded.shape[1])
    assert len(widths) > 1


@pytest.mark.parametrize("form", ["ragged windows", "ragged", "windows", "plain"])
def test_samples_are_judged_by_the_mean_answer_of_their_rows(forms, form):
    data = forms[form]
    trained = trained_on(data, module="pooled" if data.manifest.lengths else None)
    train_one_epoch(trained)
    [found], val, losses, right = trained.evaluate("val"), data.split("val"), [], []
    for i in range(len(val)):
        rows = val.rows_of(np.array([i]))
        stored = val.stored.taken(rows)
        answers = []
        for j in range(len(rows)):
            items = stored.values[stored.offsets[j] : stored.offsets[j + 1]] if stored.offsets is not None else stored.values[j]
            x = torch.from_numpy(items)
            own = Ragged.of([x]) if data.manifest.lengths else x[None]
            inputs = trained.to_input(own)
            logits = trained.net.forward(inputs if isinstance(inputs, Ragged) else inputs[None])
            answers.append(probabilities("sigmoid", "single", logits[0, 0]))
        mean = torch.stack(answers).double().mean(0)
        losses.append(-float(mean[int(val.labels[i])].log()))
        right.append(int(mean.argmax()) == val.labels[i])
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert found["accuracy"] == np.mean(right)
    assert len(val) == data.manifest.counts["val"]


def test_a_run_of_a_stack_sees_its_own_windows_and_equals_the_run_alone(forms):
    data = forms["windows"]
    lanes = [lane(0), lane(1), lane(0, learning_rate=0.01), lane(2, dropout=0.4)]
    views = [OFF, drawn(), drawn(), OFF]
    together = train_to_end(trained_on(data, lanes, views, module=None))
    for k, own in enumerate(lanes):
        assert equal(together, k, train_to_end(trained_on(data, [own], [views[k]], module=None))), k


def test_a_number_of_a_sample_is_the_mean_of_its_windows_answers_in_its_own_unit(forms, tmp_path):
    values = [numbers(i) for i in range(120)]
    labels = [300.0 + 40.0 * float(np.mean(own)) for own in values]
    pq.write_table(pa.table({"series": values, "label": labels}), tmp_path / "series.parquet")
    data = built(tmp_path / "series.parquet", tmp_path / "data", "ragged windows", target="number")
    assert (data.manifest.task, data.manifest.windows) == ("number", [1, 2, 4])
    module = {"model__arch": "module", "model__name": "pooled", "model__widths": [], "model__dropout": 0.0}
    own, its_lane = program_of(*configs(**module, train__batch_size=20, train__epochs=8), data.manifest)
    trained = train_to_end(Training(own, [its_lane], data, [drawn()], CPU))
    first, last = (next(row for row in rows if row["split"] == "val") for rows in (trained.rows[0], trained.rows[0][::-1]))
    assert last["mae"] < 0.8 * first["mae"]
    val, errors = data.split("val"), []
    for i in range(len(val)):
        rows = trained.held_out["val"].source.inputs.take(val.rows_of(np.array([i])))
        outputs = trained.net.forward(trained.to_input(rows))[0].double().mean(0)
        errors.append(abs(own.scale.in_units(outputs.numpy()[None])[0, 0] - val.labels[i]))
    assert last["mae"] == pytest.approx(np.mean(errors), rel=1e-4)


def test_a_trial_is_made_of_rows_like_those_of_the_data(forms):
    for form, data in forms.items():
        made = MadeUp(data.manifest, {"train": 90}).split("train")
        for own, spread in ((made.stored.lengths, data.manifest.lengths), (made.num_rows, data.manifest.windows)):
            least, median, most = spread or (1, 1, 1)
            assert least <= own.min() <= own.max() <= most, form
            assert abs(np.median(own) - median) <= 0.25 * (most - least), form
        assert made.inputs.shape[1:] == tuple(data.manifest.shape)
        assert made.inputs.dtype == np.float32


def test_inputs_of_one_shape_made_of_ragged_rows_suit_a_stack(forms, tmp_path):
    data = built(write_series(tmp_path / "series.parquet", 120), tmp_path / "data", "ragged windows", kind="summed")
    assert data.manifest.lengths == [1, 8, 8]
    lanes = [lane(0), lane(1), lane(2)]
    own = program(input_shape=(2,), num_outputs=1, widths=(8,), **USED)
    together, alone = (train_to_end(Training(own, some, data, [OFF] * len(some), CPU)) for some in (lanes, lanes[1:2]))
    assert equal(together, 1, alone)
    assert program_of(*configs(train__batch_size=20, train__mixup=0.2), data.manifest)[0].spec.input_shape == (2,)
    with pytest.raises(ConfigError, match=r"train.mixup = 0.2: rows of different lengths can't be mixed; say train.mixup=0"):
        program_of(*configs(train__batch_size=20, train__mixup=0.2), forms["ragged windows"].manifest)


@pytest.mark.parametrize(("form", "module"), [("ragged windows", "recurrent"), ("plain", None)])
def test_it_learns_whether_a_series_rises_or_falls(forms, form, module):
    trained = train_to_end(
        trained_on(forms[form], [lane(0, learning_rate=0.03, dropout=0.0)], module=module, epochs=15, shards=1)
    )
    assert trained.progress.best[0]["accuracy"] > 0.85


def test_all_samples_count_whatever_they_own(forms):
    for data in forms.values():
        assert sum(data.manifest.counts.values()) == 200
    ids = [np.sort(data.split("val").ids).tolist() for data in forms.values()]
    assert all(own == ids[0] for own in ids), "splits and ids are those of samples"
    wins = forms["ragged windows"].manifest
    assert (wins.lengths, wins.windows) == ([1, 8, 8], [1, 2, 4])
    assert (forms["ragged"].manifest.lengths, forms["ragged"].manifest.windows) == ([3, 16, 29], None)
    assert (forms["windows"].manifest.lengths, forms["windows"].manifest.shape) == (None, [8])
    assert (forms["plain"].manifest.windows, forms["plain"].manifest.shape) == (None, [29])
