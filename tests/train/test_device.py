import pytest
import torch

from pipeline.errors import ConfigError
from pipeline.train.device import chosen_device


def test_cuda_where_there_is_none_is_an_error():
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            chosen_device("cuda")
