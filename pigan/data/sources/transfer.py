"""One file from one place, going on where an earlier attempt stopped: plain HTTP, and Drive through gdown."""

import contextlib
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from pigan.data.sources.catalog import Remote
from pigan.files import write_json
from pigan.progress import Progress

TRIES = 6
"""Attempts in a row that bring nothing new, before a source is given up."""
WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0
CONNECT_SECONDS, SILENCE_SECONDS = 15.0, 60.0
PIECE_BYTES = 1 << 18
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
DRIVE = frozenset({"drive.google.com", "docs.google.com"})
PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head)\b", re.IGNORECASE | re.DOTALL)


class SourceError(Exception):
    """This source cannot give the file; the next one may."""


class BrokenOff(Exception):
    """The transfer stopped; the same source may go on with it."""


class Unreachable(BrokenOff):
    """Nobody answers there."""


@dataclass(frozen=True)
class Origin:
    """What a .part is the beginning of; kept beside it as JSON."""

    url: str
    validator: str | None
    """ETag or Last-Modified, as If-Range takes it; None: the server gave none."""


def transfer(url: str, file: Remote, part: Path) -> None:
    """The whole of `url` into `part`, going on from what is there; not yet verified.

    Raises:
        SourceError: the source refuses, gives something else, or broke off too often; what came is kept.
    """
    attempt = _ask_drive if urlsplit(url).hostname in DRIVE else _ask
    best, left, answered = came(part), TRIES, False
    while True:
        try:
            return attempt(url, file, part)
        except BrokenOff as error:
            answered = answered or not isinstance(error, Unreachable)
            if not answered:
                raise SourceError(str(error)) from error
            # any new byte earns patience
            left = TRIES if came(part) > best else left - 1
            best = max(best, came(part))
            if left == 0:
                raise SourceError(f"{error}, {TRIES} times in a row") from error
            wait = min(WAIT_SECONDS * 2 ** (TRIES - left), LONGEST_WAIT_SECONDS)
            tell(f"{file.name} from {urlsplit(url).hostname}: {error}; again in {wait:.0f} s")
            time.sleep(wait)


def tell(message: str) -> None:
    """One line for the person who waits."""
    print(f"download: {message}", file=sys.stderr, flush=True)


def forget(part: Path) -> None:
    """Delete what was begun."""
    for path in (part, _note(part), *part.parent.glob(f"{part.name}.drive*")):
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Bytes; 0 if there is no such file."""
    return path.stat().st_size if path.exists() else 0


def came(part: Path) -> int:
    """Bytes of a file that are here, gdown's included."""
    return size_of(part) + sum(size_of(path) for path in part.parent.glob(f"{part.name}.drive*"))


def page_title(beginning: bytes) -> str | None:
    """Title of the web page that begins so, quoted in brackets, or nothing; None: it is no web page."""
    if not PAGE.match(beginning):
        return None
    title = re.search(rb"<title[^>]*>(.*?)</title>", beginning, re.IGNORECASE | re.DOTALL)
    text = _short(title[1].decode("utf-8", "replace")) if title else ""
    return f' ("{text}")' if text else ""


def _ask(url: str, file: Remote, part: Path) -> None:
    """One request, from the end of `part` on where its bytes can be trusted."""
    validator = _validator_of(part, url)
    # with a published checksum any beginning may be tried, for the end tells
    begun = size_of(part) if validator is not None or file.checksum is not None else 0
    headers = {"Accept-Encoding": "identity"}
    if begun:
        headers |= {"Range": f"bytes={begun}-"} | ({"If-Range": validator} if validator is not None else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)) as response:
            if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{begun}":
                return
            start, total = _accept(response, begun, validator, file, part)
            _write(response, start, total, url, file, part)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _as_ours(error) from error


def _accept(
    response: requests.Response, begun: int, validator: str | None, file: Remote, part: Path
) -> tuple[int, int | None]:
    """Where the body of `response` belongs in the file, and how long the whole file is."""
    status = response.status_code
    if status in PASSING:
        raise BrokenOff(f"{status} {response.reason}")
    if status not in (200, 206, 416):
        raise SourceError(f"{status} {response.reason}")
    if status == 200:
        if response.headers.get("Content-Type", "").startswith("text/html"):
            page = page_title(response.raw.read(1 << 14, decode_content=True))
            raise SourceError(f"a web page{page or ''} came instead of the file")
        length = response.headers.get("Content-Length", "")
        start, total = 0, int(length) if length.isdecimal() and "Content-Encoding" not in response.headers else None
    else:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != begun or validator not in (None, _validator(response)):
            forget(part)
            raise BrokenOff("what is there is not what was begun, so from the start")
        start, total = begun, int(span[2])
    if file.size is not None and total not in (None, file.size):
        raise SourceError(f"its file has {total} bytes instead of {file.size}")
    return start, total


def _write(response: requests.Response, start: int, total: int | None, url: str, file: Remote, part: Path) -> None:
    with part.open("ab" if start else "wb") as target:
        if not start:
            write_json(_note(part), asdict(Origin(url, _validator(response))))
        with Progress(total, f"download {file.name}", "B", start=start) as progress:
            # read1 hands out what has come; read would lose up to a whole piece when the connection breaks
            with contextlib.suppress(urllib3.exceptions.ProtocolError):
                while piece := response.raw.read1(PIECE_BYTES, decode_content=True):
                    target.write(piece)
                    progress.advance(len(piece))
                if total in (None, progress.done):
                    return
            of = f" of {total}" if total is not None else ""
            raise BrokenOff(f"the connection broke off after {progress.done}{of} bytes")


def _ask_drive(url: str, file: Remote, part: Path) -> None:
    """gdown knows Drive's pages, and keeps and resumes a part of its own."""
    import gdown

    landing, begun = part.with_name(f"{part.name}.drive"), came(part)
    try:
        with Progress(file.size, f"download {file.name}", "B", start=begun) as progress:

            def advance(done: int, total: int | None) -> None:
                progress.total = total or progress.total
                progress.advance(done - progress.done)

            timeout = (CONNECT_SECONDS, SILENCE_SECONDS)
            gdown.download(
                url, str(landing), quiet=True, use_cookies=False, resume=True, timeout=timeout, progress=advance
            )
    except requests.RequestException as error:
        raise _as_ours(error) from error
    # some of its checks of Drive's pages are assertions and look-ups
    except (gdown.exceptions.FileURLRetrievalError, AssertionError, LookupError, ValueError) as error:
        raise SourceError(_short(str(error)) or type(error).__name__) from error
    except gdown.exceptions.DownloadError as error:
        if came(part) <= begun:
            # it cannot go on with what is there
            forget(part)
        raise BrokenOff(_short(str(error))) from error
    landing.replace(part)


def _as_ours(error: Exception) -> SourceError | BrokenOff:
    """What a library's error means for us, with its innermost cause in a few words."""
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable("the proxy cannot be reached, or refuses")
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        kind = Unreachable if isinstance(error, requests.ConnectTimeout) else BrokenOff
        return kind(f"no answer for {CONNECT_SECONDS if kind is Unreachable else SILENCE_SECONDS:.0f} s")
    cause: BaseException = error
    unreachable = False
    while True:
        unreachable = unreachable or isinstance(cause, urllib3.exceptions.NewConnectionError)
        inner = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        if not isinstance(inner, BaseException):
            break
        cause = inner
    why = getattr(cause, "strerror", None) or _short(str(cause))
    if unreachable:
        return Unreachable(f"cannot connect ({why})")
    lasting = isinstance(error, requests.RequestException) and not isinstance(error, requests.ConnectionError)
    if isinstance(error, requests.exceptions.SSLError) or (
        lasting and not isinstance(error, requests.exceptions.ChunkedEncodingError)
    ):
        return SourceError(why)
    return BrokenOff(f"the connection broke off ({why})")


def _validator_of(part: Path, url: str) -> str | None:
    """Validator of what `part` is the beginning of, if that is `url`."""
    try:
        origin = Origin(**json.loads(_note(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return origin.validator if origin.url == url else None


def _validator(response: requests.Response) -> str | None:
    if "Content-Encoding" in response.headers:
        return None
    tag = response.headers.get("ETag", "")
    # a weak tag does not promise equal bytes
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 160 else f"{words[:157]}..."
