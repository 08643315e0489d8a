"""A process that is gone at an exact moment of saving, publishing or ending: run again it ends with the same bits."""

from pathlib import Path

import pytest

from pigan.files import atomic_directory, atomic_file

# of training; every moment in reach of the others is tried
EVERY = 4


def whole(path: Path) -> str | None:
    """What is under a final name: None, nothing."""
    if path.is_dir():
        return "".join(sorted(f"{item.name}={item.read_text()};" for item in path.iterdir()))
    return path.read_text() if path.exists() else None


def write(path: Path, text: str, folder: bool) -> None:
    if folder:
        with atomic_directory(path, "a") as temporary:
            for name in ("a", "b"):
                (temporary / name).write_text(text)
    else:
        with atomic_file(path) as temporary:
            temporary.write_text(text)


@pytest.mark.parametrize("folder", [False, True])
def test_output_is_the_old_or_the_new_one_at_every_moment(folder, disk, tmp_path, monkeypatch):
    monkeypatch.setattr("pigan.files.UNCLAIMED_SECONDS", -1)
    out = tmp_path / "out" / "a.txt"
    values = {text: f"a={text};b={text};" if folder else text for text in ("old", "new", "last")}
    at, ended = 0, False
    while not ended:
        write(out, "old", folder)
        with disk(at) as watch:
            try:
                write(out, "new", folder)
                ended = True
            except watch.crash:
                pass
        # between two renames a folder is not there for a moment; then it is still known where it is
        hidden = folder and watch.done[-1] == "replace" and whole(out) is None
        assert hidden or whole(out) in (values["old"], values["new"]), (at, watch.done)
        write(out, "last", folder)
        assert whole(out) == values["last"] and list(out.parent.iterdir()) == [out], (at, watch.done)
        at += 1
    assert at > 3


def test_training_ends_with_the_same_bits_whenever_it_crashed(project, uninterrupted, disk):
    with disk() as watch:
        project.train("counted")
    assert project.bits("counted") == uninterrupted
    changes = watch.count
    # a crash can meet saving (fsync, three renames), a snapshot, and the end (log, state, snapshots, checkpoint)
    assert watch.done.count("replace") >= 10 and changes > 40
    for at in range(changes % EVERY, changes, EVERY):
        name = f"crash{at}"
        with disk(at) as watch, pytest.raises(watch.crash):
            project.train(name)
        project.train(name)
        assert project.bits(name) == uninterrupted, (at, watch.done[at])
        left = {path.name for path in project.work(name).iterdir()}
        assert not {item for item in left if item.startswith("checkpoint")}, left


def test_while_saving_one_checkpoint_is_whole_at_every_moment(project, disk, tmp_path):
    from pigan.training import loop, state

    run = loop.Run("baseline", 0, 8, project.folder / "init", tmp_path / "out", tmp_path / "work")
    run.work.mkdir()
    (run.work / "log.jsonl").touch()
    trained = state.initial_state(project.params, loop.torch.device("cpu"), 0)

    def save(step: int) -> None:
        trained.counters.step = step
        loop._save_progress(project.params, run, trained, "key", 0.0)

    save(1)
    save(2)
    at, ended = 0, False
    while not ended:
        with disk(at) as watch:
            try:
                save(at + 3)
                ended = True
            except watch.crash:
                pass
        kept = [run.work / name for name in (loop.CHECKPOINT, loop.PREVIOUS)]
        steps = [state.read_tensors(path)[0]["counters"]["step"] for path in kept if path.exists()]
        # at most one save is lost
        assert steps and steps == sorted(steps, reverse=True) and steps[0] >= min(at + 2, 2), (at, watch.done, steps)
        save(at + 3)
        at += 1
    assert at > 5


@pytest.mark.parametrize("share", range(5))
def test_disk_that_fills_up_at_any_change_is_one_line(project, uninterrupted, disk, full_disk, share):
    from pigan.errors import PiganError

    with disk() as watch:
        project.train(f"roomy{share}")
    # nothing has to be removed from a full disk to fill it
    at = [number for number, name in enumerate(watch.done) if name in ("replace", "fsync", "mkdir")]
    number = at[(2 * share + 1) * len(at) // 10]
    name = f"full{share}"
    with disk(number, full_disk) as watch:
        with pytest.raises(PiganError, match="the disk is full; free some space") as told:
            project.train(name)
        assert "\n" not in str(told.value)
    assert not (project.folder / name / "r8/checkpoint.safetensors").exists()
    project.train(name)
    assert project.bits(name) == uninterrupted
