"""Features of points in a learned cube, as weighted sums of table rows.

PyTorch adds the gradients of `grid_sample` on a GPU in any order, and on a CPU with one thread. `embedding_bag` sorts
them first: the same bits at every call, on all threads.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def table_of(cube: Float[Tensor, "1 features side side side"]) -> Float[Tensor, "side side side features"]:
    """The cube with the features of a sample side by side."""
    return cube[0].movedim(0, -1).contiguous()


def with_features(
    table: Float[Tensor, "side side side features"], places: Float[Tensor, "batch point 3"]
) -> Float[Tensor, "batch point inputs"]:
    """[features, place] of places in the box -1..1, the same as `pigan.models.siren.with_cube` of the cube."""
    side = len(table)
    at = (places.flatten(0, 1) + 1) * ((side - 1) / 2)
    below = at.detach().floor()
    # of each axis the sample before the place and the one behind it, and their shares; outside there is nothing
    near = torch.stack((below, below + 1), dim=-1)
    share = torch.stack((1 - (at - below), at - below), dim=-1) * ((near >= 0) & (near <= side - 1))
    (x, y, z), (of_x, of_y, of_z) = near.clamp(0, side - 1).long().unbind(1), share.unbind(1)
    rows = (z[:, :, None, None] * side + y[:, None, :, None]) * side + x[:, None, None, :]
    shares = of_z[:, :, None, None] * of_y[:, None, :, None] * of_x[:, None, None, :]
    features = torch.nn.functional.embedding_bag(
        rows.flatten(1), table.flatten(0, 2), per_sample_weights=shares.flatten(1), mode="sum"
    )
    return torch.cat((features.unflatten(0, places.shape[:2]), places), dim=-1)
