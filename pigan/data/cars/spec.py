"""Cars as numbers: body styles with ranges of proportions (metres), paints, and one random car."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

StyleName = Literal["sedan", "fastback", "coupe", "hatchback", "city", "estate", "suv", "minivan", "van", "pickup"]


@dataclass(frozen=True)
class Style:
    """Ranges (low, high) of one body style: metres, or shares of the length counted from the nose."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    nose: tuple[float, float]
    """Height of the bonnet's front edge."""
    cowl: tuple[float, float]
    """Height of the bonnet where the windscreen starts."""
    deck: tuple[float, float]
    """Height of the tail below the rear window."""
    cowl_at: tuple[float, float]
    roof_from: tuple[float, float]
    roof_to: tuple[float, float]
    tail_at: tuple[float, float]
    """Where the rear window ends."""
    wheel: tuple[float, float]
    clearance: tuple[float, float]
    share: float
    """How common the style is."""


STYLES: dict[StyleName, Style] = {
    "sedan": Style(
        *((4.4, 5.0), (1.78, 1.90), (1.40, 1.48), (0.66, 0.74), (0.92, 0.97), (0.96, 1.02)),
        *((0.265, 0.295), (0.42, 0.45), (0.66, 0.71), (0.83, 0.87), (0.31, 0.34), (0.15, 0.19)),
        share=3.0,
    ),
    "fastback": Style(
        *((4.4, 5.0), (1.82, 1.94), (1.36, 1.44), (0.62, 0.70), (0.88, 0.94), (0.93, 1.00)),
        *((0.27, 0.30), (0.43, 0.46), (0.62, 0.67), (0.93, 0.96), (0.32, 0.35), (0.14, 0.17)),
        share=1.5,
    ),
    "coupe": Style(
        *((4.1, 4.6), (1.80, 1.95), (1.22, 1.32), (0.56, 0.64), (0.82, 0.88), (0.84, 0.92)),
        *((0.31, 0.36), (0.47, 0.52), (0.62, 0.68), (0.87, 0.93), (0.32, 0.35), (0.12, 0.15)),
        share=1.5,
    ),
    "hatchback": Style(
        *((3.8, 4.3), (1.72, 1.82), (1.44, 1.54), (0.68, 0.76), (0.94, 1.00), (0.98, 1.06)),
        *((0.245, 0.275), (0.40, 0.44), (0.83, 0.88), (0.955, 0.98), (0.30, 0.33), (0.15, 0.18)),
        share=3.0,
    ),
    "city": Style(
        *((3.3, 3.7), (1.62, 1.70), (1.48, 1.58), (0.72, 0.80), (0.96, 1.02), (0.98, 1.04)),
        *((0.19, 0.23), (0.35, 0.39), (0.84, 0.89), (0.96, 0.985), (0.27, 0.30), (0.15, 0.18)),
        share=1.2,
    ),
    "estate": Style(
        *((4.5, 4.95), (1.78, 1.88), (1.44, 1.52), (0.66, 0.74), (0.92, 0.98), (0.98, 1.04)),
        *((0.26, 0.29), (0.41, 0.44), (0.87, 0.92), (0.965, 0.985), (0.31, 0.34), (0.15, 0.19)),
        share=1.5,
    ),
    "suv": Style(
        *((4.3, 4.9), (1.84, 1.98), (1.64, 1.84), (0.84, 0.96), (1.06, 1.16), (1.08, 1.18)),
        *((0.25, 0.285), (0.38, 0.42), (0.87, 0.93), (0.96, 0.985), (0.35, 0.39), (0.20, 0.26)),
        share=2.5,
    ),
    "minivan": Style(
        *((4.3, 4.8), (1.78, 1.88), (1.62, 1.74), (0.74, 0.82), (1.00, 1.06), (1.02, 1.10)),
        *((0.17, 0.21), (0.34, 0.39), (0.88, 0.93), (0.97, 0.985), (0.30, 0.33), (0.15, 0.19)),
        share=1.0,
    ),
    "van": Style(
        *((4.6, 5.2), (1.88, 2.00), (1.90, 2.15), (0.84, 0.94), (1.12, 1.22), (1.14, 1.24)),
        *((0.12, 0.16), (0.25, 0.30), (0.955, 0.975), (0.98, 0.99), (0.31, 0.34), (0.17, 0.21)),
        share=1.0,
    ),
    "pickup": Style(
        *((5.0, 5.4), (1.86, 2.00), (1.74, 1.88), (0.92, 1.02), (1.10, 1.18), (1.10, 1.18)),
        *((0.26, 0.29), (0.37, 0.40), (0.55, 0.60), (0.59, 0.63), (0.37, 0.41), (0.24, 0.30)),
        share=1.2,
    ),
}

# sRGB; the neutral ones are drawn about as often as the vivid ones, as on a street
NEUTRAL = ("#e9e9e5", "#cfd2d3", "#a9aeb2", "#6d7378", "#3c4248", "#1b1d20", "#c9bfa6", "#5b5148")
VIVID = (
    *("#d3161e", "#9c1119", "#e8571a", "#f0a113", "#f4c918", "#7fae22", "#1f7a3d", "#0f4a33", "#12837f"),
    *("#2aa3cf", "#1f62c4", "#15347f", "#4a2f8c", "#b3202f", "#7a3b1d", "#5d87a8", "#e37f9b"),
)


@dataclass(frozen=True)
class CarSpec:
    """One car, in metres: x runs from the tail (-length / 2) to the nose, y up from the floor, z to its right."""

    style: StyleName
    length: float
    width: float
    height: float
    nose: float
    cowl: float
    deck: float
    cowl_x: float
    roof_front_x: float
    roof_rear_x: float
    tail_x: float
    wheel_radius: float
    wheel_width: float
    front_axle_x: float
    rear_axle_x: float
    clearance: float
    lean: float
    """How far the sides lean in from belt to roof."""
    corner: float
    """How much the nose and tail narrow, seen from above, 0 to 1."""
    roundness: float
    """Radius of the body's edges."""
    paint: tuple[float, float, float]
    roof_paint: tuple[float, float, float]
    rim_paint: tuple[float, float, float]
    gloss: float
    stripe: bool
    cladding: bool
    """Unpainted plastic along the sills and around the wheels."""
    spokes: int
    rim_share: float
    lamp_height: float
    lamp_width: float
    tail_style: Literal["blocks", "bar", "upright"]
    grille_width: float
    grille_height: float
    chrome: bool
    rails: bool
    spoiler: bool
    spare: bool
    panel_van: bool
    doors: int

    def belt(self, x: float) -> float:
        """Height of the lower edge of the windows above position x."""
        share = (self.cowl_x - x) / (self.cowl_x - self.tail_x)
        return self.cowl + share * (self.deck - self.cowl)


def sample_spec(rng: np.random.Generator) -> CarSpec:
    """A random car; equal generators give equal cars."""
    names = list(STYLES)
    shares = np.array([STYLES[name].share for name in names])
    name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    style = STYLES[name]

    def draw(bounds: tuple[float, float]) -> float:
        return float(rng.uniform(*bounds))

    def chance(probability: float) -> bool:
        return bool(rng.random() < probability)

    def along(bounds: tuple[float, float]) -> float:
        return length * (0.5 - draw(bounds))

    length, width = draw(style.length), draw(style.width)
    paint = _paint(rng)
    roof_paint = paint
    if name in ("city", "hatchback", "suv") and chance(0.3):
        roof_paint = _linear("#17181a" if chance(0.6) else "#e6e6e2")
    wheel = draw(style.wheel)
    cladding = chance({"suv": 0.7, "pickup": 0.4, "city": 0.2}.get(name, 0.05))
    return CarSpec(
        style=name,
        length=length,
        width=width,
        height=draw(style.height),
        nose=draw(style.nose),
        cowl=draw(style.cowl),
        deck=draw(style.deck),
        cowl_x=along(style.cowl_at),
        roof_front_x=along(style.roof_from),
        roof_rear_x=along(style.roof_to),
        tail_x=along(style.tail_at),
        wheel_radius=wheel,
        wheel_width=0.21 + 0.1 * (wheel - 0.27) + draw((0.0, 0.03)),
        front_axle_x=length * 0.5 - length * draw((0.175, 0.195)),
        rear_axle_x=-length * 0.5 + length * draw((0.19, 0.22) if name != "pickup" else (0.22, 0.24)),
        clearance=draw(style.clearance),
        lean=draw((0.07, 0.11)) if name in ("van", "pickup") else draw((0.13, 0.19)),
        corner=draw((0.5, 1.0)) * (0.6 if name in ("van", "pickup") else 1.0),
        roundness=draw((0.05, 0.11)),
        paint=paint,
        roof_paint=roof_paint,
        rim_paint=_linear(str(rng.choice(["#c9ccd0", "#aeb3b8", "#8b9096", "#e4e6e8", "#2c2f33"]))),
        gloss=draw((0.04, 0.075)),
        stripe=name in ("coupe", "city") and chance(0.25),
        cladding=cladding,
        spokes=int(rng.choice([5, 5, 6, 7, 10])),
        rim_share=draw((0.66, 0.76)),
        lamp_height=draw((0.10, 0.17)),
        lamp_width=draw((0.28, 0.48)),
        tail_style="upright"
        if name in ("estate", "van", "minivan", "pickup")
        else ("bar" if chance(0.3) else "blocks"),
        grille_width=draw((0.30, 0.62)),
        grille_height=draw((0.10, 0.22)),
        chrome=chance(0.35),
        rails=name in ("estate", "suv", "minivan") and chance(0.6),
        spoiler=name in ("hatchback", "coupe", "suv") and chance(0.4),
        spare=name == "suv" and chance(0.2),
        panel_van=name == "van" and chance(0.55),
        doors=2 if name in ("coupe", "city", "van") else 4,
    )


def _paint(rng: np.random.Generator) -> tuple[float, float, float]:
    """A paint near one of the palette's, linear."""
    palette = NEUTRAL if rng.random() < 0.4 else VIVID
    base = np.array(_linear(str(rng.choice(palette))))
    varied = np.clip(base * rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, 3), 0.004, 0.9)
    return float(varied[0]), float(varied[1]), float(varied[2])


def _linear(code: str) -> tuple[float, float, float]:
    """Linear reflectance of an sRGB hex code."""
    red, green, blue = (((int(code[at : at + 2], 16)) / 255) ** 2.2 for at in (1, 3, 5))
    return red, green, blue
