"""Rows of tables: numbers, categories and dates, told apart by what all cells of a column say."""
