"""The errors a user can meet, and a stop. Each carries the exit code of its kind (see README)."""


class RegattaError(Exception):
    """A user's mistake or a broken environment: the message names the place, the value, what is allowed, what to do."""

    exit_code = 1


class ConfigError(RegattaError):
    """The configuration is wrong; nothing has run."""

    exit_code = 2


class DataError(RegattaError):
    """The data can't be used as given; the user's files are unchanged."""

    exit_code = 3


class NumericsError(RegattaError):
    """A loss or a weight is not finite; the best model so far is kept."""

    exit_code = 4


class StorageError(RegattaError):
    """A file is torn, missing or can't be written."""

    exit_code = 5


class BusyError(RegattaError):
    """Somebody else holds the run."""

    exit_code = 6


class Stopped(BaseException):
    """Somebody asked for a stop (SIGTERM, SIGHUP or Ctrl-C); what is worth keeping is saved, and the same command goes on.

    No Exception, for the reason that KeyboardInterrupt is none: a signal may come in the middle of anything, and code that
    takes an image for damaged, or a study for not yet ready, where an error comes up, is not to take a stop for that.
    """

    exit_code = 143


class Interrupted(Stopped):
    """Stopped so by Ctrl-C."""

    exit_code = 130


ENDS = (RegattaError, Stopped)
"""What ends a program with words and an exit code of its own."""
