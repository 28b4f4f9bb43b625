"""What an operator may change, and where it is read: once, here, at start.

Every setting is an environment variable `TOKENS_<FIELD>`; each platform has two more,
`TOKENS_<PLATFORM>_KEYS` and `TOKENS_<PLATFORM>_BASE_URL`, and where its vendor has beta features
`TOKENS_<PLATFORM>_BETAS`; some have options of their own. A `TOKENS_` name that is none of these
stops the process: it is usually a typo.
"""

from __future__ import annotations

import difflib
import math
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol
from urllib.parse import urlsplit

from app.credential import Credential, fingerprint
from app.secret import Secret

_HOST = re.compile(r"(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?", re.IGNORECASE | re.ASCII)

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_PREFIX = re.compile(r"[a-z0-9._/-]*", re.IGNORECASE | re.ASCII)

MAY_BE_ZERO = frozenset(
    """grace_seconds ledger_days rest_seconds retry_attempt retry_percent retry_wait_seconds
    sticky_seconds stop_seconds thinking_budget""".split()
)


class BadSetting(Exception):
    """Stops the process before it serves anything; there is no caller to tell yet."""


class Option(Protocol):
    """A setting that one platform alone has."""

    @property
    def name(self) -> str: ...

    @property
    def default(self) -> Any: ...


class Door(Protocol):
    """What the settings need to know of a platform: its name, and what its vendor calls things."""

    @property
    def name(self) -> str: ...

    @property
    def base_url(self) -> str: ...

    @property
    def key_variables(self) -> tuple[str, ...]: ...

    @property
    def beta_header(self) -> str: ...

    @property
    def options(self) -> Sequence[Option]: ...


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """Where a platform is reached and with what, in the order the keys are tried."""

    base_url: str
    keys: tuple[Credential, ...]
    betas: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def _about(text: str, default: Any) -> Any:
    return field(default=default, metadata={"about": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Defaults are for one machine without any other service; units are in the names."""

    host: str = _about("address the gateway listens on", "127.0.0.1")
    port: int = _about("port the gateway listens on", 8080)
    socket_file: str = _about(
        "unix socket it listens on instead, behind nginx on the same host; empty = none", ""
    )
    workers: int = _about("gunicorn worker processes", 2)
    worker_connections: int = _about(
        "connections one worker holds at a time; a third of the files it may open, if that is less",
        4000,
    )
    database_url: str = _about("SQLite file or PostgreSQL address", "sqlite:///var/tokens.db")
    redis_url: str = _about("Redis, where several hosts share the work; empty = not used", "")
    log_file: str = _about("where the access log goes; `-` = standard output", "-")
    metrics_token: Secret = _about(
        "who shows this as a bearer token may read `/metrics`; empty = whoever calls from this host",
        Secret(""),
    )
    metrics_file: str = _about(
        "file in which the workers of this host count what `/metrics` tells; its name gets an ending",
        "var/metrics",
    )
    root_open: bool = _about("the root routes need no licence", False)
    root_models_open: bool = _about("`GET /v1/models` at the root needs no licence", True)
    root_platform: str = _about("platform of root models that name none", "gemini")
    root_model: str = _about(
        "model of root chats that name none; empty = the field is required", ""
    )
    cors_origins: tuple[str, ...] = _about("origins browsers may call from; `*` = any", ("*",))
    body_megabytes: int = _about("largest request body", 128)
    answer_megabytes: int = _about("largest answer of a platform", 256)
    connect_seconds: float = _about("to connect to a platform", 3.0)
    first_byte_seconds: float = _about("until a stream's first byte", 120.0)
    answer_seconds: float = _about("for a whole answer that is not streamed", 600.0)
    silence_seconds: float = _about("between two pieces of a stream", 120.0)
    stream_seconds: float = _about("for a whole stream", 1800.0)
    heartbeat_seconds: float = _about("of silence before a comment line keeps a stream alive", 10.0)
    grace_seconds: float = _about(
        "before a stream is opened although the platform has not answered", 20.0
    )
    end_after_error: bool = _about(
        "a chat stream that ends with an error still ends with `[DONE]`", True
    )
    send_seconds: float = _about("for a caller to take what it is sent", 120.0)
    stop_seconds: float = _about(
        "for answers to come to their end when the gateway is told to stop; then they are cut off",
        600.0,
    )
    retry_attempt: int = _about("how often a failed call is repeated with another key", 5)
    retry_seconds: float = _about("after which no further attempt at a call is begun", 120.0)
    retry_wait_seconds: float = _about(
        "longest wait for a key that rests, before the caller is told to come again", 2.0
    )
    retry_percent: int = _about(
        "extra calls, of a hundred, that repeating may cost a platform that fails", 20
    )
    rest_seconds: float = _about(
        "longest rest of a key that was turned away or failed; 0 = keys never rest", 3600.0
    )
    retire_after: int = _about("refusals in a row after which a key is tried once an hour", 3)
    sticky_seconds: float = _about(
        "how long a session keeps its key after its last call; 0 = not at all", 3600.0
    )
    ledger_days: int = _about(
        "how long the ledger keeps each call; what a day came to it keeps for good; 0 = for good too",
        90,
    )
    journal_file: str = _about(
        "file for what the ledger cannot take while the database fails", "var/ledger.journal"
    )
    counters_file: str = _about(
        "file in which the workers of this host count what keys and licences with limits have used",
        "var/counters",
    )
    hosts: int = _about(
        "hosts that share the Redis; without it each gives such a part of every limit", 2
    )
    minute_window: str = _about(
        "which requests and tokens count for limits a minute: `fixed`, those of the clock's minute, or "
        "`sliding`, those of the sixty seconds before",
        "fixed",
    )
    day_starts: str = _about("when a day's quotas begin anew, in UTC", "00:00")
    seal_file: str = _about("file whose keys open the credentials in the database", "var/seal.key")
    close_reasoning_content: bool = _about("leave reasoning out of answers", False)
    return_reasoning_content: bool = _about(
        "reasoning in a field of its own; false = between `<think>` tags", True
    )
    thinking_budget: int = _about(
        "reasoning tokens where thinking is switched on without a budget", 1024
    )
    models_file: str = _about("JSON file that changes what is known of models; empty = none", "")
    prices_folder: str = _about(
        "folder for price files of yours, which take the place of ours; empty = none", "var/prices"
    )
    job_seconds: float = _about("for a film, or pictures in the background, to be made", 1200.0)
    look_seconds: float = _about(
        "until a platform is first asked how far a film is; later looks are further apart", 3.0
    )
    job_hands: int = _about("steps of such jobs that one worker process does at a time", 16)
    job_kept_seconds: float = _about(
        "how long it is known what became of a job; its result may go before", 2592000.0
    )
    queue_file: str = _about("queue that wakes workers up, where there is no Redis", "var/queue.db")
    spool_folder: str = _about(
        "folder for what is too large for memory; all workers must see the same", "var/spool"
    )
    fetch_allowed_hosts: tuple[str, ...] = _about(
        "private `host` or `host:port` that callers' links may name", ()
    )
    fetch_plain_http: bool = _about("callers' links may be plain http", True)
    fetch_megabytes: int = _about("largest file behind a caller's link", 20)
    fetch_seconds: float = _about("to fetch a caller's link", 20.0)
    media_folder: str = _about("folder for what platforms make", "var/media")
    media_seconds: float = _about("how long it is kept", 604800.0)
    media_megabytes: int = _about("how much of it is kept; before that, the oldest goes", 10240)
    media_s3_bucket: str = _about(
        "S3-compatible bucket to keep it in instead of the folder; empty = none", ""
    )
    media_s3_endpoint: str = _about("address of the bucket's service; empty = Amazon's own", "")
    media_s3_region: str = _about("region of the bucket", "us-east-1")
    media_s3_key: str = _about("id of the key to the bucket", "")
    media_s3_secret: Secret = _about("secret of the key to the bucket", Secret(""))
    media_s3_prefix: str = _about("what names in the bucket begin with", "")
    media_s3_addressing: str = _about(
        "where the bucket stands in addresses: `path`, `virtual` (in the host) or `auto`", "auto"
    )
    link_seconds: float = _about("how long a link to a file opens it", 86400.0)
    link_file: str = _about("file whose keys sign links to files", "var/link.key")
    public_url: str = _about(
        "address that links begin with; empty = as the caller reached the gateway", ""
    )
    webhook_file: str = _about(
        "file whose keys open the secrets that webhooks are signed with", "var/webhook.key"
    )
    upstream_proxy: str = _about("HTTP proxy for calls to platforms; empty = direct", "")
    upstream_ca_file: str = _about("extra certificate authorities for calls to platforms", "")
    platforms: Mapping[str, PlatformSettings] = field(default_factory=dict)

    @classmethod
    def from_env(cls, env: Mapping[str, str], doors: Sequence[Door] = ()) -> Settings:
        """Read every `TOKENS_` name; refuse the ones that mean nothing."""
        given = {name: env[name] for name in env if name.startswith("TOKENS_")}
        platforms = {door.name: _read_door(door, given, env) for door in doors}
        kinds = {
            f"TOKENS_{one.name.upper()}": one for one in fields(cls) if one.name != "platforms"
        }
        if strangers := sorted(given.keys() - kinds.keys()):
            raise BadSetting(_strange(strangers[0], [*kinds, *_door_names(doors)]))
        values = {kinds[name].name: _read(name, kinds[name].default, given[name]) for name in given}
        settings = cls(**values, platforms=platforms)
        _check(settings)
        return settings


def _door_names(doors: Sequence[Door]) -> list[str]:
    return [
        f"TOKENS_{door.name.upper()}_{end}"
        for door in doors
        for end in (
            "KEYS",
            "BASE_URL",
            *(("BETAS",) if door.beta_header else ()),
            *(option.name for option in door.options),
        )
    ]


def _strange(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"there is no setting {name}" + (f"; did you mean {near[0]}?" if near else "")


def _read_door(door: Door, given: dict[str, str], env: Mapping[str, str]) -> PlatformSettings:
    """Takes the platform's names out of `given`; the vendor's own variable is the second
    choice.
    """
    prefix = f"TOKENS_{door.name.upper()}_"
    keys = given.pop(f"{prefix}KEYS", "")
    if not keys:
        keys = next((env[name] for name in door.key_variables if env.get(name)), "")
    base_url = given.pop(f"{prefix}BASE_URL", "") or door.base_url
    check_url(f"{prefix}BASE_URL", base_url)
    if not keys.isascii() or not keys.isprintable():
        raise BadSetting(f"{prefix}KEYS holds a character that no key has")
    written = [key.strip() for key in keys.split(",") if key.strip()]
    credentials = tuple(_credential(door.name, place, key) for place, key in enumerate(written, 1))
    betas = given.pop(f"{prefix}BETAS", "") if door.beta_header else ""
    options = {one.name: _option(f"{prefix}{one.name}", one.default, given) for one in door.options}
    return PlatformSettings(base_url.rstrip("/"), credentials, _read("", (), betas), options)


def _option(name: str, default: Any, given: dict[str, str]) -> Any:
    return _read(name, default, given.pop(name)) if name in given else default


def _credential(name: str, place: int, key: str) -> Credential:
    """`token|group|group`; most keys have no group."""
    token, *groups = (word.strip() for word in key.split("|"))
    # Another key in the same place is another credential, of which nothing is known yet.
    known_as = f"{name}#{place}-{fingerprint(name, token)[:8]}"
    named = tuple(group.lower() for group in groups if group)
    return Credential(f"{name}#{place}", Secret(token), named, known_as)


def check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
        good = good and parts.port != 0
    except ValueError:
        good = False
    if not good or any(char in url for char in "?#\\ \t\r\n"):
        shown = "what was given" if "@" in url else repr(url)  # there may be a password in it
        raise BadSetting(f"{name} should be an http(s) address without a query, not {shown}")


def _read(name: str, default: Any, text: str) -> Any:
    kind = type(default)
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
        if kind is tuple:
            return tuple(one.strip() for one in text.split(",") if one.strip())
        return kind(text)
    except (ValueError, KeyError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise BadSetting(f"{name} should be {wanted}, not {text!r}") from None


def _check(settings: Settings) -> None:
    for one in fields(settings):
        value = getattr(settings, one.name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        may_be_zero = one.name in MAY_BE_ZERO
        if not (0 if may_be_zero else 1e-3) <= value < math.inf:  # also refuses NaN
            wanted = "0 or a positive number" if may_be_zero else "a positive number"
            raise BadSetting(f"TOKENS_{one.name.upper()} should be {wanted}, not {value}")
    if settings.port > 65535:
        raise BadSetting(f"TOKENS_PORT should be at most 65535, not {settings.port}")
    if settings.platforms and settings.root_platform not in settings.platforms:
        raise BadSetting(f"TOKENS_ROOT_PLATFORM names no platform: {settings.root_platform!r}")
    for host in settings.fetch_allowed_hosts:
        _check_host(host)
    day_starts(settings.day_starts)
    if settings.minute_window not in ("fixed", "sliding"):
        raise BadSetting("TOKENS_MINUTE_WINDOW should be fixed or sliding")
    _check_media(settings)
    if settings.redis_url:
        _check_redis(settings.redis_url)
    if settings.upstream_ca_file:
        _check_authorities(settings.upstream_ca_file)


def day_starts(words: str) -> int:
    """The second of the day, in UTC, at which a day of ours begins."""
    found = _TIME.fullmatch(words)
    if found is None:
        raise BadSetting(
            f"TOKENS_DAY_STARTS should be a time such as 00:00 or 16:30, not {words!r}"
        )
    return int(found[1]) * 3600 + int(found[2]) * 60


def _check_media(settings: Settings) -> None:
    for name in ("public_url", "media_s3_endpoint"):
        if url := getattr(settings, name):
            check_url(f"TOKENS_{name.upper()}", url)
    if settings.media_s3_addressing not in ("auto", "path", "virtual"):
        raise BadSetting("TOKENS_MEDIA_S3_ADDRESSING should be auto, path or virtual")
    if settings.media_s3_bucket and not (settings.media_s3_key and settings.media_s3_secret):
        raise BadSetting(
            "TOKENS_MEDIA_S3_BUCKET needs TOKENS_MEDIA_S3_KEY and TOKENS_MEDIA_S3_SECRET"
        )
    if not _PREFIX.fullmatch(settings.media_s3_prefix):
        raise BadSetting("TOKENS_MEDIA_S3_PREFIX should be letters, digits and . _ - /")


def _check_host(host: str) -> None:
    found = _HOST.fullmatch(host)
    if found is None or not 0 < int(found[1] or 1) <= 65535:
        raise BadSetting(
            f"TOKENS_FETCH_ALLOWED_HOSTS should be `host` or `host:port` entries, not {host!r}"
        )


def _check_redis(url: str) -> None:
    """Says nothing of what it found: there may be a password in it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadSetting("TOKENS_REDIS_URL should be redis://HOST or rediss://HOST")


def _check_authorities(file: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        return
    except ssl.SSLError:
        why = "there is no certificate in it"
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or "no file has such a name").lower()
    raise BadSetting(f"TOKENS_UPSTREAM_CA_FILE should be a PEM file, not {file!r}: {why}")
