# How fast the machine is, measured while nothing else runs on it.


rule bench:
    output:
        SPEED,
    log:
        f"{LOGS}/bench.log",
    # before the long ones begin, and with all that Snakemake may use: nothing runs beside a measurement
    priority: 100
    threads: EVERY_CORE
    resources:
        gpu=GPUS,
        mem_mb=16000,
        runtime=60,
    params:
        experiment=PARAMS.experiment,
        camera=config["camera"],
        model=config["model"],
        training=config["training"],
        order=ORDER,
        stages=config["curriculum"]["stages"],
        precision=PARAMS.generate.precision,
        resolution=PARAMS.generate.resolution,
        samples_multiplier=PARAMS.generate.samples_multiplier,
        main_arm=PARAMS.report.main_arm,
        arm=PARAMS.arms[PARAMS.report.main_arm],
    shell:
        "pigan bench --quick --params params.yaml --out {output} > {log} 2>&1"
