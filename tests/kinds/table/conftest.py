"""The way from a table to a dataset."""

from table_samples import build_table

__all__ = ["build_table"]
