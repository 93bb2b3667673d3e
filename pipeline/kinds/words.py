"""Words that people and programs write where they know no value."""

MISSING = ("na", "<na>", "#n/a", "nan", "none", "null", "n/a", "-", "?")


def stands_for_missing(text: str) -> bool:
    """Whether programs write this word where they know no value."""
    return text.casefold() in MISSING
