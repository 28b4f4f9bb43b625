"""Films where Google keeps them: files that belong to the key that had them made, for two days.

What an engine says of where a film is, is never called as it stands: of the address of a file only
the name counts, which is asked of the base address. Anything else has to be on a host of Google's
own, and is called without the key. So no answer makes us call an address of its choice (R-115).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, urljoin, urlsplit

from app.canonical.events import Trouble
from app.canonical.media import Progress
from app.errors import BadReply, RequestRefused, UpstreamError, Verbatim
from app.lift import Lifted
from app.platforms import google
from app.spool import Whole
from app.upstream.media import Errand
from app.upstream.transport import Answer
from app.wire import gemini_generate

Json = dict[str, Any]
FileState = Literal["ready", "waiting", "spoilt", "gone"]

FILE = re.compile(r"(?:/download)?(?:/v\w+)?/files/([A-Za-z0-9_-]+)(?::download)?")
PLAIN = re.compile(r"[\x21-\x7e]+")
HOSTS = (".googleapis.com", ".googleusercontent.com")
REDIRECTS = frozenset((301, 302, 303, 307, 308))
MOST_REDIRECTS = 5
READY_SECONDS = 2.0  # between two looks at a file that is not ready yet
MOST_PERCENT = 95  # as long as nobody says that it is there
EXPIRED = "the film is no longer at the platform"

_NO_FILE = re.compile(r"access the file\b.*may not exist", re.IGNORECASE)
_POLICY = re.compile(
    r"safety (?:filter|polic|system|guideline)|blocked by|prohibited|responsible ai|usage guidelines"
    r"|violat\w+ (?:\S+ ){0,4}polic",
    re.IGNORECASE,
)
_INLINE = "inline:"


def read_error(status: int, body: Any) -> Trouble:
    """What Google says went wrong. The word for it may stand where other errors have a number, and a
    file that is gone is told like one that is somebody else's, which is not the key's fault.
    """
    trouble = gemini_generate.read_error(status, body)
    first = body[0] if isinstance(body, list) and body else body
    error = first.get("error") if isinstance(first, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and not trouble.code:
        trouble.code = code
    if status == 403 and _NO_FILE.search(trouble.message):
        trouble.status = 404
    if status == 400 and is_refusal(trouble.message):
        trouble.code = "moderation_blocked"
    return trouble


def is_refusal(words: str) -> bool:
    """Whether words about a failure say that it was against the platform's rules."""
    return _POLICY.search(words) is not None


def signed(errand: Errand, path: str) -> tuple[str, dict[str, str]]:
    """The address below the base address, and the headers that make it valid there."""
    send = google.follow(f"{errand.base_url}/v1beta/{path}", errand.credential.token)
    return send.url, dict(send.headers)


def is_unknown(error: RequestRefused | Verbatim) -> bool:
    """Whether the platform has never heard of what it was asked for. It has two ways to say so."""
    words = error.body.decode("utf-8", "replace") if isinstance(error, Verbatim) else str(error)
    return error.status == 404 or (
        error.status == 400 and "invalid interaction name" in words.lower()
    )


# What an engine says of a film.


def _place(film: Json, name: str) -> str:
    """Where it is, in words that `fetch` understands; the job's answer may hold all of it."""
    if uri := film.get("uri"):
        return _place_of(uri)
    return f"{_INLINE}{name}"


def data_of(film: Json) -> Any:
    """The film itself, under whichever name it goes."""
    names = ("data", "encodedVideo", "bytesBase64Encoded")
    return next((film[name] for name in names if film.get(name)), None)


def _place_of(uri: Any) -> str:
    if not isinstance(uri, str) or not PLAIN.fullmatch(uri):
        raise _strange()
    try:
        path = urlsplit(uri).path
    except ValueError as error:
        raise _strange() from error
    if found := FILE.fullmatch(path):
        return f"files/{found[1]}"
    _require_googles(uri)
    return uri


def arrived(errand: Errand, film: Json, name: str, usage: Json | None) -> Progress:
    """A film that is made: done as soon as its file is ready. `name` is the job's."""
    try:
        place = _place(film, name)
    except BadReply as error:  # which asking again would not mend
        return Progress(state="failed", code=error.code, message=str(error), usage=usage)
    if not place.startswith("files/"):
        return Progress(state="done", percent=100, result=place, usage=usage)
    match _file_state(errand, place):
        case "ready":
            return Progress(state="done", percent=100, result=place, usage=usage)
        case "waiting":
            return Progress(state="running", percent=99, after=READY_SECONDS)
        case "gone":
            return Progress(state="failed", code="video_expired", message=EXPIRED, usage=usage)
    words = "the platform could not finish the film's file"
    return Progress(state="failed", code="upstream_error", message=words, usage=usage)


def _file_state(errand: Errand, place: str) -> FileState:
    url, headers = signed(errand, place)
    try:
        state = errand.ask("GET", url, headers).get("state")
    except (RequestRefused, Verbatim) as error:
        if is_unknown(error):
            return "gone"
        raise
    except AttributeError as error:
        raise BadReply("the platform sent an answer that cannot be read") from error
    states: dict[Any, FileState] = {"PROCESSING": "waiting", "FAILED": "spoilt"}
    return states.get(state, "ready")


def share(created: Any, now: float, expected: float) -> int:
    """How far a job may be, by the time that such a job takes: nobody says it closer."""
    try:
        begun = datetime.fromisoformat(created).timestamp()
    except (TypeError, ValueError):
        return 0
    return int(min(max(100 * (now - begun) / expected, 0), MOST_PERCENT))


# Fetching it.


def job_of(result: str) -> str:
    """The job whose answer holds the film itself; empty where the film is elsewhere."""
    return result.removeprefix(_INLINE) if result.startswith(_INLINE) else ""


def fetch(errand: Errand, result: str) -> Answer:
    """The film, from where it is. Redirects are followed, but the key stays at home."""
    home = _origin(errand.base_url)
    url = result
    if result.startswith("files/"):
        name = quote(result.removeprefix("files/"), safe="")
        url = f"{errand.base_url}/v1beta/files/{name}:download?alt=media"
    for _ in range(MOST_REDIRECTS + 1):
        answer = _opened(errand, url, home)
        location = answer.headers.get("location", "")
        if answer.status not in REDIRECTS or not location:
            return _accepted(errand, answer, at_home=_origin(url) == home)
        answer.close()
        url = _redirected(url, location, home)
    raise BadReply("the platform's film is behind too many redirects")


def _opened(errand: Errand, url: str, home: str) -> Answer:
    headers: dict[str, str] = {}
    if _origin(url) == home:
        headers = dict(google.follow(url, errand.credential.token).headers)
    else:
        _require_googles(url)
    return errand.transport.open(
        "GET",
        url,
        {**headers, **errand.part},
        None,
        leash=errand.leash,
        first_byte_seconds=errand.seconds,
        repeat_stale=not errand.verbatim,
    )


def _accepted(errand: Errand, answer: Answer, *, at_home: bool) -> Answer:
    """The film; what another host says is never held against the key."""
    if at_home:
        try:
            return errand.accepted(answer)
        except RequestRefused as error:
            if error.status != 404:
                raise
            raise _expired() from error
    if 200 <= answer.status < 300:
        return answer
    answer.close()
    if 400 <= answer.status < 500:
        raise _expired()
    raise UpstreamError("the platform answered with status {status}", status=answer.status)


def _strange() -> BadReply:
    return BadReply("the platform says that its film is at a place that is not its own")


def _expired() -> RequestRefused:
    return RequestRefused("the film is no longer at the platform", status=404, code="video_expired")


def _redirected(url: str, location: str, home: str) -> str:
    try:
        target = urljoin(url, location)
        if not PLAIN.fullmatch(target):
            raise _strange()
        if _origin(target) != home:
            _require_googles(target)
    except ValueError as error:
        raise _strange() from error
    return target


def _origin(url: str) -> str:
    """Scheme, host and port; a ValueError where there are none."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address names a user")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _require_googles(url: str) -> None:
    """Raises unless it is a host that the vendor gives its own files out from."""
    try:
        origin = _origin(url)
    except ValueError as error:
        raise _strange() from error
    host = origin.removeprefix("https://").removesuffix(":443")
    if not origin.startswith("https://") or not host.endswith(HOSTS):
        raise _strange()


class _Kept:
    """A body that is on our own disk already."""

    complete_by = "length"

    def __init__(self, found: Lifted) -> None:
        self._pieces = iter(Whole(found.path))

    def next(self, seconds: float) -> bytes | None:
        return next(self._pieces, b"")

    def close(self) -> None:
        self._pieces = iter(())


def handed_over(found: Lifted) -> Answer:
    """A film that came inside of an answer, to be read like one that is fetched."""
    headers = {"content-type": "video/mp4", "content-length": str(found.size)}
    return Answer(200, headers, _Kept(found), most_bytes=found.size, total_seconds=3600.0)
