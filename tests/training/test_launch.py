"""Ranks that end otherwise than they should."""

from multiprocessing import Pipe
from pathlib import Path

import pytest

from pigan.errors import PiganError
from pigan.training.launch import Ending, _ending, _judge, launch
from pigan.training.stopping import Stopped

KILLED, SIGTERM = Ending(1, "killed", "9"), 15


@pytest.fixture
def rank_work(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import rank_work

    return rank_work


def judged(*endings: Ending, received: tuple[int, ...] = ()) -> BaseException:
    with pytest.raises((PiganError, Stopped)) as caught:
        _judge(list(endings), list(received))
    assert "\n" not in str(caught.value)
    return caught.value


def test_own_error_is_told_and_not_what_followed_from_it():
    lost = Ending(0, "lost", "lost the others")
    assert str(judged(lost, Ending(1, "error", "the disk is full"))) == "the disk is full"
    assert "rank 1 of 2 was killed by SIGKILL" in str(judged(lost, KILLED))
    assert str(judged(lost, Ending(1, "unexpected", "unexpected KeyError: 1"))).startswith("rank 1 of 2: unexpected")
    # a library that aborts because its neighbour is gone
    aborted = Ending(0, "aborted", "6")
    assert "SIGKILL" in str(judged(aborted, KILLED)) and "SIGABRT" in str(judged(aborted, Ending(1, "lost", "")))


def test_stopping_is_no_error_unless_the_state_could_not_be_saved():
    stopped = Ending(0, "stopped", str(SIGTERM))
    ending = judged(stopped, stopped, received=(SIGTERM,))
    assert isinstance(ending, Stopped) and ending.exit_code == 143 and "is saved" in str(ending)
    full = Ending(0, "error", "the disk is full")
    assert isinstance(judged(full, stopped, received=(SIGTERM,)), PiganError)


def test_signal_before_the_ranks_could_take_it_stops_all_the_same():
    killed = Ending(1, "killed", str(SIGTERM))
    ending = judged(Ending(0, "lost", ""), killed, received=(SIGTERM,))
    assert isinstance(ending, Stopped) and ending.exit_code == 143 and "is saved" not in str(ending)
    assert isinstance(judged(Ending(0, "lost", ""), killed), PiganError)


def test_all_done_is_no_error():
    done = [Ending(0, "done", ""), Ending(1, "done", "")]
    # a signal that came when all was done changes nothing
    assert _judge(done, []) is None and _judge(done, [SIGTERM]) is None


def test_ranks_do_not_wait_for_one_that_is_gone(rank_work):
    with pytest.raises(PiganError, match=r"^rank 1 of 2: unexpected ValueError: no such thing"):
        launch(2, rank_work.fail_with_a_bug)


@pytest.mark.parametrize(
    ("code", "by_us", "kind"),
    [(0, False, "done"), (7, False, "none"), (-9, False, "killed"), (-6, False, "aborted"), (-9, True, "lost")],
)
def test_rank_that_left_no_word_is_judged_by_its_exit_code(code, by_us, kind):
    reading, writing = Pipe(duplex=False)
    writing.close()
    assert _ending(1, code, reading, by_us).kind == kind
