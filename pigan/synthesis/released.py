"""Trained models that come with the package, found by name: folders that `pigan export --half` wrote."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pigan import released
from pigan.errors import PiganError
from pigan.files import read_json

METRICS, TRAINING = "metrics.json", "training.json"


class TrainingFacts(BaseModel):
    """training.json of an exported model: what its training took, all stages together."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    device: str
    devices: int
    seconds: float
    """Wall time."""
    images_seen: int
    steps: int
    resolution: int
    checkpoint_sha256: str
    """Of the checkpoint that was exported, which metrics.json names too."""
    torch: str
    date: str
    """Day of the export, YYYY-MM-DD (UTC)."""

    @property
    def machine(self) -> str:
        """The device, and how many of it."""
        return f"{self.devices} × {self.device}" if self.devices > 1 else self.device


def released_folder(name: str) -> Path:
    """The folder of one: model.safetensors, config.json, samples.png, README.md, metrics.json if it was measured.

    Raises:
        PiganError: none has that name.
    """
    if name not in released.names():
        raise PiganError(f"{name}: no released model; there are {', '.join(released.names()) or 'none'}")
    return released.folder(name)


def released_training(name: str) -> TrainingFacts | None:
    """What its training took; None where that is not known.

    Raises:
        PiganError: no such model, or its training.json is damaged.
    """
    path = released_folder(name) / TRAINING
    if not path.is_file():
        return None
    try:
        return TrainingFacts.model_validate(read_json(path))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise PiganError(f"{path}: {place}: not as pigan export writes it; install pigan again") from None
