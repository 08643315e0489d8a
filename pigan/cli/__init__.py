"""The command line: one sub-command a stage, and the params they start from.

Heavy imports wait inside the commands, so that `pigan params` and `--help` answer at once.
"""

import os
import sys
import traceback

# in this order `pigan --help` lists them
from pigan.cli import (
    export,  # noqa: F401
    import_checkpoint,  # noqa: F401
    invert,  # noqa: F401
    mesh,  # noqa: F401
    render,  # noqa: F401
    stages,  # noqa: F401
    status,  # noqa: F401
    tools,  # noqa: F401
    video,  # noqa: F401
    view,  # noqa: F401
)
from pigan.cli.options import app
from pigan.errors import PiganError

__all__ = ["app", "main"]


def main() -> None:
    """Runs the command line; errors that the user can mend are one line."""
    spin_for_a_moment()
    try:
        app()
    except PiganError as error:
        _fail(error, str(error), error.code)
    except BrokenPipeError:
        # the reader of our output has left, as in `pigan params | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        _fail(error, f"unexpected {type(error).__name__}: {error} (`pigan --debug ...` shows where)", 1)


def spin_for_a_moment() -> None:
    """How threads wait, for OpenMP, which reads it when PyTorch starts.

    Those that spin as long as they like slow each other many times over on a busy machine; those that do not for a
    moment (here some 50 us) are put to sleep between any two operations.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def _fail(error: Exception, message: str, code: int) -> None:
    if os.environ.get("PIGAN_DEBUG"):
        traceback.print_exception(error)
        sys.exit(code)
    print(f"pigan: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
