"""The steps of one box: check, measure, prepare, train, evaluate, leave what goes on; see benchmarks/gpu_run.py."""

import argparse
import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.box import gather
from benchmarks.box import place as places
from benchmarks.box.experiment import params_of_box, reached_params
from benchmarks.box.place import Place, load_params
from benchmarks.box.state import adopt, pack, take_up, unpack
from benchmarks.box.targets import curriculum_hours, kernel_checks, quality, speed_targets
from pigan.bench.subject import with_training
from pigan.chain.place import LOG
from pigan.errors import PiganError
from pigan.files import read_json, write_json
from pigan.report.speed import read_speed
from pigan.sections import Kernel
from pigan.training.checkpoint import describe, read_tensors
from pigan.training.deadline import EXIT_CODE, SPARE_SECONDS

MINUTE = 60.0
# seconds of a box that are kept for writing what it leaves
LEAVING = 10.0
# for evaluation, where no box before has measured it
RESERVE_MINUTES = 3.5
# of a box, that measuring speed may take
BENCH_SHARE = 0.4
CHECK_CASES = ("field", "render", "step_64")
# compiled code would take the time of all others to compile
CHECK_PATHS = ("folded fp32", "folded fp16", "triton fp16", "triton bf16")
# what the field is trained by where a kernel is wrong
SAFE: Kernel = "folded"


class Box:
    """One run of benchmarks/gpu_run.py; `asked` holds its options."""

    def __init__(self, asked: argparse.Namespace) -> None:
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
        if (folder / "params.yaml").is_file():
            # maybe by another kernel, since the one of the params was wrong here
            params = with_training(params, kernel=load_params(folder).training.kernel)
            if load_params(folder) != params:
                raise PiganError(f"--work {asked.work}: holds an experiment with other params; name another folder")
        self.place = Place(folder, params, arm or params.report.main_arm, seed, asked.device)
        self.boxes: list[dict[str, Any]] = self.carried.boxes if self.carried is not None else []
        self.result: dict[str, Any] = {"arm": self.place.arm, "seed": seed, "experiment": params.experiment}
        self.failed: list[str] = []
        self._packed = (-1, False)

    def run(self) -> int:
        """Every step, each as far as the time goes; what was made is left in `out` whatever fails."""
        try:
            if self._bench() and self._step("prepare", places.prepare_commands(self.place)):
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
        """The kernels' check and the speed table, once: a later box has those of the first; False: nothing is right.

        Too slow a measurement is cut, since the time is for training. What is measured first is what decides.
        """
        if self.asked.bench == "none" or (self.asked.bench == "auto" and self.boxes):
            return True
        folder, quick = self.place.folder, ["--quick"] if self.asked.bench == "quick" else []
        cpu = self.place.device == "cpu" or not torch.cuda.is_available()
        cases, out = CHECK_CASES[:2] if cpu else CHECK_CASES, folder / "check.json"
        check = ("--cases", ",".join(cases), "--paths", ",".join(CHECK_PATHS), "--out", str(out))
        own = (
            "--params",
            str(folder / "params.yaml"),
            "--quick",
            "--no-estimates",
            "--out",
            str(folder / "speed.json"),
        )
        commands = [("bench", *options, "--device", self.place.device) for options in ((*check, *quick), own)]
        until = self.began + BENCH_SHARE * MINUTE * self.asked.minutes
        crashed = not self._step("bench", commands, until=until) and time.time() < until
        speed = read_speed(out) if out.is_file() else None
        if speed is not None:
            self.result |= {"kernels": kernel_checks(speed), "speed": speed_targets(speed), "machine": speed.device}
            self.result |= {"curricula": curriculum_hours(speed), "notes": speed.notes}
        wrong = [row for row in self.result.get("kernels", []) if not row["met"]]
        self.failed += [f"kernel {row['path']}: error {row['error']}" for row in wrong]
        measured = {row.case for row in speed.rows} if speed is not None else set()
        # what fails when it is measured would fail when it trains
        if wrong or (crashed and not measured.issuperset(cases)):
            self._train_by(SAFE)
        self._tell()
        return not any(row["path"].startswith(SAFE) for row in wrong)

    def _train_by(self, kernel: Kernel) -> None:
        """Goes on with another evaluation of the field, unless a training has begun."""
        if self.place.params.training.kernel == kernel or self.place.reached() is not None:
            return
        self.place = replace(self.place, params=with_training(self.place.params, kernel=kernel))
        self.failed.append(f"trained by kernel {kernel} instead")

    def _train(self) -> None:
        """Training, in which the state is packed after every checkpoint."""
        if self.carried is not None and self.place.reached() is None:
            take_up(self.place, self.carried)
        stop = self.until - self._reserve()
        commands = places.train_commands(self.place)
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
        with contextlib.suppress(PiganError, FileNotFoundError):
            self._pack()

    def _pack(self) -> None:
        """Packs the newest state, if that is another than before; never one that is less far."""
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

    def _reached(self) -> Place:
        """A place beside this one, of an experiment that ends where training stands."""
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
        place: Place | None = None,
        until: float | None = None,
    ) -> bool:
        """Runs commands, notes how long they took, and returns whether they ended well."""
        began, end = time.time(), min(self.until, until or self.until)
        code = places.run_commands(place or self.place, commands, self.log, end, stop_training_at, self._watch)
        seconds = time.time() - began
        self.result.setdefault("seconds", {})[name] = round(seconds, 1)
        print(f"{name}: exit {code} after {seconds:.0f} s", flush=True)
        if code not in fine:
            self.failed.append(f"{name}: exit {code}")
            print("\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]), flush=True)
        self._tell()
        return code in fine

    def _tell(self) -> None:
        """Writes what is known so far: a box may be cut before it gathers everything."""
        write_json(self.out / gather.RESULT, {**self.result, "failed": self.failed})


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
        for row in [*result.get("speed", []), *result.get("targets", [])]
    ]
    lines += [
        f"{row['preset']}: {row['estimated hours']} h estimated, the authors' {row['hours of the authors']} h"
        for row in result.get("curricula", [])
    ]
    return "\n".join([*lines, *(f"failed: {text}" for text in result["failed"])])
