# From nothing to arrays that training reads, and to the statistics that runs are compared with.


rule download:
    output:
        directory(RAW),
    log:
        f"{LOGS}/download.log",
    threads: 8
    resources:
        cpu=1,
        mem_mb=4000,
        runtime=600,
    params:
        kind=PARAMS.dataset.kind,
        source=PARAMS.dataset.source,
        cars=config["dataset"]["cars"],
        meshes=config["dataset"]["meshes"],
        camera=config["camera"],
    shell:
        "pigan download --out {output} > {log} 2>&1"


rule crop:
    input:
        RAW,
    output:
        directory(PREPARED),
    log:
        f"{LOGS}/crop.log",
    threads: 8
    resources:
        cpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        kind=PARAMS.dataset.kind,
        source=PARAMS.dataset.source,
        world=config["dataset"]["world"],
        depth=config["dataset"]["depth"],
        crop=config["dataset"]["crop"],
        near_duplicates=PARAMS.dataset.near_duplicates,
        held_out=PARAMS.dataset.held_out,
        yaw_mean=PARAMS.camera.yaw_mean,
        sides=PARAMS.resolutions(),
    shell:
        "pigan crop --raw {input} --out {output} > {log} 2>&1"


rule real_stats:
    input:
        PREPARED,
    output:
        STATS,
    log:
        f"{LOGS}/real_stats_{{extractor}}.log",
    benchmark:
        f"{LOGS}/real_stats_{{extractor}}.tsv".replace("logs/", "logs/benchmarks/", 1)
    # every evaluation waits for it
    priority: 10
    threads: PARAMS.training.threads
    resources:
        cpu=PARAMS.training.threads,
        gpu=GPUS,
        mem_mb=8000,
        runtime=120,
    params:
        flip=PARAMS.dataset.flip,
        near=PARAMS.camera.near,
        far=PARAMS.camera.far,
        weights=config["evaluate"]["weights"],
        protocol=PARAMS.evaluate.protocol,
        real_images=PARAMS.evaluate.real_images,
        batch_size=PARAMS.evaluate.batch_size,
        seed=PARAMS.evaluate.seed,
        images=PARAMS.generate.images,
        resolution=PARAMS.generate.resolution,
        threads=PARAMS.training.threads,
    shell:
        "pigan real-stats --extractor {wildcards.extractor} --data {input} --out {output} > {log} 2>&1"
