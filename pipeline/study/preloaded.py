"""What the process loads that workers are forked from. Where it lacks memory for that it ends, which its starter tells."""

import os
import resource
import signal

from pipeline.errors import RegattaError
from pipeline.processes import die_with_parent, memory_limit_told, parent_process

LIMIT_S = 120
"""With a limit of memory: OpenBLAS waits for ever for what it does not get (seen at 700,000 kB)."""

die_with_parent(parent_process(), by=signal.SIGKILL)  # it hears of it by itself, but not while it loads
if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
    signal.alarm(LIMIT_S)
try:
    with memory_limit_told():
        import pipeline.study.pack  # noqa: F401
except RegattaError:
    os._exit(RegattaError.exit_code)
signal.alarm(0)
