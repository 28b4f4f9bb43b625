"""The routes for characters: OpenAI's, and the older one that takes a link or a film of ours and not
a file (C-021).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response, g, request

from app.canonical.media import Character, File
from app.errors import BadRequest, Lossy, MediaGone, NothingBehind, NotOffered, RequestRefused
from app.services.characters import characters_of
from app.services.images import MediaCall
from app.services.material import FILMS, Material
from app.spool import Spool
from app.upstream.leash import Leash
from app.upstream.platform import Platform
from app.web.access import require_access
from app.web.basket import basket_of
from app.web.chat import listen, stop
from app.web.form import read_fields
from app.web.gateway import Gateway, gateway
from app.web.naming import DROPPED
from app.web.session import session_key, session_named
from app.web.videos import film_of, finished, spooled
from app.web.wishes import read_wishes

LONGEST_NAME = 80
USUAL_NAME = "character"  # the older route had none
ABSENT = (404, 405, 410)  # what servers say that do not have the route
_SPAN = re.compile(r"[ \t]*(\d{1,6}(?:\.\d{1,3})?)[ \t]*,[ \t]*(\d{1,6}(?:\.\d{1,3})?)[ \t]*")

Fields = Mapping[str, Any]


def mount_characters(bp: Blueprint, platform: Platform) -> None:
    """Where films are made there is a word on characters, be it that there are none."""
    name = platform.name

    @bp.post("/v1/videos/characters")
    @require_access(name)
    def make_character() -> Response:
        return _made(name)

    @bp.get("/v1/videos/characters/<character>")
    @require_access(name)
    def show_character(character: str) -> Response:
        return _shown(name, character)

    if platform.characters is not None:

        @bp.post("/v1/characters")
        @require_access(name)
        def make_character_of_link() -> Response:
            return _made_of_link(name)


@spooled
def _made(name: str, spool: Spool) -> Response:
    hub = gateway()
    platform = hub.platforms[name]
    characters_of(platform)  # before anything is read
    fields = read_fields(request, spool, hub.body_bytes)
    named = _name(fields.get("name"))
    given = fields.get("video")
    if isinstance(given, dict) and isinstance(given.get("id"), str):
        film = _ours(hub, name, given["id"], spool)
    else:
        film = _sent(hub, fields, "video", spool)
    return _cast(hub, platform, fields, film, named, spool)


@spooled
def _made_of_link(name: str, spool: Spool) -> Response:
    hub = gateway()
    platform = hub.platforms[name]
    try:
        characters_of(platform)
        fields = read_fields(request, spool, hub.body_bytes)
        dropped = _dropped(hub, fields)
        named = _name(fields.get("name") or USUAL_NAME)
        task = fields.get("from_task")
        if isinstance(task, str) and task:
            film = _ours(hub, name, task, spool)
        else:
            film = _sent(hub, fields, "url", spool)
        response = _cast(hub, platform, fields, film, named, spool)
    except NotOffered as error:
        raise _nothing_behind(name) from error
    except RequestRefused as error:
        if error.status in ABSENT:
            raise _nothing_behind(name) from error
        raise
    if dropped:
        response.headers[DROPPED] = dropped
    return response


@spooled
def _shown(name: str, character: str, spool: Spool) -> Response:
    hub = gateway()
    platform = hub.platforms[name]
    call = _call(hub, name, {})
    ear = listen(call.leash, probing=False)
    try:
        found = hub.characters.find(platform, call, character, spool)
    finally:
        stop(ear)
    return _as_json(found)


def _cast(
    hub: Gateway, platform: Platform, fields: Fields, film: File, named: str, spool: Spool
) -> Response:
    call = _call(hub, platform.name, fields)
    ear = listen(call.leash, probing=False)
    try:
        made = hub.characters.make(platform, call, film, named, spool)
    finally:
        stop(ear)
    return _as_json(made)


def _call(hub: Gateway, name: str, fields: Fields) -> MediaCall:
    wishes = read_wishes(request.args, fields, hub.defaults)
    g.record.update(platform=name, road="characters", licence=g.caller.name)
    if g.caller.brought is not None:
        g.record["mode"] = "chat2api"
    return MediaCall(
        id=g.request_id,
        caller=g.caller,
        model="",
        attempts=wishes.retry_attempt,
        session=session_key(g.caller, name, session_named(request.headers, fields)),
        leash=Leash(),
        record=g.record,
    )


def _name(given: Any) -> str:
    if given in (None, ""):
        raise BadRequest("{field} is required", param="name", field="name")
    if not isinstance(given, str):
        raise BadRequest("{field} must be text", param="name", field="name")
    if len(given) > LONGEST_NAME:
        raise BadRequest(
            "{field} is longer than {most} characters",
            param="name",
            field="name",
            most=LONGEST_NAME,
        )
    return given


def _sent(hub: Gateway, fields: Fields, field: str, spool: Spool) -> File:
    film = Material(spool, basket_of(hub)).one(fields.get(field), field, FILMS)
    if film is None:
        raise BadRequest("{field} is required", param=field, field=field)
    return film


def _ours(hub: Gateway, name: str, task: str, spool: Spool) -> File:
    """A film that the caller has had made here."""
    found = film_of(hub, finished(hub, name, task), spool)
    if not found:
        raise MediaGone("the film is no longer kept here")
    return found[0]


def _dropped(hub: Gateway, fields: Fields) -> str:
    """The older route could choose seconds of the film; what there is now looks at all of it."""
    given = fields.get("timestamps")
    if given in (None, ""):
        return ""
    found = _SPAN.fullmatch(given) if isinstance(given, str) else None
    if found is None or float(found[1]) >= float(found[2]):
        raise BadRequest("{field} must be like 0,3", param="timestamps", field="timestamps")
    if read_wishes(request.args, fields, hub.defaults).strict or g.caller.is_strict:
        raise Lossy(
            "the platform has no room for {fields}: leave that out, or call without strict",
            param="timestamps",
            fields="timestamps",
        )
    g.record["dropped"] = ("timestamps",)
    return "timestamps"


def _nothing_behind(name: str) -> NothingBehind:
    return NothingBehind("{platform} does not offer this endpoint", platform=name)


def _as_json(one: Character) -> Response:
    told = {"id": one.id, "name": one.name, "created_at": one.created_at}
    return Response(orjson.dumps(told), content_type="application/json")
