"""The proof on a GPU: the whole chain within a given number of minutes, to be gone on with in the next box.

    python -m benchmarks.gpu_run --preset cars-64 --minutes 9 --out box1
    python -m benchmarks.gpu_run --from box1 --minutes 9 --out box2

A box is a lent machine, maybe without network: PyTorch 2.8 and a CUDA GPU are enough, other packages can be carried as
wheels (--needs tells which, --wheels takes them). It checks the kernels against float64, measures the speed table,
trains until the time for evaluation begins, evaluates, and leaves one folder of few files: state/ to go on with
(written at every checkpoint, so that a box may be cut), release.zip (the moving average in 16 bits, model card),
report.html, files.zip (logs, sheets, turntable, mesh, tables) and result.json (targets, speeds, hours). What a box is
told is in --help; several arms are several boxes, whose summary.json `pigan report --compare` puts side by side.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from benchmarks.box import needs


def main() -> int:
    """The exit code: 0 when every step that was asked for ended well, whatever the targets say."""
    asked = _options()
    if asked.wheels is not None and os.environ.get("PIGAN_WHEELS") is None:
        needs.install(asked.wheels, asked.work / "site")
    lacking = needs.missing()
    if asked.needs or lacking:
        print(needs.advice(lacking) if lacking else "nothing is missing here")
        return 0 if asked.needs else 1
    # finally blocks run, so that a training is asked to save
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # not before the wheels are there
    from benchmarks.box.box import Box
    from pigan.errors import PiganError

    try:
        return Box(asked).run()
    except PiganError as error:
        print(f"gpu_run: {error}", file=sys.stderr)
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_run",
        description="The whole chain in a time box on a bare machine; the next box goes on where this one stopped.",
    )
    add = parser.add_argument
    add("--minutes", type=float, default=9.0, help="all of it, evaluation included (default 9)")
    add("--out", type=Path, default=Path("box"), help="the folder that is left (default box)")
    add("--from", dest="before", type=Path, help="the --out of a box before, to go on with its training")
    add("--preset", help="what to train (default cars-64); see pigan params --help")
    add("--params", type=Path, help="a params.yaml in place of a preset")
    add("--meshes", type=Path, help="train on renderings of this folder's 3-D models instead")
    add("--arm", help="ablation arm (default: the main one)")
    add("--seed", type=int, default=0)
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--bench", choices=("auto", "full", "quick", "none"), default="auto", help="auto: full in the first box")
    add("--no-evaluate", dest="evaluate", action="store_false", help="train to the end of the box")
    add(
        "--reserve",
        type=float,
        help="minutes kept for evaluation (default: a quarter more than a box before took, else 3.5)",
    )
    add("--save-minutes", type=float, default=2.0, help="a checkpoint at least so often (default 2)")
    add("--beside", type=Path, help="metrics.json of a model trained on a CPU, for the first target")
    add("--name", default="pi-GAN cars-64", help="what the model card calls the model")
    add("--file-mb", type=float, default=16, help="largest file that may leave the machine, MiB (default 16)")
    add("--state-files", type=int, default=3, help="files of the training state (default 3)")
    add("--work", type=Path, default=Path("work/box"), help="where it works; run again there, it goes on")
    add("--needs", action="store_true", help="tell which packages are missing here, and leave")
    add("--wheels", type=Path, help="folder of wheels to install beside this machine's packages")
    asked = parser.parse_args()
    if asked.before is not None and (asked.params or asked.preset or asked.meshes or asked.arm):
        parser.error("--from says what is trained: leave --params, --preset, --meshes and --arm out")
    if asked.params is not None and asked.preset is not None:
        parser.error("--params and --preset: name one of them")
    return asked


if __name__ == "__main__":
    sys.exit(main())
