"""CelebA, cats and CARLA from their archives: fetched from a local server, or by hand."""

import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pigan.data.sources.catalog import CARDS
from pigan.data.sources.checks import correct_cats
from pigan.data.sources.download import DOWNLOADED, download
from pigan.errors import PiganError

TREES = {
    "celeba": [f"img_align_celeba/{number:06}.jpg" for number in range(1, 7)],
    "cats": [
        "CAT_00/00000001_000.jpg",
        "CAT_00/00000001_000.jpg.cat",
        "CAT_00/00000003_015.jpg",
        "CAT_00/00000003_015.jpg.cat",
        "CAT_06/00001400_001.jpg",
        "CAT_06/00001400_001.jpg.cat",
    ],
    "carla": [
        *(f"carla_poses/{number:06}_extrinsics.npy" for number in range(4)),
        "carla_poses/intrinsics.npy",
        *(f"images/{number:06}.png" for number in range(4)),
    ],
}
COUNTS = {"celeba": 6, "cats": 3, "carla": 4}
KINDS = pytest.mark.parametrize("kind", ["celeba", "cats", "carla"])


def tree(folder: Path) -> list[str]:
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if name != DOWNLOADED)


def of(make_params: Any, kind: str, **dataset: Any) -> Any:
    return make_params(kind=kind, name=kind, cars=None, **dataset)


@pytest.fixture
def by_hand(archives: dict[str, bytes], tmp_path: Path) -> Any:
    """A folder with the archives of a kind."""

    def put(kind: str, *left_out: str) -> Path:
        folder = tmp_path / "by-hand"
        folder.mkdir()
        for file in CARDS[kind].files:
            if file.name not in left_out:
                (folder / file.name).write_bytes(archives[file.name])
        return folder

    return put


@KINDS
def test_published_files_are_fetched_and_unpacked(
    kind: str, published: Any, server: Any, make_params: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published(kind, expected=COUNTS[kind])
    out = tmp_path / "raw"
    download(of(make_params, kind, accept_terms=True), out)
    assert tree(out) == TREES[kind]
    said = capsys.readouterr().err
    assert CARDS[kind].terms in said and "going on" not in said
    # a second time from work/downloads, without the network and without a word about terms
    asked = len(server.asked)
    download(of(make_params, kind), out)
    assert tree(out) == TREES[kind] and len(server.asked) == asked
    assert "terms" not in capsys.readouterr().err


@KINDS
def test_terms_are_shown_and_accepted_once(
    kind: str, published: Any, server: Any, make_params: Any, tmp_path: Path
) -> None:
    files = published(kind)
    with pytest.raises(PiganError) as caught:
        download(of(make_params, kind), tmp_path / "raw")
    message, card = str(caught.value), CARDS[kind]
    assert "\n" not in message and card.terms in message and card.terms_url in message
    assert "--accept-terms" in message and "dataset.accept_terms: true" in message
    assert not server.asked and not (tmp_path / "raw").exists()
    download(of(make_params, kind), tmp_path / "raw", accept_terms=True)
    (tmp_path / "work" / "downloads" / kind / next(iter(files))).unlink()
    download(of(make_params, kind), tmp_path / "raw")
    assert tree(tmp_path / "raw") == TREES[kind]


def test_other_terms_have_to_be_accepted_anew(published: Any, make_params: Any, tmp_path: Path) -> None:
    published("carla")
    download(of(make_params, "carla", accept_terms=True), tmp_path / "raw")
    published("carla", terms="Something else.")
    (tmp_path / "work" / "downloads" / "carla" / "carla.zip").unlink()
    with pytest.raises(PiganError, match="on these terms: Something else"):
        download(of(make_params, "carla"), tmp_path / "raw")


@KINDS
@pytest.mark.parametrize("way", ["--from folder", "dataset.source", "work/downloads", "unpacked"])
def test_what_was_fetched_by_hand_needs_neither_network_nor_terms(
    kind: str, way: str, by_hand: Any, published: Any, server: Any, make_params: Any, tmp_path: Path
) -> None:
    published(kind)
    folder, out = by_hand(kind), tmp_path / "raw"
    if way == "--from folder":
        download(of(make_params, kind), out, source=folder)
    elif way == "dataset.source":
        download(of(make_params, kind, source=str(folder)), out)
    elif way == "work/downloads":
        (tmp_path / "work" / "downloads").mkdir(parents=True)
        folder.rename(tmp_path / "work" / "downloads" / kind)
        download(of(make_params, kind), out)
    else:
        for archive in folder.glob("*.zip"):
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(folder / "unpacked")
            archive.unlink()
        (folder / "unpacked" / ".DS_Store").write_text("")
        for loose in folder.glob("*.cat"):
            loose.rename(folder / "unpacked" / loose.name)
        download(of(make_params, kind), out, source=folder / "unpacked")
    assert tree(out) == TREES[kind]
    assert not server.asked


def test_one_archive_may_be_named_itself(by_hand: Any, make_params: Any, tmp_path: Path) -> None:
    download(of(make_params, "celeba"), tmp_path / "raw", source=by_hand("celeba") / "img_align_celeba.zip")
    assert tree(tmp_path / "raw") == TREES["celeba"]


def test_celeba_of_the_mirror_has_another_name_and_tree(
    server: Any, published: Any, archives: dict[str, bytes], make_params: Any, tmp_path: Path
) -> None:
    mirrored: Any = CARDS["celeba"].files[0].otherwise
    assert mirrored.checksum is None
    other = replace(mirrored, sources=(server.add("c", archives["img_align_celeba.zip"]),))
    published("celeba")["img_align_celeba.zip"].statuses += [403] * 9
    card = CARDS["celeba"]
    CARDS["celeba"] = replace(card, files=(replace(card.files[0], otherwise=other),))
    download(of(make_params, "celeba", accept_terms=True), tmp_path / "raw")
    assert (tmp_path / "work" / "downloads" / "celeba" / "celeba.zip").exists()
    assert tree(tmp_path / "raw") == TREES["celeba"]


@KINDS
def test_without_any_source_one_line_says_what_to_do(
    kind: str, published: Any, make_params: Any, tmp_path: Path
) -> None:
    for file in published(kind).values():
        file.statuses += [403] * 3
    with pytest.raises(PiganError) as caught:
        download(of(make_params, kind, accept_terms=True), tmp_path / "raw")
    message = str(caught.value)
    assert "\n" not in message and "403 Forbidden" in message
    assert CARDS[kind].by_hand in message
    assert str(tmp_path / "work" / "downloads" / kind) in message and "--from or dataset.source" in message
    assert not (tmp_path / "raw").exists()


def test_cats_without_the_correction_lose_one_label(
    by_hand: Any, published: Any, make_params: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, out = published("cats"), tmp_path / "raw"
    files["00000003_015.jpg.cat"].statuses += [404] * 3
    folder = by_hand("cats", "00000003_015.jpg.cat")
    for source in (None, folder):
        download(of(make_params, "cats", accept_terms=True), out, source=source)
        assert tree(out) == [name for name in TREES["cats"] if name != "CAT_00/00000003_015.jpg.cat"]
        said = capsys.readouterr().err
        assert "00000003_015.jpg has no landmarks, for its correction" in said
        assert "1 images have no landmarks, CAT_00/00000003_015.jpg is the first" in said


def test_right_cats_are_left_alone(tmp_path: Path) -> None:
    for name in ("00000003_015.jpg", "00000003_015.jpg.cat", "00000003_019.jpg", "00000003_019.jpg.cat"):
        (tmp_path / name).write_text(name)
    correct_cats(tmp_path)
    assert len(tree(tmp_path)) == 4 and (tmp_path / "00000003_015.jpg.cat").read_text() == "00000003_015.jpg.cat"


def test_wrong_trees_are_told(
    published: Any, make_params: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    published("carla")
    download(of(make_params, "carla", accept_terms=True), photos)
    for pose in photos.rglob("*.npy"):
        pose.unlink()
    capsys.readouterr()
    with pytest.raises(PiganError, match=r"photos: 4 images, but no landmarks beside them .* give CAT_DATASET_01.zip"):
        download(of(make_params, "cats"), tmp_path / "raw", source=photos)
    assert not (tmp_path / "raw").exists()
    for kind in ("celeba", "carla"):
        download(of(make_params, kind), tmp_path / kind, source=photos)
    said = capsys.readouterr().err
    assert "4 images, a complete CelebA has 202599; going on with these" in said
    assert "images/000000.png is 16 x 16 pixels, those of CelebA are 178 x 218 pixels; is it the right archive?" in said
    assert "no cameras (*_extrinsics.npy of carla_poses.zip); going on with images alone" in said


@KINDS
def test_empty_archives_are_told(kind: str, make_params: Any, tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    with pytest.raises(PiganError, match=r"empty\.zip: holds no image"):
        download(of(make_params, kind), tmp_path / "raw", source=tmp_path / "empty.zip")


def test_two_runs_at_once_both_end_well(published: Any, server: Any, make_params: Any, tmp_path: Path) -> None:
    published("cats")["CAT_DATASET_01.zip"].pause = 0.05
    out, params = tmp_path / "raw", of(make_params, "cats", accept_terms=True)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            download(params, out)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert tree(out) == TREES["cats"]
    assert len(server.asked) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "work"}


def test_killed_while_unpacking_nothing_half_has_the_final_name(archives: Any, tmp_path: Path) -> None:
    (tmp_path / "celeba.zip").write_bytes(archives["img_align_celeba.zip"])
    code = (
        "import os, signal; from pathlib import Path; from pigan.data.sources import unpack, download\n"
        "from pigan.files import atomic_directory\n"
        "write = unpack._write\n"
        "def dying(member, target):\n"
        "    write(member, target)\n"
        "    if member.name.endswith('3.jpg'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "unpack._write = dying\n"
        f"with atomic_directory(Path({str(tmp_path / 'raw')!r}), 'x') as temporary:\n"
        f"    download._take(Path({str(tmp_path / 'celeba.zip')!r}), 'celeba', temporary)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -9
    assert not (tmp_path / "raw").exists() and any(path.name.startswith(".raw.") for path in tmp_path.iterdir())
