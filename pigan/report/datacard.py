"""The data card: what the prepared data is, what was left out, how it is spread, what it looks like."""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8

from pigan import __version__
from pigan.data.store import Prepared
from pigan.files import atomic_file
from pigan.report import embed
from pigan.report.collect import DatasetCard, read_card
from pigan.report.datafigures import POSE_COLUMNS, depth_table, draw_depth, draw_poses, mean_pose, pose_table
from pigan.report.plots import Plot, Shown, shown, write_plots
from pigan.report.templating import environment

EXAMPLE_ROWS, EXAMPLE_COLUMNS, EXAMPLE_PIXELS = 4, 8, 128
AVERAGED, DEPTH_MAPS = 2000, 400
GROUPS, GROUP_IMAGES = 6, 8
REJECT_EXAMPLES = 3

CROP_RULES = {"center": "centred square", "cat-landmarks": "square around the landmarks of a cat's face"}


@dataclass(frozen=True)
class Reason:
    """Images rejected for one kind of reason."""

    reason: str
    count: int
    examples: str


def make_datacard(data: Path, out: Path) -> Path:
    """Writes the data card of a prepared folder as one self-contained page; returns `out`.

    Raises:
        PiganError: there is no prepared data, or it is broken.
    """
    card, prepared = read_card(data), Prepared(data)
    plots = data_plots(card, prepared)
    with tempfile.TemporaryDirectory() as folder:
        write_plots(plots, Path(folder))
        context = data_section(card, prepared, shown(plots, Path(folder), alone=True))
    page = environment().get_template("card.html.jinja").render(data=context, name=card.name, version=__version__)
    with atomic_file(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def data_plots(card: DatasetCard, prepared: Prepared) -> list[Plot]:
    """The data card's figures; one of something unknown has no numbers and says so."""
    cameras, depth = prepared.cameras, _depth_sample(card, prepared)
    poses = pd.DataFrame(columns=POSE_COLUMNS) if cameras is None else pose_table(cameras.yaw, cameras.pitch)
    mean = None if cameras is None else mean_pose(cameras.yaw, cameras.pitch)
    return [
        Plot(
            "data_poses",
            "Heat map of the cameras: yaw from the front across, elevation upwards",
            poses,
            lambda path, table: draw_poses(path, table, mean),
            measured=cameras is not None,
        ),
        Plot(
            "data_depth",
            "Histogram of the depth maps",
            depth_table(np.zeros((0, 1, 1), np.float32) if depth is None else depth),
            draw_depth,
            measured=depth is not None,
        ),
    ]


def write_tables(card: DatasetCard, prepared: Prepared, folder: Path) -> None:
    """The data card's tables that no figure draws, as CSV."""
    rejected = [{"file": reject.file, "reason": reject.reason} for reject in card.rejected]
    groups = [
        {"group": number, "image": index, "file": card.names[index] if index < len(card.names) else ""}
        for number, group in enumerate(card.duplicates or [])
        for index in group
    ]
    contents = {
        "data_facts": pd.DataFrame(fact_rows(card, prepared), columns=["fact", "value"]),
        "data_rejects": pd.DataFrame(rejected, columns=["file", "reason"]),
        "data_duplicates": pd.DataFrame(groups, columns=["group", "image", "file"]),
    }
    for name, table in contents.items():
        table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")


def data_section(card: DatasetCard, prepared: Prepared, plots: Mapping[str, Shown]) -> dict[str, Any]:
    """What datacard.html.jinja shows; `plots` as of `shown`, of `data_plots`."""
    side = max(card.resolutions)
    images = prepared.images(side)
    mean = mean_pose(prepared.cameras.yaw, prepared.cameras.pitch) if prepared.cameras else None
    averaged = _evenly(card.count, AVERAGED)
    return {
        "facts": fact_rows(card, prepared),
        "side": side,
        "examples": _examples(card, images),
        "mean": _mean_image(images[averaged]),
        "averaged": len(averaged),
        "count": card.count,
        "plots": plots,
        "poses": "" if mean is None else _told_pose(*mean),
        "depth": _told_depth(_depth_sample(card, prepared)),
        "duplicates": _duplicate_rows(card, images),
        "groups": len(card.duplicates or []),
        "torn": _torn(card),
        "rejects": reject_reasons(card),
    }


def fact_rows(card: DatasetCard, prepared: Prepared) -> list[tuple[str, str]]:
    """The card's facts in words; those that an older dataset.json does not hold are left out."""
    known = [name for name, found in (("camera poses", prepared.cameras), ("depth maps", card.has_depth)) if found]
    expected = "" if card.expected is None else f"; {card.expected:,} expected"
    rows = [
        ("Name and kind", f"{card.name}, {card.kind}"),
        ("What it is", card.description or ""),
        ("Source", card.source or "made by pigan"),
        ("Licence", card.licence or "not stated"),
        ("Citation", card.citation or ""),
        ("Images", f"{card.count:,} kept of {card.found:,} found{expected}"),
        ("Large enough", _told_sizes(card)),
        ("Split", _told_split(card)),
        ("Near-duplicates", _told_duplicates(card)),
        ("Crop", _told_crop(card.crop)),
        ("Sides, pixels", ", ".join(str(side) for side in card.resolutions)),
        ("Known beside the images", ", ".join(known) or "nothing"),
    ]
    return [(name, value) for name, value in rows if value]


def reject_reasons(card: DatasetCard) -> list[Reason]:
    """Rejected images by what their reasons begin with, commonest first, with a few names and details."""
    kinds: dict[str, list[str]] = {}
    for reject in card.rejected:
        kind, _, detail = reject.reason.partition(": ")
        kinds.setdefault(kind, []).append(f"{reject.file} ({detail})" if detail else reject.file)
    ordered = sorted(kinds.items(), key=lambda item: -len(item[1]))
    return [
        Reason(kind, len(told), ", ".join(told[:REJECT_EXAMPLES]) + (", …" if len(told) > REJECT_EXAMPLES else ""))
        for kind, told in ordered
    ]


def _told_sizes(card: DatasetCard) -> str:
    return ", ".join(f"{count:,} of at least {size} px" for size, count in card.large_enough.items())


def _told_split(card: DatasetCard) -> str:
    parts = ", ".join(f"{name.replace('_', ' ')} {len(part):,}" for name, part in card.split.items())
    if card.owners is None or _torn(card):
        return parts
    return f"{parts}; {card.owners:,} objects, series or groups of near-duplicates are each kept on one side"


def _torn(card: DatasetCard) -> int:
    """Groups of near-duplicates that lie on both sides of the split, as one that the data's files state may have."""
    held_out = set(card.split.get("held_out", []))
    return sum(0 < len(held_out.intersection(group)) < len(group) for group in card.duplicates or [])


def _told_duplicates(card: DatasetCard) -> str:
    if card.duplicates is None:
        return ""
    if not card.duplicates:
        return "none found"
    images = sum(len(group) for group in card.duplicates)
    return f"{len(card.duplicates):,} group{'s' * (len(card.duplicates) > 1)} with {images:,} images together"


def _told_crop(crop: dict[str, Any]) -> str:
    if not crop:
        return ""
    resize, center = crop.get("resize"), crop.get("center")
    parts = [CROP_RULES.get(str(crop.get("rule", "center")), str(crop.get("rule")))]
    parts += [f"after a resize of the short side to {resize} px"] if resize else []
    parts += [f"of {center} px"] if center else ["as large as the image allows"] if not crop.get("rule") else []
    return f"{' '.join(parts)}; {crop.get('filter', '?')} filter; at least {crop.get('min_pixels', '?')} px"


def _told_pose(yaw: float | None, elevation: float) -> str:
    turn = "yaw goes all round" if yaw is None else f"mean yaw {yaw:+.1f}° from the front"
    return f"{turn}, mean elevation {elevation:.1f}°".replace("-", "−")


def _told_depth(depth: Float[np.ndarray, "n h w"] | None) -> str:
    if depth is None:
        return ""
    known = np.isfinite(depth)
    if not known.any():
        return "no pixel has a depth"
    low, high = np.quantile(depth[known], [0.01, 0.99])
    return f"{known.mean():.0%} of the pixels have a depth; 98% of these lie between {low:.3g} and {high:.3g}"


def _examples(card: DatasetCard, images: UInt8[np.ndarray, "n side side 3"]) -> str | None:
    """Training images, evenly picked, as one sheet."""
    train = np.array(card.split.get("train", []), np.int64)
    if not len(train):
        return None
    picked = train[_evenly(len(train), EXAMPLE_ROWS * EXAMPLE_COLUMNS)]
    rows = math.ceil(len(picked) / EXAMPLE_COLUMNS)
    return embed.image_uri(embed.contact_sheet(images[picked], rows, EXAMPLE_COLUMNS, EXAMPLE_PIXELS))


def _mean_image(images: UInt8[np.ndarray, "n side side 3"]) -> str:
    mean = np.rint(images.mean(0, dtype=np.float64)).astype(np.uint8)
    return embed.image_uri(embed.contact_sheet(mean[None], 1, 1, 2 * EXAMPLE_PIXELS))


def _duplicate_rows(card: DatasetCard, images: UInt8[np.ndarray, "n side side 3"]) -> list[tuple[str, str]]:
    """A sheet for each of the first few groups, largest first, and its caption."""
    rows = []
    for group in sorted(card.duplicates or [], key=lambda group: -len(group))[:GROUPS]:
        shown = group[:GROUP_IMAGES]
        names = [card.names[index] for index in shown if index < len(card.names)]
        more = f" and {len(group) - len(shown):,} more" if len(group) > len(shown) else ""
        sheet = embed.contact_sheet(images[shown], 1, len(shown), EXAMPLE_PIXELS // 2)
        rows.append((embed.image_uri(sheet), ", ".join(names) + more))
    return rows


def _depth_sample(card: DatasetCard, prepared: Prepared) -> Float[np.ndarray, "n h w"] | None:
    depth = prepared.depth(max(card.resolutions))
    return None if depth is None else np.asarray(depth[_evenly(card.count, DEPTH_MAPS)])


def _evenly(count: int, wanted: int) -> Int[np.ndarray, " n"]:
    """At most so many indices below `count`, at even distances."""
    wanted = min(count, wanted)
    return np.arange(wanted) * count // max(wanted, 1)
