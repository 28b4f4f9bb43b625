"""What of a request the platform's dialect has no room for.

Found out by reading back what was written: whatever is missing there, or is another value, was lost
or approximated on the way. So no writer has to keep a list, and none can forget an entry. Fields are
told by the names the caller gave them.

What makes pictures and films has no dialect to be read back. Its engine says which wishes it `takes`,
and every other that a caller has is lost: one that an engine forgets is told too often, and never kept
quiet. Shapes and lengths are told from what they have become.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence, Set
from typing import Any

from app.canonical.media import ImageJob, VideoJob
from app.canonical.parts import Opaque, Part, Text, ToolCall, ToolResult
from app.canonical.request import ChatRequest, Tool
from app.errors import BadRequest, Lossy
from app.wire.dialect import Dialect

MOST = 50  # names that are told
_NAME = re.compile(r"[\w.() -]{1,64}", re.ASCII)
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "top_p": ("top_p", "topP"),
    "top_k": ("top_k", "topK"),
    "presence_penalty": ("presence_penalty", "presencePenalty"),
    "frequency_penalty": ("frequency_penalty", "frequencyPenalty"),
    "stop": ("stop", "stop_sequences", "stopSequences"),
    "max_output": ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens"),
    "reasoning": ("reasoning_effort", "reasoning", "thinking", "thinking_budget", "thinkingConfig"),
    "format": ("response_format", "text", "output_config", "responseMimeType"),
    "tool_choice": ("tool_choice", "function_call", "toolConfig"),
    "user": ("user", "safety_identifier", "metadata"),
    "service_tier": ("service_tier", "serviceTier"),
    "cache_key": ("prompt_cache_key",),
    "verbosity": ("verbosity", "text"),
    "seconds": ("seconds", "duration"),
    "aspect_ratio": ("aspect_ratio", "orientation"),
}
_UNREAD = ("logprobs", "top_logprobs", "responseLogprobs")  # for which our form has no room
_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
)
_PLAIN = ("user", "cache_key", "service_tier", "verbosity")
_CARRIED = ("name", "description", "type")  # of a mark, that are part of our form as well
# What a job is made of, and what is said of the call: no wishes for how it should look.
_MATERIAL = frozenset(
    """prompt image images mask video input_reference input_references reference_images
    messages input contents model stream stream_options async response_format webhook_url metadata
    n candidateCount responseModalities session_id prompt_cache_key""".split()
)
_SHAPE = frozenset({"size", "aspect_ratio", "resolution", "orientation", "seconds", "duration"})
_NOTHING: tuple[Any, ...] = (None, False, "", "auto", "false", [], {}, {"type": "text"})
_NEAR = 0.02  # of a shape: how far two may be apart that are the same
_EARLIER = "messages (earlier)"
_OURS = ("extra_body", "google")  # Google's words in another dialect, which its writer looks for


def losses(
    request: ChatRequest, body: Mapping[str, Any], upstream: Dialect, written: Mapping[str, Any]
) -> tuple[str, ...]:
    """The fields of `body`, read as `request`, that are lost or approximated in what was `written`
    for `upstream`, in alphabetical order.
    """
    try:
        seen = upstream.read_request({"model": request.model, **written})
    except BadRequest:  # ours is stricter with callers than the platform is with us
        return ()
    found = {_spelt(name, body) for name in _settings(request, seen)}
    found.update(_tools(request, seen))
    found.update(_turns(request, seen, upstream.NAME))
    found.update(_extras(request.extras, seen.extras, written))
    config = body.get("generationConfig")
    config = config if isinstance(config, Mapping) else {}
    found.update(name for name in _UNREAD if body.get(name) or config.get(name))
    return _told(found)


def left_out(body: Mapping[str, Any], written: Mapping[str, Any]) -> tuple[str, ...]:
    """The same where nothing was translated: fields taken out because the model refuses them."""
    gone = (name for name, value in body.items() if value is not None and name not in written)
    return _told({name for name in gone if name not in _SPELLINGS["max_output"]})


def neglected(
    fields: Mapping[str, Any],
    asked: ImageJob | VideoJob,
    fitted: ImageJob | VideoJob,
    takes: Set[str],
    *,
    earlier: bool = False,
) -> tuple[str, ...]:
    """The `fields` that count for nothing in the job that was read from them as `asked` and is made as
    `fitted`, by an engine that `takes` these. `earlier` says that more was said than the last words.
    """
    config = fields.get("generationConfig")
    given = {**fields, **(config if isinstance(config, Mapping) else {})}
    apart = {*_MATERIAL, *_SHAPE, *_SPELLINGS["max_output"], "generationConfig"}
    found = {
        name for name, value in given.items() if name not in apart and not _is_nothing(name, value)
    } - takes
    shaped = {_spelt(name, given) for name in _reshaped(asked, fitted, takes)}
    found |= shaped & given.keys()  # the model's name may ask for a shape as well
    return _told(found | ({_EARLIER} if earlier else set()))


def note(record: MutableMapping[str, Any], dropped: Sequence[str], *, strict: bool) -> None:
    """Tells the answer and the access log what is lost; those who are `strict` are refused."""
    if not dropped:
        return
    record["dropped"] = dropped
    if strict:
        raise Lossy(
            "the platform has no room for {fields}: leave that out, or call without strict",
            param=dropped[0],
            fields=", ".join(dropped),
        )


def _told(names: Set[str]) -> tuple[str, ...]:
    """In order, and fit for a header: callers may call their fields anything."""
    fit = {name if _NAME.fullmatch(name) else "a field without a name" for name in names}
    return tuple(sorted(fit)[:MOST])


def _spelt(name: str, body: Mapping[str, Any]) -> str:
    """The caller's own word for what we call `name`."""
    config = body.get("generationConfig")
    places = (body, config) if isinstance(config, Mapping) else (body,)
    for spelling in _SPELLINGS.get(name, (name,)):
        if any(place.get(spelling) is not None for place in places):
            return spelling
    return name


def _settings(request: ChatRequest, seen: ChatRequest) -> Iterator[str]:
    for name in _SAMPLING:
        asked = getattr(request.sampling, name)
        if asked is not None and getattr(seen.sampling, name) != asked:
            yield name
    if request.sampling.stop and seen.sampling.stop != request.sampling.stop:
        yield "stop"
    if request.max_output is not None and seen.max_output != request.max_output:
        yield "max_output"
    if _thinks_otherwise(request, seen):
        yield "reasoning"
    if request.format is not None and (
        seen.format is None or seen.format.kind != request.format.kind
    ):
        yield "format"
    for name in _PLAIN:
        if getattr(request, name) and getattr(seen, name) != getattr(request, name):
            yield name


def _thinks_otherwise(request: ChatRequest, seen: ChatRequest) -> bool:
    """Another currency is a translation; another amount in the same is not."""
    asked, got = request.reasoning, seen.reasoning
    if asked.effort is not None and got.effort is not None and asked.effort != got.effort:
        return True
    if asked.budget is not None and got.budget is not None and asked.budget != got.budget:
        return True
    wanted = asked.effort is not None or asked.budget is not None
    return wanted and got.effort is None and got.budget is None and not _is_off(request)


def _is_off(request: ChatRequest) -> bool:
    """Whether not to think was asked for: saying nothing may be how that is said."""
    return request.reasoning.effort == "none" or request.reasoning.budget == 0


def _tools(request: ChatRequest, seen: ChatRequest) -> Iterator[str]:
    if len(seen.tools) < len(request.tools):
        yield "tools"
    asked, got = request.tool_choice, seen.tool_choice
    if asked is None or (asked.mode == "auto" and not asked.names) or not request.tools:
        return
    if got is None or (got.mode, sorted(got.names)) != (asked.mode, sorted(asked.names)):
        yield "tool_choice"


def _turns(request: ChatRequest, seen: ChatRequest, dialect: str) -> Iterator[str]:
    parts, kept = list(_parts(request)), list(_parts(seen))
    missing = _kinds(parts) - _kinds(kept)
    yield from (f"messages ({kind})" for kind in missing)
    names = {turn.name for turn in request.turns if turn.name}
    if names - {turn.name for turn in seen.turns}:
        yield "messages.name"
    for name in ("detail", "is_error"):
        if sum(bool(getattr(one, name, "")) for one in parts) > sum(
            bool(getattr(one, name, "")) for one in kept
        ):
            yield f"messages.{name}"
    for one in (*parts, *request.tools):
        mark = getattr(one, "opaque", None)
        if isinstance(mark, Opaque) and mark.dialect != dialect and isinstance(mark.value, Mapping):
            place = "tools" if isinstance(one, Tool) else "messages"
            yield from (f"{place}.{name}" for name in mark.value if name not in _CARRIED)


def _parts(request: ChatRequest) -> Iterator[Part]:
    for turn in request.turns:
        for part in turn.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.content


def _kinds(parts: list[Part]) -> Counter[str]:
    """How many parts there are of each kind, but for words: those may be joined."""
    plain = (Text, ToolCall, ToolResult)
    return Counter(type(part).__name__.lower() for part in parts if not isinstance(part, plain))


def _extras(
    extras: Opaque | None, seen: Opaque | None, written: Mapping[str, Any]
) -> Iterator[str]:
    for name, value in extras.value.items() if extras is not None else ():
        if value is None or written.get(name) == value or (name in _OURS and seen is not None):
            continue
        if name in ("generationConfig", "toolConfig") and isinstance(value, Mapping):
            yield from value
        elif name != "stream_options":
            yield name


def _is_nothing(name: str, value: Any) -> bool:
    """Whether a field says no more than its absence would. Responses know another `background`."""
    if isinstance(value, str):
        value = value.strip().lower()
    return value in _NOTHING or (name == "background" and isinstance(value, bool))


def _reshaped(
    asked: ImageJob | VideoJob, fitted: ImageJob | VideoJob, takes: Set[str]
) -> Iterator[str]:
    if asked.resolution and "resolution" not in takes:
        yield "resolution"
    for name in ("aspect_ratio", "size"):
        wanted, found = getattr(asked, name), fitted.aspect_ratio or fitted.size
        if wanted and not (found and _is_like(wanted, found)):
            yield name
        elif wanted and isinstance(fitted, VideoJob) and name == "size" and wanted != fitted.size:
            yield name
    if isinstance(asked, VideoJob) and isinstance(fitted, VideoJob):
        if asked.seconds and asked.seconds != fitted.seconds:
            yield "seconds"


def _is_like(one: str, other: str) -> bool:
    """Whether two shapes are the same, as sides or as ratios."""
    return abs(_ratio(one) / _ratio(other) - 1) <= _NEAR


def _ratio(shape: str) -> float:
    wide, _, high = shape.replace("x", ":").partition(":")
    return float(wide) / float(high)
