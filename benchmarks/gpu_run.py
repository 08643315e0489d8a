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
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.box import needs

if TYPE_CHECKING:
    from benchmarks.box.place import Place

MINUTE = 60.0
# seconds of a box that are kept for writing what it leaves
LEAVING = 10.0
# for evaluation, where no box before has measured it
RESERVE_MINUTES = 3.5
# of a box, that measuring speed may take
BENCH_SHARE = 0.3
CHECK_CASES = "field,render"


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
    from pigan.errors import PiganError

    try:
        return Box(asked).run()
    except PiganError as error:
        print(f"gpu_run: {error}", file=sys.stderr)
        return 1


class Box:
    """One run of this program."""

    def __init__(self, asked: argparse.Namespace) -> None:
        from benchmarks.box.experiment import params_of_box
        from benchmarks.box.place import Place, load_params
        from benchmarks.box.state import unpack
        from pigan.errors import PiganError

        self.asked, self.began = asked, time.time()
        self.until = self.began + MINUTE * asked.minutes - LEAVING
        self.out: Path = asked.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.log = self.out / "log.txt"
        folder = asked.work.resolve()
        self.carried = unpack(asked.before) if asked.before is not None else None
        if self.carried is not None:
            params, arm, seed = self.carried.params, self.carried.arm, self.carried.seed
        elif (folder / "params.yaml").is_file() and asked.params is None and asked.preset is None:
            params, arm, seed = load_params(folder), asked.arm, asked.seed
        else:
            params, arm, seed = params_of_box(asked), asked.arm, asked.seed
        if (folder / "params.yaml").is_file() and load_params(folder) != params:
            raise PiganError(f"--work {asked.work}: holds an experiment with other params; name another folder")
        self.place = Place(folder, params, arm or params.report.main_arm, seed, asked.device)
        self.boxes: list[dict[str, Any]] = self.carried.boxes if self.carried is not None else []
        self.result: dict[str, Any] = {"arm": self.place.arm, "seed": seed, "experiment": params.experiment}
        self.failed: list[str] = []
        self._packed = (-1, False)

    def run(self) -> int:
        """Every step, each as far as the time goes; what was made is left in `out` whatever fails."""
        from benchmarks.box import gather
        from benchmarks.box.place import prepare_commands

        try:
            if self._bench() and self._step("prepare", prepare_commands(self.place)):
                self._train()
                self._evaluate()
        finally:
            self.result |= {
                "minutes": round((time.time() - self.began) / MINUTE, 2),
                "failed": self.failed,
                "boxes": [*self.boxes, self._summary()],
            }
            limit = int(self.asked.file_mb * 2**20)
            gather.shorten(self.log, limit)
            evaluated = self.result.get("evaluated_in")
            speeds = [self.place.folder / name for name in ("check.json", "check.md", "speed.json")]
            place = self._reached() if evaluated else self.place
            for told in gather.gather(place, self.out, limit, self.result, speeds):
                print(f"left out: {told}")
        print(table(self.result))
        return 1 if self.failed else 0

    def _bench(self) -> bool:
        """The kernels' check and the speed table, once: a later box has those of the first; False: a kernel is wrong.

        Too slow a measurement is cut, since the time is for training.
        """
        from benchmarks.box.targets import curriculum_hours, kernel_checks
        from pigan.report.speed import read_speed

        if self.asked.bench == "none" or (self.asked.bench == "auto" and self.boxes):
            return True
        folder, quick = self.place.folder, ["--quick"] if self.asked.bench == "quick" else []
        device = ("--device", self.place.device)
        own = ("--params", str(folder / "params.yaml"), "--out", str(folder / "speed.json"), "--no-estimates")
        check = ("--cases", CHECK_CASES, "--out", str(folder / "check.json"))
        commands = [("bench", *check, *quick, *device), ("bench", *own, "--quick", *device)]
        self._step("bench", commands, until=self.began + BENCH_SHARE * MINUTE * self.asked.minutes)
        speed = read_speed(folder / "check.json") if (folder / "check.json").is_file() else None
        if speed is None:
            return True
        checks = kernel_checks(speed)
        self.result |= {"kernels": checks, "curricula": curriculum_hours(speed), "machine": speed.device}
        wrong = [f"kernel {row['path']}: error {row['error']}: not trained" for row in checks if not row["met"]]
        self.failed += wrong
        return not wrong

    def _train(self) -> None:
        """Training, in which the state is packed after every checkpoint."""
        from benchmarks.box.place import train_commands
        from benchmarks.box.state import take_up
        from pigan.training.deadline import EXIT_CODE, SPARE_SECONDS

        if self.carried is not None and self.place.reached() is None:
            take_up(self.place, self.carried)
        stop = self.until - self._reserve()
        commands = train_commands(self.place)
        if commands and stop < time.time():
            self.failed.append("train: no time was left for it: give more --minutes, or a smaller --reserve")
        if not commands or stop < time.time():
            return
        try:
            # a training leaves so many seconds early by itself
            self._step("train", commands, (0, EXIT_CODE), stop + SPARE_SECONDS)
        finally:
            self._pack()

    def _watch(self) -> None:
        """Packs while training goes on, which may take a checkpoint away under our hands: then a second later."""
        from pigan.errors import PiganError

        with contextlib.suppress(PiganError, FileNotFoundError):
            self._pack()

    def _pack(self) -> None:
        """Packs the newest state, if that is another than before; never one that is less far."""
        from benchmarks.box.state import pack
        from pigan.training.checkpoint import describe

        reached = self.place.reached()
        if reached is None:
            return
        link, checkpoint, finished = reached
        changed = describe(checkpoint)["counters"]["global_step"], finished
        if changed > self._packed:
            boxes = [*self.boxes, self._summary()]
            limits = (int(self.asked.file_mb * 2**20), self.asked.state_files)
            self.result["state"] = pack(self.place, self.out, *limits, boxes)
            self.result["stage"] = f"{link.name}, {'finished' if finished else 'in progress'}"
            self._packed = changed

    def _evaluate(self) -> None:
        """Images, metrics, report and release of what training has reached."""
        from benchmarks.box import place as places
        from benchmarks.box.state import adopt
        from benchmarks.box.targets import quality
        from pigan.files import read_json
        from pigan.training.checkpoint import read_tensors
        from pigan.training.loop import LOG

        reached = self.place.reached()
        if reached is None or not self.asked.evaluate:
            return
        link, checkpoint, _ = reached
        target, began = self._reached(), time.time()
        places.copy_finished(self.place, target)
        if not target.done(link).is_file():
            adopt(target, link, *read_tensors(checkpoint))
            (target.work(link) / LOG).write_bytes((self.place.work(link) / LOG).read_bytes())
        speed = self.place.folder / "speed.json"
        if speed.is_file():
            (target.run.parents[1] / "speed.json").write_bytes(speed.read_bytes())
        commands = [*places.prepare_commands(target), *places.train_commands(target)]
        self._step("evaluate", [*commands, *places.evaluate_commands(target, self.asked.name)], place=target)
        self.result["evaluation_seconds"] = round(time.time() - began, 1)
        self.result["evaluated_in"] = str(target.folder.name)
        metrics = target.run / "metrics.json"
        if metrics.is_file():
            values, extractor = read_json(metrics), target.params.evaluate.extractor
            small = read_json(self.asked.beside) if self.asked.beside is not None else None
            self.result |= {"fid": values.get(f"fid_{extractor}"), "targets": quality(values, extractor, small)}

    def _reached(self) -> "Place":
        """A place beside this one, of an experiment that ends where training stands."""
        from benchmarks.box.experiment import reached_params
        from benchmarks.box.place import Place
        from pigan.training.checkpoint import describe

        reached = self.place.reached()
        assert reached is not None, "called after training"
        link, checkpoint, _ = reached
        step = int(describe(checkpoint)["counters"]["step"])
        params = reached_params(
            self.place.params, self.place.arm, self.place.seed, link.resolution, step, self._label()
        )
        folder = self.place.folder / f"reached_{link.name}_{step}"
        return Place(folder, params, self.place.arm, self.place.seed, self.place.device)

    def _summary(self) -> dict[str, Any]:
        """What later boxes are told of this one."""
        found = {"minutes": round((time.time() - self.began) / MINUTE, 2), "device": self._device()}
        kept = ("stage", "fid", "evaluation_seconds", "kernels", "curricula", "state")
        return {**found, **self._trained(), **{key: self.result[key] for key in kept if key in self.result}}

    def _trained(self) -> dict[str, Any]:
        """Images seen, seconds of training and steps so far, over all boxes."""
        from pigan.files import read_json
        from pigan.training.checkpoint import describe

        reached = self.place.reached()
        if reached is None:
            return {}
        _, checkpoint, finished = reached
        about = describe(checkpoint)
        seconds = 0.0 if finished else float(about["seconds"])
        for stage in self.place.params.curriculum.order:
            state = self.place.run / stage.name / "state.json"
            if self.place.done(stage).is_file() and state.is_file():
                seconds += read_json(state)["seconds"]
        counters = about["counters"]
        return {
            "images_seen": counters["images_seen"],
            "steps": counters["global_step"],
            "training_seconds": round(seconds, 1),
        }

    def _label(self) -> str:
        """What the report says of how the model came about."""
        trained = self._trained()
        boxes = len(self.boxes) + 1
        return (
            f"Trained for {trained['training_seconds'] / MINUTE:.0f} minutes on {self._device()} "
            f"({trained['images_seen']:,} images, {boxes} box{'es' if boxes > 1 else ''})."
        )

    def _device(self) -> str:
        from pigan.files import read_json

        told = self.place.folder / "machine.json"
        return read_json(told)["device"] if told.is_file() else "an unknown device"

    def _reserve(self) -> float:
        """Seconds kept for evaluation: those asked for, or a quarter more than an earlier box took."""
        measured = [box["evaluation_seconds"] for box in self.boxes if "evaluation_seconds" in box]
        if not self.asked.evaluate:
            return 0.0
        if self.asked.reserve is None and measured:
            return 1.25 * max(measured)
        return MINUTE * (self.asked.reserve if self.asked.reserve is not None else RESERVE_MINUTES)

    def _step(
        self,
        name: str,
        commands: list[Any],
        fine: tuple[int, ...] = (0,),
        stop_training_at: float | None = None,
        place: "Place | None" = None,
        until: float | None = None,
    ) -> bool:
        """Runs commands, notes how long they took, and returns whether they ended well."""
        from benchmarks.box.place import run_commands

        began, end = time.time(), min(self.until, until or self.until)
        code = run_commands(place or self.place, commands, self.log, end, stop_training_at, self._watch)
        seconds = time.time() - began
        self.result.setdefault("seconds", {})[name] = round(seconds, 1)
        print(f"{name}: exit {code} after {seconds:.0f} s", flush=True)
        if code not in fine:
            self.failed.append(f"{name}: exit {code}")
            print("\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]), flush=True)
        return code in fine


def table(result: dict[str, Any]) -> str:
    """What is printed last."""
    words = {True: "met", False: "NOT met", None: "not measured"}
    lines = [f"{name}: {seconds:.0f} s" for name, seconds in result.get("seconds", {}).items()]
    lines += [
        f"{row['path']}: {row['times as fast']} times as fast, error {row['error']} (at most {row['tolerance']:g})"
        for row in result.get("kernels", [])
    ]
    lines += [
        f"{row['target']}: {row['measured']} (bound {row.get('at least', row.get('at most'))}): {words[row['met']]}"
        for row in result.get("targets", [])
    ]
    lines += [
        f"{row['preset']}: {row['estimated hours']} h estimated, the authors' {row['hours of the authors']} h"
        for row in result.get("curricula", [])
    ]
    return "\n".join([*lines, *(f"failed: {text}" for text in result["failed"])])


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
