"""Where everything is put together: settings in, an application out.

Not in the package's `__init__`, because importing any module of ours would then import Flask: the
simulators must not know it, and gunicorn's configuration must not before gevent has patched the
standard library.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import MappingProxyType

from flask import Blueprint, Flask

from app.access.caller import Access
from app.clock import Clock, SystemClock
from app.config import BadSetting, Settings, day_starts
from app.days import Days
from app.extras import to_install
from app.key_file import BadKeyFile
from app.ledger.journal import Journal
from app.ledger.ledger import Ledger
from app.ledger.ledger_watch import LedgerWatch
from app.ledger.price_book import PriceBook
from app.ledger.price_file import BadPrices
from app.media.inbound import Fetcher
from app.media.job import Folders
from app.media.links import Links
from app.media.local import Local
from app.media.place import Place
from app.media.queue import TaskQueue
from app.media.s3 import S3, is_installed
from app.media.store import Store
from app.metrics.layout import Layout
from app.metrics.meter import Meter
from app.platforms import BLUEPRINTS, PLANNED, PLATFORMS, PRICES
from app.pool.board import Board, make_boards
from app.pool.host_tally import HostTally
from app.pool.keeper import Keeper
from app.pool.pool import Pool
from app.pool.rest import Rules
from app.pool.slate import Slate
from app.pool.spending import Spending
from app.pool.tally import Tally
from app.pool.vault import Vault
from app.pool.window import WINDOWS
from app.rounds import Rounds
from app.services.characters import CharacterDesk
from app.services.chat import ChatRelay, Patience
from app.services.idempotency import Idempotency
from app.services.images import Errands, ImageDesk
from app.services.lookout import Lookout
from app.services.media_chat import PictureChat
from app.services.media_work import MediaWork
from app.services.passage import Passage
from app.services.roster import Roster
from app.services.sources import Persistence, Sources
from app.services.trail import Traces
from app.services.video_chat import VideoChat
from app.services.videos import VideoDesk
from app.services.webhooks import SECONDS as WEBHOOK_SECONDS
from app.services.webhooks import Webhooks
from app.services.workbench import Patience as WorkPatience
from app.services.workbench import Workbench
from app.storage.database import Database
from app.storage.idempotency import KeyedCalls
from app.storage.ledger import LedgerTable
from app.storage.ledger_reading import LedgerReading
from app.storage.licences import Licences
from app.storage.media import Media, Where
from app.storage.memories import Memories
from app.storage.tasks import Tasks
from app.storage.webhooks import Hooks
from app.upstream.overrides import with_overrides
from app.upstream.platform import Platform
from app.upstream.transport import Deadlines, Transport
from app.web.application import Application
from app.web.elsewhere import register_elsewhere
from app.web.failures import register_failures
from app.web.gate import Gate
from app.web.gateway import KEY, Defaults, Gateway, Root
from app.web.logs import AccessLog, set_up_logging
from app.web.media import media
from app.web.metrics import metrics
from app.web.models import ModelName
from app.web.paths import Paths
from app.web.root import root
from app.web.surroundings import register_surroundings
from app.wire import anthropic_messages, gemini_generate, openai_chat, openai_responses

log = logging.getLogger(__name__)

MEGABYTE = 1 << 20
PRICE_SECONDS = 2.0  # between two looks at the operator's price files
MEDIA_DIALECTS = ("openai_images", "openai_videos")
DIALECTS = (
    *(one.NAME for one in (anthropic_messages, gemini_generate, openai_chat, openai_responses)),
    *MEDIA_DIALECTS,
)


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    platforms: Iterable[Platform] = tuple(PLATFORMS.values()),
    blueprints: Iterable[Blueprint] = BLUEPRINTS,
    planned: Iterable[str] = PLANNED,
    traced: bool = False,
) -> Flask:
    """A Flask application that serves the gateway these settings describe. `traced`: the environment says
    where traces go.
    """
    set_up_logging()
    clock = clock or SystemClock()
    database = Database(settings.database_url, off_hub=True)
    known = with_models(settings, {platform.name: platform for platform in platforms})
    known = {name: _equipped(one, settings, database, clock) for name, one in known.items()}
    _check_engines(known)
    app = Application("tokens", static_folder=None)
    traces = _traces(known, clock) if traced else None
    app.extensions[KEY] = _build(settings, clock, known, database, traces)
    app.url_map.merge_slashes = False  # `Paths` has seen to that, without a redirect
    app.config["MAX_CONTENT_LENGTH"] = settings.body_megabytes * MEGABYTE
    app.url_map.converters["model"] = ModelName
    register_surroundings(app)
    register_elsewhere(app, frozenset(planned))
    register_failures(app)
    for blueprint in (root, media, metrics, *blueprints):
        app.register_blueprint(blueprint)
    app.wsgi_app = Paths(app.wsgi_app, {*known, *planned})  # type: ignore[method-assign]
    return app


def with_models(settings: Settings, platforms: dict[str, Platform]) -> dict[str, Platform]:
    """The platforms as the operator's own file about models changes them."""
    if not settings.models_file:
        return platforms
    try:
        return with_overrides(platforms, Path(settings.models_file))
    except ValueError as error:
        raise BadSetting(f"TOKENS_MODELS_FILE {settings.models_file} {error}") from error


def _equipped(platform: Platform, settings: Settings, database: Database, clock: Clock) -> Platform:
    """The platform with its own settings and a memory, if it wants either."""
    if platform.equip is None:
        return platform
    given = settings.platforms.get(platform.name)
    options = {option.name: option.default for option in platform.options}
    try:
        memory = Memories(database, platform.name, clock)
        return platform.equip(platform, options | dict(given.options if given else {}), memory)
    except ValueError as error:
        raise BadSetting(f"TOKENS_{platform.name.upper()}_{error}") from error


def _check_engines(platforms: dict[str, Platform]) -> None:
    """Whose films stand in for another's must have some."""
    for one in platforms.values():
        other = platforms.get(one.engine)
        if one.engine and (other is None or other.videos is None or other.engine):
            raise BadSetting(
                f"TOKENS_{one.name.upper()}_ENGINE should be another platform that makes films, "
                f"not {one.engine!r}"
            )


def make_store(settings: Settings, database: Database, clock: Clock) -> Store:
    """Where what platforms make is kept, as the settings say."""
    links = Links(Path(settings.link_file), clock, seconds=settings.link_seconds)
    try:
        links.check()
    except BadKeyFile as error:
        raise BadSetting(f"TOKENS_LINK_FILE: {error}") from error
    places: dict[Where, Place] = {"local": Local(settings.media_folder, off_hub=True)}
    if settings.media_s3_bucket:
        places["s3"] = make_bucket(settings)
    return Store(
        Media(database),
        places,
        links,
        clock,
        into="s3" if "s3" in places else "local",
        seconds=settings.media_seconds,
        most=settings.media_megabytes * MEGABYTE,
        public_url=settings.public_url,
    )


def make_ledger(
    settings: Settings, database: Database, clock: Clock, prices: PriceBook, days: Days
) -> Ledger:
    """The ledger, which charges by these prices."""
    return Ledger(
        LedgerTable(database),
        prices,
        Journal(Path(settings.journal_file)),
        clock,
        days=days,
        longest_call=_longest_call(settings),
    )


def _longest_call(settings: Settings) -> float:
    """The seconds that a call can take at most."""
    stream = settings.stream_seconds + settings.first_byte_seconds + settings.retry_seconds
    return max(stream, settings.answer_seconds + settings.retry_seconds)


def _idempotency(settings: Settings, database: Database, clock: Clock) -> Idempotency:
    return Idempotency(KeyedCalls(database), clock, longest_call=_longest_call(settings))


def make_prices(settings: Settings) -> PriceBook:
    """What everything costs, all of it checked."""
    own = Path(settings.prices_folder) if settings.prices_folder else None
    try:
        return PriceBook.load(PRICES, own)
    except BadPrices as error:
        raise BadSetting(f"TOKENS_PRICES_FOLDER: {error}") from error


def make_webhooks(settings: Settings, database: Database) -> Webhooks:
    """Whom to tell when work is over, and with what to sign it."""
    post = _fetcher(settings, seconds=WEBHOOK_SECONDS)
    return Webhooks(Hooks(database), Path(settings.webhook_file), post)


def make_bucket(settings: Settings) -> S3:
    """The bucket of the settings."""
    if not is_installed():
        raise BadSetting(f"TOKENS_MEDIA_S3_BUCKET needs boto3: {to_install('s3')}")
    return S3(
        settings.media_s3_bucket,
        key=settings.media_s3_key,
        secret=settings.media_s3_secret,
        endpoint=settings.media_s3_endpoint,
        region=settings.media_s3_region,
        prefix=settings.media_s3_prefix,
        addressing=settings.media_s3_addressing,
    )


def _build(
    settings: Settings,
    clock: Clock,
    platforms: dict[str, Platform],
    database: Database,
    traces: Traces | None,
) -> Gateway:
    base_urls = _base_urls(settings)
    boards = make_boards(database, settings.redis_url)
    tally = _tally(settings, clock)
    days = Days(day_starts(settings.day_starts))
    pool = _pool(settings, clock, boards, tally, days)
    sources = Sources(pool, clock, _persistence(settings))
    transport = _transport(settings)
    fetcher = _fetcher(settings)
    patience = _patience(settings)
    most, ends = settings.answer_megabytes * MEGABYTE, settings.end_after_error
    errands = Errands(transport, base_urls, clock, settings.answer_seconds, most)
    prices = make_prices(settings)
    ledger, reading = make_ledger(settings, database, clock, prices, days), LedgerReading(database)
    ledger.on_charge = pool.charged
    images = ImageDesk(errands, sources, ledger)
    store = make_store(settings, database, clock)
    spool_folder = Path(settings.spool_folder)
    bench = _workbench(settings, database, sources, transport, store, clock, ledger)
    queue = TaskQueue(settings.queue_file, settings.redis_url)
    videos = _desk(settings, bench, errands, ledger, queue)
    return Gateway(
        access=Access(Licences(database), clock),
        tally=tally,
        gate=Gate(tally, clock),
        chat=_relay(settings, transport, sources, ledger, clock),
        images=images,
        picture_chat=PictureChat(images, store, spool_folder, patience, ends_after_error=ends),
        videos=videos,
        video_chat=VideoChat(
            videos, bench.tasks, store, spool_folder, clock, patience, ends_after_error=ends
        ),
        characters=CharacterDesk(errands, sources, partial(Memories, database, clock=clock)),
        fetcher=fetcher,
        passage=Passage(transport, sources, base_urls, clock, settings.answer_seconds, most),
        sources=sources,
        keeper=Keeper(pool, boards, clock, Spending(pool, reading, days)),
        prices=prices,
        price_rounds=Rounds(PRICE_SECONDS, prices.look, "prices could not be looked at"),
        roster=Roster(transport, sources, base_urls, clock),
        platforms=MappingProxyType(platforms),
        betas={name: one.betas for name, one in settings.platforms.items()},
        media=store,
        tasks=bench.tasks,
        folders=bench.folders,
        queue=queue,
        work=MediaWork(bench, platforms),
        webhooks=make_webhooks(settings, database),
        ledger=ledger,
        ledger_reading=reading,
        ledger_watch=_ledger_watch(settings, ledger, database, clock),
        idempotency=_idempotency(settings, database, clock),
        database=database,
        clock=clock,
        log=AccessLog(settings.log_file, clock),
        meter=Meter(Path(settings.metrics_file), Layout(platforms, DIALECTS)),
        lookout=Lookout(pool, bench.tasks, ledger, database, clock),
        metrics_token=settings.metrics_token,
        traces=traces,
        defaults=_defaults(settings),
        root=_root(settings),
        spool_folder=spool_folder,
        job_seconds=settings.job_seconds,
        body_bytes=settings.body_megabytes * MEGABYTE,
        send_seconds=settings.send_seconds,
        cors_origins=frozenset(settings.cors_origins),
    )


def _relay(
    settings: Settings, transport: Transport, sources: Sources, ledger: Ledger, clock: Clock
) -> ChatRelay:
    return ChatRelay(
        transport,
        sources,
        ledger,
        _base_urls(settings),
        clock,
        _patience(settings),
        settings.answer_megabytes * MEGABYTE,
        ends_after_error=settings.end_after_error,
    )


def _traces(platforms: dict[str, Platform], clock: Clock) -> Traces | None:
    """Where traces go. Whoever has set the variables for other programs is served without."""
    try:
        sent = importlib.import_module("app.web.traces")  # slow, and seldom needed
    except ImportError as error:
        about = {"needs": to_install("traces"), "why": str(error)}
        log.warning("traces are not sent", extra=about)
        return None
    traces: Traces = sent.SentTraces({name: one.owner for name, one in platforms.items()}, clock)
    return traces


def _desk(
    settings: Settings, bench: Workbench, errands: Errands, ledger: Ledger, queue: TaskQueue
) -> VideoDesk:
    return VideoDesk(
        bench.tasks,
        bench.folders,
        errands,
        bench.sources,
        ledger,
        queue.put,
        bench.clock,
        settings.job_seconds,
        settings.look_seconds,
    )


def _ledger_watch(
    settings: Settings, ledger: Ledger, database: Database, clock: Clock
) -> LedgerWatch:
    return LedgerWatch(ledger, LedgerReading(database), clock, days=settings.ledger_days)


def _persistence(settings: Settings) -> Persistence:
    return Persistence(settings.retry_seconds, settings.retry_wait_seconds, settings.retry_percent)


def _tally(settings: Settings, clock: Clock) -> Tally:
    """Where what has limits is counted."""
    host = HostTally(lambda: Slate(Path(settings.counters_file)), WINDOWS[settings.minute_window])
    if not settings.redis_url:
        return host
    shared = importlib.import_module("app.pool.shared_tally")  # slow, and seldom needed
    tally: Tally = shared.made(host, settings.redis_url, settings.hosts, clock)
    return tally


def _pool(settings: Settings, clock: Clock, boards: list[Board], tally: Tally, days: Days) -> Pool:
    return Pool(
        {name: one.keys for name, one in settings.platforms.items()},
        clock,
        boards=boards,
        vault=Vault(Path(settings.seal_file)),
        tally=tally,
        rules=Rules(settings.rest_seconds, settings.retire_after),
        sticky_seconds=settings.sticky_seconds,
        days=days,
    )


def _transport(settings: Settings) -> Transport:
    return Transport(
        Deadlines(
            connect_seconds=settings.connect_seconds,
            first_byte_seconds=settings.first_byte_seconds,
            total_seconds=settings.stream_seconds,
            answer_megabytes=settings.answer_megabytes,
        ),
        proxy=settings.upstream_proxy,
        ca_file=settings.upstream_ca_file,
    )


def _fetcher(settings: Settings, seconds: float = 0.0) -> Fetcher:
    return Fetcher(
        allowed_hosts=settings.fetch_allowed_hosts,
        allow_http=settings.fetch_plain_http,
        file_megabytes=settings.fetch_megabytes,
        seconds=seconds or settings.fetch_seconds,
    )


def _patience(settings: Settings) -> Patience:
    return Patience(
        first_byte=settings.first_byte_seconds,
        answer=settings.answer_seconds,
        silence=settings.silence_seconds,
        heartbeat=settings.heartbeat_seconds,
        grace=settings.grace_seconds,
    )


def _base_urls(settings: Settings) -> dict[str, str]:
    return {name: one.base_url for name, one in settings.platforms.items()}


def _workbench(
    settings: Settings,
    database: Database,
    sources: Sources,
    transport: Transport,
    store: Store,
    clock: Clock,
    ledger: Ledger,
) -> Workbench:
    return Workbench(
        tasks=Tasks(database, ledger.settle),
        folders=Folders(settings.spool_folder),
        store=store,
        sources=sources,
        transport=transport,
        base_urls=_base_urls(settings),
        licence=Licences(database).find,
        clock=clock,
        attempts=settings.retry_attempt + 1,
        answer_bytes=settings.answer_megabytes * MEGABYTE,
        patience=WorkPatience(make=settings.answer_seconds, first_look=settings.look_seconds),
    )


def _defaults(settings: Settings) -> Defaults:
    return Defaults(
        settings.retry_attempt,
        settings.close_reasoning_content,
        settings.return_reasoning_content,
        settings.thinking_budget,
    )


def _root(settings: Settings) -> Root:
    return Root(
        settings.root_open,
        settings.root_models_open,
        settings.root_platform,
        settings.root_model,
    )
