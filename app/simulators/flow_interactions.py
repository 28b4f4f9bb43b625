"""Interactions: a wish for a video in the background, polled until it is there, or waited for.

Besides mishaps a prompt may order how it ends: `declined` (completed, with words and no video),
`failed` (with errors; `failed=step` tells it in the step), `status=WORD` (any other status at the
end), `unsafe` (refused at once), `twice` (an earlier video in a step of its own) and `stuck` (never
ends). `takes=SECONDS` is how long it takes.
"""

from __future__ import annotations

import base64
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from app.simulators.directives import asked, value
from app.simulators.exchange import Call, Frame, as_json
from app.simulators.films import film
from app.simulators.flow_files import File, Files, moment
from app.simulators.flow_rules import FILE, INVALID, MOST_IN_ALL, MOST_STEP, Wish
from app.simulators.gemini_ask import FILE_TOKENS
from app.simulators.gemini_thoughts import of_text
from app.simulators.jobs import Job, takes
from app.simulators.openai_checks import Refused
from app.simulators.script import count

KEPT = 200
SECONDS = 8  # of a video nobody gave a length
LONGEST_EDITED = 10
TOKENS = 5792  # for a second of video
LONGEST_WAIT = 600.0
QUEUED = 10  # percent of the time
STEP = 0.02  # seconds between two looks of one who waits

PATH = re.compile(r"/(?:v1beta|v1alpha|v1)/interactions(?:/([A-Za-z0-9_-]+))?(/cancel)?")

Json = dict[str, Any]


@dataclass(slots=True)
class Interaction:
    """One on its way; `seconds` is the length of the whole video, `added` what is new in it.

    What goes on in the background is queued until it has been `announced`, however quick it is.
    """

    name: str
    key: str
    wish: Wish
    job: Job
    seconds: int
    added: int
    announced: bool = False
    cancelled: bool = False
    files: tuple[File, ...] = ()

    def status(self, now: float) -> str:
        if self.cancelled:
            return "cancelled"
        if self.wish.background and not self.announced:
            return "queued"
        progress = self.job.progress(now)
        if progress < 100 or asked(self.wish.prompt, "stuck"):
            return "queued" if progress < QUEUED else "in_progress"
        if asked(self.wish.prompt, "failed"):
            return "failed"
        return value(self.wish.prompt, "status") or "completed"

    def over(self, now: float) -> bool:
        return self.status(now) not in ("queued", "in_progress")

    def filmed(self, now: float) -> bool:
        return self.status(now) == "completed" and not asked(self.wish.prompt, "declined")


class Interactions:
    """The interactions of all keys."""

    def __init__(
        self, now: Callable[[], float], mint: Callable[[str, int], str], files: Files
    ) -> None:
        self._now = now
        self._mint = mint
        self._files = files
        self._kept: OrderedDict[str, Interaction] = OrderedDict()

    def begin(self, key: str, wish: Wish) -> Interaction:
        if asked(wish.prompt, "unsafe"):
            raise _invalid("The request was blocked by safety filters.")
        for each in wish.content:
            if found := FILE.fullmatch(each.get("uri", "")):
                self._files.usable(found.group(1), key)
        seconds, added = self._lengths(key, wish)
        job = Job(self._now(), takes(wish.prompt))
        begun = Interaction(self._mint("v1_", 48), key, wish, job, seconds, added)
        if wish.store:
            self._kept[begun.name] = begun
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return begun

    def find(self, name: str, key: str) -> Interaction:
        """The interaction; an unknown one is not 404 here."""
        found = self._kept.get(name)
        if found is None:
            raise _invalid(f"Invalid interaction name: {name}")
        if found.key != key:
            raise Refused(
                "The caller does not have permission", code="permission_denied", status=403
            )
        return found

    def cancel(self, name: str, key: str) -> Interaction:
        found = self.find(name, key)
        if not found.wish.background or found.over(self._now()):
            raise _invalid("Only a background interaction that is running can be cancelled.")
        found.cancelled = True
        return found

    def remove(self, name: str, key: str) -> None:
        self.find(name, key)
        del self._kept[name]

    def directed(self, name: str) -> str:
        """The prompt of an interaction, empty when there is none."""
        found = self._kept.get(name)
        return found.wish.prompt if found else ""

    def over(self, interaction: Interaction) -> bool:
        return interaction.over(self._now())

    def told(self, call: Call, one: Interaction) -> Json:
        """The whole interaction as it stands now."""
        now = self._now()
        status = one.status(now)
        told: Json = {
            "id": one.name,
            "object": "interaction",
            "model": one.wish.model,
            "status": status,
            "created": moment(one.job.started),
            "updated": moment(now),
            "steps": [{"type": "user_input", "content": list(one.wish.content)}],
        }
        if one.wish.previous:
            told["previous_interaction_id"] = one.wish.previous
        over, one.announced = one.over(now), True
        if not over:
            return told
        told["steps"] += [{"type": "thought", "signature": of_text(one.name), "summary": []}]
        told["steps"] += self._outcome(call, one, status)
        if status == "failed" and value(one.wish.prompt, "failed") != "step":
            told["errors"] = [{"code": "internal", "message": "The video could not be generated."}]
        told["usage"] = _usage(one, one.filmed(now))
        return told

    def events(
        self, call: Call, one: Interaction, wait: Callable[[float], None]
    ) -> Iterator[Frame]:
        """The same as a stream, which goes on as the work does."""
        begun = {name: item for name, item in self.told(call, one).items() if name != "steps"}
        yield _event("interaction.created", 0, interaction=begun)
        self.wait(one, wait)
        told = self.told(call, one)
        yield _event("interaction.status_update", 1, interaction_id=one.name, status="in_progress")
        number = 2
        for index, step in enumerate(told["steps"][1:]):
            bare = {"type": step["type"]}
            yield _event("step.start", number, index=index, step=bare)
            for part in step.get("content", ()):
                number += 1
                yield _event("step.delta", number, content=True, index=index, delta=part)
            yield _event("step.stop", number + 1, index=index)
            number += 2
        ended = {name: item for name, item in told.items() if name != "steps"}
        yield _event("interaction.completed", number, last=True, interaction=ended)
        yield Frame(b"event: done\ndata: [DONE]\n\n", last=True)

    def wait(self, one: Interaction, wait: Callable[[float], None]) -> None:
        """Comes back when it is over, or when nobody waits that long."""
        for _ in range(int(LONGEST_WAIT / STEP)):
            if one.over(self._now()):
                return
            wait(STEP)

    def _lengths(self, key: str, wish: Wish) -> tuple[int, int]:
        wanted = wish.seconds or SECONDS
        if not wish.previous:
            return wanted, wanted
        previous = self.find(wish.previous, key)
        if not previous.filmed(self._now()):
            raise _invalid("The previous interaction has no video.")
        if wish.task == "extend":
            step = min(wanted, MOST_STEP)
            if previous.seconds + step > MOST_IN_ALL:
                raise _invalid(f"A video can be extended to at most {MOST_IN_ALL}s.")
            return previous.seconds + step, step
        if previous.seconds > LONGEST_EDITED:
            raise _invalid(f"A video to edit must not be longer than {LONGEST_EDITED}s.")
        return previous.seconds, previous.seconds

    def _outcome(self, call: Call, one: Interaction, status: str) -> list[Json]:
        words = one.wish.prompt
        if status == "failed" and value(words, "failed") == "step":
            error = {"code": 13, "message": "The video could not be generated."}
            return [{"type": "model_output", "error": error}]
        if not one.filmed(self._now()):
            if status != "completed":
                return []
            text = "I cannot make this video. Please try a different prompt."
            return [{"type": "model_output", "content": [{"type": "text", "text": text}]}]
        if not one.files:
            one.files = tuple(self._made(one, take) for take in range(1 + asked(words, "twice")))
        return [
            {"type": "model_output", "content": [self._video(call, one, made)]}
            for made in one.files
        ]

    def _made(self, one: Interaction, take: int) -> File:
        words = f"{one.wish.prompt} {take}" if take else one.wish.prompt
        data = film(*one.wish.size, one.seconds, words)
        return self._files.make(one.key, data, one.seconds, "omni", one.wish.prompt)

    def _video(self, call: Call, one: Interaction, made: File) -> Json:
        video: Json = {"type": "video", "mime_type": made.media}
        if one.wish.inline:
            return {**video, "data": base64.b64encode(made.data).decode()}
        return {**video, "uri": self._files.address(call, made)}


def _usage(one: Interaction, filmed: bool) -> Json:
    wish = one.wish
    read = count(wish.prompt) + FILE_TOKENS * len(wish.media("image") + wish.media("video"))
    made = TOKENS * one.added if filmed else 0
    usage: Json = {
        "total_input_tokens": read,
        "total_output_tokens": made,
        "total_tokens": read + made,
    }
    if made:
        usage["output_tokens_by_modality"] = [{"modality": "video", "tokens": made}]
    return usage


def _event(kind: str, number: int, content: bool = False, last: bool = False, **more: Any) -> Frame:
    data = as_json({"event_type": kind, "event_id": f"e{number}", **more})
    return Frame(b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n", content, last)


def _invalid(message: str) -> Refused:
    return Refused(message, code=INVALID)
