# One rule a resolution, so that `--until train_r32` works and a profile can give each its own time and memory.
# The state of a training under way is in work/, which is no output: Snakemake deletes the outputs of a failed job.


rule init:
    output:
        checkpoint=f"{RUN}/init/checkpoint.safetensors",
        state=f"{RUN}/init/state.json",
        snapshots=directory(f"{RUN}/init/snapshots"),
    log:
        f"{RUN_LOGS}/init.log",
    benchmark:
        f"{RUN_BENCHMARKS}/init.tsv"
    priority: first_of_the_main_arm
    localrule: True
    params:
        model=config["model"],
        pretrained=config["training"]["pretrained"],
        order=ORDER,
        arm=params_of_arm,
        out=subpath(output.checkpoint, parent=True),
    shell:
        "pigan init --arm {wildcards.arm} --seed {wildcards.seed} --out {params.out} > {log} 2>&1"


for link in PARAMS.curriculum.order:

    rule:
        name:
            f"train_{link.name}"
        input:
            data=PREPARED,
            checkpoint=f"{RUN}/{link.after}/checkpoint.safetensors",
            state=f"{RUN}/{link.after}/state.json",
            snapshots=f"{RUN}/{link.after}/snapshots",
        output:
            checkpoint=f"{RUN}/{link.name}/checkpoint.safetensors",
            state=f"{RUN}/{link.name}/state.json",
            log=f"{RUN}/{link.name}/log.jsonl",
            snapshots=directory(f"{RUN}/{link.name}/snapshots"),
        log:
            f"{RUN_LOGS}/{link.name}.log",
        benchmark:
            f"{RUN_BENCHMARKS}/{link.name}.tsv"
        priority: first_of_the_main_arm
        threads: lambda wildcards: devices_of(wildcards) * PARAMS.training.threads
        resources:
            cpu=lambda wildcards: devices_of(wildcards) * PARAMS.training.threads,
            gpu=lambda wildcards: devices_of(wildcards) * GPUS,
            mem_mb=lambda wildcards, attempt: 16000 * attempt,
            runtime=lambda wildcards, attempt: 1440 * attempt,
        params:
            resolution=link.resolution,
            flip=PARAMS.dataset.flip,
            camera=config["camera"],
            model=config["model"],
            training=learning_settings(config["training"]),
            stage=config["curriculum"]["stages"][link.name],
            arm=params_of_arm,
            init=subpath(input.checkpoint, parent=True),
            out=subpath(output.checkpoint, parent=True),
        shell:
            "pigan train --arm {wildcards.arm} --seed {wildcards.seed} --resolution {params.resolution}"
            " --data {input.data} --init {params.init} --out {params.out} > {log} 2>&1"
