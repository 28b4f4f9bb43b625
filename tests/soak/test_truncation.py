"""R-001, M-01, M-02: of an answer that breaks off, wherever that is, nobody is told that it is whole."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.deploy.front import Front
from tests.models import DIRECT
from tests.platforms.callers import CALLERS, Heard
from tests.platforms.conftest import Pair
from tests.sdk import test_anthropic_python, test_genai_python, test_openai_python
from tests.soak.trouble import FRAMES, Trouble
from tests.stack import KEY, Stack

pytestmark = pytest.mark.slow
# Reliability asks for more than 10,000 that break off: set SOAK_TRUNCATIONS=12000.
CALLS = int(os.environ.get("SOAK_TRUNCATIONS", "300"))
AT_ONCE = 12
NEXT = 1_000_000  # the first number of calls by SDKs
WORDS = 20
ALL = " ".join(f"word{number}" for number in range(1, WORDS + 1))
ENDS = ("close", "reset", "clean")
PACKS = ("", "", "", "gzip", "deflate")
WHOLE = 10  # one in so many is left whole, to see that whole ones are seen to be


@pytest.fixture(scope="module")
def trusted(front: Front) -> Iterator[Front]:
    """By every client in this process."""
    file = str(front.certificate.file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", file)
        patch.setenv("SSL_CERT_FILE", file)
        yield front


@dataclass(frozen=True, slots=True)
class Call:
    """One call, what is done to its answer, and the way it goes."""

    pair: Pair
    trouble: Trouble
    stream: bool
    array: bool  # Google's other framing of a stream
    brought: bool
    fronted: bool
    again: int

    @property
    def text(self) -> str:
        return f"simulate: words={WORDS}\n{self.trouble}"


def calls(stack: Stack, count: int, seed: int = 1) -> list[Call]:
    dice = random.Random(seed)
    return [_call(stack, number, dice) for number in range(1, count + 1)]


def _call(stack: Stack, number: int, dice: random.Random) -> Call:
    pair = Pair(dice.choice(DIRECT), dice.choice(CALLERS), stack)
    at, end, frame = round(dice.random(), 6), dice.choice(ENDS), dice.choice(FRAMES)
    if number % WHOLE == 0:
        at, end = 1.0, "clean"
    stream = dice.random() < 0.7
    return Call(
        pair=pair,
        trouble=Trouble(number, at, end, frame, dice.choice(PACKS)),
        stream=stream,
        array=stream and pair.caller.name == "gemini_generate" and dice.random() < 0.3,
        brought=dice.random() < 0.2,
        fronted=dice.random() < 0.5,
        again=dice.choice((0, 0, 0, 1)),
    )


def heard(call: Call, front: Front) -> Heard:
    pair = call.pair
    path, body = pair.ask(call.text, stream=call.stream)
    if call.array:
        path = path.removesuffix("?alt=sse")
    base = f"{front.url}/{pair.platform}" if call.fronted else pair.base
    headers, token = {}, pair.stack.licence
    if call.brought:
        headers, token = {"tokens-authorization": token}, KEY
    query = f"retry_attempt={call.again}"
    return pair.caller.call(base, (path, body), token, query=query, headers=headers)


def shows_success(call: Call, heard: Heard) -> bool:
    """Whether a client of the dialect would take it for whole, even one that leaves at what looks like
    the end and does not see the connection break.
    """
    caller = call.pair.caller
    if heard.status != 200:
        return False
    if call.stream and not call.array:
        return caller.is_whole(heard)
    try:
        told = json.loads(heard.content)
    except ValueError:
        return False
    if not call.stream:
        return not heard.broken and not told.get("error")
    chunks = Heard(200, {}, events=[("", json.dumps(one)) for one in told])
    return caller.is_whole(chunks) and caller.failure(chunks) is None


def said(call: Call, heard: Heard) -> str:
    """The words of an answer that looks whole."""
    if not call.stream:
        return call.pair.caller.text(heard.json)
    if call.array:
        return "".join(call.pair.caller.text(one) for one in json.loads(heard.content))
    return call.pair.caller.texts(heard)


def test_what_breaks_off_is_never_shown_as_whole(troubled: Stack, trusted: Front) -> None:
    """Every platform in every dialect, streamed and not, cut at any byte: with a farewell, a reset or as
    if that were all; in chunks, with a length, up to the end of the connection; packed or not; to callers
    with a licence or a token of their own, past nginx or through it.
    """
    asked = calls(troubled, CALLS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda call: heard(call, trusted), asked))
    notes = troubled.simulators.notes()
    wrong, seen = [], Counter[str]()
    for call, answer in zip(asked, answers, strict=True):
        complete = any(one.get("complete") for one in notes.get(call.trouble.number, ()))
        success = shows_success(call, answer)
        seen[_kind(complete, success, answer)] += 1
        if not _is_right(call, answer, complete=complete, success=success):
            wrong.append(f"{call} {answer.status}: {answer.content[-500:]!r}")

    print(f"\n{len(asked)} calls, {len(wrong)} wrong: {dict(seen)}")  # `pytest -s` shows it
    assert wrong == []
    assert seen["whole, shown as whole"] >= CALLS // WHOLE
    assert sum(times for kind, times in seen.items() if kind.startswith("cut")) > CALLS / 2


def _is_right(call: Call, answer: Heard, *, complete: bool, success: bool) -> bool:
    if success:
        return complete and said(call, answer) == ALL
    return call.trouble.at < 1.0 and (complete or b"[DONE]" not in answer.content)


def _kind(complete: bool, success: bool, answer: Heard) -> str:
    """What is cut off behind the last word is whole, and may be shown as that."""
    told = (
        "whole" if success else "broken off" if answer.broken else f"{answer.status} with an error"
    )
    return f"{'whole' if complete else 'cut'}, shown as {told}"


def test_half_an_event_is_told_to_nobody_but_who_wants_the_bytes_as_they_are(
    troubled: Stack, trusted: Front
) -> None:
    """R-001, C-048: with a licence there is nothing but whole events, and the error is the last."""
    native = [
        replace(one, trouble=replace(one.trouble, number=2 * NEXT + at), brought=at % 4 == 0)
        for at, one in enumerate(calls(troubled, CALLS * 4, seed=3))
        if one.stream and not one.array and one.pair.is_raw and one.trouble.at < 1.0
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda call: heard(call, trusted), native))
    torn = Counter[bool]()
    for call, answer in zip(native, answers, strict=True):
        if answer.status != 200 or not answer.broken:
            continue
        *events, last = answer.content.replace(b"\r\n", b"\n").split(b"\n\n")
        torn[call.brought] += bool(last)
        if not call.brought:
            data = [json.loads(one.partition(b"data: ")[2]) for one in events if b"data: " in one]
            end = Heard(200, {}, events=[("", json.dumps(data[-1]))])
            assert call.pair.caller.failure(end), answer.content[-500:]

    print(f"\n{len(native)} streams, {torn[True]} with half an event")
    assert torn[True] and not torn[False]


def _openai_chat(url: str, licence: str, model: str, text: str) -> bool:
    chunks: Any = test_openai_python.opened(url, licence).chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], stream=True
    )
    return any(choice.finish_reason for chunk in chunks for choice in chunk.choices)


def _openai_responses(url: str, licence: str, model: str, text: str) -> bool:
    client = test_openai_python.opened(url, licence)
    events: Any = client.responses.create(model=model, input=text, stream=True)
    return "response.completed" in [event.type for event in events]


def _anthropic(url: str, licence: str, model: str, text: str) -> bool:
    with test_anthropic_python.opened(url, licence).messages.stream(
        model=model, max_tokens=4000, messages=[{"role": "user", "content": text}]
    ) as stream:
        return stream.get_final_message().stop_reason is not None


def _genai(url: str, licence: str, model: str, text: str) -> bool:
    client = test_genai_python.opened(url, licence, "v1beta")
    chunks = list(client.models.generate_content_stream(model=model, contents=text))
    return any(c.candidates and c.candidates[0].finish_reason for c in chunks)


SDKS: dict[str, tuple[Callable[[str, str, str, str], bool], tuple[type[Exception], ...]]] = {
    "openai_chat": (_openai_chat, test_openai_python.BROKEN),
    "openai_responses": (_openai_responses, test_openai_python.BROKEN),
    "anthropic_messages": (_anthropic, test_anthropic_python.BROKEN),
    "gemini_generate": (_genai, test_genai_python.BROKEN),
}


def test_no_official_sdk_takes_it_for_whole(troubled: Stack) -> None:
    """A sample of the same streams, read by those who know best."""
    sample = [one for one in calls(troubled, CALLS, seed=2) if one.stream][: max(24, CALLS // 10)]
    asked = [
        replace(one, trouble=replace(one.trouble, number=NEXT + at))
        for at, one in enumerate(sample)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        took = list(pool.map(_took_for_whole, asked))
    notes = troubled.simulators.notes()
    complete = [
        any(one.get("complete") for one in notes.get(call.trouble.number, ())) for call in asked
    ]

    print(f"\n{len(asked)} streams, {sum(took)} taken for whole, {sum(complete)} are")
    assert [
        call for call, is_taken, is_whole in zip(asked, took, complete) if is_taken > is_whole
    ] == []
    assert 0 < sum(took) < len(asked) / 2


def _took_for_whole(call: Call) -> bool:
    pair = call.pair
    ask, broken = SDKS[pair.caller.name]
    try:
        return ask(pair.base, pair.stack.licence, pair.model, call.text)
    except broken:  # and not because of half an event, which would be no JSON
        return False
