"""Writes the report's folder: tables, figures, and one HTML page that holds everything."""

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from pigan.config import Params
from pigan.data.store import Prepared
from pigan.files import atomic_directory
from pigan.report import (
    armfigures,
    budgetfigure,
    datacard,
    embed,
    figures,
    media,
    metrics,
    metricsection,
    protocol,
    provenance,
    runfigures,
    sections,
    seeds,
    speedsection,
    summary,
    tables,
    verdict,
)
from pigan.report.collect import Collected, collect
from pigan.report.incomplete import incomplete_table
from pigan.report.templating import environment

TABLES = ("metrics", "ablation", "intervals", "training", "curve", "incomplete")
PLOTS = ("fid", "kid", "precision_recall", "training", "curve", "depth", "geometry", "cost", "budget")


def report_files(params: Params) -> list[str]:
    """Names of the report's files, relative to its folder, that follow from the params alone."""
    names = ["report.html", *(f"tables/{name}.csv" for name in (*TABLES, *speedsection.TABLES, *datacard.TABLES))]
    names += [f"figures/{name}.svg" for name in (*PLOTS, *speedsection.PLOTS, *datacard.PLOTS)]
    names += summary.FILES
    return names + [f"figures/{name}_{arm}.png" for arm in params.arms for name in media.PICTURES]


def make_report(params: Params, data: Path, runs: Path, out: Path) -> Path:
    """Writes the whole report of an experiment; it appears when it is complete.

    Runs that are not complete are listed, and are in no number.

    Args:
        params: The experiment.
        data: data/prepared/<dataset>.
        runs: runs/<dataset>.
        out: reports/<experiment>, replaced when it is there.

    Returns:
        The page.

    Raises:
        PiganError: the data is not complete; the message names the stage to run.
    """
    collected = collect(params, data, runs)
    with atomic_directory(out) as folder:
        made = {
            "metrics": tables.metrics_table(collected),
            "ablation": tables.ablation_table(collected),
            "intervals": tables.intervals_table(collected),
            "training": tables.training_table(collected),
            "curve": tables.curve_table(collected),
            "incomplete": incomplete_table(collected.incomplete),
        }
        (folder / "tables").mkdir()
        for name in TABLES:
            made[name].to_csv(folder / "tables" / f"{name}.csv", index=False, lineterminator="\n")
        (folder / "figures").mkdir()
        if collected.speed:
            speedsection.write_speed_files(collected.speed, folder / "tables", folder / "figures")
        datacard.write_data(collected.dataset, Prepared(data), folder / "tables", folder / "figures")
        _draw(collected, made, folder / "figures")
        media.copy_pictures(collected, folder / "figures")
        page = _render(collected, made, folder / "figures")
        (folder / "report.html").write_text(page, encoding="utf-8")
        summary.write_summaries(collected, made["ablation"], folder)
    return out / "report.html"


def _draw(collected: Collected, made: dict[str, pd.DataFrame], folder: Path) -> None:
    params, extractor = collected.params, collected.params.evaluate.extractor
    styles = figures.arm_styles(list(params.arms), params.report.main_arm)
    known = {metric.key: metric for metric in metrics.metrics_of(collected)}
    resampled = {f"kid_{extractor}": f"kid_std_{extractor}"}
    for name, keys in _plotted(extractor).items():
        shown = [known[key] for key in keys if key in known]
        armfigures.draw_by_arm(folder / f"{name}.svg", shown, made["metrics"], styles, made["intervals"], resampled)
    armfigures.draw_precision_recall(folder / "precision_recall.svg", extractor, made["metrics"], styles)
    runfigures.draw_training(folder / "training.svg", made["training"], styles)
    runfigures.draw_curve(folder / "curve.svg", extractor, made["curve"], made["training"], styles)
    budgetfigure.draw_budget(folder / "budget.svg", extractor, made["metrics"], styles)
    runfigures.draw_cost(folder / "cost.svg", made["metrics"], tables.stage_table(collected), styles)


def _plotted(extractor: str) -> dict[str, list[str]]:
    """Plot by arm -> keys of its metrics."""
    shape = {"depth": list(metrics.DEPTH_PLOT), "geometry": list(metrics.GEOMETRY_PLOT)}
    return {"fid": [f"fid_{extractor}"], "kid": [f"kid_{extractor}"], **shape}


def _render(collected: Collected, made: dict[str, pd.DataFrame], folder: Path) -> str:
    """The page as text."""
    params, ablation, curve = collected.params, made["ablation"], made["curve"]
    valued = {key for key, column in made["metrics"].items() if column.notna().any()}
    pictures = media.pictures(params, folder)
    template = environment().get_template("report.html.jinja")
    return template.render(
        params=params,
        extractor=metrics.EXTRACTOR_NAMES[params.evaluate.extractor],
        subject=verdict.subject(collected),
        headline=verdict.headline(collected, ablation),
        comparison=verdict.comparison(collected, ablation),
        cautions=verdict.cautions(collected, ablation),
        incomplete=collected.incomplete,
        several_seeds=seeds.several_seeds(collected),
        counts=seeds.counts(collected),
        main_seeds=len(collected.of_arm(params.report.main_arm)),
        pictured_seed=collected.main.seed,
        intervals=len(made["intervals"]) > 0,
        floor=f"fid_real_{params.evaluate.extractor}" in valued,
        headline_tables=metricsection.headline_tables(collected, ablation),
        published=sections.published(params),
        arm_changes={arm: sections.arm_changes(params, arm) for arm in params.arms},
        arm_tables=metricsection.arm_tables(collected, ablation),
        further_tables=metricsection.further_tables(collected, ablation),
        unmeasured=metricsection.unmeasured_sentence(collected),
        inversion_rows=metricsection.inversion_rows(collected, ablation),
        seed_tables=metricsection.seed_tables(collected, made["metrics"]),
        depth_known="depth_rmse" in valued,
        runs=[(run.arm, run.seed) for run in collected.runs],
        film=media.film(collected),
        explorer=media.explorer(collected),
        scrubbers=media.scrubbers(collected),
        depth_scale=media.depth_scale(collected),
        pictures=pictures,
        strips=media.strips(params, pictures["views"]),
        plots=_plots(collected, made, folder),
        snapshot_images=", ".join(f"{count:,}" for count in sorted(set(curve["images"]))),
        cost_rows=sections.cost_rows(collected),
        speed=speedsection.speed_section(collected.speed, folder) if collected.speed else None,
        speed_problem=collected.speed_problem,
        data=datacard.data_section(collected.dataset, Prepared(collected.data), folder),
        protocol_rows=protocol.protocol_rows(collected),
        commit=provenance.git_commit(Path.cwd()),
        versions=provenance.library_versions(),
        run_torch=", ".join(sorted({stage.torch for run in collected.runs for stage in run.stages})),
        hashes=provenance.hashes(collected),
        params_yaml=provenance.params_yaml(params),
    )


def _plots(collected: Collected, made: dict[str, pd.DataFrame], folder: Path) -> dict[str, Markup]:
    """Plots as elements of the page; of those that not every evaluation measures, the ones that show something."""
    labels = {
        "fid": "FID of each arm, one dot a seed",
        "kid": "KID of each arm, one dot a seed",
        "precision_recall": "Precision over recall of each arm",
        "training": "Losses, R1 penalty and discriminator scores over training images seen",
        "curve": "FID and KID over training images seen",
        "depth": "Metrics of shape and views by arm",
        "geometry": "Errors against true depth and cameras by arm",
        "cost": "Wall time and training speed of each arm",
        "budget": "FID over training time and over images seen, of each arm",
    }
    valued = {metric.key for metric in metrics.metrics_of(collected)}
    empty = {name for name in ("depth", "geometry") if not valued & set(_plotted("")[name])}
    empty |= {"curve"} if made["curve"].empty else set()
    arms = ", ".join(collected.params.arms)
    shown = [name for name in PLOTS if name not in empty]
    return {name: embed.inline_svg(folder / f"{name}.svg", f"{labels[name]}: {arms}") for name in shown}
