"""pigan: train, evaluate, ablate and report on pi-GAN (arXiv 2012.00926)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pigan.synthesis.trained import TrainedModel
    from pigan.synthesis.trained import load_model as load

__version__ = "0.1.0"
__all__ = ["TrainedModel", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """`pigan.load` and `pigan.TrainedModel`, imported when they are asked for: `import pigan` alone stays light."""
    if name in ("load", "TrainedModel"):
        from pigan.synthesis import trained

        return trained.load_model if name == "load" else trained.TrainedModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
