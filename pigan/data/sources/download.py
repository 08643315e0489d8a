"""Stage download: a dataset's raw files, fetched, rendered, or taken from the user's folder or archive."""

import contextlib
import datetime
import errno
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pigan.config import Params
from pigan.data.folders import files_below, is_shown
from pigan.data.posed.frames import TRANSFORMS
from pigan.data.sources.catalog import CARDS
from pigan.data.sources.checks import check_tree, correct_cats
from pigan.data.sources.fetch import Unavailable, fetch
from pigan.data.sources.transfer import tell
from pigan.data.sources.unpack import ENDINGS, is_archive, unpack
from pigan.dataset_sections import Kind
from pigan.errors import PiganError, UsageError
from pigan.files import FULL, atomic_directory, explained, read_json, work_root, write_json
from pigan.progress import track

# in a folder that was filled by this
DOWNLOADED = ".downloaded"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jfif"})


def download(
    params: Params, out: Path, *, source: Path | None = None, accept_terms: bool = False, workers: int = 2
) -> None:
    """Fill the directory `out` with the raw files of params.dataset, or leave it as it was.

    Cars and meshes are rendered. All else is copied or unpacked from `source`, or else from dataset.source, a folder
    or an archive; what the catalog knows where to find is fetched without one, after its terms were accepted.

    Raises:
        PiganError: a source is missing or holds something else, a download failed, or terms were not accepted.
    """
    dataset = params.dataset
    if dataset.kind == "cars":
        if source is not None:
            raise UsageError("--from: kind cars is rendered and reads no files; leave it out or change dataset.kind")
        if dataset.cars is None:
            raise PiganError("params: kind cars needs the section dataset.cars; `pigan params demo` shows it")
        # the renderers load torch, which takes longer than many a copy
        from pigan.data.cars.render import render_cars

        with atomic_directory(out, TRANSFORMS) as temporary:
            render_cars(dataset.cars, params.camera, temporary, workers)
        return
    given = _given(source, dataset.source, out)
    if dataset.kind == "meshes":
        from pigan.data.meshes.render import render_meshes

        if given is None or dataset.meshes is None:
            raise PiganError("params: kind meshes needs dataset.source and dataset.meshes; see `pigan params meshes`")
        with _as_folder(given, out) as models, atomic_directory(out, TRANSFORMS) as temporary:
            render_meshes(dataset.meshes, params.camera, models, temporary, workers)
        return
    if given is None and not CARDS[dataset.kind].files:
        raise PiganError("dataset.source: set it in params.yaml to the folder of your images, or name it with --from")
    accepted = accept_terms or dataset.accept_terms
    places = [given] if given is not None else _fetched(dataset.kind, accepted)
    where = str(given) if given is not None else str(places[0].parent)
    with atomic_directory(out, DOWNLOADED) as temporary:
        for place in places:
            _take(place, dataset.kind, temporary)
        if dataset.kind == "cats":
            correct_cats(temporary)
        images = _images(temporary)
        if not images:
            raise _no_image(where)
        check_tree(dataset.kind, temporary, images, where)
        (temporary / DOWNLOADED).touch()


def find_images(folder: Path) -> list[str]:
    """Image files below `folder`, hidden ones left out, as sorted relative POSIX paths.

    Raises:
        PiganError: there is none.
    """
    images = _images(folder)
    if not images:
        raise _no_image(str(folder))
    return images


def _given(source: Path | None, named: str | None, out: Path) -> Path | None:
    """The folder or archive that --from or else dataset.source names, apart from `out`; None: neither does."""
    if source is None and not named:
        return None
    key = "dataset.source" if source is None else "--from"
    place = Path(source or named or "").expanduser()
    if not place.exists():
        raise PiganError(f"{key}: there is no folder {place}, and no archive; name the one that holds your files")
    if not place.is_dir() and not is_archive(place):
        raise PiganError(
            f"{key}: {place} is a file, but no archive that can be unpacked ({', '.join(ENDINGS)}); unpack it and name"
            " the folder"
        )
    inner, outer = out.resolve(), place.resolve()
    # replacing `out` must never delete the originals
    if inner == outer or inner in outer.parents or outer in inner.parents:
        raise PiganError(f"{key}: {place} and {out} overlap; keep your images outside data/raw")
    return place


def _fetched(kind: Kind, accepted: bool) -> list[Path]:
    """The files of the catalog in work/downloads; those that are not there yet are downloaded, once terms allow it."""
    card, folder = CARDS[kind], work_root() / "downloads" / kind
    agreement, record = {"terms": card.terms, "url": card.terms_url}, folder / "terms.json"
    agreed = card.terms is None or (record.exists() and read_json(record).get("accepted") == agreement)
    places = []
    for file in card.files:
        if not agreed and not any((folder / choice.name).exists() for choice in file.choices):
            if not accepted:
                if file.optional:
                    continue
                raise PiganError(
                    f"{card.title} is downloaded on these terms: {card.terms} {card.terms_url} - accept them with"
                    " `pigan download --accept-terms` or dataset.accept_terms: true in params.yaml; a copy that you"
                    " have already is taken with --from or dataset.source"
                )
            tell(f"{card.title}: you accepted these terms: {card.terms} {card.terms_url}")
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            write_json(record, {"accepted": agreement, "date": today})
            agreed = True
        try:
            places.append(fetch(file, folder))
        except Unavailable as error:
            if not file.optional:
                raise PiganError(
                    f"{card.title}: {error}; fetch by hand {card.by_hand}, and put what you get into {folder}, or name"
                    " where it is with --from or dataset.source in params.yaml"
                ) from None
    return places


def _take(place: Path, kind: Kind, out: Path) -> None:
    """What belongs to the dataset in a folder, an archive or a single file, below `out`."""
    if place.is_file():
        if is_archive(place):
            unpack(place, out, lambda name: _belongs(name, kind))
        else:
            shutil.copyfile(place, out / place.name)
        return
    names = files_below(place)
    archives = [name for name in names if is_archive(place / name)]
    wanted = [name for name in names if _belongs(PurePosixPath(name), kind)]
    _copy(place, wanted, out)
    _tell_others(place, set(names) - {*wanted, *archives})
    if any(_is_image(name) for name in wanted):
        if archives:
            tell(f"{place}: holds images, so its archives are left aside ({', '.join(archives)})")
        return
    for name in archives:
        unpack(place / name, (out / name).parent, lambda name: _belongs(name, kind))


def _tell_others(place: Path, names: Collection[str]) -> None:
    """Tell of what in the folder `place` is not taken: the files `names`, and links to folders."""
    if names:
        kinds = Counter(PurePosixPath(name).suffix.lower() or "without suffix" for name in names)
        told = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
        tell(f"{place}: left aside what is no file of this kind of data ({told})")
    for path in sorted(place.rglob("*")):
        if path.is_symlink() and path.is_dir() and is_shown(path.relative_to(place)):
            tell(f"{path}: a link to a folder, which is not followed")


@contextlib.contextmanager
def _as_folder(place: Path, out: Path) -> Iterator[Path]:
    """`place`, unpacked for a while if it is an archive."""
    if place.is_dir():
        yield place
        return
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as unpacked:
            unpack(place, Path(unpacked), is_shown)
            yield Path(unpacked)


def _copy(source: Path, names: Sequence[str], out: Path) -> None:
    """Copies under the same relative names; through links DVC could write-protect the originals."""
    for name in track(names, len(names), "download", "file"):
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source / name, target)
        except shutil.SpecialFileError as error:
            raise PiganError(f"{source / name}: no regular file; remove it") from error
        except OSError as error:
            # a full disk, too, is told with the name of what is read
            if error.filename != str(source / name) or error.errno in (*FULL, errno.EFBIG):
                raise
            raise PiganError(f"{error.filename}: cannot be read ({error.strerror}); mend or remove it") from None


def _images(folder: Path) -> list[str]:
    names = [name for name in files_below(folder) if _is_image(name)]
    for name in names:
        # such names fit into no JSON and no page
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise PiganError(f"{name!r}: its name is no UTF-8; rename the file")
    return names


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _belongs(path: PurePosixPath, kind: Kind) -> bool:
    return is_shown(path) and (_is_image(path.name) or path.suffix.lower() in CARDS[kind].suffixes)


def _no_image(where: str) -> PiganError:
    kinds = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
    return PiganError(f"{where}: holds no image ({kinds}); check dataset.source in params.yaml")
