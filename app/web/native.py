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
from app.web.limits import enter
from app.web.wishes import NAMES
from app.wire.names import given_twice

HIDDEN = NAMES | {"key"}  # query parameters that are ours, or secret


def mount_passage(
    bp: Blueprint,
    platform: Platform,
    rule: str,
    upstream: str,
    methods: list[str],
    *,
    is_paid: bool = False,
) -> None:
    """Passes `rule` on to `upstream`, a path below the platform's base address with the same
    placeholders. `is_paid`: a model is at work behind it.
    """

    @require_access(platform.name)
    def passed(**names: str) -> Response:
        hub = gateway()
        body = read_body(request, hub.body_bytes) if request.method == "POST" else None
        _check_model(platform, names.get("model"), body)
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
        enter(hub, {}, 0)
        leash = Leash()
        ear = listen(leash, probing=False)
        entry = hub.ledger.open(_purchase(platform, body)) if is_paid and body else None
        try:
            relayed = hub.passage.serve(
                platform, g.caller, request.method, path, headers, body, leash
            )
            if entry is not None:
                _settle(entry, platform, relayed)
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


def _settle(entry: Entry, platform: Platform, relayed: Relayed) -> None:
    if relayed.status != 200:
        return entry.end(g.record, None, Verbatim.code)
    assert isinstance(relayed.body, bytes)
    usage = platform.chat.dialect.find_usage(parse(relayed.body))
    entry.charge(g.record, usage or estimated(0, len(relayed.body)))


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
