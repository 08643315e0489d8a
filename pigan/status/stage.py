"""What is known of one stage: its state, how far it is, who works on it, what went wrong."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

State = Literal["done", "running", "failed", "killed", "stopped", "waiting"]
"""killed: it was running and is gone without a word. stopped: a signal asked for it, and the state was saved."""
STATES: tuple[State, ...] = get_args(State)
WRONG: tuple[State, ...] = ("failed", "killed")


@dataclass(frozen=True)
class StageStatus:
    """One stage of one arm and seed, or (both None) one that all runs share.

    `other_params`: it is done, but its params, or those of a stage before it, were others than params.yaml has now;
    or a training before it is not done.
    `step` of `steps` is logged; `seconds` of wall time are spent in all attempts; `silent` seconds have passed since
    the last sign of life. `only_background`: a training generates nothing but background. `says` is the last line of
    the log, `error` the one that ended it. `log` is where to read on and `command` how to go on (empty when it is
    done), as seen from the project's folder.
    """

    stage: str
    arm: str | None
    seed: int | None
    state: State
    log: Path
    command: str = ""
    other_params: bool = False
    step: int | None = None
    steps: int | None = None
    images_per_second: float | None = None
    seconds: float | None = None
    seconds_left: float | None = None
    silent: float | None = None
    only_background: bool = False
    says: str = ""
    error: str = ""
    host: str | None = None
    pid: int | None = None
    job: str | None = None

    @property
    def fraction(self) -> float | None:
        """How much of it is logged, 0 to 1; None where nothing counts."""
        if self.step is None or not self.steps:
            return None
        return min(max(self.step / self.steps, 0.0), 1.0)
