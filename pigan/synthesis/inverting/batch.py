"""Several photos one after the other: a folder each when it is done, and nothing done twice after an interruption."""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pigan.errors import PiganError
from pigan.files import atomic_directory, read_json, sha256_file
from pigan.progress import Progress
from pigan.synthesis.inverted_code import CODE_FILE, generator_sha256
from pigan.synthesis.inverting.losses import Features
from pigan.synthesis.inverting.orbit import Known
from pigan.synthesis.inverting.outcome import RESULT, HeldOut, write_outcome, write_preview
from pigan.synthesis.inverting.photo import Photo
from pigan.synthesis.inverting.search import PhotoSearch
from pigan.synthesis.inverting.settings import SearchSettings
from pigan.synthesis.trained import TrainedModel
from pigan.training.checkpoint import read_tensors, write_tensors

WORK = ".work"
PREVIEW = "preview.png"
# a change in how photos are inverted changes this
VERSION = 1


def check_places(photos: Sequence[Photo], out: Path) -> None:
    """Refuses photos whose results would have one name, and to write over those of another photo.

    Raises:
        PiganError: see above.
    """
    names: dict[str, Path] = {}
    for photo in photos:
        name = photo.path.stem
        if name in names:
            raise PiganError(f"{names[name]} and {photo.path}: both would become {out / name}; rename one")
        names[name] = photo.path
        place = out / name
        if place.exists():
            found = read_json(place / RESULT) if (place / RESULT).is_file() else {}
            if not isinstance(found, dict) or found.get("photo_sha256") != sha256_file(photo.path):
                raise PiganError(f"{place}: is there and no inversion of {photo.path}; delete it or give another --out")


def invert_photos(
    model: TrainedModel,
    photos: Sequence[Photo],
    known: Known,
    settings: SearchSettings,
    out: Path,
    features: Features | None = None,
    held_out: HeldOut | None = None,
    preview_steps: int = 50,
) -> list[tuple[dict[str, Any], bool]]:
    """Each photo's result, and whether it was there already; folders named after the photos appear in `out` when done.

    While it works, `preview.png` in `out` shows the photo, the object so far and its depth every `preview_steps`
    steps; as often the search is saved. The same call after an interruption goes on from there, to the same bits.

    Raises:
        PiganError: two photos have one name, or a folder is there that holds something else.
    """
    check_places(photos, out)
    weights, results = generator_sha256(model.generator), []
    for number, photo in enumerate(photos, 1):
        place, print_ = out / photo.path.stem, _fingerprint(photo, weights, known, settings, held_out)
        saved = out / WORK / f"{photo.path.stem}.safetensors"
        if (place / RESULT).is_file() and (found := read_json(place / RESULT)).get("fingerprint") == print_:
            results.append((found, True))
            continue
        search = PhotoSearch(model, photo, known, settings, features)
        seconds = _go_on(search, saved, print_)
        began, label = time.monotonic(), f"{photo.path.name} ({number}/{len(photos)})"
        with Progress(settings.steps, label, "step", search.done) as progress:
            while search.done < settings.steps:
                error = search.advance()
                if search.done % preview_steps == 0 and search.done < settings.steps:
                    write_preview(out / PREVIEW, model, photo, search.best())
                    spent = seconds + time.monotonic() - began
                    about = {"fingerprint": print_, "seconds": spent, **search.about()}
                    write_tensors(saved, search.tensors(), about)
                progress.advance(pixels=partial("{:.4f}".format, error))
        best = search.best()
        write_preview(out / PREVIEW, model, photo, best)
        about = {
            "photo_sha256": sha256_file(photo.path),
            "model_sha256": weights,
            "fingerprint": print_,
            "seconds": round(seconds + time.monotonic() - began, 1),
        }
        with atomic_directory(place, CODE_FILE) as folder:
            result = write_outcome(folder, model, photo, best, settings, about, held_out, features)
        results.append((result, False))
        saved.unlink(missing_ok=True)
    if (out / WORK).is_dir() and not any((out / WORK).iterdir()):
        shutil.rmtree(out / WORK)
    return results


def _seen_sha256(photo: Photo) -> str:
    """SHA-256 (hex) of the photo's pixels and of which count, as the search sees them."""
    return hashlib.sha256(photo.pixels.tobytes() + photo.counts.tobytes()).hexdigest()


def _fingerprint(photo: Photo, weights: str, known: Known, settings: SearchSettings, held_out: HeldOut | None) -> str:
    """What the result depends on, as one hash."""
    other = None if held_out is None else [_seen_sha256(held_out.photo), *held_out[1:]]
    parts = [VERSION, _seen_sha256(photo), weights, known._asdict(), settings._asdict(), other]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _go_on(search: PhotoSearch, saved: Path, fingerprint: str) -> float:
    """Takes up a saved search if it is this one; returns the seconds that it has taken before."""
    if not saved.is_file():
        return 0.0
    try:
        about, tensors = read_tensors(saved)
    except PiganError:
        # a damaged one is begun again
        return 0.0
    if about.get("fingerprint") != fingerprint:
        return 0.0
    search.go_on_from(tensors, about)
    return float(about["seconds"])
