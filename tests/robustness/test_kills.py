"""Real stages killed at random moments, by the script that counts a hundred and more: see its docstring."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/kills.py"
POOL = (
    "import os, sys, time; from pigan.data.parallel import ordered_map\n"
    "if __name__ == '__main__':\n"
    "    for found in ordered_map(str, list(range(10**6)), 2, batch=1): print('on', flush=True)\n"
)


def test_killed_stages_end_with_the_same_bits():
    command = [sys.executable, SCRIPT, "--kills", "8", "--seed", "1", "--stages", "crop,train,generate"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    every = next(line for line in done.stdout.splitlines() if line.startswith("all ")).split()
    assert sum(map(int, every[1:5])) == 8 and every[-1] == "0"


def test_workers_of_a_killed_process_do_not_go_on_waiting(tmp_path):
    (tmp_path / "pool.py").write_text(POOL)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "pool.py"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None and process.stdout.readline() == "on\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("workers go on")
    process.stdout.close()
