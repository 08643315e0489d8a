"""What `make` asks of `dvc status`; run by it in the project's folder.

`files`: fails with a line if files differ from dvc.lock. Raw data that is not here is no difference: it is large, and
need not be pushed. `code`: fails with a line if code of a stage changed since its outputs, which are the same, were
recorded: Snakemake does not look at code, so they may be those of before.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

RAW = "data/raw/"
CODE = "pigan/"

Status = dict[str, list[Any]]


def parts_of(changes: list[Any], kind: str) -> dict[str, Any]:
    """The changes of one kind, `changed deps` or `changed outs`, by what changed."""
    return {name: how for change in changes if isinstance(change, dict) for name, how in change.get(kind, {}).items()}


def differing(status: Status) -> list[str]:
    """Stages of which more differs than that raw data is missing."""

    def is_missing_raw(name: str, how: Any) -> bool:
        return how in ("deleted", "not in cache") and name.startswith(RAW)

    found = []
    for stage, changes in status.items():
        own = [pair for kind in ("changed deps", "changed outs") for pair in parts_of(changes, kind).items()]
        if not own or not all(is_missing_raw(*pair) for pair in own):
            found.append(stage)
    return _names(found)


def of_older_code(status: Status) -> list[str]:
    """Stages whose code changed while their outputs are those of dvc.lock."""
    return _names(
        stage
        for stage, changes in status.items()
        if not parts_of(changes, "changed outs")
        and any(how == "modified" and name.startswith(CODE) for name, how in parts_of(changes, "changed deps").items())
    )


def _names(stages: Iterable[str]) -> list[str]:
    """Of stages once an arm and seed, each once."""
    return list(dict.fromkeys(stage.partition("@")[0] for stage in stages))


def main(question: str) -> str | None:
    """None where all is well, else the line that says what is not."""
    asked = subprocess.run(["dvc", "status", "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if asked.returncode != 0:
        return "make: dvc status failed, as above; DVC needs a git repository: a folder without one takes `git init`"
    status: Status = json.loads(asked.stdout)
    if question == "files" and (stages := differing(status)):
        return f"make: the files are not those of dvc.lock: {', '.join(stages)}"
    if question == "code" and (stages := of_older_code(status)):
        return (
            f"make: the code of {', '.join(stages)} changed since these results were recorded, and Snakemake does not "
            "look at code: run dvc repro, or, if the new code made them, make record CODE=ran"
        )
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
