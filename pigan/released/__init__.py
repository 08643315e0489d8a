"""Trained models that come with pigan: a folder each, as `pigan export --half --no-onnx` wrote it."""

from pathlib import Path

WEIGHTS = "model.safetensors"
PLACE = Path(__file__).parent


def names() -> list[str]:
    """Names of the models that are here."""
    # a dot: the remains of an export that was killed
    return sorted(path.parent.name for path in PLACE.glob(f"[!.]*/{WEIGHTS}"))


def folder(name: str) -> Path:
    """Where a model of that name lies; not checked."""
    return PLACE / name
