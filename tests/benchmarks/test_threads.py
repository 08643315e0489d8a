import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_step_is_measured_with_every_number_of_threads():
    command = [sys.executable, "-m", "benchmarks.threads", "--processes", "1", "--threads", "1,2"]
    done = subprocess.run([*command, "--steps", "demo:8:1,demo:16:1"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    assert header == ["preset, side, batch", "1 threads", "2 threads"]
    assert [row[0] for row in rows] == ["demo, 8, 1", "demo, 16, 1"]
    assert all(float(cell) > 0 for row in rows for cell in row[1:])
