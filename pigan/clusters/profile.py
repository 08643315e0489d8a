"""A Snakemake profile, and what each rule asks for under it."""

import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pigan.errors import PiganError

PROFILES = Path("workflow/profiles")
# the newer name comes first
FILES = ("profile.yaml", "config.yaml")
SECONDS = 300.0


@dataclass(frozen=True)
class Profile:
    """One profile as it is written."""

    name: str
    file: Path
    values: dict[str, Any]

    @property
    def executor(self) -> str:
        """What runs the jobs; this machine where nothing is said."""
        return str(self.values.get("executor", "local"))

    @property
    def attempts(self) -> int:
        """How often a job is tried at most."""
        return 1 + int(self.values.get("retries", self.values.get("restart-times", 0)))

    def resources(self, key: str) -> dict[str, Any]:
        """A section such as default-resources, whether it is written as a mapping or as a list of name=value."""
        section = self.values.get(key) or {}
        if isinstance(section, list):
            return dict(str(item).split("=", 1) for item in section if "=" in str(item))
        return dict(section)


@dataclass(frozen=True)
class Want:
    """The most that jobs of a rule ask for."""

    rule: str
    partition: str
    threads: int
    gpus: int
    memory: int
    """MB; 0: not said."""
    minutes: int
    """0: not said."""
    attempt: int = 1
    """Of which this is; later ones may ask for more."""


def read_profile(name: str) -> Profile:
    """The profile of that name below workflow/profiles, or in the folder of that path.

    Raises:
        PiganError: there is none, or it is no YAML.
    """
    folder = Path(name) if "/" in name else PROFILES / name
    file = next((folder / file for file in FILES if (folder / file).is_file()), None)
    if file is None:
        known = sorted({path.parent.name for file in FILES for path in PROFILES.glob(f"*/{file}")})
        told = f"there are {', '.join(known)}" if known else "run it at the top of the project"
        raise PiganError(f"{folder}: no profile; {told}")
    try:
        values = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except YAMLError as error:
        told = " ".join(str(error).split())
        raise PiganError(f"{file}: no YAML ({told}); mend that line") from None
    if not isinstance(values, dict):
        raise PiganError(f"{file}: holds no settings; copy one of workflow/profiles")
    return Profile(folder.name, file, values)


def wants(profile: Profile) -> list[Want]:
    """What the rules ask for, at the first attempt and at the last, from dry runs of everything.

    Raises:
        PiganError: Snakemake refuses the profile, the params or the workflow.
    """
    running = {
        attempt: subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--workflow-profile", str(profile.file.parent)),
                *("--dry-run", "--forceall", "--nolock", "--attempt", str(attempt)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for attempt in sorted({1, profile.attempts})
    }
    found: dict[str, Want] = {}
    refused = ""
    for attempt, process in running.items():
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        if process.returncode:
            refused = refused or _complaint(err) or _complaint(out) or "no reason given"
        for want in most_of(parse_dry_run(out + err, attempt)):
            found[want.rule] = most_of([*([found[want.rule]] if want.rule in found else []), want])[0]
    if refused:
        raise PiganError(f"Snakemake refuses it: {refused}")
    return list(found.values())


def parse_dry_run(text: str, attempt: int = 1) -> list[Want]:
    """The jobs that a dry run tells of."""
    jobs = []
    for block in re.split(r"\n(?=\[|(?:local)?rule )", text):
        head = re.match(r"(?:local)?rule (\w+):\n((?:    .*\n?)*)", block)
        if not head:
            continue
        lines = dict(re.findall(r"^    (\w+): (.*)$", head[2], re.MULTILINE))
        told = dict(part.split("=", 1) for part in lines.get("resources", "").split(", ") if "=" in part)
        numbers = {
            name: int(told[name]) if told.get(name, "").isdecimal() else 0 for name in ("gpu", "mem_mb", "runtime")
        }
        jobs.append(
            Want(
                rule=head[1],
                partition=told.get("slurm_partition", ""),
                threads=int(lines.get("threads", "1")),
                gpus=numbers["gpu"],
                memory=numbers["mem_mb"],
                minutes=numbers["runtime"],
                attempt=attempt,
            )
        )
    return jobs


def most_of(jobs: Iterable[Want]) -> list[Want]:
    """One a rule, with the most that any of its jobs asks for; of the last attempt if that asks for more."""
    found: dict[str, Want] = {}
    for job in jobs:
        known = found.setdefault(job.rule, job)
        most = {
            name: max(getattr(known, name), getattr(job, name)) for name in ("threads", "gpus", "memory", "minutes")
        }
        more = any(most[name] > getattr(known, name) for name in most)
        found[job.rule] = Want(job.rule, job.partition, attempt=job.attempt if more else known.attempt, **most)
    return list(found.values())


def unknown_rules(profile: Profile, rules: Iterable[str]) -> list[str]:
    """Rules that the profile gives resources, threads or places to and that do not exist.

    Resolutions that this experiment does not train are none of them.
    """
    named = {str(rule) for key in ("set-resources", "set-threads") for rule in _rules_of(profile.values.get(key) or {})}
    return sorted(rule for rule in named - set(rules) if not re.fullmatch(r"train_r\d+", rule))


def _rules_of(section: Any) -> list[str]:
    """The rules of a section that is a mapping, or a list of rule:name=value or rule=value."""
    return [re.split(r"[:=]", str(item))[0] for item in section]


def _complaint(text: str) -> str:
    """What Snakemake complains about, without the usage that it prints before."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    start = next(
        (index for index, line in enumerate(lines) if "error:" in line.lower() or line.endswith("Error:")), None
    )
    return " ".join(lines[start:])[:400] if start is not None else " ".join(lines[-1:])[:400]
