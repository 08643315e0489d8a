"""A training between boxes: packed into few small files while it runs, and taken up again on another machine.

What is carried is the newest checkpoint. Where it does not fit it is made smaller, and says how: "exact" leaves out
only what the next step does not read; the others begin Adam's averages anew, or round the weights to 16 bits.
"""

import io
import json
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.box.place import Place
from pigan.chain.place import CHECKPOINT, LOG, STATE
from pigan.config import Params, parse
from pigan.data.store import Prepared
from pigan.errors import PiganError
from pigan.files import atomic_directory
from pigan.sections import Link
from pigan.stages.train import training_key
from pigan.training.checkpoint import read_tensors, write_tensors
from pigan.training.state import ADAM_MOMENTS, architecture

FORMAT = 1
FOLDER, PART, TENSORS, ABOUT = "state", "part", "state.safetensors", "box.json"
HOW = ("exact", "without Adam's averages", "16-bit weights, without Adam's averages")


@dataclass(frozen=True)
class Carried:
    """A training as another machine takes it up."""

    params: Params
    arm: str
    seed: int
    stage: str
    finished: bool
    how: str
    description: dict[str, Any]
    tensors: dict[str, Tensor]
    files: dict[str, bytes]
    """state.json and log.jsonl of the stages so far, by their path in the run's folder."""
    boxes: list[dict[str, Any]] = field(default_factory=list)
    """What was said of the boxes before."""


def pack(place: Place, out: Path, part_bytes: int, parts: int, boxes: list[dict[str, Any]]) -> str:
    """Writes `out`/state, all parts or none; returns how the state was made to fit.

    Raises:
        PiganError: nothing was saved yet, or it fits in no way.
    """
    reached = place.reached()
    if reached is None:
        raise PiganError(f"{place.folder}: no training state was saved yet; give it more minutes")
    link, checkpoint, finished = reached
    description, tensors = read_tensors(checkpoint)
    files = {f"{link.name}/{LOG}": place.work(link) / LOG} if not finished else {}
    for stage in place.params.curriculum.order:
        for name in (STATE, LOG):
            if place.done(stage).is_file():
                files[f"{stage.name}/{name}"] = place.run / stage.name / name
    about = {
        "format": FORMAT,
        "params": place.params.model_dump(mode="json"),
        "arm": place.arm,
        "seed": place.seed,
        "stage": link.name,
        "finished": finished,
        "boxes": boxes,
    }
    first_beta = place.resolved.training.adam_betas[0]
    for how in HOW:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(ABOUT, json.dumps({**about, "how": how}))
            for name, path in files.items():
                archive.write(path, f"files/{name}")
            with tempfile.TemporaryDirectory() as folder:
                small = Path(folder) / TENSORS
                write_tensors(small, reduced(tensors, how, first_beta), {"of": description})
                archive.write(small, TENSORS, zipfile.ZIP_STORED)
        data = buffer.getvalue()
        if len(data) <= part_bytes * parts:
            with atomic_directory(out / FOLDER, f"{PART}0") as folder_of_parts:
                for number, start in enumerate(range(0, len(data), part_bytes)):
                    (folder_of_parts / f"{PART}{number}").write_bytes(data[start : start + part_bytes])
            return how
    raise PiganError(
        f"{checkpoint}: {len(data) / 1e6:.0f} MB even with {HOW[-1]}, more than {parts} files of "
        f"{part_bytes / 2**20:g} MiB; allow more with --state-files, or make model.discriminator.width smaller"
    )


def reduced(tensors: dict[str, Tensor], how: str, first_beta: float) -> dict[str, Tensor]:
    """The tensors of a checkpoint without what `how` leaves out."""
    # with a first beta of 0 the next step overwrites the average of gradients without reading it
    left_out = ADAM_MOMENTS if how != HOW[0] else ("exp_avg",) if first_beta == 0 else ()
    weights = {
        name: value
        for name, value in tensors.items()
        if not (name.startswith("optimizer_") and name.endswith(tuple(f".{moment}" for moment in left_out)))
    }
    return {name: value.half() for name, value in weights.items()} if how == HOW[2] else weights


def restored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """`reduced` tensors as a checkpoint has them."""
    found = {name: value.float() for name, value in tensors.items()}
    for name, value in tensors.items():
        if name.endswith(".exp_avg_sq"):
            found.setdefault(f"{name.removesuffix('_sq')}", torch.zeros_like(value))
    return found


def unpack(folder: Path) -> Carried:
    """What `pack` wrote to `folder`, or to `folder`/state.

    Raises:
        PiganError: nothing there, a part is missing or damaged, or it is of another format.
    """
    place = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    parts = sorted(place.glob(f"{PART}*"), key=lambda path: int(path.name.removeprefix(PART)))
    if not parts:
        raise PiganError(f"--from {folder}: holds no {FOLDER}/{PART}0; name the --out of a box before")
    try:
        with zipfile.ZipFile(io.BytesIO(b"".join(path.read_bytes() for path in parts))) as archive:
            about = json.loads(archive.read(ABOUT))
            files = {
                name.removeprefix("files/"): archive.read(name)
                for name in archive.namelist()
                if name.startswith("files/")
            }
            with tempfile.TemporaryDirectory() as temporary:
                description, tensors = read_tensors(Path(archive.extract(TENSORS, temporary)))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise PiganError(
            f"--from {folder}: its parts are damaged or one is missing ({error}); copy them again"
        ) from None
    if about.get("format") != FORMAT:
        raise PiganError(f"--from {folder}: of format {about.get('format')}, this pigan reads {FORMAT}; begin anew")
    params = parse(about["params"], where=str(folder))
    keys = ("arm", "seed", "stage", "finished", "how")
    return Carried(
        params=params,
        description=description["of"],
        tensors=restored(tensors),
        files=files,
        boxes=about["boxes"],
        **{key: about[key] for key in keys},
    )


def take_up(place: Place, carried: Carried) -> None:
    """Makes the folder that of the training that `carried` holds; data and starting weights are there already.

    Raises:
        PiganError: a file's name leads out of the run's folder.
    """
    order = place.params.curriculum.order
    link = next(link for link in order if link.name == carried.stage)
    known = {f"{stage.name}/{name}" for stage in order for name in (STATE, LOG)}
    for name, data in carried.files.items():
        if name not in known:
            raise PiganError(f"{name}: no file of a training; the state was not written by gpu_run")
        in_progress = name.startswith(f"{carried.stage}/") and not carried.finished
        path = place.work(link) / LOG if in_progress else place.run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    plain = {"architecture": architecture(place.resolved), **_counted(carried.description)}
    for stage in order[: order.index(link) + carried.finished]:
        # an earlier stage's own weights were not carried: its place is taken, so that it counts as done
        write_tensors(place.done(stage), carried.tensors, plain)
    if not carried.finished:
        adopt(place, link, carried.description, carried.tensors)


def adopt(place: Place, link: Link, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Makes a checkpoint the state in progress of a stage, which `pigan train` goes on from under these params."""
    key = training_key(place.resolved, place.training(link), Prepared(place.data))
    about = {
        "architecture": architecture(place.resolved),
        "key": key,
        "seconds": float(description.get("seconds", 0.0)),
        **_counted(description),
    }
    write_tensors(place.work(link) / CHECKPOINT, tensors, about)


def _counted(description: dict[str, Any]) -> dict[str, Any]:
    return {"counters": description["counters"], "scaler": description["scaler"]}
