"""What stands between callers and the gateway, as `tokens doctor --url` finds it: nginx as a rule, and the
line of its configuration that puts right what is wrong.
"""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.cli.finding import Finding
from app.cli.way_probe import Told, Way, reached

CLOCK_SECONDS = 60.0
LATE_SECONDS = 0.5  # by which no piece of a stream is held up on a good way
PIECES, PAUSE_MS = 8, 250
SOON_DAYS = 14
BROUGHT = "doctor-brings-no-token"  # stands for a platform's token, and goes to nobody
ELSEWHERE = "192.0.2.66"  # an address that is nobody's
# What clients send that means something here. Values are made up.
MEANT = {
    "Range": "bytes=0-1",
    "Accept-Language": "en",
    "Idempotency-Key": "doctor",
    "X-Session-Id": "doctor",
    "X-Tokens-Custom-Group": "doctor",
    "Anthropic-Version": "2023-06-01",
    "X-Goog-Api-Client": "doctor",
}
REFUSALS = (400, 401, 403, 404, 405, 413, 429, 500, 502, 503, 504)
RELOAD = "and `nginx -s reload`"


@dataclass(frozen=True, slots=True)
class Looks:
    """The calls that go out side by side, as they came back."""

    usual: Told
    plain: Told
    packed: Told
    broken: Told
    brought: Told
    silent: Told
    linked: str
    refused: list[Told]
    announced: int

    @property
    def untold(self) -> list[int]:
        """The errors of the gateway in whose place something else arrives."""
        return [
            status
            for status, told in zip(REFUSALS, self.refused)
            if not (told.is_ours and told.status == status)
        ]


def examine(way: Way, silence: int) -> Iterator[Finding]:
    """Goes on as long as it makes sense to: nothing is said to whom the licence is none of his business."""
    for step in (_in_the_clear, _reached, _certificate, _gateway):
        if (found := step(way)) is not None:
            yield found
            if found.state == "wrong":
                return
    first = way.stream(**_timed(1))
    yield (found := _licence(way, first))
    if found.state == "wrong":
        return
    if "pieces" not in first.seen["query"]:
        do = f"`proxy_pass http://tokens;`: no `$uri` behind the name, or `$uri$is_args$args` {RELOAD}"
        yield Finding("query", "wrong", "what stands behind ? in addresses does not arrive", do)
        return
    looks = _looks(way, first, silence)
    if not looks.usual.seen:
        why = looks.usual.trouble or f"somebody else answers ({looks.usual.status})"
        what = f"a call with all the headers that clients send gets no stream: {why}"
        yield Finding(
            "headers", "wrong", what, "take what looks at headers out: `if`, `map`, a filter"
        )
        return
    for look in (_protocol, _truth, _links, _headers, _names, _errors, _answers, _timing, _coding):
        yield from look(way, looks)
    yield _end(looks.broken)
    yield _body(looks)
    yield _silence(looks, silence)
    yield _clock(looks.usual)


_OPEN = "start nginx, and open the port in the firewall of the host and of its provider"


def _timed(pieces: int = PIECES) -> dict[str, Any]:
    return {"pieces": pieces, "pause_ms": PAUSE_MS}


def _looks(way: Way, first: Told, silence: int) -> Looks:
    """All at the same time: the silence takes longest."""
    meant = MEANT | {"Authorization": f"Bearer {way.licence}", "X-Forwarded-For": ELSEWHERE}
    both = {"Tokens-Authorization": way.licence, "Authorization": f"Bearer {BROUGHT}"}
    zipped = {"Authorization": f"Bearer {way.licence}", "Accept-Encoding": "gzip"}
    with ThreadPoolExecutor(12) as pool:
        silent = pool.submit(way.stream, silence=silence)
        usual = pool.submit(way.stream, meant, **_timed())
        plain = pool.submit(way.stream, plain="true", **_timed())
        packed = pool.submit(way.stream, zipped)
        broken = pool.submit(way.stream, end="broken")
        brought = pool.submit(way.stream, both)
        set_to = first.seen["links"] if first.seen["links_are_set"] else way.host
        linked = pool.submit(way.link, set_to)
        refused = [pool.submit(way.stream, refuse=status) for status in REFUSALS]
        announced = pool.submit(way.announce, first.seen["body_bytes"])
        return Looks(
            usual.result(),
            plain.result(),
            packed.result(),
            broken.result(),
            brought.result(),
            silent.result(),
            linked.result(),
            [one.result() for one in refused],
            announced.result(),
        )


# ---------------------------------------------------------------- whether it is there


def _reached(way: Way) -> Finding | None:
    why = reached(way.parts)
    return Finding("address", "wrong", f"nobody answers: {why}", _OPEN) if why else None


def _certificate(way: Way) -> Finding | None:
    if not way.is_secure:
        return None
    renew = "`certbot renew`, `nginx -s reload`, and see that certbot's timer runs"
    try:
        said = way.certificate()
    except ssl.SSLCertVerificationError as error:
        do = renew
        if error.verify_code in (18, 19, 20, 21):  # by itself, or by somebody nobody knows
            do = "`ssl_certificate .../fullchain.pem;` from an authority; or --ca-file for your own"
        elif error.verify_code in (62, 64):
            do = "`server_name` and the certificate should have the name in the address"
        return Finding("certificate", "wrong", error.verify_message, do)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or str(error)
        do = "`listen 443 ssl;` with `ssl_certificate`, for the `server_name` in the address"
        return Finding("certificate", "wrong", f"no TLS is spoken: {why}", do)
    left = (ssl.cert_time_to_seconds(str(said["notAfter"])) - time.time()) / 86400
    if left < SOON_DAYS:
        return Finding("certificate", "note", f"ends in {left:.0f} days", renew)
    return Finding("certificate", "ok", f"good for {left:.0f} more days")


def _in_the_clear(way: Way) -> Finding | None:
    if way.is_secure:
        return None
    host = way.parts.hostname or ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if here:
        return Finding("certificate", "ok", "nothing leaves this machine")
    do = "give the https address; `return 301 https://$host$request_uri;` for the other"
    return Finding("certificate", "wrong", "licences would go through the net in the clear", do)


def _gateway(way: Way) -> Finding:
    hello = way.get("/health")
    if hello.status in (301, 302, 307, 308):
        where = hello.headers.get("location", "elsewhere")
        return Finding("gateway", "wrong", f"sends callers to {where}", "give that address")
    if hello.status == 0:
        return Finding("gateway", "wrong", f"no answer: {hello.trouble}", _OPEN)
    if hello.is_ours and hello.status == 404:
        if way.prefix:
            do = f"`location {way.prefix}/ {{ proxy_pass http://tokens/; }}`: both with a slash at the end"
        else:
            do = "`location / { proxy_pass http://tokens; }`: nothing behind the name"
        return Finding("gateway", "wrong", "the prefix of the path is not as it should be", do)
    if hello.is_ours and hello.status == 503:
        return Finding("gateway", "wrong", "its database cannot be used", "`tokens doctor` there")
    if hello.is_ours and hello.status == 200:
        return Finding("gateway", "ok", "answers")
    if hello.status in (502, 503, 504):
        do = (
            "`systemctl status tokens-web@a`; `server unix:/run/tokens-web-a/web.sock;` should be its "
            "socket, and www-data in the group tokens"
        )
        return Finding("gateway", "wrong", f"nginx cannot reach it ({hello.status})", do)
    if hello.status in (401, 403):
        do = "take `auth_basic`, `allow` and `deny` out: licences say who may call"
        return Finding("gateway", "wrong", f"nginx refuses callers itself ({hello.status})", do)
    do = "check the address; `location / { proxy_pass http://tokens; }` under its `server_name`"
    return Finding("gateway", "wrong", f"somebody else answers ({hello.status})", do)


def _licence(way: Way, first: Told) -> Finding:
    if first.seen:
        return Finding("licence", "ok", "arrives, and is taken")
    if first.status == 401 and way.stream({"X-Api-Key": way.licence}).seen:
        do = f"take `proxy_set_header Authorization` out, or end it with `$http_authorization;` {RELOAD}"
        return Finding("licence", "wrong", "the header Authorization does not arrive", do)
    if first.status == 401 and first.is_ours and way.stream({}).error == first.error:
        do = f"`proxy_pass_request_headers on;`, and no `proxy_set_header Authorization` {RELOAD}"
        return Finding("licence", "wrong", "it does not arrive in any header", do)
    if first.is_ours and first.status == 404:
        do = "install the same version there, or check the address"
        return Finding("licence", "wrong", "the gateway does not know `/health/stream`", do)
    if first.is_ours and first.error:
        what = f"the gateway says no: {first.error.get('message')}"
        return Finding(
            "licence", "wrong", what, "give a licence that is good: `tokens licence list`"
        )
    what = first.trouble or f"somebody else answers ({first.status})"
    do = (
        "`location / { proxy_pass http://tokens; }`, for POST as well; and `proxy_intercept_errors off;`, "
        "since the gateway may have said why"
    )
    return Finding("licence", "wrong", f"no stream came: {what}", do)


# ---------------------------------------------------------------- what becomes of a request


def _protocol(way: Way, looks: Looks) -> Iterator[Finding]:
    seen = looks.usual.seen or looks.plain.seen
    if seen.get("protocol") == "HTTP/1.0":
        do = f"`proxy_http_version 1.1;` {RELOAD}"
        what = "the gateway is called with HTTP/1.0, so answers that are cut off look whole"
        yield Finding("protocol", "wrong", what, do)
    elif seen.get("connection") == "close":
        do = '`proxy_set_header Connection "";`, and `keepalive 64;` in `upstream`'
        yield Finding("protocol", "note", "every call takes a new connection to the gateway", do)
    else:
        yield Finding("protocol", "ok", str(seen.get("protocol")))


def _truth(way: Way, looks: Looks) -> Iterator[Finding]:
    """Whether the gateway is told who calls."""
    seen = looks.usual.seen
    if ELSEWHERE in str(seen.get("forwarded_for")):
        what = "callers can say that they come from any address"
        yield Finding("address", "wrong", what, "`proxy_set_header X-Forwarded-For $remote_addr;`")
    else:
        yield Finding("address", "ok", f"the gateway sees calls come from {seen.get('address')}")


def _links(way: Way, looks: Looks) -> Iterator[Finding]:
    """Where links to files lead: to what TOKENS_PUBLIC_URL says, or else to where the gateway is told that it
    was called.
    """
    begin, is_set = looks.usual.seen["links"], looks.usual.seen["links_are_set"]
    where, instead = urlsplit(begin), f"set TOKENS_PUBLIC_URL={way.url}, and restart the services"
    if where.scheme != way.parts.scheme and not (is_set and where.scheme == "https"):
        what, line = f"begin with {where.scheme}:", "X-Forwarded-Proto $scheme"
    elif where.hostname != way.parts.hostname and not is_set:
        what, line = f"lead to {begin}", "Host $host"
    elif looks.linked and 404 not in looks.untold:
        what, line = f"lead to {begin}, where no files are: {looks.linked}", ""
    else:
        back = where.hostname == way.parts.hostname
        what = (
            "lead back to this address" if back else f"lead to {begin}, which is a gateway as well"
        )
        yield Finding("links", "ok", what)
        return
    do = f"`proxy_set_header {line};`, or {instead}" if line and not is_set else instead
    yield Finding("links", "wrong", f"links that the gateway makes {what}", do)


def _headers(way: Way, looks: Looks) -> Iterator[Finding]:
    arrived = set(looks.usual.seen.get("headers", ()))
    lost = [name for name in MEANT if name.lower() not in arrived]
    if not looks.brought.seen:
        lost.insert(0, "Tokens-Authorization")
    if lost:
        lines = ", ".join(f'`proxy_set_header {name} "";`' for name in lost)
        do = f"take {lines} out, and set `proxy_pass_request_headers on;`"
        yield Finding("headers", "wrong", f"these do not arrive: {', '.join(lost)}", do)
    else:
        yield Finding("headers", "ok", "all that mean something arrive")


def _names(way: Way, looks: Looks) -> Iterator[Finding]:
    """The path, where it goes through although something was done to it."""
    path = looks.usual.seen.get("path")
    if path != "/health/stream":
        what = f"/health/stream comes in as {path}"
        yield Finding("path", "note", what, "`proxy_pass http://tokens;`: nothing behind the name")


# ---------------------------------------------------------------- what becomes of an answer


def _errors(way: Way, looks: Looks) -> Iterator[Finding]:
    if looks.untold:
        what = f"callers are not told the gateway's own errors: {', '.join(map(str, looks.untold))}"
        yield Finding("errors", "wrong", what, f"`proxy_intercept_errors off;` {RELOAD}")
    else:
        yield Finding("errors", "ok", "come back as the gateway tells them")


def _answers(way: Way, looks: Looks) -> Iterator[Finding]:
    headers = looks.usual.headers
    lost = [] if "text/event-stream" in headers.get("content-type", "") else ["Content-Type"]
    lost += [] if "x-request-id" in headers else ["X-Request-Id"]
    if 429 not in looks.untold:
        refusal = looks.refused[REFUSALS.index(429)].headers
        lost += [one for one in ("Retry-After", "X-Should-Retry") if one.lower() not in refusal]
    if lost:
        lines = ", ".join(f"`proxy_hide_header {name};`" for name in lost)
        what = f"these headers do not come back: {', '.join(lost)}"
        yield Finding("answers", "wrong", what, f"take {lines} out {RELOAD}")
    else:
        yield Finding("answers", "ok", "come back with their headers")


def _timing(way: Way, looks: Looks) -> Iterator[Finding]:
    usual, plain = _lateness(looks.usual), _lateness(looks.plain)
    if not (looks.usual.has_ended and looks.plain.has_ended):
        trouble = looks.usual.trouble or looks.plain.trouble
        what = f"a stream of {PIECES * PAUSE_MS / 1000:g} s broke off: {trouble}"
        yield Finding("streams", "wrong", what, f"`proxy_read_timeout 1h;` {RELOAD}")
    elif usual > LATE_SECONDS:
        what = f"streams are held back: pieces came up to {usual:.1f} s late"
        do = f"`proxy_buffering off;`, without `proxy_ignore_headers X-Accel-Buffering;` {RELOAD}"
        yield Finding("streams", "wrong", what, do)
    elif plain > LATE_SECONDS:
        what = "only the header X-Accel-Buffering keeps streams from being held back"
        yield Finding("streams", "note", what, "`proxy_buffering off;`")
    else:
        yield Finding("streams", "ok", f"each piece came within {max(usual, plain):.2f} s")


def _lateness(told: Told) -> float:
    return max(told.lags, default=0.0) - min([0.0, *told.lags])


def _coding(way: Way, looks: Looks) -> Iterator[Finding]:
    coding = looks.packed.headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        what = f"streams are compressed ({coding}), which holds them back"
        do = f"`gzip off;`, or no text/event-stream in `gzip_types` {RELOAD}"
        yield Finding("compression", "wrong", what, do)
    else:
        yield Finding("compression", "ok", "none on streams")


def _end(broken: Told) -> Finding:
    if broken.is_whole:
        what = "an answer that broke off looks whole"
        return Finding("broken answers", "wrong", what, f"`proxy_http_version 1.1;` {RELOAD}")
    return Finding("broken answers", "ok", "look broken")


def _body(looks: Looks) -> Finding:
    most = looks.usual.seen.get("body_bytes", 0) >> 20
    if looks.announced == 413:
        what = f"bodies of {most} MB, which the gateway takes, are refused"
        do = f"`client_max_body_size {most + 1}m;` {RELOAD}"
        return Finding("bodies", "wrong", what, do)
    if looks.announced not in (0, 100):
        what = f"a body of {most} MB is answered with {looks.announced}"
        return Finding("bodies", "note", what, f"`client_max_body_size {most + 1}m;`")
    return Finding("bodies", "ok", f"of {most} MB are let in")


def _silence(looks: Looks, silence: int) -> Finding:
    longest = looks.usual.seen.get("answer_seconds", 0)
    if not looks.silent.has_ended:
        what = f"{silence} s of silence are too long: the answer broke off after {looks.silent.took:.0f} s"
        do = f"`proxy_read_timeout 1h;`, and the same in whatever stands before nginx; {RELOAD}"
        return Finding("silence", "wrong", what, do)
    if silence < longest:
        do = f"an answer that is not streamed may take {longest:.0f} s: `--silence {longest:.0f}` tries it"
        return Finding("silence", "ok", f"{silence} s are endured", do)
    return Finding("silence", "ok", f"{silence} s are endured")


def _clock(usual: Told) -> Finding:
    if abs(usual.skew) > CLOCK_SECONDS:
        way = "ahead of" if usual.skew > 0 else "behind"
        what = f"{abs(usual.skew):.0f} s {way} the gateway's"
        return Finding("clock", "wrong", what, "switch NTP on, there or here")
    return Finding("clock", "ok", "agrees with the gateway's")
