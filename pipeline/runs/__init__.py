"""A run: what it is, its folder, its records, and how it is found again."""
