"""Which of pigan's pose laws known cameras follow, by the quantiles of their angles."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from pigan.sections import PoseLaw

Angles = Float[np.ndarray, " n"]

# angles that vary less than half a degree are one angle
STILL = math.radians(0.5)
# share of the cameras on either end that the fit leaves out: odd ones are there
TRIM = 0.01
# a law whose misfit is at most so many times the best one's fits nearly as well
CLOSE = 1.25

# each law is mean + spread * offset; these are the offset's quantiles (hybrid is one of the first two a call)
OFFSETS: dict[PoseLaw, Callable[[Angles], Angles]] = {
    "uniform": lambda levels: 2 * levels - 1,
    "gaussian": lambda levels: np.asarray(ndtri(levels)),
    "truncated_gaussian": lambda levels: np.asarray(ndtri(ndtr(-2) + levels * (ndtr(2) - ndtr(-2)))),
    "spherical_uniform": lambda levels: 2 * levels - 1,
}
# the laws whose yaw can go all round; nothing of it is left to fit then
ALL_ROUND = ("uniform", "spherical_uniform")


@dataclass(frozen=True)
class LawFit:
    """A pose law with its numbers, radians as in params.yaml."""

    law: PoseLaw
    yaw_mean: float
    yaw_spread: float
    pitch_mean: float
    pitch_spread: float
    misfit: float
    """Root mean square between the quantiles of the angles and of the law, radians; a yaw all round is left out."""
    rivals: tuple[PoseLaw, ...] = ()
    """Laws that fit nearly as well."""


def fit_law(yaw: Angles, pitch: Angles) -> LawFit:
    """The law whose quantiles are nearest to those of the angles (radians), after a least-squares fit of each law.

    All laws are a mean and a spread times a fixed offset, so the fit is a straight line through sorted angles over
    the offset's quantiles, for `spherical_uniform` in v = (1 - cos pitch) / 2. `hybrid` is never chosen: any one call
    draws it as uniform or gaussian.
    """
    turned, whole = unwrap(yaw)
    if not whole and float(turned.std()) < STILL and float(pitch.std()) < STILL:
        level = float(np.hypot(turned.std(), pitch.std()))
        return LawFit("fixed", _forward(float(turned.mean())), 0.0, float(pitch.mean()), 0.0, level)
    laws = [law for law in OFFSETS if law in ALL_ROUND or not whole]
    fits = sorted((_fit(law, turned, whole, np.sort(pitch)) for law in laws), key=lambda fit: fit.misfit)
    rivals = tuple(fit.law for fit in fits[1:] if fit.misfit <= CLOSE * fits[0].misfit)
    return replace(fits[0], rivals=rivals)


def unwrap(yaw: Angles) -> tuple[Angles, bool]:
    """Sorted yaw, cut open at its widest gap, and whether it goes all round.

    All round means that no gap is much wider than chance leaves between so many angles on a circle.
    """
    ordered = np.sort(np.mod(yaw, 2 * math.pi))
    gaps = np.diff(ordered, append=ordered[0] + 2 * math.pi)
    widest = int(gaps.argmax())
    chance = 2 * math.pi * (math.log(len(ordered)) + 1) / len(ordered)
    balance = abs(np.exp(1j * ordered).mean())
    if len(ordered) > 2 and gaps[widest] < max(math.radians(20), 2 * chance) and balance < 0.35:
        return np.sort(np.mod(yaw + math.pi / 2, 2 * math.pi) - math.pi / 2), True
    start = float(ordered[(widest + 1) % len(ordered)])
    return start + np.sort(np.mod(ordered - start, 2 * math.pi)), False


def _fit(law: PoseLaw, yaw: Angles, whole: bool, pitch: Angles) -> LawFit:
    """One law through sorted angles; a yaw that goes all round has no mean to fit."""
    levels = (np.arange(len(yaw)) + 0.5) / len(yaw)
    inner = (levels >= TRIM) & (levels <= 1 - TRIM)
    offsets, yaw, pitch = OFFSETS[law](levels[inner]), yaw[inner], pitch[inner]
    yaw_mean, yaw_spread = (math.pi / 2, math.pi) if whole else _line(offsets, yaw)
    if law == "spherical_uniform":
        mean, spread = _line(offsets, math.pi * (1 - np.cos(pitch)) / 2)
        drawn = np.arccos(np.clip(1 - 2 * (mean + spread * offsets) / math.pi, -1, 1))
    else:
        mean, spread = _line(offsets, pitch)
        drawn = mean + spread * offsets
    square = np.mean((drawn - pitch) ** 2)
    if not whole:
        square += np.mean((yaw_mean + yaw_spread * offsets - yaw) ** 2)
    return LawFit(law, _forward(yaw_mean), yaw_spread, mean, spread, math.sqrt(square))


def _line(offsets: Angles, values: Angles) -> tuple[float, float]:
    """Mean and spread of the least-squares line values = mean + spread * offsets."""
    centred = offsets - offsets.mean()
    spread = float(centred @ values / max(float(centred @ centred), 1e-12))
    return float(values.mean() - spread * offsets.mean()), spread


def _forward(yaw: float) -> float:
    """The same yaw within half a turn of pi / 2, the front."""
    return (yaw + math.pi / 2) % (2 * math.pi) - math.pi / 2
