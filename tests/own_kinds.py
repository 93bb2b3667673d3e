"""An `extensions.py` for tests: series of numbers as a kind of data, in all four forms of rows, and networks for them."""

import math
from typing import Annotated, ClassVar

import numpy as np
import torch
from markupsafe import Markup
from pydantic import Field
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from pipeline import keyed
from pipeline.errors import DataError
from pipeline.kinds.kind import BadSampleError, Layout
from pipeline.kinds.ragged import Ragged
from pipeline.kinds.reading import Laid
from pipeline.schema.augment import AugmentConfig, Probability
from pipeline.schema.data import DataConfig

NOT_MEASURED = -999.0


class SeriesData(DataConfig):
    content_key = "series"
    series: str
    window: Annotated[int, Field(ge=2)] | None
    """Cut into windows of so many numbers, the last one shorter; null: a series is one row."""
    even: bool
    """Rows of one shape: filled up with zeros to the window or, without windows, to the longest."""


class SeriesPolicy(AugmentConfig):
    kind: ClassVar[str] = "series"
    scale: Probability = 0.0
    """A factor between 1 - scale and 1 + scale."""
    cut: Probability = 0.0
    """At most this share is cut off at the end, where rows may be of any length."""

    @property
    def active(self):
        return bool(self.strength and (self.scale or self.cut))


class Series:
    """Numbers, ragged or even, whole or in windows."""

    DATA, POLICY, VARIED, NUM_FACTS, NOUN = SeriesData, SeriesPolicy, ("data.window",), 2, "series"

    def max_bytes(self, data):
        return 10**6

    def described(self, facts, data):
        return [f"{facts[:, 0].min()} to {facts[:, 0].max()} numbers"]

    def inspect(self, content, data):
        if content.ndim != 1:
            raise BadSampleError("not one series of numbers")
        return len(content), 4 * len(content)

    def layout(self, facts, data, name):
        longest = int(facts[:, 0].max())
        shape = (data.window or longest,) if data.even else ()
        notes = [f"the longest of {len(facts)} series has {longest}"]
        return Laid(Layout(shape, np.dtype(np.float32), ragged=not data.even, windows=data.window is not None), notes)

    def decode(self, content, data, layout):
        values = content.astype(np.float32)
        values = values[values != NOT_MEASURED]
        step = data.window or max(1, len(values))
        rows = [values[at : at + step] for at in range(0, len(values), step)]
        if data.even:
            rows = [np.pad(row, (0, layout.shape[0] - len(row))) for row in rows]
        return rows if layout.windows else rows[0]

    def fit(self, rows, layout):
        values = np.concatenate([part.ravel() for part in rows]).astype(np.float64)
        return {"mean": float(values.mean()), "std": float(values.std()), "num": len(values)}, []

    def from_cell(self, array, data):
        return array

    def input_shape(self, fit, shape):
        return tuple(shape)

    def input_lengths(self, fit, lengths):
        return lengths

    def to_input(self, fit, shape, device):
        def cast(rows):
            if isinstance(rows, Ragged):
                return rows.with_items(cast(rows.items))
            return (rows.to(device, torch.float32) - fit["mean"]) / fit["std"]

        return cast

    def check_inputs(self, inputs, shape):
        items = inputs.items if isinstance(inputs, Ragged) else inputs
        if items.dtype != torch.float32 or tuple(items.shape[1:]) != shape:
            raise DataError(f"inputs of {items.dtype}, shape {tuple(items.shape)}: expected are float32 (B, *{shape})")

    def batch_views(self, stored, ids, numbers, policy, fit):
        draws = keyed.view_draws(policy.seed, ids, numbers, 2)
        factors = torch.from_numpy(1 + policy.scale * (2 * draws[:, 0] - 1)).float()
        if not isinstance(stored, Ragged):
            return stored * factors.view(-1, *[1] * (stored.dim() - 1))
        keep = 1 - policy.cut * draws[:, 1]
        rows = zip(stored.rows(), keep, factors, strict=True)
        return Ragged.of([row[: max(1, math.ceil(len(row) * share))] * factor for row, share, factor in rows])

    def engine_versions(self):
        return {"torch": torch.__version__}

    def check_policy(self, policy, shape):
        pass

    def advised(self, shape, policy):
        return [] if policy.active else [("Scale the series", {"augment.scale": 0.1})]

    def shown(self, row, fit, words):
        return Markup("<span>{} ({} numbers)</span>").format(words, row.size)

    def preview(self, examples, policy):
        return None


class SummedPolicy(SeriesPolicy):
    kind: ClassVar[str] = "summed"


class Summed(Series):
    """A network gets two numbers of a row, whatever its length: mean and slope."""

    POLICY = SummedPolicy

    def input_shape(self, fit, shape):
        return (2,)

    def input_lengths(self, fit, lengths):
        return None

    def to_input(self, fit, shape, device):
        def of(row):
            place = torch.arange(len(row), device=row.device) - (len(row) - 1) / 2
            return torch.stack([row.mean(), (row * place).sum() / (place**2).sum().clamp(min=1.0)])

        return lambda rows: torch.stack([of(row) for row in rows.rows()]).to(device)


class BesidePolicy(SeriesPolicy):
    kind: ClassVar[str] = "beside"


class Beside(Series):
    """Wrong on purpose: what a network gets of a row depends on those beside it."""

    POLICY = BesidePolicy

    def to_input(self, fit, shape, device):
        return lambda rows: rows.with_items(rows.items - rows.items.mean())


class RestlessPolicy(SeriesPolicy):
    kind: ClassVar[str] = "restless"


class Restless(Series):
    """Wrong on purpose: its views come from torch's own generator."""

    POLICY = RestlessPolicy

    def batch_views(self, stored, ids, numbers, policy, fit):
        return stored.with_items(stored.items * torch.rand(()))


class Pooled(nn.Module):
    """A small network of each number, and the mean over a row's own: nothing that a row is filled up with."""

    def __init__(self, shape, num_outputs, *, width=8, drop=0.1):
        super().__init__()
        self.first = nn.Linear(1, width)
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(drop)
        self.last = nn.Linear(width, num_outputs)

    def forward(self, x, lengths):
        hidden = torch.relu(self.first(x.unsqueeze(-1)))
        own = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        mean = (hidden * own.unsqueeze(-1)).sum(1) / lengths.unsqueeze(-1)
        return self.last(self.drop(self.norm(mean)))


class Recurrent(nn.Module):
    def __init__(self, shape, num_outputs, *, width=6):
        super().__init__()
        self.gru = nn.GRU(1, width, batch_first=True)
        self.last = nn.Linear(width, num_outputs)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x.unsqueeze(-1), lengths.cpu(), batch_first=True, enforce_sorted=False)
        return self.last(self.gru(packed)[1][0])


class Blind(nn.Module):
    """Takes what rows are filled up with for numbers of theirs."""

    def __init__(self, shape, num_outputs):
        super().__init__()
        self.last = nn.Linear(1, num_outputs)

    def forward(self, x, lengths):
        return self.last(x.mean(1, keepdim=True))


class OneShape(Blind):
    def forward(self, x):
        return self.last(x.mean(1, keepdim=True))


class Embedded(nn.Module):
    """Of tokens the mean of their vectors."""

    def __init__(self, shape, num_outputs, *, num_tokens, width=4):
        super().__init__()
        self.table = nn.Embedding(num_tokens, width)
        self.last = nn.Linear(width, num_outputs)

    def forward(self, x, lengths):
        own = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        return self.last((self.table(x) * own.unsqueeze(-1)).sum(1) / lengths.unsqueeze(-1))


KINDS = {"series": Series(), "half": object(), "summed": Summed(), "beside": Beside(), "restless": Restless()}
MODELS = {"pooled": Pooled, "recurrent": Recurrent, "blind": Blind, "one_shape": OneShape, "embedded": Embedded}
