"""From the evidence of one stage to its state."""

from dataclasses import dataclass

from pigan.chain.logs import is_error, is_stop, one_line
from pigan.status.evidence import Evidence
from pigan.status.stage import State
from pigan.status.words import duration
from pigan.training.heartbeat import Heartbeat

# longer than anything in a stage takes without a line, on the slowest machine that was seen
SILENCE_SECONDS = 600.0
# lines and files of one moment do not have the same time
SAME_MOMENT = 2.0
# a file from further in the future has a wrong time, not another clock
CLOCK_AHEAD_SECONDS = 86_400.0


@dataclass(frozen=True)
class Verdict:
    """A state, why, and since when nothing moved, seconds (0 where a clock is ahead); `says` ends the log."""

    state: State
    error: str = ""
    silent: float | None = None
    says: str = ""
    heartbeat: Heartbeat | None = None


def judge(seen: Evidence, now: float, patience: float = SILENCE_SECONDS) -> Verdict:
    """The state of one stage at `now`, seconds since 1970; after `patience` seconds of silence it is taken for dead."""
    if seen.made is not None and not _moved_since(seen, seen.made):
        return Verdict("done")
    moved, beat, says = seen.sign_of_life, seen.heartbeat, seen.says
    silent = None if moved is None else max(now - moved, 0.0)
    alive = beat.alive() if beat and beat.error is None else False
    if beat and alive:
        return Verdict("running", silent=silent, says=says, heartbeat=beat)
    if seen.made is not None and not _tried_again(seen, says, now, patience):
        return Verdict("done")
    if _begins_again(seen, now, patience):
        return Verdict("running", silent=silent)
    if ended := _ended(seen, beat, says):
        return Verdict("stopped" if is_stop(ended) else "failed", one_line(ended), silent, says, beat)
    if moved is None or (beat is None and (_wrote(says) or (seen.log_time is None and not seen.kept))):
        # nothing was begun, or what it wrote was taken away again
        return Verdict("waiting")
    if (beat is None or alive is None) and _recent(moved, now, patience):
        return Verdict("running", silent=silent, says=says, heartbeat=beat)
    return Verdict("killed", _obituary(beat, alive, silent or 0.0, says), silent, says, beat)


def _moved_since(seen: Evidence, made: float) -> bool:
    """Whether somebody worked on the stage after its outputs were made."""
    return (seen.log_time or 0.0) > made + SAME_MOMENT or (seen.heartbeat_time or 0.0) > made


def _tried_again(seen: Evidence, says: str, now: float, patience: float) -> bool:
    """Whether what moved after the outputs were made is another attempt, and not the end of the one that made them."""
    if (seen.heartbeat_time or 0.0) > (seen.made or 0.0):
        return True
    # `snakemake --touch` makes empty logs; who begins again first takes the outputs away
    if not seen.log_size:
        return False
    return not _wrote(says) and (is_error(says) or is_stop(says) or _recent(seen.log_time or 0.0, now, patience))


def _begins_again(seen: Evidence, now: float, patience: float) -> bool:
    """Whether a new attempt has emptied the log and says nothing yet, as while it imports PyTorch."""
    if seen.log_time is None or seen.log_size or not _recent(seen.log_time, now, patience):
        return False
    return seen.log_time >= (seen.heartbeat_time or 0.0)


def _ended(seen: Evidence, beat: Heartbeat | None, says: str) -> str:
    """The line that ended the last attempt, of the log rather than of the heartbeat; empty when there is none."""
    if (is_error(says) or is_stop(says)) and (seen.log_time or 0.0) >= (seen.heartbeat_time or 0.0):
        return says
    return (beat.error or "") if beat else ""


def _wrote(says: str) -> bool:
    """Whether a log ends as that of a stage that is done."""
    return says.startswith("wrote ")


def _recent(moved: float, now: float, patience: float) -> bool:
    """Whether that was a moment ago; a clock that is ahead, as another machine's may be, tells nothing against it."""
    return -CLOCK_AHEAD_SECONDS <= now - moved <= patience


def _obituary(beat: Heartbeat | None, alive: bool | None, silent: float, says: str) -> str:
    """Why nobody is expected to work on it any more."""
    last = f"; last line: {says}" if says else ""
    if beat and alive is False:
        job = f" of job {beat.job}" if beat.job else ""
        return f"killed: process {beat.pid}{job} on {beat.host} is gone without a word{last}"
    where = f" from {beat.host}" if beat else ""
    return f"no sign of life{where} for {duration(silent)}{last}"
