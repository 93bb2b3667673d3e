"""Words of tables: those that stand for no value, names of columns as they are said on the command line; words of a text."""

import re
import shlex

MISSING = ("na", "<na>", "#n/a", "nan", "none", "null", "n/a", "-", "?")


def stands_for_missing(text: str) -> bool:
    """Whether programs write this word where they know no value."""
    return text.casefold() in MISSING


COMMA = r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?([eE][+-]?\d+)?$"
"""A number with a comma before its decimals, and perhaps dots between thousands: 3,14 or 1.234,56."""
POINT = r"^[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?([eE][+-]?\d+)?$"
"""A number with a point before its decimals, and perhaps commas between thousands: 3.14 or 1,234.56."""
DECIMALS = {",": (COMMA, "."), ".": (POINT, ",")}
"""By the sign before decimals what numbers look like, and what may be between thousands."""


def is_number(text: str) -> bool:
    """Whether a text says a number, in any way that Python reads."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def quoted(name: str) -> str:
    """A column's name as it is written in a list on the command line: quoted where it could be read as something else."""
    plain = re.fullmatch(r"[A-Za-z_]\w*", name) and name.lower() not in ("true", "false", "null", "nan", "inf")
    return name if plain else "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"


def shell_word(text: str) -> str:
    """A text as one word to a shell, as people would write it."""
    return text if shlex.quote(text) == text else shlex.quote(text) if {*text} & {*'"$`!\\'} else f'"{text}"'


UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
"""As ranges of a regular expression, scripts without spaces between words: Thai, Lao, Burmese, Khmer, Kana, Han."""
_PAIR = re.compile(f"[{UNSPACED}]{{2}}")


def num_words(text: str) -> int:
    """Words of a text; of scripts without spaces, two characters are one."""
    return len(text.split()) + len(_PAIR.findall(text))
