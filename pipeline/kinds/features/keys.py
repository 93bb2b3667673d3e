"""Features have no keys of their own: samples are read by those of their own kind."""

from pipeline.schema.augment import AugmentConfig
from pipeline.schema.data import DataConfig

DATA, POLICY = DataConfig, AugmentConfig
VARIED: tuple[str, ...] = ()
