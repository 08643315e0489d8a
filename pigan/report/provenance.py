"""Where the numbers come from: code version, library versions, hashes, settings."""

import io
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ruamel.yaml import YAML

from pigan.config import Params
from pigan.report.collect import Collected, Run
from pigan.report.protocol import flat
from pigan.report.sections import started_from

LIBRARIES = ("pigan", "torch", "numpy", "torch-fidelity")


def git_commit(folder: Path) -> str | None:
    """Commit of the checkout that holds `folder`, with a note on uncommitted code; None outside git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    # only code and settings: the engines' own records change while the report is made
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/*.py", ":/params.yaml")
    return f"{commit} with uncommitted changes" if changed else commit


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that decide the numbers."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def params_yaml(params: Params) -> str:
    """The settings of the experiment as YAML."""
    buffer = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(params.model_dump(), buffer)
    return buffer.getvalue()


def hashes(collected: Collected) -> list[tuple[str, str]]:
    """Name and SHA-256 of the data, the extractors' weights, models started from, and each evaluated checkpoint."""
    rows = [(f"prepared/{collected.dataset.name}/{name}", value) for name, value in collected.dataset.sha256.items()]
    rows += list(dict.fromkeys(row for run in collected.runs for row in _weights(run)))
    starts = started_from(collected.params)
    rows += [(f"{arm} starts from {start.path}", start.sha256) for arm, start in starts.items()]
    for run in collected.runs:
        rows.append((f"{run.arm}/seed{run.seed} checkpoint", run.generated.checkpoint_sha256))
    return rows


def _weights(run: Run) -> list[tuple[str, str]]:
    """The networks that a run was measured with."""
    found = []
    for key, value in flat(run.protocol).items():
        *owners, last = key.split(".")
        if value and last in ("weights_sha256", "sha256"):
            found.append((f"{owners[-1] if owners else run.protocol.get('extractor')} weights", str(value)))
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
