"""Do shapes bulge towards the viewer or away from it? A generator may learn faces as seen from inside a mask."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt

from pigan.evaluation.geometry import SURFACE_PIXELS
from pigan.evaluation.intervals import Estimate, mean_of, wilson


class Hollow(NamedTuple):
    """What the hollow-face test says of a set of views, one an object."""

    share: Estimate
    """Share of the views that are hollow, with Wilson's interval."""
    relief: float
    """Mean relief: +1 bulges, -1 is hollow, 0 is flat."""


def relief(depth: Float[np.ndarray, "side side"]) -> float | None:
    """Is the middle of a shape nearer than its rim: from +1 (it bulges) to -1 (it is hollow); None: too few pixels.

    Minus the correlation, over the pixels with z-depth, of that depth and the logarithm of the distance to the
    silhouette (or to the image's edge), both less the plane that fits them best: what leans towards the viewer is
    not hollow for that. A flat shape, leaning or not, has relief 0.

    On 550 cars of the embedded dataset, from poses of its law, all are above 0 at 64 pixels (median 0.76, 5 % of them
    below 0.55) and all but one at 32, a pickup that is seen into its bed. With the distance itself in the place of its
    logarithm one is on the wrong side at 64 pixels too, and without the plane the median falls to 0.47.
    """
    mask = np.isfinite(depth)
    if mask.sum() < SURFACE_PIXELS:
        return None
    # what the image cuts off ends there
    inward = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][mask]
    row, column = np.nonzero(mask)
    design = np.stack((np.ones(len(row)), row, column), axis=-1)
    both = np.stack((depth[mask].astype(np.float64), np.log(inward)), axis=-1)
    z, middle = (both - design @ np.linalg.lstsq(design, both, rcond=None)[0]).T
    spread = np.sqrt(z @ z) * np.sqrt(middle @ middle)
    # a plane leaves nothing but rounding
    if np.sqrt(z @ z / len(z)) <= 1e-6 * np.abs(both[:, 0]).max() or spread == 0:
        return 0.0
    return float(-(z @ middle) / spread)


def hollow_share(depth: Float[np.ndarray, "object side side"]) -> Hollow | None:
    """Share of the objects whose relief is negative, one view each; None when no view has enough pixels.

    It tells a shape from its mirror image in depth and nothing else: a flat card is not hollow, and scenes whose
    middle truly lies behind their rim (rooms, cups) are.
    """
    reliefs = np.array([value for value in map(relief, depth) if value is not None])
    if not len(reliefs):
        return None
    share = float(np.mean(reliefs < 0))
    return Hollow(Estimate(share, wilson(share, len(reliefs))), float(reliefs.mean()))


def empty_rays(empty: Float[np.ndarray, "n"]) -> Estimate | None:
    """Mean over images of the share of rays that meet no surface; None when nothing is known."""
    return mean_of(empty)


def empty_rays_real(depth: Float[np.ndarray, "n side side"]) -> Estimate | None:
    """The same of real depth maps, where NaN is no surface: what `empty_rays` is to be compared with."""
    return mean_of(np.isnan(depth).mean((1, 2)))
