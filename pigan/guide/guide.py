"""Command cameras: suggests fov, bounds and pose law for own data, as YAML to paste, with a picture to check it by."""

from dataclasses import replace
from pathlib import Path

from pigan.config import Params
from pigan.files import atomic_file, explained
from pigan.guide import estimate, heuristics
from pigan.guide.evidence import Evidence, read_evidence
from pigan.guide.preview import View, draw_preview
from pigan.guide.suggestion import Suggestion, snippet


def guide(params: Params, source: Path, out: Path | None = None) -> str:
    """Suggested `camera`, and `dataset.world` where it can be told, as commented YAML for params.yaml.

    Args:
        params: The experiment; of it dataset.crop, dataset.depth and dataset.world are used.
        source: The images: a raw folder with or without camera files, or prepared data.
        out: A folder for camera.yaml (the text) and cameras.png (a preview); None: writes nothing.

    Raises:
        PiganError: no usable images, broken camera files, or cameras that do not look at one object.
    """
    evidence = read_evidence(params, source)
    suggestion = suggest(evidence)
    if evidence.unusable is not None:
        suggestion = replace(suggestion, notes=(f"warning: {evidence.unusable}", *suggestion.notes))
    text = snippet(suggestion)
    if out is not None:
        with explained(out):
            out.mkdir(parents=True, exist_ok=True)
        with atomic_file(out / "camera.yaml") as temporary:
            temporary.write_text(text, encoding="utf-8")
        draw_preview(out / "cameras.png", views(evidence, suggestion), suggestion)
    return text


def suggest(evidence: Evidence) -> Suggestion:
    """From the cameras where they are known, else from what the images look like.

    Raises:
        PiganError: cameras that do not look at one object.
    """
    if evidence.cam2world is None or evidence.fov is None:
        return heuristics.suggest(evidence.images)
    found = estimate.suggest(evidence.cam2world, evidence.fov, evidence.depth, evidence.shown)
    if found.world is None or not evidence.world_applied:
        return found
    note = (
        "warning: these cameras were prepared with the dataset.world of the params, which does not fit; give the raw"
        " folder instead, and the guide estimates it too"
    )
    return replace(found, world=None, notes=(*found.notes, note))


def views(evidence: Evidence, suggestion: Suggestion) -> list[View]:
    """The sampled images with their cameras in pigan's world."""
    if suggestion.cam2world is None or evidence.shown is None or evidence.fov is None:
        return [View(image, None, suggestion.camera.fov) for image in evidence.images]
    placed = suggestion.cam2world[evidence.shown]
    return [
        View(image, matrix, float(fov))
        for image, matrix, fov in zip(evidence.images, placed, evidence.fov, strict=True)
    ]
