"""From a generateContent request to the neutral facts a simulated model needs.

`last_user_text` is also asked about requests nobody has validated, in either casing, so it
expects nothing. Input is counted over what the model reads, an inline file at a flat rate.
"""

from __future__ import annotations

import mimetypes
from typing import Any

from app.simulators.exchange import as_json
from app.simulators.gemini_limits import CHOICE, JSON
from app.simulators.gemini_models import Traits, traits
from app.simulators.gemini_turns import RESPONSE, current_turn, inner
from app.simulators.script import BYTES_PER_TOKEN, Ask

Json = dict[str, Any]

FILE_TOKENS = 258  # what an inline image or file counts as
MODALITIES = {"image": "IMAGE", "audio": "AUDIO", "video": "VIDEO"}


def ask_of(body: Json, model: str) -> Ask:
    """The facts of an accepted request."""
    contents, config = body["contents"], body.get("generationConfig") or {}
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode, allowed = calling.get("mode", "AUTO"), calling.get("allowedFunctionNames") or []
    tools = {} if mode == "NONE" else _functions(body)
    if allowed:
        tools = {name: tools[name] for name in allowed}
    asked = contents[current_turn(contents)]
    return Ask(
        text=last_user_text(contents),
        turns=len(contents),
        tools=tools,
        forced=(allowed[0] if len(allowed) == 1 else "") if mode == "ANY" else None,
        schema=_schema(config),
        reasoning=_thinks(config.get("thinkingConfig") or {}, traits(model)),
        attachments=media_types(asked),
        tool_results=_results(contents[-1]),
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(config.get("stopSequences") or ()),
        model=model,
        bulk=prompt_tokens(body) * BYTES_PER_TOKEN,
    )


def last_user_text(contents: Any) -> str:
    """What the user said last, parts joined by a line end; empty when nothing fits."""
    for content in reversed(contents if isinstance(contents, list) else []):
        if isinstance(content, dict) and content.get("role", "user") == "user":
            parts = content.get("parts")
            texts = [
                part["text"]
                for part in (parts if isinstance(parts, list) else [])
                if isinstance(part, dict) and isinstance(part.get("text"), str) and part["text"]
            ]
            if texts:
                return "\n".join(texts)
    return ""


def media_types(content: Json) -> tuple[str, ...]:
    """Of the files in a content."""
    inline = (blob["mimeType"] for blob in inner(content, "inlineData"))
    linked = (_linked(file) for file in inner(content, "fileData"))
    return (*inline, *linked)


def prompt_tokens(body: Json) -> int:
    """How many tokens the request is."""
    return sum(token_counts(body).values())


def token_counts(body: Json) -> dict[str, int]:
    """The tokens of the request by modality, text first."""
    counts = {"TEXT": 0}
    size = 0
    read = [body.get("systemInstruction") or {}, *body["contents"]]
    for content in read:
        for part in content.get("parts") or ():
            if "inlineData" in part or "fileData" in part:
                (media,) = media_types({"parts": [part]})
                kind = MODALITIES.get(media.partition("/")[0], "DOCUMENT")
                counts[kind] = counts.get(kind, 0) + FILE_TOKENS
            else:
                size += len(part["text"].encode()) if "text" in part else len(as_json(part))
    size += len(as_json(body["tools"])) if body.get("tools") else 0
    counts["TEXT"] = max(1, -(-size // BYTES_PER_TOKEN))
    return counts


def _linked(file: Json) -> str:
    guessed, _ = mimetypes.guess_type(file["fileUri"].partition("?")[0])
    return str(file.get("mimeType") or guessed or "video/*")


def _functions(body: Json) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for tool in body.get("tools") or ():
        for declared in tool.get("functionDeclarations") or ():
            found[declared["name"]] = (
                declared.get("parametersJsonSchema") or declared.get("parameters") or {}
            )
    return found


def _schema(config: Json) -> Json | None:
    if config.get("responseMimeType") not in (JSON, CHOICE):
        return None
    return config.get("responseJsonSchema") or config.get("responseSchema") or {}


def _thinks(config: Json, found: Traits) -> bool:
    if not found.thinks:
        return False
    budget = config.get("thinkingBudget", -1 if found.thinks_unasked else 0)
    return bool(budget) or not found.can_stop


def _results(content: Json) -> tuple[str, ...]:
    answers = (each["response"] for each in inner(content, RESPONSE))
    return tuple(_told(answer) for answer in answers)


def _told(answer: Json) -> str:
    """A lone text is quoted as it is, anything else as JSON."""
    values = list(answer.values())
    return (
        values[0] if len(values) == 1 and isinstance(values[0], str) else as_json(answer).decode()
    )
