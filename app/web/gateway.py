"""Everything a worker needs to serve, built once and handed to the views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flask import current_app

from app.access.caller import Access
from app.clock import Clock
from app.ledger.ledger import Ledger
from app.ledger.ledger_watch import LedgerWatch
from app.ledger.price_book import PriceBook
from app.media.inbound import Fetcher
from app.media.job import Folders
from app.media.queue import TaskQueue
from app.media.store import Store
from app.metrics.meter import Meter
from app.pool.keeper import Keeper
from app.pool.tally import Tally
from app.rounds import Rounds
from app.secret import Secret
from app.services.characters import CharacterDesk
from app.services.chat import ChatRelay
from app.services.idempotency import Idempotency
from app.services.images import ImageDesk
from app.services.lookout import Lookout
from app.services.media_chat import PictureChat
from app.services.media_work import MediaWork
from app.services.passage import Passage
from app.services.roster import Roster
from app.services.sources import Sources
from app.services.trail import Traces
from app.services.video_chat import VideoChat
from app.services.videos import VideoDesk
from app.services.webhooks import Webhooks
from app.storage.database import Database
from app.storage.ledger_reading import LedgerReading
from app.storage.tasks import Tasks
from app.upstream.platform import Platform
from app.web.gate import Gate
from app.web.logs import AccessLog

KEY = "tokens"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for a request that does not say otherwise."""

    retry_attempt: int
    close_reasoning_content: bool
    return_reasoning_content: bool
    thinking_budget: int


@dataclass(frozen=True, slots=True)
class Root:
    """What the routes without a platform prefix do."""

    open: bool
    models_open: bool
    platform: str
    model: str


@dataclass(frozen=True, slots=True)
class Gateway:
    access: Access
    tally: Tally
    gate: Gate
    chat: ChatRelay
    images: ImageDesk
    picture_chat: PictureChat
    videos: VideoDesk
    video_chat: VideoChat
    characters: CharacterDesk
    fetcher: Fetcher
    passage: Passage
    sources: Sources
    keeper: Keeper
    prices: PriceBook
    price_rounds: Rounds
    roster: Roster
    platforms: Mapping[str, Platform]
    betas: Mapping[str, tuple[str, ...]]
    media: Store
    tasks: Tasks
    folders: Folders
    queue: TaskQueue
    work: MediaWork
    webhooks: Webhooks
    ledger: Ledger
    ledger_reading: LedgerReading
    ledger_watch: LedgerWatch
    idempotency: Idempotency
    database: Database
    clock: Clock
    log: AccessLog
    meter: Meter
    lookout: Lookout
    metrics_token: Secret
    traces: Traces | None
    defaults: Defaults
    root: Root
    body_bytes: int
    job_seconds: float
    spool_folder: Path
    send_seconds: float
    cors_origins: frozenset[str]

    def start(self) -> None:
        """What a worker does once, in its own process, before it serves."""
        self.tally.start()
        self.meter.start()
        self.ledger.on_written = self._wrote
        self.keeper.start()
        self.ledger_watch.rounds.start()
        self.idempotency.rounds.start()
        self.price_rounds.start()
        if self.traces is not None:
            self.traces.start()

    def _wrote(self, rows: int) -> None:
        self.meter.wrote(rows, self.clock.now())


def gateway() -> Gateway:
    """The gateway of the app that is serving this request."""
    return cast(Gateway, current_app.extensions[KEY])
