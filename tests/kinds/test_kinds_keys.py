"""What a kind needs installed is told by its keys."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import pytest
from sound_samples import audio_config

from pipeline.errors import ConfigError
from pipeline.kinds.audio.keys import INSTALL, AudioData
from pipeline.kinds.keys import check_installed


class Lacking(AudioData):
    needs: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"json": "the standard library has it", "no_module_of_this_name": INSTALL}
    )


def test_what_reading_needs_and_is_not_installed_is_told() -> None:
    data = audio_config(path="data/x")
    check_installed(data)
    with pytest.raises(ConfigError, match=r"^data=audio needs soundfile: say `pip install soundfile soxr`$"):
        check_installed(Lacking(**data.model_dump()))
