"""The error that a person reads: one line that says what, where and how to fix it."""


class PiganError(Exception):
    """Something the user can mend; the command line prints the message alone and exits with `code`."""

    code = 1


class UsageError(PiganError):
    """What the command line cannot do, or not so."""

    code = 2
