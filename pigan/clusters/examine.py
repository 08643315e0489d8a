"""Everything that can be known of a profile before its jobs are submitted."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pigan.clusters.others import generic_facts, kubernetes_facts, local_facts
from pigan.clusters.place import place_facts
from pigan.clusters.profile import Profile, Want, read_profile, unknown_rules, wants
from pigan.clusters.slurm import nodes_are_here, slurm_facts
from pigan.config import Params, load
from pigan.errors import PiganError
from pigan.machine import Fact

PARAMS = Path("params.yaml")
# executors that come with Snakemake
OWN = ("local", "dryrun", "touch")
EXTRAS = ("slurm", "cluster-generic", "kubernetes")


def examine_profile(name: str) -> list[Fact]:
    """Facts about the profile of that name, or in that folder; never fails."""
    try:
        profile = read_profile(name)
    except PiganError as error:
        return [Fact("profile", str(error), "missing")]
    facts = [Fact("profile", f"{profile.file}, executor {profile.executor}"), plugin(profile)]
    wanted, told = rules(profile)
    facts.append(told)
    if wanted:
        facts += devices(load(PARAMS), wanted)
    if profile.executor == "slurm":
        facts += slurm_facts(profile, wanted)
    elif profile.executor == "cluster-generic":
        facts += generic_facts(profile)
    elif profile.executor == "kubernetes":
        facts += kubernetes_facts(profile)
    elif profile.executor == "local":
        facts += local_facts(profile, wanted)
    if profile.executor not in (*OWN, "kubernetes"):
        facts += place_facts(one_machine=profile.executor == "slurm" and nodes_are_here())
    return facts


def plugin(profile: Profile) -> Fact:
    """Whether Snakemake has the executor."""
    if profile.executor in OWN:
        return Fact("executor", "comes with Snakemake")
    package = f"snakemake-executor-plugin-{profile.executor}"
    try:
        return Fact("executor", f"{package} {version(package)}")
    except PackageNotFoundError:
        what = f"'pigan[{profile.executor}]'" if profile.executor in EXTRAS else package
        return Fact("executor", f"{package} is not installed", "missing", f"pip install {what}")


def rules(profile: Profile) -> tuple[list[Want], Fact]:
    """What the rules ask for, and whether Snakemake takes the profile; a bucket is not asked."""
    if profile.values.get("default-storage-provider"):
        return [], Fact(
            "rules", "not looked at: a dry run would ask the bucket", "advice", "try `snakemake -n` yourself"
        )
    try:
        wanted = wants(profile)
    except PiganError as error:
        return [], Fact("rules", str(error), "missing")
    if unknown := unknown_rules(profile, [want.rule for want in wanted]):
        there = ", ".join(sorted({want.rule for want in wanted}))
        return wanted, Fact("rules", f"{', '.join(unknown)}: no such rule", "missing", f"there are {there}")
    return wanted, Fact("rules", f"{len(wanted)} of them; attempts at each, at most: {profile.attempts}")


def devices(params: Params, wanted: list[Want]) -> list[Fact]:
    """Whether trainings get as many GPUs as they train on, where they get any; no fact when they do."""
    counts = [params.for_arm(arm).training.devices for arm in params.arms]
    most = max((count for count in counts if count != "auto"), default=1)
    short = [want for want in wanted if want.rule.startswith("train_") and 0 < want.gpus < most]
    if not short:
        return []
    told = f"training.devices is {most}, and {short[0].rule} asks for {short[0].gpus} GPU"
    return [Fact("devices", told, "missing", f"set gpu: {most} for the trainings in set-resources")]
