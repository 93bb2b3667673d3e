"""Labelled data: sources, splits, the memory-mapped dataset."""
