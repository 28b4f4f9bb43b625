"""The chat routes, one per inbound dialect, the same under every platform."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from flask import Blueprint, Response
from marshmallow import Schema

from app.canonical.events import Trouble
from app.errors import GatewayError
from app.services.call import ChatCall, Deaf
from app.services.chat import Relayed
from app.services.media_chat import makes_pictures
from app.services.videos import maker_of
from app.upstream.names import shown
from app.upstream.platform import Platform
from app.upstream.transport import Leash
from app.web.access import require_access
from app.web.basket import basket_of
from app.web.current import this_call, this_request
from app.web.ear import SocketEar
from app.web.failures import in_trouble
from app.web.gateway import Gateway, gateway
from app.web.idempotency import once_per_key
from app.web.intake import read_json
from app.web.limits import enter, measured
from app.web.naming import explain, read_name
from app.web.over import Streamed
from app.web.schemas import ChatShape, ContentsShape, ResponsesShape, check
from app.web.session import OURS, opening, session_key, session_named, without_ours
from app.web.wishes import NAMES, SHAPE, Wishes, read_wishes
from app.wire import anthropic_messages, gemini_generate, openai_chat, openai_responses
from app.wire.dialect import Dialect, Spoken, Telling

CHAT = ChatShape()
CONTENTS = ContentsShape()
RESPONSES = ResponsesShape()
GEMINI_CALLS = {"generateContent": False, "streamGenerateContent": True}


def mount_chat(bp: Blueprint, platform: Platform) -> None:
    """Chat Completions, Messages, Responses and generateContent below the platform's prefix."""

    @bp.post("/v1/chat/completions")
    @require_access(platform.name)
    @once_per_key
    def chat_completions() -> Response:
        return answer(platform, openai_chat, CHAT)

    @bp.post("/v1/messages")
    @require_access(platform.name)
    @once_per_key
    def messages() -> Response:
        return answer(platform, anthropic_messages, CHAT)

    @bp.post("/v1/responses")
    @require_access(platform.name)
    @once_per_key
    def responses() -> Response:
        return answer(platform, openai_responses, RESPONSES)

    for call, stream in GEMINI_CALLS.items():
        for version in ("v1beta", "v1"):
            bp.add_url_rule(
                f"/{version}/models/<path:model>:{call}",
                f"{call}_{version}",
                _gemini_view(platform, stream),
                methods=["POST"],
            )


def _gemini_view(platform: Platform, stream: bool) -> Any:
    @require_access(platform.name)
    @once_per_key
    def generate(model: str) -> Response:
        return answer(platform, gemini_generate, CONTENTS, {"model": model, "stream": stream})

    return generate


def answer(
    platform: Platform, spoken: Spoken, schema: Schema, path: dict[str, Any] | None = None
) -> Response:
    """Reads the call, has it relayed, and gives what came of it. `path` is what the path itself
    says.
    """
    hub = gateway()
    platform = hub.platforms[platform.name]  # with what the operator has changed
    raw, body = read_json(this_request(), hub.body_bytes)
    check(schema, body)
    path = path or {}
    return relay(hub, platform, spoken, raw, body | path, frozenset(path))


def relay(
    hub: Gateway,
    platform: Platform,
    spoken: Spoken,
    raw: bytes,
    body: dict[str, Any],
    outside: frozenset[str] = frozenset(),
) -> Response:
    """The answer to a call whose body has been read. `outside` names what in `body` did not come
    from `raw`.
    """
    known, request = this_call(), this_request()
    caller, query, headers = known.caller, request.args, request.headers
    asked = body
    wishes = read_wishes(query, body, hub.defaults)
    shape = {name: given[name] for given in (body, query) for name in SHAPE & given.keys()}
    if NAMES & body.keys():
        body = {name: value for name, value in body.items() if name not in NAMES}
    session = session_named(headers, body)
    if OURS in body:
        body = without_ours(body, keyed=_has_cache_key(platform, spoken))
    for header, kind in platform.chat.switches.items():
        if headers.get(header, "").lower() == "true" and "tools" in body:
            body = without_tool(body, kind)
    named = read_name(platform, body["model"])
    if named.model != body["model"]:
        body = body | {"model": named.model}
    if platform.chat.anchored and not session:
        session = opening(spoken.read_request(body))
    model = named.model
    chat = measured(caller, spoken, body)
    body = chat.body
    if body is not asked:
        raw = orjson.dumps({name: body[name] for name in body.keys() - outside})
    stream = body.get("stream") is True
    array = spoken is gemini_generate and stream and query.get("alt") != "sse"
    leash = Leash()
    ear = listen(leash, probing=stream and not array)
    call = ChatCall(
        id=known.request_id,
        caller=caller,
        spoken=spoken,
        raw=raw,
        body=body,
        model=model,
        stream=stream,
        telling=_telling(hub, spoken, shown(known.get("asked", named.asked)), wishes, body),
        attempts=wishes.retry_attempt,
        say=_speaker(headers.get("Accept-Language", "")),
        array=array,
        thinking_budget=wishes.thinking_budget,
        usual_budget=hub.defaults.thinking_budget,
        strict=wishes.strict or caller.is_strict,
        sets=named.sets,
        shape=shape,
        groups=named.groups,
        session=session_key(caller, platform.name, session),
        headers=forwarded(hub, platform, spoken),
        tokens=chat.tokens,
        most_output=chat.output,
        basket=basket_of(hub),
        leash=leash,
        ear=ear,
        record=_described(platform, spoken, model, stream),
        outside=outside,
    )
    relayed = None
    try:
        enter(hub, body, chat.tokens)
        relayed = _served(hub, platform, call)
    finally:
        if relayed is None or isinstance(relayed.body, bytes):
            stop(ear)
    response = respond(hub, relayed, ear)
    explain(named, call.record, response)
    return response


def _telling(
    hub: Gateway, spoken: Spoken, model: str, wishes: Wishes, body: dict[str, Any]
) -> Telling:
    options = body.get("stream_options")
    repeats = spoken is openai_responses
    return Telling(
        id=this_call().request_id[4:],
        model=model,
        created=int(hub.clock.now()),
        reasoning=wishes.reasoning,
        usage=isinstance(options, dict) and options.get("include_usage") is True,
        asked={name: body[name] for name in body.keys() - {"input"}} if repeats else {},
    )


def _served(hub: Gateway, platform: Platform, call: ChatCall) -> Relayed:
    """By whoever it is that answers with this model."""
    if makes_pictures(platform, call):
        return hub.picture_chat.serve(platform, call, this_request().host_url)
    maker, model = maker_of(hub.platforms, platform, call.model)
    if maker.videos is not None and maker.catalogue.facts(model).makes == "video":
        return hub.video_chat.serve(platform, maker, model, call, this_request().host_url)
    return hub.chat.serve(platform, call)


def _has_cache_key(platform: Platform, spoken: Spoken) -> bool:
    """Whether caller and platform both know OpenAI's name for a session (C-235)."""
    return all(one in (openai_chat, openai_responses) for one in (spoken, platform.chat.dialect))


def _speaker(accept: str) -> Callable[[GatewayError], Trouble]:
    return lambda error: in_trouble(error, accept)


def _described(platform: Platform, spoken: Spoken, model: str, stream: bool) -> dict[str, Any]:
    known = this_call()
    record: dict[str, Any] = known.record
    record.update(platform=platform.name, spoken=spoken.NAME, model=model, stream=stream)
    record["licence"] = known.caller.name
    if known.caller.brought is not None:
        record["mode"] = "chat2api"
    return record


def respond(hub: Gateway, relayed: Relayed, ear: SocketEar | Deaf) -> Response:
    if isinstance(relayed.body, bytes):
        response = Response(relayed.body, relayed.status, content_type=relayed.content_type)
    else:
        known = this_call()
        body = Streamed(hub, relayed.body, known.record, known.get("ticket"), partial(stop, ear))
        response = Response(
            body, relayed.status, content_type=relayed.content_type, direct_passthrough=True
        )
        response.headers["Cache-Control"] = "no-cache, no-transform"
        response.headers["X-Accel-Buffering"] = "no"
        known.streaming = True
    for name, value in relayed.headers.items():
        response.headers[name] = value
    return response


def listen(leash: Leash, *, probing: bool) -> SocketEar | Deaf:
    sock = this_request().environ.get("gunicorn.socket")
    if sock is None:
        return Deaf()
    sock.settimeout(gateway().send_seconds)
    return SocketEar(sock, leash, probing=probing)


def stop(ear: SocketEar | Deaf) -> None:
    if isinstance(ear, SocketEar):
        ear.stop()


def without_tool(body: dict[str, Any], kind: str) -> dict[str, Any]:
    """The body without tools of this kind, and without the demand to use one (C-223)."""
    tools = body["tools"]
    if not isinstance(tools, list):
        return body
    body = body | {"tools": [tool for tool in tools if not _is_of(kind, tool)]}
    if _is_of(kind, body.get("tool_choice")):
        del body["tool_choice"]
    return body


def _is_of(kind: str, tool: Any) -> bool:
    return isinstance(tool, dict) and tool.get("type") == kind


def forwarded(hub: Gateway, platform: Platform, spoken: Dialect) -> dict[str, str]:
    """The caller's headers that the platform documents for its own dialect, which the caller must
    be speaking; with the operator's beta features among them (C-216).
    """
    chat = platform.chat
    headers = dict(chat.always)
    if spoken is chat.dialect and chat.forwards:
        given = this_request().headers
        headers |= {name: value for name in chat.forwards if (value := given.get(name))}
    if betas := hub.betas.get(platform.name):
        theirs = headers.get(platform.beta_header, "").split(",")
        wanted = dict.fromkeys([one.strip() for one in theirs if one.strip()] + list(betas))
        headers[platform.beta_header] = ",".join(wanted)
    return headers
