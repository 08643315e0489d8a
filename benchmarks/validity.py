"""What each 3-D metric says of generators whose faults are known: a perfect one, and copies of it that are spoiled.

    python benchmarks/validity.py
    python benchmarks/validity.py --objects 100 --side 128

The perfect one is the exact ray tracer of the embedded cars, shown from five neighbouring yaws. Prints Markdown.
"""

import argparse

import numpy as np
import torch
from ruamel.yaml import YAML

from benchmarks import standins
from benchmarks.standins import Scores, Standin, scores
from pigan import config, presets
from pigan.evaluation.hollow import hollow_share

COLUMNS = {
    "photometric": ("colours, reprojected (MSE)", ".4f"),
    "reprojected_depth": ("depth, reprojected (share of range)", ".4f"),
    "visible": ("compared", ".2f"),
    "chamfer": ("chamfer (share of range)", ".4f"),
    "variance": ("depth variance x 1e4", ".1f"),
    "hollow": ("hollow share", ".2f"),
    "relief": ("relief", ".2f"),
    "rmse": ("RMSE", ".4f"),
    "abs_rel": ("AbsRel", ".4f"),
    "delta": ("delta < 1.25", ".3f"),
    "zscore_mse": ("z-scored MSE", ".3f"),
    "normal_error": ("normals, degrees", ".1f"),
    "psnr": ("PSNR, dB", ".1f"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=24, help="cars, five views each")
    parser.add_argument("--side", type=int, default=64, help="of a view, pixels")
    parser.add_argument("--seed", type=int, default=0, help="of cars and noise")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    params = config.parse(YAML(typ="safe", pure=True).load(presets.text("demo")), "demo")
    tolerance = params.evaluate.occlusion_tolerance
    true = standins.true_cars(chosen.objects, chosen.side, params.camera, chosen.seed)
    rows = {name: scores(shown, true, params.camera, tolerance) for name, shown in spoiled(true, chosen.seed).items()}
    print(f"{chosen.objects} cars, 5 views of {chosen.side} px each, occlusion tolerance {tolerance}\n")
    print(table(rows))
    posed = standins.posed_depth(chosen.objects, chosen.side, params.camera, chosen.seed)
    print(f"\nHollow-face test, {chosen.objects} cars from poses of the training law:\n")
    for name, maps in (("true", posed), ("inverted", 2 * params.camera.radius - posed)):
        found = hollow_share(maps.astype(np.float32))
        assert found is not None
        print(f"- {name}: hollow share {found.share.value:.3f}, mean relief {found.relief:+.2f}")


def spoiled(true: Standin, seed: int) -> dict[str, Standin]:
    """The perfect generator, and one for each fault."""
    return {
        "perfect": true,
        "flat billboard": standins.billboard(true),
        "half the relief": standins.scaled_relief(true, 0.5),
        "hollow": standins.hollow(true),
        "colour noise, 25 levels": standins.colour_noise(true, 25.0, seed),
        "depth noise, 0.01": standins.depth_noise(true, 0.01, seed),
        "ray distance for z-depth": standins.ray_distance(true),
        "fog, mean free path 0.03": standins.fog(true, 0.03),
    }


def table(rows: dict[str, Scores]) -> str:
    head = ["generator", *(title for title, _ in COLUMNS.values())]
    lines = [head, ["---"] * len(head)]
    for name, row in rows.items():
        lines.append([name, *(format(getattr(row, key), form) for key, (_, form) in COLUMNS.items())])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
