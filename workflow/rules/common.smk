# Params, paths and helpers that the rules share.
import os
import shutil
import sys
from pathlib import Path

from pigan.chain.settings import learning_settings
from pigan.config import ParamsError, load, merge

# a job is the bare word `pigan`; when no environment is active, it is the one beside this Python
os.environ.update(PATH=os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)]))


def read_params(overrides):
    """params.yaml through pigan's own reader, which knows 2e-06 for a number; other values than its are refused."""
    try:
        params = load(Path("params.yaml"))
    except ParamsError as error:
        sys.exit(str(error))
    values = params.model_dump()
    if merge(values, overrides) != values:
        sys.exit(
            f"--config/--configfile change {', '.join(overrides)}, but the stages read params.yaml: change the values there"
        )
    return params


def gpus_per_job():
    """How many GPUs a training or rendering job asks for: 1 where there is one; PIGAN_GPU=0 or 1 overrides it."""
    asked = os.environ.get("PIGAN_GPU", "")
    if asked not in ("", "0", "1"):
        sys.exit(f"PIGAN_GPU: write 0 or 1, not {asked!r}")
    return int(asked) if asked else int(shutil.which("nvidia-smi") is not None)


def devices_of(wildcards):
    """How many devices a training of this arm takes; auto is known only where it runs, and counts as one here."""
    devices = PARAMS.for_arm(wildcards.arm).training.devices
    return 1 if devices == "auto" else devices


def params_of_arm(wildcards):
    """What the arm of this job overrides."""
    return PARAMS.arms[wildcards.arm]


def folder_of_statistics(wildcards, input):
    """Where the statistics of all extractors are."""
    return str(Path(input.stats[0]).parent)


def first_of_the_main_arm(wildcards):
    """Priority of the run that the verdict is about: it may train longest, so that the others run beside it."""
    return 10 if (wildcards.arm, int(wildcards.seed)) == (PARAMS.report.main_arm, PARAMS.seeds[0]) else 0


def files_of_runs():
    """Everything below runs/<dataset>/ that the stages of the present arms and seeds make."""
    stages = [link.name for link in PARAMS.curriculum.order]
    kept = ("checkpoint.safetensors", "state.json", "snapshots")
    parts = [f"{stage}/{name}" for stage in ["init", *stages] for name in kept]
    parts += [f"{stage}/log.jsonl" for stage in stages]
    parts += ["generated", "evaluated", "metrics.json"]
    return expand(f"{RUN}/{{part}}", arm=PARAMS.arms, seed=PARAMS.seeds, part=parts)


# no `configfile:`: `config` holds only what the command line adds, until the next two lines
PARAMS = read_params(config)
config.update(PARAMS.model_dump())

DATASET = PARAMS.dataset.name
RAW = f"data/raw/{DATASET}"
PREPARED = f"data/prepared/{DATASET}"
STATS = f"data/stats/{DATASET}/{{extractor}}_{PARAMS.generate.resolution}.npz"
RUN = f"runs/{DATASET}/{{arm}}/seed{{seed}}"
SPEED = f"runs/{DATASET}/speed.json"
LOGS = f"logs/{DATASET}"
RUN_LOGS = f"{LOGS}/{{arm}}-seed{{seed}}"
# only of rules with wildcards: asked for by name, a rule whose benchmark `dvc pull` did not bring would run again
RUN_BENCHMARKS = RUN_LOGS.replace("logs/", "logs/benchmarks/", 1)
REPORT = f"reports/{PARAMS.experiment}"
GPUS = gpus_per_job()
# on a cluster `--cores` is not given: there its scheduler decides what runs beside a job
EVERY_CORE = workflow.resource_settings.cores or PARAMS.training.threads
ORDER = [link.model_dump() for link in PARAMS.curriculum.order]
