# What a trained model shows, and how good it is.


rule generate:
    input:
        checkpoint=f"{RUN}/{PARAMS.generate.checkpoint}/checkpoint.safetensors",
        state=f"{RUN}/{PARAMS.generate.checkpoint}/state.json",
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
        kernel=PARAMS.training.kernel,
        threads=PARAMS.training.threads,
        generate=config["generate"],
        arm=params_of_arm,
        run=subpath(input.checkpoint, parent=True),
    shell:
        "pigan generate --arm {wildcards.arm} --seed {wildcards.seed}"
        " --model {params.run} --out {output} > {log} 2>&1"


rule evaluate:
    input:
        data=PREPARED,
        stats=STATS,
        generated=f"{RUN}/generated",
    output:
        f"{RUN}/metrics.json",
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
        camera=config["camera"],
        evaluate=config["evaluate"],
        threads=PARAMS.training.threads,
    shell:
        "pigan evaluate --data {input.data} --stats {input.stats}"
        " --generated {input.generated} --out {output} > {log} 2>&1"
