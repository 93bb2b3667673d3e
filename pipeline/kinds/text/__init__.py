"""Texts: stored as UTF-8, taken by networks as n-grams of words and characters."""
