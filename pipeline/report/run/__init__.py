"""What the page says of a run: its records, figures, rules and verdict."""
