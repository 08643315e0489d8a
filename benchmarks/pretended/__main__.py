"""Runs a command of pigan on a GPU that computes nothing: what it launches does nothing, and what it reads there is 0.

    python -m benchmarks.pretended bench --cases step_64 --no-estimates --out runs/pretended/speed.json

Memory is what PyTorch would allocate on a GPU, without cuDNN, whose convolutions PyTorch's own stand in for. Times are
those of the processor alone, and errors mean nothing.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.pretended.build import CannotBeBuilt, build

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        try:
            environment = build(Path(folder))
        except CannotBeBuilt as error:
            sys.exit(f"no pretended GPU: {error}")
        command = [sys.executable, str(Path(__file__).with_name("command.py")), *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)
