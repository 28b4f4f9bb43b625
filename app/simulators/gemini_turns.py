"""The rules that hold between contents: order of roles, pairing of functions, signatures.

The current turn begins with the last thing the user said in words. Within it the first function
call of every step must carry its signature, on models that sign.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from app.simulators.gemini_checks import Refused
from app.simulators.gemini_models import Traits
from app.simulators.gemini_rules import DATA
from app.simulators.gemini_thoughts import fits

Json = dict[str, Any]

ROLES = ("user", "model", "function")
CALL = "functionCall"
RESPONSE = "functionResponse"

MEDIA_TYPES = frozenset(
    {
        *(f"image/{each}" for each in "png jpeg webp heic heif".split()),
        *(f"audio/{each}" for each in "wav mp3 mpeg aiff aac ogg flac x-wav L16 pcm".split()),
        *(
            f"video/{each}"
            for each in "mp4 mpeg mov quicktime avi flv x-flv mpg webm wmv 3gpp x-msvideo".split()
        ),
        "application/pdf",
        "application/json",
        *(f"text/{each}" for each in "plain html css csv markdown xml javascript rtf md".split()),
    }
)


def inner(content: Json, kind: str) -> list[Json]:
    """The data of the content's parts of this kind."""
    return [part[kind] for part in content.get("parts") or () if kind in part]


def require_turns(contents: list[Json], found: Traits) -> None:
    """Raises for the first rule of the conversation that is broken."""
    if not contents:
        raise Refused("* GenerateContentRequest.contents: contents is not specified")
    for index, content in enumerate(contents):
        _content(content, f"contents[{index}]")
    if contents[0].get("role", "user") != "user":
        raise Refused("Please ensure that multiturn requests begin with a user turn.")
    _functions(contents)
    if found.ends_with_user and contents[-1].get("role") == "model":
        raise Refused("Requests ending with a model turn are not supported.")
    if found.signed:
        _signatures(contents)


def require_parts(content: Json, at: str) -> None:
    """Raises for a content without parts, or a part without data."""
    parts = content.get("parts") or []
    if not parts:
        raise Refused(f"* GenerateContentRequest.{at}.parts: contents.parts must not be empty.")
    for index, part in enumerate(parts):
        if not any(name in part for name in DATA):
            raise Refused(
                f"* GenerateContentRequest.{at}.parts[{index}].data: required oneof field 'data' "
                "must have one initialized field"
            )
        media = part.get("inlineData") or part.get("fileData") or {}
        kind = str(media.get("mimeType", "")).partition(";")[0].lower()
        if kind and kind not in MEDIA_TYPES:
            raise Refused(f"Unsupported MIME type: {kind}")


def _content(content: Json, at: str) -> None:
    if content.get("role", "user") not in ROLES:
        raise Refused("Please use a valid role: user, model.")
    require_parts(content, at)
    if all(part.get("text") == "" and "thoughtSignature" not in part for part in content["parts"]):
        raise Refused(f"* GenerateContentRequest.{at}.parts: contents.parts must not be empty.")


def _functions(contents: list[Json]) -> None:
    calls: list[Json] = []
    for index, content in enumerate(contents):
        made, answers = inner(content, CALL), inner(content, RESPONSE)
        if made and (content.get("role") != "model" or _role(contents, index - 1) == "model"):
            raise Refused(
                "Please ensure that function call turn comes immediately after a user turn or "
                "after a function response turn."
            )
        if answers and (content.get("role") == "model" or not calls):
            raise Refused(
                "Please ensure that function response turn comes immediately after a function "
                "call turn."
            )
        if calls:
            _answered(calls, answers)
        calls = made


def _role(contents: list[Json], index: int) -> str:
    return str(contents[index].get("role", "user")) if index >= 0 else "model"


def _answered(calls: list[Json], answers: list[Json]) -> None:
    ids = [call["id"] for call in calls if call.get("id")]
    strange = [each["id"] for each in answers if each.get("id") and each["id"] not in ids]
    names = Counter(call["name"] for call in calls)
    if len(calls) != len(answers) or names != Counter(each["name"] for each in answers):
        raise Refused(
            "Please ensure that the number of function response parts is equal to the number of "
            "function call parts of the function call turn."
        )
    if ids and strange:
        raise Refused(f"No function call has the id {strange[0]} of a function response.")


def current_turn(contents: list[Json]) -> int:
    """Where the current turn begins: at the user's last content that is not only answers."""
    for index in range(len(contents) - 1, -1, -1):
        content = contents[index]
        if content.get("role", "user") == "user" and not inner(content, RESPONSE):
            return index
    return 0


def _signatures(contents: list[Json]) -> None:
    start = current_turn(contents)
    for index, content in enumerate(contents[start:], start):
        calls = [part for part in content["parts"] if CALL in part]
        if not calls:
            continue
        name, args = calls[0][CALL]["name"], calls[0][CALL].get("args") or {}
        signature = calls[0].get("thoughtSignature")
        if not signature:
            raise Refused(
                "Function call is missing a thought_signature in functionCall parts. This is "
                "required for tools to work correctly, and missing thought_signature may lead to "
                f"degraded model performance. Additional data, function call `default_api:{name}` "
                f", position {index + 1}."
            )
        if not fits(signature, name, args):
            raise Refused("Corrupted thought signature.")
