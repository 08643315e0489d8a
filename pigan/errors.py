"""The error that a person reads: one line that says what, where and how to fix it."""


class PiganError(Exception):
    """Something the user can mend; the command line prints the message alone and exits with 1."""
