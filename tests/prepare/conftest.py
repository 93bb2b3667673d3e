"""The way from a configuration to a dataset."""

from data_samples import build
from table_samples import build_table

__all__ = ["build", "build_table"]
