"""A made-up but complete run tree: small ellipsoids stand for cars, smooth curves for training."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import trimesh
from matplotlib.figure import Figure
from PIL import Image
from ruamel.yaml import YAML

from pigan.config import Params, fingerprint, merge, parse
from pigan.report.speed import Estimate, Machine, Row, ScalingPoint, Speed, Times, write_speed
from pigan.synthesis.meshing.formats import as_trimesh, save_mesh
from pigan.synthesis.meshing.measure import vertex_normals
from pigan.synthesis.meshing.surface import Surface

QUALITY = {"baseline": 0.0, "concat": 0.35, "relu-pe": 0.8, "no-growing": 0.2}
SHAPE = np.array([0.8, 0.4, 0.5])


def blob(colour: np.ndarray, yaw: float, pitch: float, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, depth and normals of a shaded ellipsoid under parallel rays."""
    toward = np.array([np.sin(pitch) * np.cos(yaw), np.cos(pitch), np.sin(pitch) * np.sin(yaw)])
    right = np.cross([0.0, 1.0, 0.0], toward)
    right /= np.linalg.norm(right)
    up = np.cross(toward, right)
    grid = (np.arange(side) + 0.5) / side * 2 - 1
    across, down = np.meshgrid(grid, grid)
    start = (across[..., None] * right - down[..., None] * up) / SHAPE
    ray = toward / SHAPE
    b, c = start @ ray, (start**2).sum(-1) - 1
    hit = b**2 - (ray @ ray) * c
    inside = hit > 0
    far = (-b + np.sqrt(np.where(inside, hit, 0))) / (ray @ ray)
    normal = (start + far[..., None] * ray) / SHAPE
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    light = 0.35 + 0.65 * np.clip(normal @ np.array([0.4, 0.8, 0.45]), 0, 1)
    image = np.where(inside[..., None], light[..., None] * colour, 1.0)
    normals = np.where(inside[..., None], normal * 0.5 + 0.5, 1.0)
    to_bytes = [np.rint(part * 255).clip(0, 255).astype(np.uint8) for part in (image, normals)]
    return to_bytes[0], np.where(inside, 1.0 - 0.3 * far, np.nan).astype(np.float32), to_bytes[1]


def grid_of(tiles: list[list[np.ndarray]]) -> Image.Image:
    """Rows of equal tiles as one image."""
    return Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in tiles], axis=0))


def write_generated(folder: Path, arm: str, seed: int, side: int) -> None:
    """The pictures for people and generated.json."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, len(arm)])
    noise = 10 + 60 * QUALITY.get(arm, 0.5)

    def rough(image: np.ndarray) -> np.ndarray:
        return np.clip(image + rng.normal(0, noise / 4, image.shape), 0, 255).astype(np.uint8)

    colours = rng.uniform(0.15, 0.95, (6, 3))
    yaws, pitches = np.linspace(0, 2 * np.pi, 12, endpoint=False), np.linspace(0.5, 1.4, 4)
    sheet = [
        [rough(blob(rng.uniform(0.1, 1, 3), rng.uniform(0, 6.28), rng.uniform(0.4, 1.4), side)[0]) for _ in range(6)]
        for _ in range(6)
    ]
    grid_of(sheet).save(folder / "samples.png")
    views = [[rough(blob(colour, yaw, 1.1, side)[0]) for yaw in yaws[:8]] for colour in colours[:4]]
    grid_of(views).save(folder / "views.png")
    grid_of(views).save(folder / "truncation.png")
    parts = [blob(colour, yaw, 1.0, side) for colour, yaw in zip(colours, yaws, strict=False)]
    depth = [
        np.nan_to_num((1.5 - part[1]) * 170).clip(0, 255).astype(np.uint8)[..., None].repeat(3, 2) for part in parts
    ]
    grid_of([[part[0] for part in parts], depth, [part[2] for part in parts]]).save(folder / "depth.png")
    frames = [blob(colours[0], yaw, 1.0, side)[0] for yaw in yaws]
    grid_of([frames[:8]]).save(folder / "turntable.png")
    with av.open(str(folder / "turntable.mp4"), "w") as film:
        stream = film.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for frame in frames:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        film.mux(stream.encode())
    grid_of([[blob(colours[1], yaw, pitch, side)[0] for yaw in yaws] for pitch in pitches]).save(
        folder / "explorer.jpg"
    )
    write_mesh(folder, colours[1])
    explorer = {"pitches": pitches.tolist(), "yaws": yaws.tolist(), "tile": side}
    (folder / "explorer.json").write_text(json.dumps(explorer))
    info = {"arm": arm, "seed": seed, "checkpoint_sha256": f"{len(arm):02x}{seed:02x}" * 16, "weights": "ema"}
    info |= {"truncation": 1.0, "images": 512, "resolution": 32, "seconds": 21.4, "images_per_second": 23.9}
    (folder / "generated.json").write_text(json.dumps(info | {"device": "cpu", "torch": "2.15.0"}))


def write_mesh(folder: Path, colour: np.ndarray) -> None:
    """mesh.glb, .json and .png of the ellipsoid."""
    shape = trimesh.creation.icosphere(3, 0.25)
    surface = Surface(np.asarray(shape.vertices * SHAPE), np.asarray(shape.faces, np.int32))
    colours = np.tile(np.float32(colour), (len(surface.vertices), 1))
    save_mesh(as_trimesh(surface, vertex_normals(surface), colours), folder / "mesh.glb")
    told = {"vertices": len(surface.vertices), "faces": len(surface.faces), "watertight": True, "cut": False}
    told |= {"level": 12.25, "resolution": 96}
    (folder / "mesh.json").write_text(json.dumps(told))
    grid_of([[blob(colour, yaw, 1.1, 16)[part] for part in (0, 0, 2)] for yaw in (0.5, 3.6)]).save(folder / "mesh.png")


def write_training(params: Params, folder: Path, arm: str, seed: int) -> None:
    """state.json and log.jsonl of every stage."""
    settings, seen, done = params.for_arm(arm), 0, 0
    rng = np.random.default_rng([seed, len(arm), 7])
    for link in params.curriculum.order:
        stage = settings.curriculum.stages[link.name]
        target, seconds, lines = folder / link.name, 0.0, []
        target.mkdir(parents=True)
        for step in range(10, stage.steps + 1, 10):
            seconds += 10 * stage.batch_size * link.resolution**2 / 9e4
            at = (done + step) / 1400
            row: dict[str, Any] = {"arm": arm, "seed": seed, "resolution": link.resolution, "step": step}
            row |= {"global_step": done + step, "images_seen": seen + step * stage.batch_size, "seconds": seconds}
            row |= {"images_per_second": 9e4 / link.resolution**2, "loss_d": 1.3 - 0.3 * at + rng.normal(0, 0.08)}
            row |= {"loss_g": 0.8 + 0.5 * at + QUALITY.get(arm, 0.5) + rng.normal(0, 0.1)}
            row |= {"r1": float(np.exp(-3 + rng.normal(0, 0.4))), "loss_pose": 0.0}
            row |= {"empty_rays": 0.72 + rng.normal(0, 0.01), "grad_norm_g": 4 + rng.normal(0, 0.3), "grad_norm_d": 0.8}
            row |= {"score_real": 0.5 * at + rng.normal(0, 0.1), "score_fake": -0.6 * at + rng.normal(0, 0.1)}
            lines.append(json.dumps(row))
        (target / "log.jsonl").write_text("".join(f"{line}\n" for line in lines))
        seen, done = seen + stage.steps * stage.batch_size, done + stage.steps
        state = {"arm": arm, "seed": seed, "resolution": link.resolution, "step": stage.steps, "global_step": done}
        state |= {
            "images_seen": seen,
            "seconds": seconds,
            "parameters": {"generator": 61_000, "discriminator": 1_250_000},
        }
        state |= {"device": "CPU, 2 threads", "torch": "2.15.0", "peak_memory_mb": 812.5, "threads": 2}
        (target / "state.json").write_text(json.dumps(state))
        (target / "checkpoint.safetensors").touch()
    (folder / "init").mkdir()
    (folder / "init" / "checkpoint.safetensors").touch()


def write_evaluated(folder: Path, arm: str, seed: int, side: int) -> None:
    """The pictures of the evaluation: neighbours, and inverted views with their depth."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, len(arm), 5])
    looks = [(rng.uniform(0.1, 1, 3), rng.uniform(0, 6.28), 1.0) for _ in range(8)]
    near = [[blob(look[0] * shade, look[1], 1.0, side)[0] for shade in (1.0, 0.9, 0.8, 0.7)] for look in looks[:4]]
    grid_of(near).save(folder / "neighbours.png")
    seen = [blob(*look, side) for look in looks]
    grey = [np.nan_to_num((1.5 - part[1]) * 170).clip(0, 255).astype(np.uint8)[..., None].repeat(3, 2) for part in seen]
    images = [part[0] for part in seen]
    grid_of([images, images, grey, grey, [image // 4 for image in grey]]).save(folder / "inversion.png")


def image_numbers(extractor: str, bad: dict[int, float], larger: float) -> dict[str, float | None]:
    """The image metrics of one extractor."""
    values: dict[str, float | None] = {"fid": 41.7 + 60 * bad[0], "fid_infinity": 37.2 + 60 * bad[0], "fid_real": 12.3}
    values |= {"kid": 0.0213 + 0.05 * bad[1], "kid_std": 0.0021, "precision": 0.62 - 0.3 * bad[2]}
    values |= {"recall": 0.21 + 0.1 * bad[3], "memorisation": 0.52 + 0.02 * bad[0]}
    values |= {"fid_depth": 61.2 + 40 * bad[5], "kid_depth": 0.041 + 0.03 * bad[5]}
    if extractor in ("efficientnet_lite0", "inception"):
        values["inception_score"] = 2.31 - 0.4 * bad[1]
    return {f"{stem}_{extractor}": value * (larger if "fid" in stem else 1) for stem, value in values.items() if value}


def shape_numbers(bad: dict[int, float]) -> dict[str, float | None]:
    """The metrics of shape and views."""
    values: dict[str, float | None] = {"reprojection_error": 0.031 + 0.02 * bad[4]}
    values |= {"depth_reprojection_error": 0.017 + 0.01 * bad[5], "depth_consistency": 0.0114 + 0.01 * bad[5]}
    values |= {"depth_variance": 0.00213 + 0.001 * bad[6], "hollow_share": 0.083 + 0.2 * bad[6]}
    values |= {"reprojection_error_exact": 0.0106, "depth_reprojection_error_exact": 0.003}
    values |= {"visible_share_exact": 0.951, "depth_consistency_exact": 0.0146}
    values |= {"visible_share": 0.81, "empty_rays": 0.71 + 0.05 * bad[6], "empty_rays_real": 0.742}
    values |= {"inversion_psnr": 21.4 - 5 * bad[0], "depth_rmse": 0.0213 + 0.02 * bad[4]}
    values |= {"depth_abs_rel": 0.0151 + 0.01 * bad[4], "depth_delta": 0.998 - 0.01 * bad[4]}
    values |= {"depth_zscore_mse": 0.31 + 0.4 * bad[5], "normal_error": 27.3 + 20 * bad[5]}
    values |= {"pose_error_generated": 8.1 + 9 * bad[2], "pose_error_real": 10.4 + 9 * bad[2]}
    return values | {"identity_similarity": None, "depth_estimated_zscore_mse": None}


def write_metrics(params: Params, path: Path, arm: str, seed: int) -> None:
    """metrics.json with intervals, curve and protocol."""
    rng = np.random.default_rng([seed, len(arm), 3])
    names, level = params.evaluate.extractors, QUALITY.get(arm, 0.5)
    bad = dict(enumerate(level + rng.uniform(-0.06, 0.06, 7)))
    metrics: dict[str, Any] = {}
    for number, extractor in enumerate(names):
        metrics |= image_numbers(extractor, bad, 1 + 4 * number)
    metrics |= shape_numbers(bad)
    known = {key: value for key, value in metrics.items() if value is not None}
    metrics["intervals"] = {
        key: [value * 0.96, value * 1.05] for key, value in known.items() if not key.startswith(("fid_real", "kid_std"))
    }
    metrics["curve"] = [
        {
            "step": step,
            "images_seen": seen,
            "resolution": side,
            "images": 128,
            f"fid_{names[0]}": 60 + 260 * np.exp(-seen / 4e3) + 60 * level,
            f"kid_{names[0]}": 0.03 + 0.04 * level + 700 / (seen + 2e3),
        }
        for step, seen, side in [(200, 3200, 16), (600, 9600, 16), (1000, 15_200, 32), (1400, 18_400, 32)]
    ]
    metrics["seconds"] = 38.2
    protocol: dict[str, Any] = {"extractor": names[0], "protocol": "clean", "resolution": 32, "filter": "lanczos"}
    protocol["extractors"] = {name: {"weights_sha256": f"{number}b" * 32} for number, name in enumerate(names)}
    protocol |= {"real_images": 1024, "fake_images": 512, "truncation": 1.0, "weights": "ema", "half_samples": 50}
    protocol |= {"seed": 0, "kid_subsets": 50, "kid_subset_size": 256, "neighbours": 3}
    protocol |= {"dataset_sha256": "cd" * 32, "depth_sha256": "dc" * 32}
    camera = params.camera.model_dump()
    protocol["sampling"] = {"weights": "ema", "truncation": 1.0, "camera": camera, "background": "white", "samples": 8}
    protocol |= {"checkpoint_sha256": f"{len(arm):02x}{seed:02x}" * 16, "torch": "2.15.0", "device": "cpu"}
    protocol["notes"] = [
        "identity_similarity is null: evaluate.face_embedder is <null>",
        "depth_estimated_zscore_mse is null: evaluate.depth_estimator is null",
    ]
    path.write_text(json.dumps(metrics | {"protocol": protocol}))


def write_data(params: Params, folder: Path) -> None:
    """dataset.json and the images at each side."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    looks = [(rng.uniform(0.1, 1, 3), rng.uniform(0, 6.28), rng.uniform(0.4, 1.4)) for _ in range(40)]
    for side in params.resolutions():
        np.save(folder / f"images_{side}.npy", np.stack([blob(*look, side)[0] for look in looks]))
        np.save(folder / f"depth_{side}.npy", np.stack([blob(*look, side)[1] for look in looks]))
    yaw, pitch = (np.array([look[index] for look in looks], np.float32) for index in (1, 2))
    cam2world = np.repeat(np.eye(4, dtype=np.float32)[None], len(looks), 0)
    np.savez(
        folder / "cameras.npz", cam2world=cam2world, fov=np.full(len(looks), 0.5, np.float32), pitch=pitch, yaw=yaw
    )
    card = {"name": params.dataset.name, "kind": "cars", "source": None, "licence": "CC0-1.0", "count": 40, "found": 43}
    card |= {"rejected": [{"file": f"images/{index:05d}.png", "reason": "smaller than 16 px"} for index in range(2)]}
    card["rejected"].append({"file": "images/<b>.png", "reason": "cannot be decoded"})
    card |= {"resolutions": params.resolutions(), "split": {"train": list(range(38)), "held_out": [38, 39]}}
    hashed = [f"{kind}_{side}.npy" for kind in ("images", "depth") for side in params.resolutions()]
    card |= {"sha256": dict.fromkeys(hashed, "ef" * 32), "names": [f"images/{index:05d}.png" for index in range(40)]}
    card |= {"duplicates": [[0, 1], [2, 3, 5]], "owners": 37, "expected": 43, "large_enough": {"64": 30, "128": 12}}
    card |= {
        "citation": "Somebody & others, 2020",
        "description": "Made-up <cars>.",
        "crop": params.dataset.crop.model_dump(),
    }
    (folder / "dataset.json").write_text(json.dumps(card))


def made_up_speed(scaling: bool = True, estimates: bool = True) -> Speed:
    """Two paths of a training step and of rendering, and a case without operation counts."""
    rows = []
    for number, (case, title) in enumerate(
        [("render", "Rendering <one> image"), ("step_16", "Step"), ("step_32", "Step")]
    ):
        reference = Times.of([100.0 + 40 * number, 110.0 + 40 * number, 126.0 + 40 * number])
        for path, factor in (("folded fp32", 2.0), ("folded bf16", 4.0)):
            ours = Times.of([milliseconds / factor for milliseconds in (96.0, 100.0, 120.0)])
            ratio = reference.median / ours.median
            rows.append(
                Row(
                    case=case,
                    title=title,
                    size=f"{8 * 2**number} px",
                    path=path,
                    precision=path.split()[1],
                    reference_ms=reference,
                    ours_ms=ours,
                    ratio=ratio,
                    ratio_low=ratio * 0.8,
                    ratio_high=ratio * 1.25,
                    error=3.2e-6 if "fp32" in path else 2.1e-2,
                    reference_error=4.5e-6,
                    error_of="gradients",
                    reference_peak_mb=900.0,
                    peak_mb=300.0,
                    gflop=2.0,
                    reference_gbyte=1.6,
                    gbyte=0.5 / factor,
                    share_of_matmul=0.4,
                    bound="compute",
                )
            )
    times = Times.of([5.0])
    rows.append(
        Row(
            case="data",
            title="Data loading",
            size="8 images",
            path="packed arrays",
            precision="uint8",
            reference_ms=Times.of([4.0]),
            ours_ms=times,
            ratio=0.8,
            ratio_low=0.8,
            ratio_high=0.8,
        )
    )
    grown = [
        ScalingPoint(what=what, value=value, points=64 * value * images, ms=3.0 * value * images + 5, images=images)
        for what in ("resolution", "samples", "batch")
        for value in (8, 16, 32)
        for images in (value if what == "batch" else 4,)
    ]
    estimate = Estimate(preset="celeba", stage="r64", hours=1234.5, memory_gb=3.21, images_per_second=2.52)
    return Speed(
        command="pigan bench --quick --params params.yaml --out runs/cars/speed.json",
        date="2026-02-03",
        device="CPU, 2 threads",
        threads=2,
        torch="2.15.0",
        pigan="0.4.0",
        subject="demo & co",
        machine=Machine(matmul_gflops={"fp32": 90.0, "bf16": 200.0}, bandwidth_gb_s=11.0),
        rows=rows,
        scaling=grown if scaling else [],
        estimates=[estimate] if estimates else [],
        notes=["The machine was <busy>."],
    )


def write_tree(params: Params, root: Path, side: int = 16) -> tuple[Path, Path]:
    """Everything that the stages before the report leave behind: the prepared data's folder and the runs' folder."""
    data, runs = root / "data" / "prepared" / params.dataset.name, root / "runs" / params.dataset.name
    write_data(params, data)
    for arm in params.arms:
        for seed in params.seeds:
            folder = runs / arm / f"seed{seed}"
            write_training(params, folder, arm, seed)
            write_generated(folder / "generated", arm, seed, side)
            write_evaluated(folder / "evaluated", arm, seed, side)
            write_metrics(params, folder / "metrics.json", arm, seed)
    write_speed(made_up_speed(), runs / "speed.json")
    return data, runs


def demo_params(changes: dict[str, Any]) -> Params:
    """The demo preset with some settings changed."""
    text = (files("pigan") / "presets" / "demo.yaml").read_text(encoding="utf-8")
    values = YAML(typ="safe", pure=True).load(text)
    # numbers that the tests add up, whatever the demo itself trains
    values["curriculum"]["stages"]["r16"] |= {"steps": 900, "batch_size": 16}
    values["curriculum"]["stages"]["r32"] |= {"steps": 500, "batch_size": 8}
    values["seeds"] = [0]
    values["arms"] = {
        "baseline": {},
        "relu-pe": {"model": {"field": "relu-pe"}},
        "concat": {"model": {"field": "concat-siren"}},
        "no-growing": {"curriculum": {"stages": {"r16": {"steps": 0}}}},
    }
    return parse(merge(values, changes))


@pytest.fixture(scope="session")
def params_with() -> Callable[..., Params]:
    """Makes params of the demo preset with sections changed."""
    return lambda **changes: demo_params(changes)


@pytest.fixture(scope="session")
def demo() -> Params:
    """The demo preset."""
    return demo_params({})


@pytest.fixture(scope="session")
def run_tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Params], tuple[Path, Path]]:
    """Makes a complete tree for params and gives the folders of data and runs; each caller has its own copy."""
    made: dict[str, Path] = {}

    def copy(params: Params) -> tuple[Path, Path]:
        key = fingerprint(params)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("made")
            write_tree(params, made[key])
        root = tmp_path_factory.mktemp("tree") / "tree"
        shutil.copytree(made[key], root)
        return root / "data" / "prepared" / params.dataset.name, root / "runs" / params.dataset.name

    return copy


@pytest.fixture(scope="session")
def make_speed() -> Callable[..., Speed]:
    """Makes the measurements of a machine that does not exist."""
    return made_up_speed


@contextlib.contextmanager
def empty_figures() -> Iterator[None]:
    """For what looks at the words: drawing takes most of a report's time."""

    def savefig(figure: Figure, path: Path, **_: object) -> None:
        path.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"></svg>\n', encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield


@pytest.fixture(scope="module")
def quick_figures() -> Iterator[None]:
    """Empty figures in all tests of a file."""
    with empty_figures():
        yield


@pytest.fixture
def quick_figures_once() -> Iterator[None]:
    """Empty figures in one test."""
    with empty_figures():
        yield
