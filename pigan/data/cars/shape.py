"""From a car's numbers to convex solids: body, cabin, wheels and fittings."""

import math

import numpy as np
from numpy.typing import NDArray

from pigan.data.cars import paint
from pigan.data.cars.paint import CHROME, PLASTIC, RUBBER, plain
from pigan.data.cars.raytrace import Scene
from pigan.data.cars.solids import Solid, box, cylinder, ellipsoid, extrude, rounded
from pigan.data.cars.spec import CarSpec, sample_spec

SIDE, PLAN, FRONT = (0, 1), (0, 2), (2, 1)
LONGEST = 5.4


def sample_car(rng: np.random.Generator, reach: float) -> Scene:
    """A random car that fills most of the sphere of radius `reach` (world units) around the origin, and fits in it."""
    return build(sample_spec(rng), reach)


def build(spec: CarSpec, reach: float) -> Scene:
    """The scene of one car, centred on the world's origin, nose towards +x."""
    solids = (_body(spec), _cabin(spec), *_wheels(spec), *_fittings(spec))
    diagonal = math.hypot(spec.length, spec.width, spec.height) / 2
    # short cars are shown a little larger than life, so that all fill the frame
    size = 1.0 * (diagonal / (LONGEST * 0.57)) ** 0.5
    return Scene(
        solids=solids,
        footprint=(spec.length / 2, spec.width / 2),
        centre=np.array([0.0, spec.height / 2, 0.0]),
        scale=reach * min(size, 0.985) / diagonal,
    )


def _body(spec: CarSpec) -> Solid:
    """Everything below the windows: three prisms intersected, edges rounded, wheel arches and load bed cut out."""
    front, half, low = spec.length / 2, spec.width / 2, spec.clearance
    side = [
        (front - 0.30, low),
        (front - 0.04, low + 0.13),
        (front, 0.48 * spec.nose + 0.12),
        (front - 0.05, spec.nose - 0.12),
        (front - 0.17, spec.nose),
        ((front + spec.cowl_x) / 2, 0.42 * spec.nose + 0.58 * spec.cowl + 0.015),
        (spec.cowl_x, spec.cowl),
        (spec.tail_x, spec.deck),
        (-front + 0.10, spec.deck - 0.05),
        (-front, 0.62 * spec.deck),
        (-front + 0.05, low + 0.16),
        (-front + 0.32, low),
    ]
    tall = max(spec.cowl, spec.deck)
    section = [
        (sign * across, height)
        for sign in (-1, 1)
        for across, height in (
            (half - 0.10, low),
            (half - 0.01, low + 0.16),
            (half, 0.60 * tall),
            (half - 0.055, tall),
            (half - 0.16, tall + 0.05),
        )
    ]
    nose, tail = 1 - 0.34 * spec.corner, 1 - 0.22 * spec.corner
    plan = [
        (along, sign * across * half)
        for sign in (-1, 1)
        for along, across in (
            (front, nose - 0.08),
            (front - 0.14, nose + 0.10),
            (front - 0.50, 0.5 * (nose + 0.14) + 0.5),
            (front - 1.1, 1.0),
            (-front + 1.0, 1.0),
            (-front + 0.45, 0.45 * (tail + 0.1) + 0.55),
            (-front + 0.10, tail + 0.02),
            (-front, tail - 0.12),
        )
    ]
    planes = np.concatenate([extrude(side, SIDE), extrude(section, FRONT), extrude(plan, PLAN)])
    solid = rounded(planes, spec.roundness, paint.body(spec), softness=0.03)
    arches = [
        cylinder(
            (axle, spec.wheel_radius, sign * half),
            2,
            spec.wheel_radius + 0.055,
            spec.wheel_width + 0.10,
            plain((0.006,) * 3, 0.0),
        )
        for axle in (spec.front_axle_x, spec.rear_axle_x)
        for sign in (-1, 1)
    ]
    if spec.style == "pickup":
        inner = (-front + 0.10, 0.90, -half + 0.13), (spec.tail_x - 0.10, 2.0, half - 0.13)
        arches.append(box(*inner, plain((0.05, 0.05, 0.052), 0.02)))
    return solid.without(*arches)


def _cabin(spec: CarSpec) -> Solid:
    """Windows, pillars and roof: a tapered, crowned block sunk into the body."""
    sunk = 0.10
    screen_slope = (spec.cowl_x - spec.roof_front_x) / (spec.height - 0.03 - spec.cowl)
    back_slope = (spec.roof_rear_x - spec.tail_x) / (spec.height - 0.05 - spec.deck)
    middle = (spec.roof_front_x + spec.roof_rear_x) / 2
    profile = [
        (spec.cowl_x + sunk * screen_slope, spec.cowl - sunk),
        (spec.roof_front_x + 0.02, spec.height - 0.055),
        (spec.roof_front_x - 0.22, spec.height - 0.015),
        (middle + 0.1, spec.height),
        (middle - 0.3, spec.height - 0.004),
        (spec.roof_rear_x + 0.12, spec.height - 0.035),
        (spec.roof_rear_x - 0.04, spec.height - 0.08),
        (spec.tail_x - sunk * back_slope, spec.deck - sunk),
    ]
    low = min(spec.cowl, spec.deck) - sunk
    belt_half = spec.width / 2 - 0.065
    top = belt_half - spec.lean
    lean = spec.lean / (spec.height - spec.cowl)
    section = [
        (sign * across, height)
        for sign in (-1, 1)
        for across, height in (
            (belt_half + lean * (spec.cowl - low), low),
            (top + 0.015, spec.height - 0.07),
            (top - 0.10, spec.height - 0.018),
            (top - 0.32, spec.height),
        )
    ]
    nose, tail = spec.cowl_x + sunk * screen_slope, spec.tail_x - sunk * back_slope
    plan = [
        (along, sign * across)
        for sign in (-1, 1)
        for along, across in (
            (nose, belt_half - 0.26),
            (nose - 0.12, belt_half - 0.06),
            (nose - 0.5, belt_half + 0.02),
            (nose - 1.0, belt_half + 0.10),
            (tail + 0.9, belt_half + 0.10),
            (tail + 0.3, belt_half - 0.01),
            (tail, belt_half - 0.12),
        )
    ]
    planes = np.concatenate([extrude(profile, SIDE), extrude(section, FRONT), extrude(plan, PLAN)])
    screen = _plane_through(profile[0], profile[1])
    back = _plane_through(profile[6], profile[7])
    return rounded(planes, 0.06, paint.cabin(spec, screen, back), softness=0.02)


def _plane_through(first: tuple[float, float], second: tuple[float, float]) -> NDArray[np.float64]:
    """The plane (n, d) along z that holds two points of the side view, outward seen from between the cabin's ends."""
    across, up = second[0] - first[0], second[1] - first[1]
    length = math.hypot(across, up)
    normal = np.array([up, -across]) / length
    if normal[1] < 0:
        normal = -normal
    return np.array([normal[0], normal[1], 0.0, normal[0] * first[0] + normal[1] * first[1]])


def _wheels(spec: CarSpec) -> list[Solid]:
    """Four tyres with dished rims."""
    wheels = []
    for axle in (spec.front_axle_x, spec.rear_axle_x):
        for sign in (-1, 1):
            outer = sign * (spec.width / 2 - 0.015)
            centre = (axle, spec.wheel_radius, outer - sign * spec.wheel_width / 2)
            wheel = cylinder(centre, 2, spec.wheel_radius, spec.wheel_width / 2, plain(RUBBER, 0.02), softness=0.02)
            dish = cylinder(
                (axle, spec.wheel_radius, outer),
                *(2, spec.wheel_radius * spec.rim_share, 0.045, paint.rim(spec, axle)),
                softness=0.004,
            )
            wheels.append(wheel.without(dish))
    return wheels


def _fittings(spec: CarSpec) -> list[Solid]:
    """Mirrors, roof rails, spoiler, spare wheel."""
    parts: list[Solid] = []
    half = spec.width / 2
    for sign in (-1, 1):
        place = (spec.cowl_x - 0.42, spec.belt(spec.cowl_x) + 0.11, sign * (half + 0.045))
        parts.append(ellipsoid(place, (0.085, 0.075, 0.115), plain(spec.paint, spec.gloss)))
        if spec.rails:
            inner = half - 0.065 - spec.lean - 0.09
            low = (spec.roof_rear_x + 0.15, spec.height - 0.04, sign * inner - 0.022)
            high = (spec.roof_front_x - 0.25, spec.height + 0.045, sign * inner + 0.022)
            parts.append(box(low, high, plain(CHROME if spec.chrome else PLASTIC, 0.15), softness=0.01))
    if spec.spoiler and spec.style == "coupe":
        at = -spec.length / 2 + 0.20
        parts.append(
            box(
                (at - 0.13, spec.deck + 0.13, -half + 0.14),
                (at + 0.12, spec.deck + 0.165, half - 0.14),
                plain(spec.paint, spec.gloss),
            )
        )
        for sign in (-1, 1):
            low = (at - 0.05, spec.deck - 0.10, sign * (half - 0.42) - 0.02)
            high = (at + 0.05, spec.deck + 0.14, sign * (half - 0.42) + 0.02)
            parts.append(box(low, high, plain(PLASTIC)))
    elif spec.spoiler:
        top = half - 0.065 - spec.lean - 0.06
        low = (spec.roof_rear_x - 0.20, spec.height - 0.085, -top)
        high = (spec.roof_rear_x + 0.12, spec.height - 0.045, top)
        parts.append(box(low, high, plain(spec.paint, spec.gloss)))
    if spec.spare:
        centre = (-spec.length / 2 - 0.03, 0.62 * spec.deck + 0.12, 0.0)
        spare = cylinder(centre, 0, spec.wheel_radius, 0.11, plain(RUBBER, 0.02), softness=0.02)
        parts.append(spare)
    return parts
