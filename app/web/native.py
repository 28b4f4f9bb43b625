"""Native routes that pass through: the views behind `mount_passage`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, g, request

from app.access.caller import check_scope
from app.errors import BadRequest, Verbatim, outcome_of
from app.ledger.ledger import Entry, Purchase
from app.services.chat import USUAL_OUTPUT, Relayed
from app.services.meter import estimated
from app.upstream.platform import Platform
from app.upstream.transport import Leash
from app.web.access import require_access
from app.web.chat import forwarded, listen, stop
from app.web.gateway import gateway
from app.web.intake import parse, read_body
from app.web.limits import enter, measured
from app.web.wishes import NAMES
from app.wire.dialect import Spoken
from app.wire.names import given_twice

HIDDEN = NAMES | {"key"}  # query parameters that are ours, or secret


def mount_passage(
    bp: Blueprint,
    platform: Platform,
    rule: str,
    upstream: str,
    methods: list[str],
    *,
    paid: Spoken | None = None,
) -> None:
    """Passes `rule` on to `upstream`, a path below the platform's base address with the same
    placeholders. `paid`: a model is at work behind it, and is told so in this dialect.
    """

    @require_access(platform.name)
    def passed(**names: str) -> Response:
        hub = gateway()
        body = read_body(request, hub.body_bytes) if request.method == "POST" else None
        _check_model(platform, names.get("model"), body)
        _check_stored(hub.platforms[platform.name], names.get("response"), body)
        path = upstream.format(**{name: quote(value, safe="") for name, value in names.items()})
        query = [
            (name, value) for name, value in request.args.items(multi=True) if name not in HIDDEN
        ]
        if query:
            path += "?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in query)
        headers: dict[str, Any] = forwarded(hub, platform, platform.chat.dialect)
        if body is not None:
            headers["content-type"] = "application/json"
        g.record.update(platform=platform.name, road="passage", licence=g.caller.name)
        enter(hub, {}, _measured(paid, body))
        leash = Leash()
        ear = listen(leash, probing=False)
        entry = hub.ledger.open(_purchase(platform, body)) if paid and body else None
        try:
            relayed = hub.passage.serve(
                platform, g.caller, request.method, path, headers, body, leash
            )
            if entry is not None and body is not None:
                _settle(entry, platform, body, relayed)
        except BaseException as error:
            if entry is not None:
                entry.end(g.record, None, outcome_of(error))
            raise
        finally:
            stop(ear)
        return _told(relayed)

    name = "passage_" + "".join(c if c.isalnum() else "_" for c in rule)
    bp.add_url_rule(rule, name, passed, methods=methods)


def _told(relayed: Relayed) -> Response:
    assert isinstance(relayed.body, bytes)
    if relayed.status >= 400:
        g.outcome = Verbatim.code
    response = Response(relayed.body, relayed.status, content_type=relayed.content_type)
    if not relayed.content_type:
        response.headers.pop("Content-Type")  # the platform has none, and Flask would guess
    for name, value in relayed.headers.items():
        response.headers[name] = value
    return response


def _purchase(platform: Platform, body: bytes) -> Purchase:
    model = parse(body).get("model")
    asked = model if isinstance(model, str) else ""
    return Purchase(
        id=g.request_id,
        caller=g.caller,
        platform=platform.name,
        kind="chat",
        model=asked,
        asked=asked,
        spoken=platform.chat.dialect.NAME,
        input=estimated(len(body), 0).input,
        output=USUAL_OUTPUT,
    )


def _measured(paid: Spoken | None, body: bytes | None) -> int:
    """What the call is thought to come to. Its answer cannot be made shorter, so it passes as it is."""
    if paid is None or not body:
        return 0
    return measured(g.caller, paid, parse(body)).tokens or 0


def _settle(entry: Entry, platform: Platform, body: bytes, relayed: Relayed) -> None:
    if relayed.status != 200:
        return entry.end(g.record, None, Verbatim.code)
    assert isinstance(relayed.body, bytes)
    usage = platform.chat.dialect.find_usage(parse(relayed.body))
    g.record["usage"] = usage = usage or estimated(len(body), len(relayed.body))
    entry.charge(g.record, usage)


def _check_model(platform: Platform, named: str | None, body: bytes | None) -> None:
    """Whether the licence covers the model, where the path or the body names one; licences for all
    models need no look.
    """
    if g.caller.licence is None or not g.caller.licence.models:
        return
    if named is None and body:
        named = parse(body).get("model")
        if twice := given_twice(body):
            raise BadRequest("{field} is given twice", param=twice, field=twice)
    if isinstance(named, str):
        check_scope(g.caller, platform.name, named)


def _check_stored(platform: Platform, named: str | None, body: bytes | None) -> None:
    """Whether what the platform has stored is the licence's; of a token that was brought it judges
    itself (C-210).
    """
    if platform.chat.stored is not None and g.caller.brought is None:
        platform.chat.stored.check(g.caller.name, named, body)
