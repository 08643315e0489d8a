"""What pictures, videos and meshes can be asked for, in the words of the command line; needs no PyTorch."""

from typing import Literal

Layout = Literal["grid", "single", "views", "truncation"]
Map = Literal["colour", "depth", "normals", "opacity"]
Format = Literal["png", "exr", "npy"]

Backdrop = Literal["white", "black", "last", "transparent"]
"""What stands behind an object: a colour, its own last sample, or nothing."""
Shade = Literal["own", "white", "black", "last", "transparent"]
"""The same; own: that of the evaluation images."""

PathName = Literal["orbit", "front", "spiral", "zoom", "still"]
Morph = Literal["none", "linear", "spherical"]

SurfaceKind = Literal["opaque", "density"]
Colours = Literal["average", "view", "none"]


def backdrop_of(shade: Shade) -> Backdrop | None:
    """The backdrop as rendering knows it."""
    return None if shade == "own" else shade
