"""How photos are inverted, as the command line says it; needs no PyTorch."""

from typing import NamedTuple


class SearchSettings(NamedTuple):
    """How long and how a search goes."""

    resolution: int
    """Pixels a side of the photo."""
    steps: int = 700
    """Of both phases."""
    starts: int = 12
    kept: int = 3
    """Starts that go on after the first phase."""
    rays: int = 512
    """Of every object, that a step of the second phase looks at."""
    lr: float = 0.01
    """Of the code; it falls by a quarter every seventh of the steps."""
    regularisation: float = 1e-5
    """Weight of the squared distance from the average code, and of the latent's from 0."""
    noise: float = 0.03
    """Standard deviation, on the code, in the first step; it falls to 0."""
    perceptual: float = 0.0
    """Weight of the distance of features, beside the squared error of colours -1..1."""
    seed: int = 0
