"""`pigan` in a process that sees GPUs that compute nothing."""

from collections.abc import Iterator
from unittest import mock

from jaxtyping import Bool, Int64
from torch import Tensor

from benchmarks.pretended.convolutions import without_cudnn
from pigan.cli import main
from pigan.training import fakes
from pigan.training.memory import Tile

# as at fresh weights, whose density is above 0 at half of the samples
SHARE = 0.5

tiles_of = fakes.tiles


def tiles(chosen: Bool[Tensor, "batch point"], tile: Tile) -> Iterator[tuple[slice, Int64[Tensor, "image tile_point"]]]:
    """As many tiles as when a share of an image's samples has a gradient: numbers are 0 here."""
    share = int(SHARE * chosen.shape[1])
    with mock.patch.object(Tensor, "tolist", lambda counts: [share] * len(counts)):
        yield from tiles_of(chosen, tile)


fakes.tiles = tiles
# the processes of several GPUs import all this too
without_cudnn()
if __name__ == "__main__":
    main()
