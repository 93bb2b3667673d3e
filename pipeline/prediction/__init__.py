"""Answers of a trained network to what a user names: files, folders, tables, arrays, rows."""
