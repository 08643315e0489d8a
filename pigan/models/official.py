"""State dicts of the authors' released networks as pigan's, so that weights can be compared and loaded.

Names are translated, and the order of two channels; `pigan.models.torchfile` reads their pickled files.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from pigan.errors import PiganError
from pigan.models.pickles import shown

# (pattern of the authors' name, ours); the first that matches the whole name counts
GENERATOR_NAMES = (
    (r"siren\.spatial_embeddings", r"field.cube"),
    (r"siren\.network\.(\d+)\.layer\.(weight|bias)", r"field.layers.\1.\2"),
    (r"siren\.final_layer\.(weight|bias)", r"field.density_head.\1"),
    (r"siren\.color_layer_sine\.layer\.(weight|bias)", r"field.colour_layer.\1"),
    (r"siren\.color_layer_linear\.0\.(weight|bias)", r"field.colour_head.\1"),
    (r"siren\.mapping_network\.network\.(\d+)\.(weight|bias)", r"mapping.\1.\2"),
)
DISCRIMINATOR_NAMES = (
    (r"layers\.(\d+)\.network\.(\d+)\.(conv\.)?(weight|bias)", r"blocks.\1.network.\2.\3\4"),
    (r"layers\.(\d+)\.proj\.(weight|bias)", r"blocks.\1.shortcut.\2"),
    (r"fromRGB\.(\d+)\.model\.0\.(weight|bias)", r"from_rgb.\1.0.\2"),
    (r"final_layer\.(weight|bias)", r"final.\1"),
)
# their last two inputs are the pixel's place: down the rows and across, where ours are across and down
COORDINATE_WEIGHTS = r"layers\.\d+\.network\.\d+\.conv\.weight"
# a layer of the authors' strided discriminator that nothing uses
UNUSED = re.compile(r"pose_layer\.(weight|bias)")


def generator_from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict for `pigan.models.generator.Generator` from the authors' generator.

    Raises:
        PiganError: a name that the authors' generators do not have.
    """
    return _renamed(state, GENERATOR_NAMES)


def discriminator_from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict for `pigan.models.discriminator.Discriminator` from any of the authors' three.

    Raises:
        PiganError: a name that the authors' discriminators do not have.
    """
    renamed = _renamed(
        {name: value for name, value in state.items() if not UNUSED.fullmatch(name)}, DISCRIMINATOR_NAMES
    )
    for name, value in state.items():
        # what has another shape is refused later
        if re.fullmatch(COORDINATE_WEIGHTS, name) and value.ndim == 4:
            renamed[re.sub(*DISCRIMINATOR_NAMES[0], name)] = torch.cat((value[:, :-2], value[:, -2:].flip(1)), dim=1)
    return renamed


def _renamed(state: Mapping[str, Tensor], names: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        pattern, ours = next((pair for pair in names if re.fullmatch(pair[0], name)), (None, ""))
        if pattern is None:
            raise PiganError(f"{shown(name)}: no weight of the authors' networks; is this another model's state dict?")
        renamed[re.sub(pattern, ours, name)] = value
    return renamed
