"""Tables as datasets."""

from table_samples import build_table

__all__ = ["build_table"]
