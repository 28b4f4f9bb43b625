"""xAI's API: chat completions, responses with its own search tools, pictures, films and the models.

Where it is not OpenAI's: errors are flat, a wrong key is 400, thoughts are not counted among the
completion tokens, a tool call comes whole in one chunk, the first chunk has the role and already
words, and `finish_reason` is absent until it is said. Besides mishaps a prompt may order `sick`
(200 with an error for a body), `moderated` (403 for what was asked), `cited` (citations at the top
level), `end_turn` and `repeated` (the role in every chunk).
"""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from typing import Any

from app.simulators.directives import asked
from app.simulators.downloads import Shelf, origin, served
from app.simulators.exchange import Call, Frame, Reply, Stream, as_json
from app.simulators.grok_films import EDIT as FILM_EDIT
from app.simulators.grok_films import EXTEND as FILM_EXTENSION
from app.simulators.grok_films import FOLDER as FILM_FOLDER
from app.simulators.grok_films import MAKE as FILM
from app.simulators.grok_films import POLLS, Films
from app.simulators.grok_imagine import DIRECTORS, PAINTERS, described_painter
from app.simulators.grok_models import LISTED, described, language_model, resolved, traits
from app.simulators.grok_pictures import DRAW, EDIT
from app.simulators.grok_pictures import FOLDER as PICTURE_FOLDER
from app.simulators.grok_pictures import Pictures
from app.simulators.grok_rules import accept, accept_response
from app.simulators.later import Later
from app.simulators.mishaps import Mishap
from app.simulators.openai_chat_ask import ask_of, last_user_text
from app.simulators.openai_checks import Refused
from app.simulators.responses_ask import ask_of as ask_of_response
from app.simulators.responses_ask import items_of
from app.simulators.responses_ask import last_user_text as last_input_text
from app.simulators.responses_events import GARBAGE, frame
from app.simulators.responses_turn import Turn
from app.simulators.script import Ask, Said, pieces, say
from app.simulators.simulator import EPOCH, Simulator

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
IMAGINE = (DRAW, EDIT, FILM, FILM_EDIT, FILM_EXTENSION)
FOLDERS = (PICTURE_FOLDER, FILM_FOLDER)
DONE = b"data: [DONE]\n\n"
EVENT_STREAM = "text/event-stream"
SOURCES = ["https://example.com/simulated", "https://x.com/simulated/status/1"]
UNAVAILABLE = "The service is currently unavailable"

Json = dict[str, Any]


class GrokSimulator(Simulator):
    name = "grok"

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, tuple[str, bytes]] = {}  # what was uploaded, with its media type
        self._shelf = Shelf(self.clock.now)
        self._later = Later()
        self._pictures = Pictures(self.mint, self._shelf, self._loaded)
        self._films = Films(self.clock.now, self.mint, self._shelf, self._loaded)

    def prompt(self, call: Call) -> str:
        body = call.body()
        if not isinstance(body, dict):
            return ""
        if call.path in IMAGINE:
            return body["prompt"] if isinstance(body.get("prompt"), str) else ""
        if call.path == RESPONSES:
            return last_input_text(items_of(body.get("input")))
        return last_user_text(body.get("messages"))

    def credential(self, call: Call) -> str:
        """Results lie where anybody may fetch them."""
        return "anybody" if call.path.startswith(FOLDERS) else super().credential(call)

    def mishap(self, call: Call, prompt: str) -> Mishap | None:
        found = super().mishap(call, prompt)
        if found or call.method != "GET" or not (film := self._films.directed(call.path)):
            return found
        stage = "download" if call.path.startswith(FOLDERS) else "poll"
        return self._later.take(call.path, stage, film)

    def answer(self, call: Call) -> Reply:
        try:
            return self._routed(call)
        except Refused as refused:
            return _told(refused)

    def refusal(self, call: Call, kind: str, mishap: Mishap) -> Reply:
        reply = _told(_REFUSALS[kind])
        if kind == "throttle":
            seconds = str(max(1, math.ceil(mishap.seconds)))
            reply = replace(reply, headers={"retry-after": seconds})
        return replace(reply, status=mishap.status or reply.status)

    def _routed(self, call: Call) -> Reply:
        routes = {
            ("POST", CHAT): self._chat,
            ("POST", RESPONSES): self._response,
            ("POST", "/v1/files"): self._upload,
            ("POST", DRAW): lambda call: self._pictures.draw(call, _parsed(call)),
            ("POST", EDIT): lambda call: self._pictures.edit(call, _parsed(call)),
            ("POST", FILM): lambda call: self._films.make(call, *self._signed(call)),
            ("POST", FILM_EDIT): lambda call: self._films.edit(call, *self._signed(call)),
            ("POST", FILM_EXTENSION): lambda call: self._films.extend(call, *self._signed(call)),
            ("GET", "/v1/models"): _models,
            ("GET", "/v1/language-models"): _language_models,
            ("GET", "/v1/image-generation-models"): _painters,
            ("GET", "/v1/api-key"): _key,
        }
        if route := routes.get((call.method, call.path)):
            return route(call)
        for prefix, told in (("/v1/models/", described), ("/v1/language-models/", language_model)):
            if call.method == "GET" and call.path.startswith(prefix):
                return Reply(200, as_json(told(resolved(call.path.removeprefix(prefix)))))
        if call.method == "GET" and call.path.startswith(FOLDERS):
            return self._handed_out(call)
        if call.method == "GET" and call.path.startswith(POLLS):
            return self._films.poll(call, self.credential(call))
        if call.path in (path for _, path in routes):
            raise Refused("Method not allowed.", code="not-allowed", status=405)
        raise Refused("The requested resource was not found.", code="not-found", status=404)

    def _upload(self, call: Call) -> Reply:
        head = b"content-type: " + call.headers.get("content-type", "").encode() + b"\r\n\r\n"
        form = message_from_bytes(head + call.raw)
        parts = form.get_payload() if form.is_multipart() else []
        found = [part for part in parts if isinstance(part, Message) and part.get_filename()]
        if not found:
            raise Refused("Expected a multipart body with a file.", code="invalid-argument")
        name = self.mint("file-")
        payload = found[0].get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        self._files[name] = (found[0].get_content_type(), data)
        told = {
            "id": name,
            "object": "file",
            "bytes": len(data),
            "created_at": EPOCH,
            "filename": found[0].get_filename(),
            "purpose": "assistants",
        }
        return Reply(200, as_json(told))

    def _attached(self, body: Json) -> Json:
        """The chat with each file in place of its id, as the shared reader of chats wants it."""
        for message in body["messages"]:
            for part in message["content"] if isinstance(message["content"], list) else ():
                if part["type"] == "file":
                    name = part["file"]["file_id"]
                    media, _ = self._found(name)
                    part["file"] = {"file_data": f"data:{media};base64,"}
        return body

    def _found(self, name: str) -> tuple[str, bytes]:
        if name not in self._files:
            raise Refused(f"File {name} not found.", code="not-found", status=404)
        return self._files[name]

    def _signed(self, call: Call) -> tuple[str, Any]:
        return self.credential(call), _parsed(call)

    def _loaded(self, call: Call, link: Json) -> bytes | None:
        """The bytes of a linked file: uploaded, inline or made here; None for one elsewhere."""
        if "file_id" in link:
            return self._found(link["file_id"])[1]
        url: str = link["url"]
        if url.startswith("data:"):
            return base64.b64decode(url.partition(",")[2])
        path = url.removeprefix(origin(call))
        if path == url:
            return None
        if made := self._shelf.find(path):
            return made.data
        raise Refused(f"Failed to fetch {url}.", code="invalid-argument")

    def _handed_out(self, call: Call) -> Reply:
        if made := self._shelf.find(call.path):
            return served(call, made.data, made.media)
        return Reply(404, b"", content_type="text/plain")

    def _chat(self, call: Call) -> Reply:
        body = self._attached(accept(_parsed(call)))
        text = last_user_text(body["messages"])
        if rare := _rare(text):
            return rare
        turn = _Turn(self, body, _asked(body, len(call.raw)))
        if not body.get("stream"):
            return Reply(200, as_json(turn.whole()))
        broken = (_record({"error": _flat(_REFUSALS["fail"])["error"], "code": UNAVAILABLE}), DONE)
        return Reply(200, Stream(list(turn.frames()), error=broken), {}, EVENT_STREAM)

    def _response(self, call: Call) -> Reply:
        body = accept_response(_parsed(call))
        if rare := _rare(last_input_text(items_of(body["input"]))):
            return rare
        plain = {name: value for name, value in body.items() if name != "reasoning"}
        ask = ask_of_response(plain, len(call.raw))
        effort = (body.get("reasoning") or {}).get("effort")
        turn = Turn(self.mint, body, replace(ask, reasoning=_reasons(body["model"], effort)))
        if not body.get("stream"):
            return Reply(200, as_json(turn.closed()))
        frames = [frame(event, at) for at, event in enumerate(turn.events())]
        return Reply(200, Stream(frames, GARBAGE, turn.error_frames), {}, EVENT_STREAM)


class _Turn:
    """One chat answer in both of its forms."""

    def __init__(self, simulator: Simulator, body: Json, ask: Ask) -> None:
        self._body = body
        self._ask = ask
        self._said: Said = say(ask)
        self._id = str(uuid.uuid5(uuid.NAMESPACE_URL, simulator.mint("grok")))
        self._calls = [
            {
                "id": simulator.mint("call_", 8),
                "type": "function",
                "index": place,
                "function": {"name": name, "arguments": arguments},
            }
            for place, (name, arguments) in enumerate(self._said.calls)
        ]
        self._shows = traits(resolved(body["model"])).discloses and bool(self._said.thought)

    def whole(self) -> Json:
        message: Json = {"role": "assistant", "content": self._said.text, "refusal": None}
        if self._shows:
            message["reasoning_content"] = self._said.thought
        if self._calls:
            message["tool_calls"] = self._calls
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": self._usage(),
            **self._citations,
        }

    def frames(self) -> Iterator[Frame]:
        for place, delta in enumerate(self._deltas()):
            repeated = place == 0 or asked(self._ask.text, "repeated")
            role = {"role": "assistant"} if repeated else {}
            yield Frame(self._chunk([{"index": 0, "delta": {**role, **delta}}]), content=True)
        end = {"index": 0, "delta": {}, "finish_reason": self._finish}
        yield Frame(self._chunk([end], **self._citations), last=True)
        if (self._body.get("stream_options") or {}).get("include_usage"):
            yield Frame(self._chunk([], usage=self._usage()), last=True)
        yield Frame(DONE, last=True)

    def _deltas(self) -> Iterator[Json]:
        if self._shows:
            yield from ({"reasoning_content": piece} for piece in pieces(self._said.thought))
        yield from ({"content": piece} for piece in pieces(self._said.text))
        yield from ({"tool_calls": [call]} for call in self._calls)

    def _chunk(self, choices: list[Json], **more: Any) -> bytes:
        return _record({**self._head("chat.completion.chunk"), "choices": choices, **more})

    def _head(self, kind: str) -> Json:
        return {
            "id": self._id,
            "object": kind,
            "created": EPOCH,
            "model": resolved(self._body["model"]),
            "system_fingerprint": "fp_0123456789",
        }

    @property
    def _finish(self) -> str:
        if asked(self._ask.text, "end_turn"):
            return "end_turn"
        return {"stop_sequence": "stop"}.get(self._said.finish, self._said.finish)

    @property
    def _citations(self) -> Json:
        return {"citations": SOURCES} if asked(self._ask.text, "cited") else {}

    def _usage(self) -> Json:
        said = self._said
        return {
            "prompt_tokens": said.prompt_tokens,
            "completion_tokens": said.completion_tokens - said.reasoning_tokens,
            "total_tokens": said.prompt_tokens + said.completion_tokens,
            "prompt_tokens_details": {
                "text_tokens": said.prompt_tokens,
                "audio_tokens": 0,
                "image_tokens": 0,
                "cached_tokens": said.cached_tokens,
            },
            "completion_tokens_details": {
                "reasoning_tokens": said.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
            "num_sources_used": len(SOURCES) if self._citations else 0,
            "cost_in_usd_ticks": 1234500,
        }


def _asked(body: Json, bulk: int) -> Ask:
    """The facts of a chat; how hard to think is the model's own matter, not the shared reader's."""
    plain = {name: value for name, value in body.items() if name != "reasoning_effort"}
    ask = ask_of(plain, bulk)
    return replace(ask, reasoning=_reasons(body["model"], body.get("reasoning_effort")))


def _reasons(model: str, effort: str | None) -> bool:
    return traits(resolved(model)).reasons and effort != "none"


def _rare(text: str) -> Reply | None:
    """What the vendor does on rare days."""
    if asked(text, "sick"):
        return Reply(200, as_json({"code": UNAVAILABLE, "error": "Please try again later."}))
    if asked(text, "moderated"):
        return _told(
            Refused(
                "Content violates usage guidelines. Failed check: safety.",
                code="permission-denied",
                status=403,
            )
        )
    return None


def _parsed(call: Call) -> Any:
    if not call.headers.get("content-type", "").startswith("application/json"):
        raise Refused("Expected request with `Content-Type: application/json`", status=415)
    try:
        return call.parsed()
    except (ValueError, RecursionError):
        raise Refused(
            "Failed to parse the request body as JSON", code="invalid-argument", status=400
        ) from None


def _models(_call: Call) -> Reply:
    names = (*LISTED, *PAINTERS, *DIRECTORS)
    return Reply(200, as_json({"object": "list", "data": [described(one) for one in names]}))


def _language_models(_call: Call) -> Reply:
    return Reply(200, as_json({"models": [language_model(one) for one in LISTED]}))


def _painters(_call: Call) -> Reply:
    return Reply(200, as_json({"models": [described_painter(one) for one in PAINTERS]}))


def _key(_call: Call) -> Reply:
    told = {
        "redacted_api_key": "xai-...b14o",
        "user_id": "59fbe5f2-040b-46d5-8325-868bb8f23eb2",
        "name": "simulated",
        "team_id": "5ea6f6bd-7815-4b8a-9135-28b2d7ba6722",
        "acls": ["api-key:model:*", "api-key:endpoint:*"],
        "team_blocked": False,
        "api_key_blocked": False,
        "api_key_disabled": False,
    }
    return Reply(200, as_json(told))


def _flat(refused: Refused) -> Json:
    return {"code": refused.code or "invalid-argument", "error": refused.message}


def _told(refused: Refused) -> Reply:
    return Reply(refused.status, as_json(_flat(refused)))


def _record(value: Json) -> bytes:
    return b"data: " + as_json(value) + b"\n\n"


_EXHAUSTED = "Some resource has been exhausted"
_REFUSALS: dict[str, Refused] = {
    "keyless": Refused(
        "No credentials presented. Please provide an API key in the Authorization header.",
        code="unauthenticated",
        status=401,
    ),
    "refuse": Refused(
        "Incorrect API key provided: xa***ed. You can obtain an API key from the console.",
        code="Client specified an invalid argument",
    ),
    "forbid": Refused(
        "The API key does not have permission to use this endpoint.",
        code="The caller does not have permission to execute the specified operation",
        status=403,
    ),
    "throttle": Refused(
        "Too many requests for the team: requests per second exceeded.",
        code=_EXHAUSTED,
        status=429,
    ),
    "broke": Refused(
        "Your team has used all available credits or reached its monthly spending limit.",
        code=_EXHAUSTED,
        status=429,
    ),
    "overload": Refused("The model is at capacity.", code=UNAVAILABLE, status=503),
    "fail": Refused("Internal error. Please try again later.", code="internal", status=500),
}
