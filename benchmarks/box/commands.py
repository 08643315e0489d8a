"""Runs pigan's commands one after another in this process, so that libraries are imported and the GPU found once.

python -m benchmarks.box.commands '[["crop", "--raw", ...], ...]'
"""

import json
import shlex
import sys
import time
from pathlib import Path

from pigan import cli

MACHINE = "machine.json"


def main(commands: list[list[str]]) -> int:
    """The exit code of the first command that fails."""
    for command in commands:
        print(f"$ {shlex.join(['pigan', *command])}", flush=True)
        began, sys.argv = time.monotonic(), ["pigan", *command]
        try:
            cli.main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        else:
            code = 0
        print(f"exit {code} after {time.monotonic() - began:.1f} s", flush=True)
        _tell_machine(command)
        if code:
            return code
    return 0


def _tell_machine(command: list[str]) -> None:
    """Writes what the commands ran on, once one of them has chosen a device."""
    if "--device" not in command:
        return
    import torch

    from pigan.files import write_json
    from pigan.runtime import device_name

    asked = command[command.index("--device") + 1]
    cpu = asked == "cpu" or not torch.cuda.is_available()
    name = device_name(torch.device("cpu" if cpu else "cuda"))
    write_json(Path(MACHINE), {"device": name, "torch": torch.__version__})


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
