"""Writes the report's folder: tables, figures, and one HTML page that holds everything."""

import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from pigan.config import Params
from pigan.data.store import Prepared
from pigan.errors import PiganError
from pigan.files import atomic_directory
from pigan.report import datacard, embed, figures, provenance, sections, speedsection, tables, verdict
from pigan.report.collect import Collected, collect, read_explorer
from pigan.report.templating import environment

TABLES = ("metrics", "ablation", "training")
PLOTS = ("fid", "kid", "precision_recall", "training", "depth", "cost")
PICTURES = ("samples", "views", "depth", "truncation", "turntable")


def report_files(params: Params) -> list[str]:
    """Names of the report's files, relative to its folder, that follow from the params alone."""
    names = ["report.html", *(f"tables/{name}.csv" for name in (*TABLES, *speedsection.TABLES, *datacard.TABLES))]
    names += [f"figures/{name}.svg" for name in (*PLOTS, *speedsection.PLOTS, *datacard.PLOTS)]
    return names + [f"figures/{name}_{arm}.png" for arm in params.arms for name in PICTURES]


def make_report(params: Params, data: Path, runs: Path, out: Path) -> Path:
    """Writes the whole report of an experiment; it appears when it is complete.

    Args:
        params: The experiment; every arm x seed of it must have been evaluated.
        data: data/prepared/<dataset>.
        runs: runs/<dataset>.
        out: reports/<experiment>, replaced when it is there.

    Returns:
        The page.

    Raises:
        PiganError: a run or the data is not complete; the message names the stage to run.
    """
    collected = collect(params, data, runs)
    with atomic_directory(out) as folder:
        metrics, ablation = tables.metrics_table(collected), tables.ablation_table(collected)
        training = tables.training_table(collected)
        (folder / "tables").mkdir()
        for name, table in zip(TABLES, (metrics, ablation, training), strict=True):
            table.to_csv(folder / "tables" / f"{name}.csv", index=False, lineterminator="\n")
        (folder / "figures").mkdir()
        speedsection.write_speed_files(collected.speed, folder / "tables", folder / "figures")
        datacard.write_data(collected.dataset, Prepared(data), folder / "tables", folder / "figures")
        _draw(collected, metrics, training, folder / "figures")
        _copy_pictures(collected, folder / "figures")
        page = _render(collected, metrics, ablation, folder / "figures")
        (folder / "report.html").write_text(page, encoding="utf-8")
    return out / "report.html"


def _draw(collected: Collected, metrics: pd.DataFrame, training: pd.DataFrame, folder: Path) -> None:
    params = collected.params
    extractor = params.evaluate.extractor
    styles = figures.arm_styles(list(params.arms), params.report.main_arm)
    known = {metric.key: metric for metric in tables.metrics_of(collected)}
    resampled = {f"kid_{extractor}": f"kid_std_{extractor}"}
    groups = {"fid": [f"fid_{extractor}"], "kid": [f"kid_{extractor}"], "depth": list(tables.DEPTH_METRICS)}
    for name, keys in groups.items():
        shown = [known[key] for key in keys if key in known]
        figures.draw_by_arm(folder / f"{name}.svg", shown, metrics, styles, resampled)
    figures.draw_precision_recall(folder / "precision_recall.svg", extractor, metrics, styles)
    figures.draw_training(folder / "training.svg", training, styles)
    figures.draw_cost(folder / "cost.svg", metrics, tables.stage_table(collected), styles)


def _copy_pictures(collected: Collected, folder: Path) -> None:
    for arm in collected.params.arms:
        for name in PICTURES:
            picture = collected.first_seed(arm).picture(f"{name}.png")
            if picture:
                shutil.copyfile(picture, folder / f"{name}_{arm}.png")


def _render(collected: Collected, metrics: pd.DataFrame, ablation: pd.DataFrame, folder: Path) -> str:
    """The page as text."""
    params = collected.params
    columns = tables.metrics_of(collected)
    template = environment().get_template("report.html.jinja")
    return template.render(
        params=params,
        extractor=tables.EXTRACTOR_NAMES[params.evaluate.extractor],
        subject=verdict.subject(collected),
        headline=verdict.headline(collected, ablation),
        comparison=verdict.comparison(collected, ablation),
        cautions=verdict.cautions(collected, ablation),
        columns=[(metric, sections.metric_note(metric)) for metric in columns],
        best_arms=sections.best_arms(collected, ablation),
        main_cells=sections.metric_cells(collected, ablation, params.report.main_arm),
        published=sections.published(params),
        arm_rows=sections.arm_rows(collected, ablation),
        seed_rows=sections.seed_rows(collected, metrics),
        film=_film(collected),
        explorer=_explorer(collected),
        pictures=_pictures(params, folder),
        plots=_plots(params, folder),
        cost_rows=sections.cost_rows(collected),
        speed=speedsection.speed_section(collected.speed, folder),
        data=datacard.data_section(collected.dataset, Prepared(collected.data), folder),
        protocol_rows=sections.protocol_rows(collected),
        commit=provenance.git_commit(Path.cwd()),
        versions=provenance.library_versions(),
        run_torch=", ".join(sorted({stage.torch for run in collected.runs for stage in run.stages})),
        hashes=provenance.hashes(collected),
        params_yaml=provenance.params_yaml(params),
    )


def _plots(params: Params, folder: Path) -> dict[str, Markup]:
    labels = {
        "fid": "FID of each arm, one dot a seed",
        "kid": "KID of each arm, one dot a seed",
        "precision_recall": "Precision over recall of each arm",
        "training": "Losses, R1 penalty and discriminator scores over training images seen",
        "depth": "Depth metrics of each arm",
        "cost": "Wall time and training speed of each arm",
    }
    arms = ", ".join(params.arms)
    return {name: embed.inline_svg(folder / f"{name}.svg", f"{labels[name]}: {arms}") for name in PLOTS}


def _pictures(params: Params, folder: Path) -> dict[str, dict[str, Any]]:
    """Of each kind of picture, by arm: address and size in pixels; what is missing is left out."""
    found: dict[str, dict[str, Any]] = {}
    for name in PICTURES:
        found[name] = {}
        for arm in params.arms:
            path = folder / f"{name}_{arm}.png"
            if path.is_file():
                width, height = embed.image_size(path)
                found[name][arm] = {"uri": embed.data_uri(path), "width": width, "height": height}
    return found


def _film(collected: Collected) -> str | None:
    """The main arm's turntable as an address."""
    film = collected.main.picture("turntable.mp4")
    return embed.data_uri(film) if film else None


def _explorer(collected: Collected) -> dict[str, Any] | None:
    """The pose explorer of the main arm: sprite, angles in degrees, where to begin, whether yaw goes round."""
    sprite, angles = collected.main.picture("explorer.jpg"), collected.main.picture("explorer.json")
    if not sprite or not angles:
        return None
    grid = read_explorer(angles)
    width, height = embed.image_size(sprite)
    if (width, height) != (len(grid.yaws) * grid.tile, len(grid.pitches) * grid.tile):
        raise PiganError(f"{sprite}: size does not fit {angles.name}; run pigan generate again")
    step = (grid.yaws[-1] - grid.yaws[0]) / max(len(grid.yaws) - 1, 1)
    return {
        "uri": embed.data_uri(sprite),
        "yaws": [(round(math.degrees(yaw - math.pi / 2)) + 180) % 360 - 180 for yaw in grid.yaws],
        "pitches": [round(90 - math.degrees(pitch)) for pitch in grid.pitches],
        "row": len(grid.pitches) // 2,
        "column": min(
            range(len(grid.yaws)), key=lambda index: abs(grid.yaws[index] - collected.params.camera.yaw_mean)
        ),
        "wraps": abs(abs(step) * len(grid.yaws) - 2 * math.pi) < 0.01,
    }
