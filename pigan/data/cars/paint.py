"""What a car's surfaces look like at a point: paint, glass, lamps, grille, tyres and rims, as functions of position."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from pigan.data.cars.solids import Material, Paint
from pigan.data.cars.spec import CarSpec

Colour = tuple[float, float, float]

GLASS: Colour = (0.012, 0.016, 0.020)
RUBBER: Colour = (0.017, 0.017, 0.018)
PLASTIC: Colour = (0.030, 0.031, 0.033)
CHROME: Colour = (0.42, 0.43, 0.45)
HEADLAMP: Colour = (0.80, 0.84, 0.88)
TAIL_LAMP: Colour = (0.50, 0.012, 0.015)
INDICATOR: Colour = (0.75, 0.25, 0.03)
PLATE: Colour = (0.75, 0.75, 0.70)


class _Layers:
    """A material that grows by painting regions over one another."""

    def __init__(self, count: int, base: Colour, mirror: float) -> None:
        self.albedo = np.repeat(np.array(base, np.float32)[:, None], count, 1)
        self.mirror = np.full(count, mirror, np.float32)

    def over(self, region: NDArray[np.bool_], colour: Colour, mirror: float) -> None:
        self.albedo[:, region] = np.array(colour, np.float32)[:, None]
        self.mirror[region] = mirror

    def darken(self, region: NDArray[np.bool_], share: float) -> None:
        self.albedo[:, region] *= np.float32(share)

    def material(self) -> Material:
        return Material(self.albedo, self.mirror)


def plain(colour: Colour, mirror: float = 0.03) -> Paint:
    """One colour everywhere."""

    def paint(points: Float[np.ndarray, "3 n"], normals: Float[np.ndarray, "3 n"]) -> Material:
        return _Layers(points.shape[1], colour, mirror).material()

    return paint


def body(spec: CarSpec) -> Paint:
    """Lower body: paint, door seams and handles, lamps, grille, plates, cladding."""

    def paint(points: Float[np.ndarray, "3 n"], normals: Float[np.ndarray, "3 n"]) -> Material:
        layers = _Layers(points.shape[1], spec.paint, spec.gloss)
        x, y, side = points[0], points[1], np.abs(points[2])
        half = spec.width / 2
        if spec.stripe:
            layers.over((side > 0.10) & (side < 0.30) & (normals[1] > 0.3), (0.85, 0.85, 0.83), spec.gloss)
        _doors(layers, spec, points, normals)
        sill = y < spec.clearance + (0.16 if spec.cladding else 0.07)
        layers.over(sill, PLASTIC, 0.03)
        if spec.cladding:
            for axle in (spec.front_axle_x, spec.rear_axle_x):
                arch = np.hypot(x - axle, y - spec.wheel_radius) < spec.wheel_radius + 0.13
                layers.over(arch & (np.abs(normals[2]) > 0.5), PLASTIC, 0.03)
        ahead = x > spec.length / 2 - 0.5
        behind = x < 0.42 - spec.length / 2
        _front(layers, spec, ahead & (normals[0] > 0.12), y, side / half)
        _rear(layers, spec, behind & (normals[0] < -0.12), y, side / half)
        return layers.material()

    return paint


def _doors(layers: _Layers, spec: CarSpec, points: NDArray[np.float32], normals: NDArray[np.float32]) -> None:
    """Seams and handles on the sides, the bonnet's outline above."""
    x, y, side = points[0], points[1], np.abs(points[2])
    flank = (np.abs(normals[2]) > 0.6) & (y > spec.clearance + 0.12)
    first = spec.cowl_x - 0.12
    middle = (spec.roof_front_x + spec.roof_rear_x) / 2 + (0.1 if spec.style != "pickup" else -0.05)
    last = spec.rear_axle_x + 0.34
    seams = (first, middle - 0.25) if spec.doors == 2 else (first, middle, max(last, middle - 1.0))
    for seam in seams:
        layers.darken(flank & (np.abs(x - seam) < 0.014), 0.3)
    for seam in seams[1:]:
        handle = flank & (np.abs(x - seam - 0.14) < 0.09) & (np.abs(y - spec.belt(seam) + 0.17) < 0.022)
        layers.over(handle, CHROME if spec.chrome else (0.04, 0.04, 0.045), 0.10)
    edge = np.abs(side - (spec.width / 2 - 0.20)) < 0.012
    layers.darken((normals[1] > 0.6) & edge & (x > spec.cowl_x), 0.35)


def _front(
    layers: _Layers, spec: CarSpec, face: NDArray[np.bool_], y: NDArray[np.float32], side: NDArray[np.float32]
) -> None:
    """Head lamps, grille, intake and plate; `side` is the share of the half width."""
    top = spec.nose - 0.03
    lamp = (y > top - spec.lamp_height) & (y < top) & (side > 1 - spec.lamp_width)
    middle = top - 0.03 - spec.grille_height / 2
    grille = (side < spec.grille_width) & (np.abs(y - middle) < spec.grille_height / 2)
    if spec.chrome:
        frame = (side < spec.grille_width + 0.035) & (np.abs(y - middle) < spec.grille_height / 2 + 0.025)
        layers.over(face & frame, CHROME, 0.35)
    layers.over(face & grille, (0.012, 0.012, 0.013), 0.05)
    low = spec.clearance + 0.13
    layers.over(face & (side < 0.72) & (y > low - 0.03) & (y < low + 0.11), (0.012, 0.012, 0.013), 0.03)
    layers.over(face & (side > 0.78) & (np.abs(y - low - 0.05) < 0.035), (0.5, 0.5, 0.48), 0.1)
    layers.over(face & lamp, HEADLAMP, 0.25)
    layers.over(
        face & lamp & (np.abs(y - top + spec.lamp_height / 2) > spec.lamp_height * 0.40), (0.02, 0.02, 0.02), 0.1
    )
    layers.over(face & (side < 0.27) & (np.abs(y - low - 0.17) < 0.05), PLATE, 0.03)


def _rear(
    layers: _Layers, spec: CarSpec, face: NDArray[np.bool_], y: NDArray[np.float32], side: NDArray[np.float32]
) -> None:
    """Tail lamps, plate, bumper."""
    top = spec.deck - 0.08
    if spec.tail_style == "upright":
        lamp = (side > 0.80) & (y < top) & (y > top - 0.42)
    elif spec.tail_style == "bar":
        lamp = (y < top - 0.03) & (y > top - 0.12) | (side > 0.7) & (y < top) & (y > top - 0.16)
    else:
        lamp = (side > 0.60) & (y < top) & (y > top - 0.17)
    layers.over(face & lamp, TAIL_LAMP, 0.12)
    if spec.tail_style != "bar":
        layers.over(face & lamp & (np.abs(y - top + 0.10) < 0.025), INDICATOR, 0.12)
    layers.over(face & (side < 0.27) & (np.abs(y - top + 0.30) < 0.055), PLATE, 0.03)
    layers.over(face & (y < spec.clearance + 0.20) & (side < 0.8), PLASTIC, 0.03)
    layers.darken(face & (np.abs(y - spec.clearance - 0.33) < 0.012), 0.35)


def cabin(spec: CarSpec, screen: NDArray[np.floating], back: NDArray[np.floating]) -> Paint:
    """Upper body: dark glass between pillars, under a painted roof; `screen` and `back` are the planes of its ends."""

    def paint(points: Float[np.ndarray, "3 n"], normals: Float[np.ndarray, "3 n"]) -> Material:
        layers = _Layers(points.shape[1], spec.paint, spec.gloss)
        x, y, side = points[0], points[1], np.abs(points[2])
        roof = spec.height - 0.10
        layers.over(y > roof, spec.roof_paint, spec.gloss)
        belt = spec.cowl + (spec.cowl_x - x) / (spec.cowl_x - spec.tail_x) * (spec.deck - spec.cowl)
        rise = np.clip((y - belt) / (spec.height - belt), 0, 1)
        edge = spec.width / 2 - 0.07 - spec.lean * rise - 0.09
        to_screen = screen[3] - screen[0] * x - screen[1] * y
        to_back = back[3] - back[0] * x - back[1] * y
        band = (y > belt + 0.05) & (y < roof - 0.01)
        flank = np.abs(normals[2]) > np.maximum(np.abs(normals[0]), 0.5)
        window = (
            band
            & flank
            & (to_screen > 0.13)
            & (to_back > (0.10 if spec.style in ("pickup", "fastback", "coupe") else 0.15))
        )
        middle = (spec.roof_front_x + spec.roof_rear_x) / 2 + (0.1 if spec.style != "pickup" else -0.05)
        if spec.panel_van:
            window &= x > spec.front_axle_x - 1.15
        layers.over(window, GLASS, 0.032)
        if spec.doors == 4 or spec.style == "van":
            layers.over(window & (np.abs(x - middle) < 0.035), (0.02, 0.02, 0.022), 0.05)
        if spec.style in ("estate", "suv", "minivan", "van", "sedan"):
            layers.over(
                window & (np.abs(x - max(spec.rear_axle_x + 0.22, middle - 1.0)) < 0.03), spec.paint, spec.gloss
            )
        ahead = (normals[0] > 0.25) & (to_screen < 0.12) & (y > belt + 0.02) & (y < roof + 0.02) & (side < edge)
        layers.over(ahead, GLASS, 0.032)
        behind = (normals[0] < -0.2) & (to_back < 0.12) & (y > belt + 0.07) & (y < roof) & (side < edge)
        if not spec.panel_van:
            layers.over(behind, GLASS, 0.032)
        if spec.stripe:
            layers.over((side > 0.10) & (side < 0.30) & (y > roof + 0.02), (0.85, 0.85, 0.83), spec.gloss)
        return layers.material()

    return paint


def rim(spec: CarSpec, axle_x: float) -> Paint:
    """Spokes, nut and lip inside the dish of a wheel, dark between the spokes."""

    def paint(points: Float[np.ndarray, "3 n"], normals: Float[np.ndarray, "3 n"]) -> Material:
        layers = _Layers(points.shape[1], (0.012, 0.012, 0.013), 0.03)
        across, up = points[0] - axle_x, points[1] - spec.wheel_radius
        radius = np.hypot(across, up) / (spec.wheel_radius * spec.rim_share)
        # in float64, as the display's colours are
        angle = np.arctan2(up, across, dtype=np.float64).astype(np.float32)
        phase = angle * np.float32(spec.spokes / (2 * np.pi))
        offset = np.abs(phase - np.round(phase)) * (2 * np.pi / spec.spokes)
        spoke = offset * radius < 0.62 / spec.spokes + 0.05
        layers.over((radius > 0.84) | spoke | (radius < 0.24), spec.rim_paint, 0.18)
        layers.over(radius < 0.10, (0.05, 0.05, 0.05), 0.1)
        return layers.material()

    return paint
