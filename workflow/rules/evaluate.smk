# What a trained model shows, and how good it is.


rule generate:
    input:
        checkpoint=f"{RUN}/{PARAMS.generate.checkpoint}/checkpoint.safetensors",
        state=f"{RUN}/{PARAMS.generate.checkpoint}/state.json",
        snapshots=f"{RUN}/{PARAMS.generate.checkpoint}/snapshots",
        data=PREPARED,
    output:
        directory(f"{RUN}/generated"),
    log:
        f"{RUN_LOGS}/generate.log",
    benchmark:
        f"{RUN_BENCHMARKS}/generate.tsv"
    priority: first_of_the_main_arm
    threads: PARAMS.training.threads
    resources:
        cpu=PARAMS.training.threads,
        gpu=GPUS,
        mem_mb=16000,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        camera=config["camera"],
        model=config["model"],
        order=ORDER,
        kernel=PARAMS.training.kernel,
        pose_weight=PARAMS.training.pose_weight,
        threads=PARAMS.training.threads,
        generate=config["generate"],
        arm=params_of_arm,
        run=subpath(input.checkpoint, parent=True),
    shell:
        "pigan generate --arm {wildcards.arm} --seed {wildcards.seed}"
        " --model {params.run} --data {input.data} --out {output} > {log} 2>&1"


rule evaluate:
    input:
        data=PREPARED,
        stats=expand(STATS, extractor=PARAMS.evaluate.extractors),
        generated=f"{RUN}/generated",
    output:
        pictures=directory(f"{RUN}/evaluated"),
        metrics=f"{RUN}/metrics.json",
    log:
        f"{RUN_LOGS}/evaluate.log",
    benchmark:
        f"{RUN_BENCHMARKS}/evaluate.tsv"
    priority: first_of_the_main_arm
    threads: PARAMS.training.threads
    resources:
        cpu=PARAMS.training.threads,
        gpu=GPUS,
        mem_mb=8000,
        runtime=120,
    params:
        kind=PARAMS.dataset.kind,
        cars=config["dataset"]["cars"],
        crop=config["dataset"]["crop"],
        flip=PARAMS.dataset.flip,
        camera=config["camera"],
        evaluate=config["evaluate"],
        objects=PARAMS.generate.consistency_latents,
        images=PARAMS.generate.images,
        resolution=PARAMS.generate.resolution,
        threads=PARAMS.training.threads,
        stats=folder_of_statistics,
    shell:
        "pigan evaluate --data {input.data} --stats {params.stats} --generated {input.generated}"
        " --pictures {output.pictures} --out {output.metrics} > {log} 2>&1"
