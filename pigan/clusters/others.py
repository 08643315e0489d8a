"""What the other executors of Snakemake need: this machine's GPUs, command templates, Kubernetes with a bucket."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from pigan.clusters.profile import Profile, Want
from pigan.gpus import count_gpus, visible_gpus
from pigan.machine import Fact
from pigan.processor import usable_processors

# the commands that workflow/profiles/cluster-generic/scheduler.py calls
COMMANDS = {
    "pbs": ("qsub", "qstat", "qdel"),
    "sge": ("qsub", "qstat", "qacct", "qdel"),
    "lsf": ("bsub", "bjobs", "bkill"),
}
SECRETS = ("SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "SNAKEMAKE_STORAGE_S3_SECRET_KEY")
EXAMPLES = ("example.org", "my-bucket")


def local_facts(profile: Profile, wanted: list[Want], environment: Mapping[str, str] = os.environ) -> list[Fact]:
    """GPUs and memory that the profile hands out, beside those of this machine."""
    handed = profile.resources("resources")
    gpus, there = int(handed.get("gpu", 0)), len(visible_gpus(environment, count_gpus))
    facts = []
    if gpus > max(there, 1):
        advice = f"write gpu={max(there, 1)} in resources: jobs would wait for each other's GPU"
        facts.append(Fact("gpus", f"{gpus} are handed out and {there} are here", "missing", advice))
    elif 0 < gpus < there:
        facts.append(Fact("gpus", f"{gpus} of {there} are handed out", "advice", f"gpu={there} would use all of them"))
    else:
        facts.append(Fact("gpus", f"{there} here; jobs at a time that use one: {gpus}"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    asked = int(handed.get("mem_mb", 0))
    if asked > memory:
        facts.append(Fact("memory", f"{asked} MB are handed out and {memory} are here", "missing", "lower mem_mb"))
    most = max(wanted, key=lambda want: want.memory, default=None)
    if most is not None and asked and most.memory > asked:
        advice = f"raise mem_mb in resources, or lower that of {most.rule} in set-resources"
        facts.append(Fact("memory", f"{most.rule} wants {most.memory} MB, {asked} are handed out", "missing", advice))
    threads = max((want.threads for want in wanted), default=1)
    facts.append(Fact("threads", f"at most {threads} for a job, {usable_processors()} processors here"))
    return facts


def generic_facts(profile: Profile) -> list[Fact]:
    """Whether the programs of the command templates are here."""
    facts = []
    for action in ("submit", "status", "cancel"):
        key = f"cluster-generic-{action}-cmd"
        template = profile.values.get(key)
        if not template:
            told = {
                "submit": "nothing submits a job",
                "status": "a job that is killed is never noticed",
                "cancel": "jobs go on when Snakemake is stopped",
            }[action]
            facts.append(Fact(action, f"no {key}: {told}", "missing" if action == "submit" else "advice", f"set {key}"))
            continue
        facts.append(_command(action, str(template)))
    return facts


def _command(action: str, template: str) -> Fact:
    """The programs that one template calls."""
    words = shlex.split(template)
    programs = [words[0]]
    script = next((word for word in words[:2] if word.endswith((".py", ".sh"))), None)
    if script is not None and not Path(script).is_file():
        return Fact(action, f"no {script} here", "missing", "run it at the top of the project, or mend the path")
    if script is not None and Path(script).name == "scheduler.py":
        kind = next((word for word in words if word in COMMANDS), "")
        programs += COMMANDS.get(kind, ())
    lacking = [program for program in programs if shutil.which(program) is None]
    if lacking:
        advice = "run Snakemake on a login node of the cluster, or name its scheduler in the profile"
        return Fact(action, f"no {', '.join(lacking)} here", "missing", advice)
    return Fact(action, ", ".join(programs))


def kubernetes_facts(profile: Profile, environment: Mapping[str, str] = os.environ) -> list[Fact]:
    """A cluster that is reached, an image, and a bucket for the files; nothing is asked of the network."""
    facts = []
    config = Path(environment.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)[0]).expanduser()
    if config.is_file():
        facts.append(Fact("cluster", str(config)))
    else:
        facts.append(Fact("cluster", f"no {config}", "missing", "log in to the cluster, or set KUBECONFIG"))
    if shutil.which("kubectl") is None:
        facts.append(Fact("commands", "no kubectl here", "advice", "Snakemake needs none; you do, to look at pods"))
    else:
        facts.append(Fact("commands", "kubectl"))
    facts += [
        _named(profile, "image", "container-image", "name an image with pigan and Snakemake that the nodes can pull"),
        _named(profile, "storage", "default-storage-provider", "set it to s3: pods share no files with this machine"),
        _named(profile, "bucket", "default-storage-prefix", "name your bucket, as s3://bucket/folder"),
    ]
    prefix = str(profile.values.get("default-storage-prefix", ""))
    if prefix and not re.match(r"s3://[^/]+", prefix):
        facts[-1] = Fact("bucket", f"{prefix} is no s3://bucket/folder", "missing", "write it so")
    if profile.values.get("shared-fs-usage") != "none":
        told = "the profile takes it that pods see this machine's files"
        facts.append(Fact("shared files", told, "missing", "set shared-fs-usage: none"))
    lacking = [name for name in SECRETS if not environment.get(name)]
    if lacking:
        facts.append(
            Fact("secrets", f"{', '.join(lacking)} not set", "missing", "export them; pods get them as a secret")
        )
    else:
        facts.append(Fact("secrets", "set in the environment"))
    return facts


def _named(profile: Profile, name: str, key: str, advice: str) -> Fact:
    value = str(profile.values.get(key, ""))
    if not value:
        return Fact(name, f"no {key}", "missing", advice)
    if any(example in value for example in EXAMPLES):
        return Fact(name, f"{key}: {value} is the example", "missing", advice)
    return Fact(name, value)
