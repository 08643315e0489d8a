"""A 3-D model as plain arrays, placed in the world: what ray casting needs and nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pigan.data.meshes.texture import Textures, decode, pack, side_for

# faces that meet at a smaller angle are shaded as one smooth surface where the file gives no normals
CREASE = math.radians(45)
# share of the sphere that all cameras see whole which the model fills
FILLED = 0.95
# vertices closer than this share of the model's extent are one when normals are smoothed
WELD = 2.0**-19


class RejectedError(Exception):
    """A model that cannot be rendered; its message is one line."""


@dataclass(frozen=True, eq=False)
class Part:
    """Faces of one material, in the file's own world."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    normals: Float[np.ndarray, "v 3"] | None
    uv: Float[np.ndarray, "v 2"] | None
    colours: Float[np.ndarray, "f 3 4"]
    """Linear colour and alpha of each face's corners, which multiply the texture."""
    image: Image.Image | None
    alpha: float | None
    """None: opaque whatever the alpha says; 0: alpha blends; else texels with a smaller alpha are holes."""
    single_sided: bool


@dataclass(frozen=True, eq=False)
class Model:
    """A model that fills the sphere around the world's origin, y up; lengths are world units."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    corners: Float[np.ndarray, "f 3 9"]
    """Normal, uv, and linear colour with alpha, of each face's corners."""
    texture: Int[np.ndarray, " f"]
    detail: Float[np.ndarray, " f"]
    """Finest texels per world unit."""
    transparent: Bool[np.ndarray, " f"]
    """Faces that may let light through somewhere."""
    single_sided: Bool[np.ndarray, " f"]
    textures: Textures


def assemble(parts: Sequence[Part], up: str, reach: float) -> Model:
    """One model of all parts, turned upright and scaled into the sphere of radius `reach` around the origin.

    The middle of the bounding box lies on the origin, and the farthest vertex 0.95 reach away from it.

    Raises:
        RejectedError: empty, not finite or without extent, or a texture that cannot be decoded.
    """
    if not sum(len(part.faces) for part in parts):
        raise RejectedError("has no faces")
    before = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = np.concatenate([part.faces + first for part, first in zip(parts, before[:-1], strict=True)])
    places = placed(np.concatenate([part.vertices for part in parts]), faces, up, reach)
    edges = places[faces]
    normals = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    area = np.linalg.norm(normals, axis=1) / 2
    solid = area > 1e-12 * reach**2
    if not solid.any():
        raise RejectedError("has no extent: all faces are lines or points")
    textures, numbers, opaque = _textures(parts)
    corners = np.concatenate(
        [
            _corner_normals(parts, faces, places, normals, up),
            np.concatenate([_corner_uv(part) for part in parts]),
            np.concatenate([part.colours for part in parts]),
        ],
        axis=2,
    ).astype(np.float32)
    if not np.isfinite(corners).all():
        raise RejectedError("has normals, texture coordinates or colours that are not finite")
    owner = np.repeat(np.arange(len(parts)), [len(part.faces) for part in parts])
    texture = np.array(numbers)[owner]
    clear = ~np.array(opaque)[owner] | (corners[..., 8] < 1).any(1)
    detail = _texel_density(corners[..., 3:5], area, textures.width[texture, 0] * textures.height[texture, 0])
    return Model(
        vertices=places.astype(np.float32),
        faces=faces[solid].astype(np.int32),
        corners=corners[solid],
        texture=texture[solid],
        detail=detail[solid],
        transparent=clear[solid],
        single_sided=np.array([part.single_sided for part in parts])[owner][solid],
        textures=textures,
    )


def placed(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], up: str, reach: float
) -> Float[np.ndarray, "v 3"]:
    """Vertices upright, with the used ones' bounding box centred, and within 0.95 `reach` of the origin.

    Raises:
        RejectedError: a used vertex is not finite, or all are one point.
    """
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    if not np.isfinite(vertices[used]).all():
        raise RejectedError("has vertices that are not finite")
    # what no face uses may be anything, and takes no part
    upright = upward(np.where(used[:, None], vertices, vertices[faces[0, 0]]).astype(np.float64), up)
    low, high = upright.min(0), upright.max(0)
    with np.errstate(over="ignore"):
        extent = float((high - low).max())
    if not 0 < extent < math.inf or extent < 1e-6 * np.abs([low, high]).max():
        raise RejectedError("has no extent, or lies too far from its own origin for its size")
    middle = (upright - (low + high) / 2) / extent
    return middle * (FILLED * reach / np.linalg.norm(middle, axis=1).max())


def upward(vectors: Float[np.ndarray, "*n 3"], up: str) -> Float[np.ndarray, "*n 3"]:
    """Vectors of a model whose axis `up` (y or z) points up, in the world, where y does."""
    return vectors if up == "y" else vectors[..., [0, 2, 1]] * np.array([1, 1, -1])


def _textures(parts: Sequence[Part]) -> tuple[Textures, list[int], list[bool]]:
    """Packed textures, the number of each part's, and whether each part's is opaque."""
    keys = [(id(part.image), part.alpha) for part in parts]
    firsts = {key: part for key, part in zip(keys, parts, strict=True) if part.image is not None}
    side = side_for(len(firsts))
    texels = []
    for part in firsts.values():
        assert part.image is not None
        try:
            texels.append(decode(part.image, side, part.alpha))
        except (OSError, SyntaxError, ValueError) as error:
            raise RejectedError(f"has a texture that cannot be decoded ({error})") from None
    number = {key: at for at, key in enumerate(firsts, 1)}
    solid = [True, *(bool((image[..., 3] == 1).all()) for image in texels)]
    chosen = [number.get(key, 0) for key in keys]
    return pack(texels), chosen, [solid[at] for at in chosen]


def _corner_uv(part: Part) -> NDArray[np.floating]:
    if part.uv is None:
        return np.zeros((*part.faces.shape, 2))
    wide = part.uv[part.faces]
    # whole periods less: far from 0, float32 has few digits left
    return wide - np.floor(wide.min(1, keepdims=True))


def _texel_density(
    uv: NDArray[np.float32], area: NDArray[np.floating], texels: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Texels per unit of length on each face, the same in both directions on average."""
    one, other = (uv[:, 1] - uv[:, 0]).astype(np.float64), (uv[:, 2] - uv[:, 0]).astype(np.float64)
    share = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2
    return np.sqrt(share * texels / np.maximum(area, 1e-30)).astype(np.float32)


def _corner_normals(
    parts: Sequence[Part],
    faces: NDArray[np.integer],
    places: NDArray[np.float64],
    normals: NDArray[np.float64],
    up: str,
) -> NDArray[np.float64]:
    """Unit normals [f, 3, 3]: the file's own where it has them, else smoothed ones."""
    if all(part.normals is not None for part in parts):
        corners = np.zeros((len(faces), 3, 3))
    else:
        corners = smooth_normals(places, faces, normals)
    first = 0
    for part in parts:
        mine = slice(first, first + len(part.faces))
        first = mine.stop
        if part.normals is not None:
            corners[mine] = upward(part.normals, up)[part.faces]
    length = np.linalg.norm(corners, axis=2, keepdims=True)
    flat = normals[:, None] / np.maximum(np.linalg.norm(normals, axis=1), 1e-30)[:, None, None]
    return np.where(length > 1e-9, corners / np.maximum(length, 1e-9), flat)


def smooth_normals(
    places: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], normals: Float[np.ndarray, "f 3"]
) -> Float[np.ndarray, "f 3 3"]:
    """Normals (any length) of each face's corners: means over the neighbours that meet at less than the crease angle.

    `normals` of the faces have twice the face's area as length, so larger faces count more. Corners belong together
    when one can walk between them around their vertex over smooth edges alone.
    """
    merged = _welded(places)[faces]
    count = len(faces)
    ends = np.stack([merged, np.roll(merged, -1, axis=1)], -1).reshape(-1, 2)
    corner = np.arange(3 * count).reshape(count, 3)
    at = np.stack([corner, np.roll(corner, -1, axis=1)], -1).reshape(-1, 2)
    backwards = ends[:, 0] > ends[:, 1]
    at[backwards] = at[backwards, ::-1]
    key = ends.min(1) * (merged.max() + 1) + ends.max(1)
    order = np.argsort(key, kind="stable")
    shared = key[order[1:]] == key[order[:-1]]
    one, other = order[1:][shared], order[:-1][shared]
    unit = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    smooth = (unit[one // 3] * unit[other // 3]).sum(1) > math.cos(CREASE)
    links = np.concatenate([np.stack([at[one[smooth], end], at[other[smooth], end]], 1) for end in (0, 1)])
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(3 * count, 3 * count))
    groups, group = connected_components(graph, directed=False)
    weights = np.repeat(normals, 3, axis=0)
    sums = np.stack([np.bincount(group, weights[:, axis], groups) for axis in range(3)], 1)
    return sums[group].reshape(count, 3, 3)


def _welded(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """A number for each vertex, equal for vertices at the same place."""
    low = places.min(0)
    grid = np.round((places - low) / ((places - low).max() * WELD)).astype(np.int64)
    key = (grid[:, 0] << 42) | (grid[:, 1] << 21) | grid[:, 2]
    return np.unique(key, return_inverse=True)[1].astype(np.int64)
