"""pigan: train, evaluate, ablate and report on pi-GAN (arXiv 2012.00926)."""

import importlib
from typing import TYPE_CHECKING, Any

from pigan.errors import PiganError

if TYPE_CHECKING:
    from pigan.synthesis.showing import show
    from pigan.synthesis.trained import TrainedModel
    from pigan.synthesis.trained import load_model as load
    from pigan.synthesis.viewing import Cameras, camera_at, orbit_cameras

__version__ = "0.1.0"
__all__ = ["Cameras", "PiganError", "TrainedModel", "__version__", "camera_at", "load", "orbit_cameras", "show"]

# imported when they are asked for: `import pigan` alone stays light
_LATER = {
    "Cameras": ("viewing", "Cameras"),
    "TrainedModel": ("trained", "TrainedModel"),
    "camera_at": ("viewing", "camera_at"),
    "load": ("trained", "load_model"),
    "orbit_cameras": ("viewing", "orbit_cameras"),
    "show": ("showing", "show"),
}


def __getattr__(name: str) -> Any:
    """What a trained model is used with, by its public name."""
    if name in _LATER:
        module, what = _LATER[name]
        return getattr(importlib.import_module(f"pigan.synthesis.{module}"), what)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, also those that are not imported yet."""
    return sorted({*globals(), *_LATER})
