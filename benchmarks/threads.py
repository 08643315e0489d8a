"""Milliseconds of a training step by the number of CPU threads, each in processes of their own that take turns.

    python -m benchmarks.threads
    python -m benchmarks.threads --threads 1,2,4,8 --steps demo:32:4

Folded, fp32, fresh weights. Prints Markdown: the median of every process.
"""

import argparse
import statistics
import subprocess
import sys

import torch

from pigan import presets
from pigan.bench.measure import interleaved
from pigan.bench.step_cases import step_run
from pigan.bench.subject import with_training
from pigan.cli import spin_for_a_moment
from pigan.runtime import prepare_process

STEPS = "demo:32:4,cars-64-small:64:4,cars:32:2"
SECONDS, CALLS = 4.0, (5, 25)


def main() -> None:
    """Prints a row for each step; with `--alone` what one process measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", default="1,2", help="numbers of threads (%(default)s)")
    parser.add_argument("--steps", default=STEPS, help="preset:side:batch (%(default)s)")
    parser.add_argument("--processes", type=int, default=3, help="for each number of threads (%(default)s)")
    parser.add_argument("--alone", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    steps = asked.steps.split(",")
    if asked.alone is not None:
        prepare_process(asked.alone)
        print(*(milliseconds(step, asked.alone) for step in steps))
        return
    # for the processes that are started here
    spin_for_a_moment()
    numbers = [int(number) for number in asked.threads.split(",")]
    found: dict[int, list[list[str]]] = {number: [] for number in numbers}
    for _ in range(asked.processes):
        for number in numbers:
            command = [sys.executable, "-m", "benchmarks.threads", "--steps", asked.steps, "--alone", str(number)]
            found[number].append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    print(f"| preset, side, batch | {' | '.join(f'{number} threads' for number in numbers)} |")
    print(f"|---|{'---|' * len(numbers)}")
    for place, step in enumerate(steps):
        cells = (", ".join(sorted((own[place] for own in found[number]), key=float)) for number in numbers)
        print(f"| {', '.join(step.split(':'))} | {' | '.join(cells)} |")


def milliseconds(step: str, threads: int) -> str:
    """The median of a few calls of one step, `preset:side:batch`."""
    name, side, batch = step.split(":")
    params, device = presets.params(name), torch.device("cpu")
    params = with_training(params, threads=threads, kernel="folded", precision="fp32")
    (times,) = interleaved([step_run(params, int(side), int(batch), device)], device, SECONDS, CALLS)
    return f"{statistics.median(times):.0f}"


if __name__ == "__main__":
    main()
