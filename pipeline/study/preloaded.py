"""What the process loads that workers are forked from. Where it lacks memory for that it ends, which its starter tells."""

import os

from pipeline.errors import RegattaError
from pipeline.processes import memory_limit_told

try:
    with memory_limit_told():
        import pipeline.study.pack  # noqa: F401
except RegattaError:
    os._exit(RegattaError.exit_code)
