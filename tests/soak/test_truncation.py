"""R-001, M-01, M-02: of an answer that breaks off, wherever that is, nobody is told that it is whole."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from tests.deploy.front import Certificate, Front
from tests.models import DIRECT, MODELS
from tests.platforms.callers import CALLERS, Heard
from tests.platforms.conftest import Pair
from tests.sdk import test_anthropic_python, test_genai_python, test_openai_python
from tests.soak.trouble import FRAMES, Trouble, TroubledSimulators
from tests.stack import KEY, PATIENCE, Json, Stack, until

pytestmark = pytest.mark.slow
# Reliability asks for more than 10,000 that break off: set SOAK_TRUNCATIONS=12000.
CALLS = int(os.environ.get("SOAK_TRUNCATIONS", "400"))
AT_ONCE = 12
WORDS = 20
ALL = " ".join(f"word{number}" for number in range(1, WORDS + 1))
ENDS = ("close", "reset", "clean")
PACKS = ("", "", "", "gzip", "deflate")
WHOLE = 10  # one in so many is left whole, to see that whole ones are seen to be


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("truncation")
    simulators = TroubledSimulators(folder)
    stack = Stack(simulators, folder / "stack", TOKENS_WORKERS="2")
    yield stack
    stack.stop()
    simulators.stop()


@pytest.fixture(scope="module")
def front(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx before it, with the file that we ship."""
    folder = tmp_path_factory.mktemp("front")
    certificate = Certificate(folder)
    front = Front(folder, [f"127.0.0.1:{stack.environ['TOKENS_PORT']}"], certificate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(certificate.file))
        patch.setenv("SSL_CERT_FILE", str(certificate.file))
        yield front
    front.stop()


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
    headers, token = {"tokens-authorization": pair.stack.licence}, pair.stack.licence
    if call.brought:
        token = KEY
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
        return not heard.broken and "error" not in told
    chunks = Heard(200, {}, events=[("", json.dumps(one)) for one in told])
    return caller.is_whole(chunks) and caller.failure(chunks) is None


def said(call: Call, heard: Heard) -> str:
    """The words of an answer that looks whole."""
    if not call.stream:
        return call.pair.caller.text(heard.json)
    if call.array:
        return "".join(call.pair.caller.text(one) for one in json.loads(heard.content))
    return call.pair.caller.texts(heard)


def test_what_breaks_off_is_never_shown_as_whole(stack: Stack, front: Front) -> None:
    """Every platform in every dialect, streamed and not, cut at any byte: with a farewell, a reset or as
    if that were all; in chunks, with a length, up to the end of the connection; packed or not; to callers
    with a licence or a token of their own, past nginx or through it.
    """
    asked = calls(stack, CALLS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda call: heard(call, front), asked))
    notes = stack.simulators.notes()
    wrong, seen = [], Counter[str]()
    for call, answer in zip(asked, answers, strict=True):
        complete = any(one["complete"] for one in notes.get(call.trouble.number, ()))
        success = shows_success(call, answer)
        seen[_kind(complete, success, answer)] += 1
        if (success and (not complete or said(call, answer) != ALL)) or (
            not success and call.trouble.at == 1.0
        ):
            wrong.append((call, answer.status, answer.content[-500:]))
        if not complete and b"[DONE]" in answer.content:
            wrong.append((call, answer.status, answer.content[-500:]))

    print(f"\n{len(asked)} calls: {dict(seen)}; {len(wrong)} wrong")  # `pytest -s` shows it
    for w in wrong: print("WRONG", w[0].pair.name, w[0].trouble, w[0].stream, w[0].brought, w[0].array, w[0].fronted, w[1:])
    assert wrong == []
    assert seen["whole, seen as whole"] >= CALLS // WHOLE
    assert sum(times for kind, times in seen.items() if kind.startswith("cut")) > CALLS / 2


def _kind(complete: bool, success: bool, answer: Heard) -> str:
    if complete:  # what is cut off behind the last word is whole, and may be said to be
        return f"whole, seen as {'whole' if success else 'cut'}"
    if success:
        return "cut, SEEN AS WHOLE"
    return "cut, and broke off" if answer.broken else f"cut, and refused with {answer.status}"
