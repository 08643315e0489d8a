"""A stage of training on a GPU that computes nothing; the last line tells where it waited between steps, as JSON."""

import contextlib
import json
from typing import Any

from benchmarks.pretended.convolutions import without_cudnn
from benchmarks.pretended.waits import waits
from pigan.cli import main
from pigan.training import loop

training_step, watch, steps, waited = loop.training_step, contextlib.ExitStack(), 0, [[]]


def counted(*asked: Any, **further: Any) -> Any:
    """The step; from the second one on the loop is watched."""
    global steps
    steps += 1
    if steps == 2:
        waited[0] = watch.enter_context(waits())
    return training_step(*asked, **further)


loop.training_step = counted
without_cudnn()
if __name__ == "__main__":
    with contextlib.suppress(SystemExit), watch:
        main()
    print(json.dumps({"steps": steps - 1, "waits": waited[0]}))
