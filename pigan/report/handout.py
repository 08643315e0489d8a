"""`pigan export`: a trained model as a folder to hand on, whole or not at all."""

from pathlib import Path

from pydantic import ValidationError

from pigan import __version__
from pigan.config import Params, fingerprint
from pigan.data.store import Prepared
from pigan.errors import PiganError
from pigan.files import atomic_directory, sha256_file
from pigan.report import provenance
from pigan.report.collect import read_card
from pigan.report.datacard import fact_rows
from pigan.report.modelcard import Facts, Measured, measured_of, metrics_file, model_card
from pigan.report.records import read_object
from pigan.runtime import choose_device, prepare_process
from pigan.synthesis.exported import CONFIG, PICTURE, WEIGHTS, write_config, write_picture, write_weights
from pigan.synthesis.onnx_files import check_tools, write_onnx
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
    device: str = "cpu",
) -> dict[str, float]:
    """Writes weights, ONNX, settings, a picture and the model card to `out`; returns how exact the ONNX files are.

    `data` is the prepared data, by default that of the params, if it is here.

    Raises:
        PiganError: no such model, a damaged file beside it, a package that ONNX needs is missing, or it is not exact.
    """
    if onnx:
        check_tools()
    if out.exists() and (out.is_file() or (not (out / CONFIG).exists() and any(out.iterdir()))):
        raise PiganError(f"--out {out}: is there and no exported model; name a new folder")
    model = load_model(name, choose_device(device))
    prepare_process(model.params.training.threads)
    params, sources = model.params, _provenance(model)
    weights = params.generate.weights
    measured, no_metrics = _measured(model)
    card = _data(params, data)
    with atomic_directory(out) as folder:
        write_weights(model, weights, folder / WEIGHTS, {"pigan": __version__, "from": dict(sources)})
        write_picture(model, folder / PICTURE)
        errors = write_onnx(model, folder) if onnx else {}
        write_config(model, folder / CONFIG, errors)
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
            onnx_errors=errors,
        )
        (folder / CARD).write_text(model_card(params, facts), encoding="utf-8")
    return errors


def _provenance(model: TrainedModel) -> list[tuple[str, str]]:
    """Where the weights come from."""
    about = describe(model.source)
    counters, imported = about.get("counters", {}), about.get("imported")
    # not where it is on this machine
    parts = model.source.absolute().parts
    place = "/".join(parts[parts.index("runs") :]) if "runs" in parts else model.source.name
    rows = [
        ("Checkpoint", place),
        ("SHA-256 of the checkpoint", sha256_file(model.source)),
        ("Weights", model.params.generate.weights),
        ("Training steps", f"{counters.get('global_step', 0):,}"),
        ("Images seen", f"{counters.get('images_seen', 0):,}" if counters.get("images_seen") else "not noted"),
        ("Fingerprint of the params", fingerprint(model.params)),
        ("Commit of the code that exported it", provenance.git_commit(Path.cwd()) or "unknown"),
    ]
    if isinstance(imported, dict):
        files = ", ".join(f"{part['file']} ({part['sha256'][:12]})" for part in imported["parts"])
        rows.append(("Imported from the authors' files", files))
    return rows + [(f"Version of {library}", version) for library, version in provenance.library_versions().items()]


def _measured(model: TrainedModel) -> tuple[Measured | None, str]:
    """The metrics of this very checkpoint, or why there are none."""
    path = metrics_file(model.source)
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
