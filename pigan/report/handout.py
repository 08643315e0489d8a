"""`pigan export`: a trained model as a folder to hand on, whole or not at all."""

import datetime
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from pigan import __version__, released
from pigan.chain.place import STATE
from pigan.config import Params, fingerprint
from pigan.data.store import Prepared
from pigan.errors import PiganError
from pigan.files import atomic_directory, check_replaceable, sha256_file, write_json
from pigan.released import WEIGHTS
from pigan.report import provenance
from pigan.report.collect import read_card
from pigan.report.datacard import fact_rows
from pigan.report.metrics import EXTRACTOR_NAMES
from pigan.report.modelcard import Facts, Measured, measured_of, metrics_file, model_card
from pigan.report.records import StageState, read_object, read_record
from pigan.report.tables import write_duration
from pigan.runtime import choose_device, prepare_process
from pigan.synthesis.exported import CONFIG, PICTURE, rounded_to_half, write_config, write_picture, write_weights
from pigan.synthesis.onnx_files import check_tools, write_onnx
from pigan.synthesis.released import (
    METRICS,
    TRAINING,
    TrainingFacts,
    released_folder,
    released_training,
)
from pigan.synthesis.trained import TrainedModel, load_model
from pigan.training.checkpoint import describe

CARD = "README.md"


def export_model(
    name: str,
    out: Path,
    licence: str | None = None,
    title: str | None = None,
    data: Path | None = None,
    onnx: bool = True,
    half: bool = False,
    device: str = "cpu",
) -> dict[str, float]:
    """Writes weights, ONNX, settings, a picture and the model card to `out`; returns how exact the ONNX files are.

    `data` is the prepared data, by default that of the params, if it is here; `half` rounds the weights to 16 bits,
    also for ONNX and the picture.

    Raises:
        PiganError: no such model, a damaged file beside it, a package that ONNX needs is missing, it is not exact, or a
            weight does not go into 16 bits.
    """
    if onnx:
        check_tools()
    check_replaceable(out, WEIGHTS)
    model = load_model(name, choose_device(device))
    prepare_process(model.params.training.threads)
    if half:
        model = rounded_to_half(model)
    params, training = model.params, _training(model)
    sources = _provenance(model, half, training)
    weights = params.generate.weights
    measured, no_metrics = _measured(model)
    card = _data(params, data)
    with atomic_directory(out, WEIGHTS) as folder:
        write_weights(model, weights, folder / WEIGHTS, {"pigan": __version__, "from": dict(sources)}, half)
        write_picture(model, folder / PICTURE)
        errors = write_onnx(model, folder) if onnx else {}
        write_config(model, folder / CONFIG, errors)
        if training is not None:
            write_json(folder / TRAINING, training.model_dump())
        if measured is not None:
            shutil.copyfile(metrics_file(model.source), folder / METRICS)
        facts = Facts(
            title=title or f"pi-GAN {params.experiment}",
            licence=licence,
            weights=WEIGHTS,
            picture=PICTURE,
            parameters=sum(value.numel() for value in model.generator.parameters()),
            provenance=[*sources, (f"SHA-256 of {WEIGHTS}", sha256_file(folder / WEIGHTS))],
            data=card,
            measured=measured,
            no_metrics=no_metrics,
            half=half,
            onnx_errors=errors,
        )
        (folder / CARD).write_text(model_card(params, facts), encoding="utf-8")
    return errors


def released_lines() -> list[str]:
    """What `pigan models` prints: a line for each released model.

    Raises:
        PiganError: a file of one is damaged.
    """
    return [f"{name}: {'; '.join(_known_of(name)) or 'nothing is known of its training'}" for name in released.names()]


def _known_of(name: str) -> Iterator[str]:
    """What training.json and metrics.json of a released model say, in a few words each."""
    training, metrics = released_training(name), released_folder(name) / METRICS
    if training is not None:
        yield f"{training.resolution} px"
        yield f"{write_duration(training.seconds)} on {training.machine}"
        yield f"{training.images_seen:,} images seen"
    if metrics.is_file():
        measured = measured_of(read_object(metrics, "pigan export"))
        extractor = str(measured.protocol.get("extractor"))
        fid = measured.values.get(f"fid_{extractor}")
        if fid is not None:
            yield f"FID {fid:.4g} ({EXTRACTOR_NAMES.get(extractor, extractor)})"


def _training(model: TrainedModel) -> TrainingFacts | None:
    """What the training took, as the stages up to the checkpoint's noted it; None where that is not all known."""
    beside, run = model.source.with_name(STATE), model.source.parent.parent
    if not beside.is_file():
        return None
    last = read_record(StageState, beside, "pigan train")
    before = itertools.takewhile(lambda link: link.resolution != last.resolution, model.params.curriculum.order)
    files = [run / link.name / STATE for link in before]
    # untrained, or the state of another checkpoint
    if not last.images_seen or describe(model.source).get("counters", {}).get("images_seen") != last.images_seen:
        return None
    if not all(path.is_file() for path in files):
        return None
    stages = [*(read_record(StageState, path, "pigan train") for path in files), last]
    return TrainingFacts(
        device=", then ".join(dict.fromkeys(stage.device for stage in stages)),
        devices=last.devices,
        seconds=round(sum(stage.seconds for stage in stages), 3),
        images_seen=last.images_seen,
        steps=sum(stage.step for stage in stages),
        resolution=last.resolution,
        checkpoint_sha256=sha256_file(model.source),
        torch=last.torch,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def _provenance(model: TrainedModel, half: bool, training: TrainingFacts | None) -> list[tuple[str, str]]:
    """Where the weights come from."""
    about = describe(model.source)
    counters, imported = about.get("counters", {}), about.get("imported")
    # not where it is on this machine
    parts = model.source.absolute().parts
    place = "/".join(parts[parts.index("runs") :]) if "runs" in parts else model.source.name
    rows = [
        ("Checkpoint", place),
        ("SHA-256 of the checkpoint", sha256_file(model.source)),
        ("Weights", f"{model.params.generate.weights}, {16 if half else 32}-bit floats"),
        ("Training steps", f"{counters.get('global_step', 0):,}"),
        ("Images seen", f"{counters.get('images_seen', 0):,}" if counters.get("images_seen") else "not noted"),
        ("Fingerprint of the params", fingerprint(model.params)),
        ("Commit of the code that exported it", provenance.git_commit(Path.cwd()) or "unknown"),
    ]
    start = model.params.training.pretrained
    if start is not None:
        rows.append(("Started from", f"{Path(start.path).name} ({start.sha256[:12]})"))
    if training is not None:
        rows += [("Trained on", training.machine), ("Time of training", write_duration(training.seconds))]
    if isinstance(imported, dict):
        files = ", ".join(f"{part['file']} ({part['sha256'][:12]})" for part in imported["parts"])
        rows.append(("Imported from the authors' files", files))
    return rows + [(f"Version of {library}", version) for library, version in provenance.library_versions().items()]


def _measured(model: TrainedModel) -> tuple[Measured | None, str]:
    """The metrics of this very checkpoint, or why there are none."""
    path = metrics_file(model.source)
    if describe(model.source).get("exported"):
        return None, "Not measured: it was exported from an exported model, whose own card tells what is known."
    if not path.is_file():
        return None, "Not measured: there was no metrics.json beside the model when it was exported."
    values = read_object(path, "pigan evaluate")
    try:
        measured = measured_of(values)
    except ValidationError:
        raise PiganError(f"{path}: holds no metrics; run pigan evaluate again, or move it away") from None
    if measured.protocol.get("checkpoint_sha256") != sha256_file(model.source):
        return None, "Not measured: the metrics.json beside the model is of another checkpoint."
    return measured, ""


def _data(params: Params, data: Path | None) -> list[tuple[str, str]] | None:
    """Rows of the data card."""
    path = data or Path("data") / "prepared" / params.dataset.name
    if data is None and not (path / "dataset.json").is_file():
        return None
    return fact_rows(read_card(path), Prepared(path))
