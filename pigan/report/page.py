"""Writes the report's folder: tables, figures, and one HTML page that holds everything."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from pigan.chain.place import PAGE
from pigan.config import Params
from pigan.data.store import Prepared
from pigan.files import atomic_directory
from pigan.report import (
    armfigures,
    beside,
    budgetfigure,
    datacard,
    figures,
    media,
    meshview,
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
from pigan.report.plots import Plot, shown, write_plots
from pigan.report.templating import environment

# of its folder
PARTS = ("tables", "figures", "summary.json", "summary.md")
# in the page also when no run has a value, which they say
ALWAYS_SHOWN = ("fid", "kid")


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
    with atomic_directory(out, PAGE, PARTS) as folder:
        made = {
            "metrics": tables.metrics_table(collected),
            "ablation": tables.ablation_table(collected),
            "intervals": tables.intervals_table(collected),
            "incomplete": incomplete_table(collected.incomplete),
        }
        (folder / "tables").mkdir()
        for name, table in made.items():
            table.to_csv(folder / "tables" / f"{name}.csv", index=False, lineterminator="\n")
        datacard.write_tables(collected.dataset, Prepared(data), folder / "tables")
        plots = every_plot(collected, made)
        write_plots([plot for group in plots.values() for plot in group], folder)
        media.copy_pictures(collected, folder / "figures")
        page = _render(collected, made, plots, folder)
        (folder / PAGE).write_text(page, encoding="utf-8")
        summary.write_summaries(collected, made["ablation"], folder)
    return out / PAGE


def every_plot(collected: Collected, made: Mapping[str, pd.DataFrame]) -> dict[str, list[Plot]]:
    """The figures of the runs, of speed and of the data; of speed none when it was not measured."""
    return {
        "runs": _plots(collected, made),
        "speed": speedsection.speed_plots(collected.speed) if collected.speed else [],
        "data": datacard.data_plots(collected.dataset, Prepared(collected.data)),
    }


def _render(
    collected: Collected, made: Mapping[str, pd.DataFrame], plots: Mapping[str, list[Plot]], folder: Path
) -> str:
    """The page as text."""
    params, ablation = collected.params, made["ablation"]
    drawn = {name: shown(group, folder) for name, group in plots.items()}
    valued = {key for key, column in made["metrics"].items() if column.notna().any()}
    pictures = media.pictures(params, folder / "figures")
    floor = f"fid_real_{params.evaluate.extractor}"
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
        floor=floor in valued,
        floor_at_fewer=metrics.at_fewer(collected.runs, floor),
        headline_tables=metricsection.headline_tables(collected, ablation),
        beside=beside.beside(collected, ablation),
        published=sections.published(params),
        arm_changes={arm: sections.arm_changes(params, arm) for arm in params.arms},
        arm_tables=metricsection.arm_tables(collected, ablation),
        further_tables=metricsection.further_tables(collected, ablation),
        unmeasured=metricsection.unmeasured_sentence(collected),
        inversion_rows=metricsection.inversion_rows(collected, ablation),
        seed_tables=metricsection.seed_tables(collected, made["metrics"]),
        depth_known="depth_rmse" in valued,
        runs=[(run.arm, run.seed) for run in collected.runs],
        glance=media.glance(collected),
        film=media.film(collected),
        explorer=media.explorer(collected),
        scrubbers=media.scrubbers(collected),
        depth_scale=media.depth_scale(collected),
        mesh=meshview.mesh_view(collected),
        pictures=pictures,
        strips=media.strips(params, pictures["views"]),
        plots=drawn["runs"],
        snapshot_images=", ".join(f"{count:,}" for count in tables.snapshot_images(collected)),
        cost_rows=sections.cost_rows(collected),
        speed=speedsection.speed_section(collected.speed, drawn["speed"]) if collected.speed else None,
        speed_problem=collected.speed_problem,
        data=datacard.data_section(collected.dataset, Prepared(collected.data), drawn["data"]),
        protocol_rows=protocol.protocol_rows(collected),
        commit=provenance.git_commit(Path.cwd()),
        versions=provenance.library_versions(),
        run_torch=", ".join(sorted({stage.torch for run in collected.runs for stage in run.stages})),
        hashes=provenance.hashes(collected),
        params_yaml=provenance.params_yaml(params),
    )


def _plots(collected: Collected, made: Mapping[str, pd.DataFrame]) -> list[Plot]:
    """The figures of the runs. Those that not every evaluation measures are in the page when they show something."""
    params, extractor = collected.params, collected.params.evaluate.extractor
    styles = figures.arm_styles(list(params.arms), params.report.main_arm)
    log, curve, per_run = tables.training_table(collected), tables.curve_table(collected), made["metrics"]
    arms = ", ".join(params.arms)
    by_arm = {
        "fid": ("FID of each arm, one dot a seed", [f"fid_{extractor}"]),
        "kid": ("KID of each arm, one dot a seed", [f"kid_{extractor}"]),
        "depth": ("Metrics of shape and views by arm", metrics.DEPTH_PLOT),
        "geometry": ("Errors against true depth and cameras by arm", metrics.GEOMETRY_PLOT),
    }
    plots = [_by_arm(collected, made, name, f"{label}: {arms}", keys, styles) for name, (label, keys) in by_arm.items()]
    plots += [
        Plot(
            "precision_recall",
            f"Precision over recall of each arm: {arms}",
            armfigures.precision_recall_numbers(extractor, per_run),
            partial(armfigures.draw_precision_recall, styles=styles),
        ),
        Plot(
            "training",
            f"Losses, R1 penalty, scores, empty rays and gradient norms over training images seen: {arms}",
            log,
            partial(runfigures.draw_training, styles=styles),
        ),
        Plot(
            "curve",
            f"FID and KID over training images seen: {arms}",
            curve,
            partial(runfigures.draw_curve, extractor=extractor, log=log, styles=styles),
            measured=len(curve) > 0,
        ),
        Plot(
            "cost",
            f"Wall time and training speed of each arm: {arms}",
            runfigures.cost_numbers(per_run, tables.stage_table(collected)),
            partial(runfigures.draw_cost, styles=styles),
        ),
        Plot(
            "budget",
            f"FID over training time and over images seen, of each arm: {arms}",
            budgetfigure.budget_numbers(extractor, per_run),
            partial(budgetfigure.draw_budget, styles=styles),
        ),
    ]
    return plots


def _by_arm(
    collected: Collected,
    made: Mapping[str, pd.DataFrame],
    name: str,
    label: str,
    keys: Sequence[str],
    styles: Mapping[str, tuple[str, str]],
) -> Plot:
    """The figure of some metrics by arm."""
    extractor = collected.params.evaluate.extractor
    known = {metric.key: metric for metric in metrics.metrics_of(collected)}
    panels = [known[key] for key in keys if key in known]
    resampled = {f"kid_{extractor}": f"kid_std_{extractor}"}
    return Plot(
        name,
        label,
        armfigures.by_arm_numbers(panels, made["metrics"], made["intervals"], resampled),
        partial(armfigures.draw_by_arm, metrics=panels, styles=styles),
        measured=bool(panels) or name in ALWAYS_SHOWN,
    )
