# One page over all arms and seeds; its parts are also items of `snakemake --report`.

# beside each figures/NAME.svg lies tables/NAME.csv with the numbers that it draws
FORMS = (("figure", "figures/{}.svg"), ("numbers", "tables/{}.csv"))


rule report:
    input:
        data=PREPARED,
        runs=files_of_runs(),
        speed=SPEED,
    output:
        page=report(
            f"{REPORT}/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"what": "whole report"},
        ),
        summary=report(
            f"{REPORT}/summary.md",
            caption="../report/summary.rst",
            category="Report",
            labels={"what": "summary for a pull request"},
        ),
        facts=f"{REPORT}/summary.json",
        latex=[f"{REPORT}/tables/{table}.tex" for table in ("ablation", "headline")],
        tables=[
            report(
                f"{REPORT}/tables/{table}.csv",
                caption="../report/table.rst",
                category="Tables",
                labels={"table": table},
            )
            for table in (
                "metrics",
                "ablation",
                "intervals",
                "incomplete",
                "data_facts",
                "data_rejects",
                "data_duplicates",
            )
        ],
        figures=[
            report(
                f"{REPORT}/{file.format(figure)}",
                caption="../report/figure.rst",
                category="Figures",
                labels={"figure": figure.replace("_", " "), "as": form},
            )
            for figure in (
                "fid",
                "kid",
                "precision_recall",
                "curve",
                "training",
                "depth",
                "geometry",
                "cost",
                "budget",
                "data_poses",
                "data_depth",
            )
            for form, file in FORMS
        ],
        speed=[
            report(
                f"{REPORT}/{file.format(figure)}",
                caption="../report/speed.rst",
                category="Speed",
                labels={"figure": figure, "as": form},
            )
            for figure in ("speed", "roofline", "scaling")
            for form, file in FORMS
        ],
        pictures=[
            report(
                f"{REPORT}/figures/{picture}_{arm}.png",
                caption="../report/picture.rst",
                category="Pictures",
                subcategory=arm,
                labels={"picture": picture, "arm": arm},
            )
            for picture in ("samples", "views", "depth", "truncation", "turntable", "neighbours", "mesh")
            for arm in PARAMS.arms
        ],
    log:
        f"{LOGS}/report.log",
    localrule: True
    params:
        experiment=PARAMS.experiment,
        report=config["report"],
        arms=config["arms"],
        seeds=PARAMS.seeds,
        order=ORDER,
        generate=config["generate"],
        evaluate=config["evaluate"],
        runs=subpath(input.speed, parent=True),
        out=subpath(output.page, parent=True),
    shell:
        "pigan report --data {input.data} --runs {params.runs} --out {params.out} > {log} 2>&1"
