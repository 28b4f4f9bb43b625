"""The image routes as anybody calls them: JSON and forms alike, and pictures that nobody waits for."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.cli.worker import worker_command
from app.simulators.pictures import picture
from tests.sdk.pictures import PAINTERS, look, opened
from tests.stack import ROOT, Stack, until

Call = Callable[..., requests.Response]
MODEL = PAINTERS["chatgpt"].model
WISH = {"model": MODEL, "prompt": "A kite"}
GIVEN, OTHER = picture(64, 48, "given"), picture(48, 64, "other", "webp")
TEXT = base64.b64encode(GIVEN).decode()
MAKE, EDIT = "/chatgpt/v1/images/generations", "/chatgpt/v1/images/edits"


@pytest.fixture(scope="module")
def worker(stack: Stack) -> Iterator[None]:
    """A process that works in the background."""
    log = (stack.folder / "worker.log").open("ab")
    process = subprocess.Popen(
        worker_command(), env=stack.environ, cwd=ROOT, stdout=log, stderr=log
    )
    yield
    process.terminate()
    process.wait(20)
    log.close()


def form(fields: dict[str, Any]) -> Any:
    """As a form, even where there are no files."""
    return [(name, (None, str(value))) for name, value in fields.items()]


def shown(told: requests.Response) -> tuple[str, tuple[int, int]]:
    assert told.status_code == 200, told.text
    (one,) = told.json()["data"]
    return look(base64.b64decode(one["b64_json"], validate=True))


def test_a_form_and_json_make_the_same(call: Call, stack: Stack) -> None:
    """C-159, C-160, C-172, K-096."""
    wish = {**WISH, "size": "1536x1024", "n": 1, "output_format": "webp", "quality": "hd"}
    stack.simulators.clear("chatgpt")
    told = [call("POST", MAKE, json=wish), call("POST", MAKE, files=form(wish))]

    assert shown(told[0]) == shown(told[1]) == ("image/webp", (1536, 1024))
    asked = [one["body"] for one in stack.simulators.journal("chatgpt")]
    assert asked[0] == asked[1]
    for one in told:
        assert (one.json()["size"], one.json()["quality"]) == ("1536x1024", "high")


EDITS: list[Any] = [
    ("one text", {"json": {"image": TEXT}}, 1),
    ("a data URL", {"json": {"image": f"data:image/png;base64,{TEXT}"}}, 1),
    ("a list", {"json": {"image": [TEXT, TEXT]}}, 2),
    ("objects", {"json": {"images": [{"image_url": TEXT}, {"image_url": TEXT}]}}, 2),
    ("image", {"files": [("image", ("a.png", GIVEN))]}, 1),
    ("image twice", {"files": [("image", ("a", GIVEN)), ("image", ("b", OTHER))]}, 2),
    ("image[]", {"files": [("image[]", ("a", GIVEN)), ("image[]", ("b", OTHER))]}, 2),
    ("image[0]", {"files": [("image[0]", ("a", GIVEN)), ("image[1]", ("b", OTHER))]}, 2),
    ("images", {"files": [("images", ("a", GIVEN))]}, 1),
    ("a text part", {"files": [("image", (None, TEXT))]}, 1),
    ("an object's part", {"files": [("images[0][image_url]", (None, TEXT))]}, 1),
]


@pytest.mark.parametrize("how, many", [one[1:] for one in EDITS], ids=[one[0] for one in EDITS])
def test_pictures_to_edit_come_in_every_form(
    call: Call, stack: Stack, how: dict[str, Any], many: int
) -> None:
    """C-161 to C-166, K-095, K-097."""
    stack.simulators.clear("chatgpt")
    if "json" in how:
        told = call("POST", EDIT, json=WISH | how["json"])
    else:
        told = call("POST", EDIT, files=[*form(WISH), *how["files"]])

    shown(told)
    (asked,) = stack.simulators.journal("chatgpt")
    assert asked["path"].endswith("/images/edits")
    assert str(asked["body"]).count("filename=") == many


MASKS: list[Any] = [
    ("text", {"json": {"mask": TEXT}}),
    ("a data URL", {"json": {"mask": f"data:image/png;base64,{TEXT}"}}),
    ("an object", {"json": {"mask": {"image_url": TEXT}}}),
    ("a file", {"files": [("mask", ("m.png", GIVEN))]}),
    ("a text part", {"files": [("mask", (None, TEXT))]}),
]


@pytest.mark.parametrize("how", [one[1] for one in MASKS], ids=[one[0] for one in MASKS])
@pytest.mark.parametrize("name", sorted(PAINTERS))
def test_a_mask_goes_along_or_is_refused_by_its_name(
    call: Call, stack: Stack, name: str, how: dict[str, Any]
) -> None:
    """C-167."""
    stack.simulators.clear(name)
    path, wish = f"/{name}/v1/images/edits", {**WISH, "model": PAINTERS[name].model}
    if "json" in how:
        told = call("POST", path, json={**wish, "image": TEXT, **how["json"]})
    else:
        files = [*form(wish), ("image", ("a.png", GIVEN)), *how["files"]]
        told = call("POST", path, files=files)

    asked = stack.simulators.posts(name)
    if PAINTERS[name].masks:
        shown(told)
        assert asked[0]["body"].count('name="mask"; filename=') == 1
    else:
        assert (told.status_code, told.json()["error"]["param"]) == (400, "mask"), told.text
        assert asked == []


@pytest.mark.parametrize(
    "fields, query, size",
    [
        ({"size": "1920x1080"}, "", "1536x1024"),
        ({"aspect_ratio": "16:9"}, "", "1360x768"),
        ({"aspect_ratio": "16:9"}, "?aspect_ratio=1:1&resolution=2k", "2048x2048"),
    ],
)
def test_a_shape_and_a_resolution_are_the_picture_s(
    call: Call, stack: Stack, fields: dict[str, Any], query: str, size: str
) -> None:
    """C-118 to C-120, C-134, C-135, C-172, C-180: what sora is asked for, and what comes."""
    stack.simulators.clear("sora")
    told = call("POST", f"/sora/v1/images/generations{query}", json=WISH | fields)

    _, (wide, high) = shown(told)
    (asked,) = stack.simulators.posts("sora")
    assert f"{wide}x{high}" == told.json()["size"] == asked["body"]["size"] == size


@pytest.mark.parametrize("name", ["prompt", "model"])
@pytest.mark.parametrize("path", [MAKE, EDIT])
def test_what_is_required_is_required(call: Call, path: str, name: str) -> None:
    """C-158, C-161."""
    wish = {**WISH, "image": TEXT}
    del wish[name]
    for told in (call("POST", path, json=wish), call("POST", path, files=form(wish))):
        assert (told.status_code, told.json()["error"]["param"]) == (400, name)


def test_damage_is_a_bad_request_and_leaves_nothing_behind(call: Call, stack: Stack) -> None:
    """R-034: no bytes of a caller's stay on disk."""
    spools = Path(stack.environ["TOKENS_SPOOL_FOLDER"])
    before = set(spools.rglob("*"))  # a job that waits has its folder there
    deep = b'{"model":' + b"[" * 900 + b"]" * 900 + b"}" + b" " * 70_000
    for body, kind in (
        (b"{", "application/json"),
        (deep, "application/json"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data"),
    ):
        told = call("POST", EDIT, data=body, headers={"Content-Type": kind})
        assert told.status_code == 400, (body[:30], told.text)
        assert told.json()["error"]["type"] == "invalid_request_error"

    assert until(lambda: not set(spools.rglob("*")) - before), list(spools.rglob("*"))


@pytest.mark.parametrize("name", ["flow", "sora"])
@pytest.mark.parametrize(
    "size, shape", [("700x700", 1), ("1920x1080", 3 / 2), ("5000x20", 3 / 2), ("1080x1920", 2 / 3)]
)
def test_a_size_is_a_shape_where_it_says_so(call: Call, name: str, size: str, shape: float) -> None:
    """C-180."""
    wish = {"model": PAINTERS[name].model, "prompt": "A kite", "size": size}
    _, (wide, high) = shown(call("POST", f"/{name}/v1/images/generations", json=wish))

    assert wide / high == pytest.approx(shape, rel=0.05)


def test_what_goes_wrong_before_a_stream_keeps_its_status(call: Call, stack: Stack) -> None:
    stack.simulators.mishap("chatgpt", "throttle")
    told = call("POST", MAKE + "?retry_attempt=0", json={**WISH, "stream": True})

    assert told.status_code == 429
    assert told.headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", ["cut", "error", "fail", "html", "empty"])
def test_a_stream_that_breaks_off_says_so(call: Call, stack: Stack, kind: str) -> None:
    """R-001: what came is followed by an error or a cut, never by an end."""
    stack.simulators.mishap("chatgpt", kind)
    wish = {**WISH, "stream": True, "partial_images": 2}
    try:
        told = call("POST", MAKE + "?retry_attempt=0", json=wish)
    except requests.exceptions.ChunkedEncodingError:
        assert kind == "cut"
        return
    finally:
        stack.simulators.clear("chatgpt")

    if told.status_code == 200:
        assert "event: error" in told.text and ".completed" not in told.text
    else:
        assert told.status_code >= 500 and told.json()["error"]["code"]


def test_a_stream_counts_its_tokens_once(call: Call) -> None:
    """C-173: with the last picture."""
    wish = {"model": PAINTERS["gemini"].model, "prompt": "A kite", "stream": True, "n": 2}
    told = call("POST", "/gemini/v1/images/generations", json=wish)
    lines = [line[6:] for line in told.text.splitlines() if line.startswith("data: ")]
    assert ["usage" in json.loads(line) for line in lines] == [False, True]


def test_a_stream_that_the_platform_breaks_off_says_so_and_breaks_off_too(
    call: Call, stack: Stack
) -> None:
    """C-170, K-077: the picture on its way, an error event, a transfer without its end."""
    wish = {**WISH, "prompt": "simulate: cut after=1", "stream": True, "partial_images": 2}
    told, heard = call("POST", MAKE, json=wish, stream=True), b""
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        for piece in told.iter_content(None):
            heard += piece

    *_, last = heard.strip().split(b"\n\n")
    name, _, data = last.partition(b"\n")
    assert (told.status_code, name) == (200, b"event: error"), heard[-300:]
    assert json.loads(data.removeprefix(b"data: "))["error"]["code"] == "upstream_truncated"
    assert b"event: image_generation.partial_image" in heard and b".completed" not in heard
    line = stack.line(told.headers["x-request-id"])
    assert line["outcome"] == "upstream_truncated"


# ---------------------------------------------------------------- pictures nobody waits for


def over(call: Call, path: str) -> dict[str, Any]:
    def look() -> Any:
        told = call("GET", path)
        assert told.status_code == 200, told.text
        assert told.headers["cache-control"] == "no-store"
        found = told.json()
        return found if found["status"] in ("completed", "failed") else None

    found = until(look, 60)  # the worker may have only just begun
    assert found, "the task is not over"
    return dict(found)


@pytest.mark.parametrize("name", ["chatgpt", "flow", "grok"])
@pytest.mark.parametrize("where", ["query", "body", "form"])
def test_a_task_comes_at_once_and_its_pictures_later(
    call: Call, worker: None, name: str, where: str
) -> None:
    """C-174 to C-178, K-109."""
    path, wish = f"/{name}/v1/images", {**WISH, "model": PAINTERS[name].model}
    if where == "query":
        told = call("POST", f"{path}/generations?async=true", json=wish)
    elif where == "body":
        told = call("POST", f"{path}/generations", json={**wish, "async": True})
    else:
        told = call("POST", f"{path}/generations", files=form({**wish, "async": "true"}))
    assert told.status_code == 200, told.text
    task = told.json()
    assert (task["object"], task["model"]) == ("image.task", PAINTERS[name].model)
    assert task["status"] in ("queued", "in_progress")
    assert isinstance(task["created_at"], int) and "data" not in task

    found = over(call, f"{path}/{task['id']}")

    assert (found["status"], found["error"], found["id"]) == ("completed", None, task["id"])
    (one,) = found["data"]
    assert one.keys() <= {"b64_json", "revised_prompt"}
    look(base64.b64decode(one["b64_json"], validate=True))
    assert ("usage" in found) == PAINTERS[name].counts
    assert "detail" not in found
    assert call("GET", f"{path}/{task['id']}?detail=true").json()["detail"]["engine"] == name


def test_an_edit_in_the_background_has_links_if_they_were_asked_for(
    call: Call, worker: None
) -> None:
    """C-116, C-174, C-177."""
    more = {"image": TEXT, "response_format": "url", "size": "1024x1536"}
    task = call("POST", EDIT + "?async=1", json=WISH | more).json()
    found = over(call, f"/chatgpt/v1/images/{task['id']}")

    (one,) = found["data"]
    assert "b64_json" not in one
    assert opened(one["url"]) == ("image/png", (1024, 1536))
    assert found["size"] == "1024x1536"


def test_a_task_that_failed_says_why(call: Call, worker: None) -> None:
    """C-179, C-190."""
    wish = {**WISH, "prompt": PAINTERS["chatgpt"].refusal, "async": True}
    task = call("POST", MAKE, json=wish).json()
    found = over(call, f"/chatgpt/v1/images/{task['id']}")

    assert (found["status"], "data" in found) == ("failed", False)
    assert found["error"]["code"] and found["error"]["message"]


def test_a_task_is_its_owners_alone(call: Call, stack: Stack, worker: None) -> None:
    """C-179."""
    task = call("POST", MAKE, json={**WISH, "async": True}).json()
    other = stack.tokens("licence", "add", "--label", "somebody else").strip()
    for path, licence in (
        ("/chatgpt/v1/images/image_nothing", stack.licence),
        (f"/chatgpt/v1/images/{task['id']}", other),
        (f"/flow/v1/images/{task['id']}", stack.licence),
    ):
        told = call("GET", path, licence=licence)
        assert told.status_code == 404, told.text
    assert call("GET", f"/chatgpt/v1/images/{task['id']}", licence=None).status_code == 401


def test_who_brings_a_token_cannot_leave_it_here(call: Call, stack: Stack) -> None:
    """C-041, C-050."""
    headers = {"Authorization": "Bearer sim-own", "Tokens-Authorization": stack.licence}
    told = call("POST", MAKE, json={**WISH, "async": True}, headers=headers)

    assert (told.status_code, told.json()["error"]["param"]) == (400, "async")


def test_a_platforms_refusal_comes_as_it_is_to_who_brought_the_token(
    call: Call, stack: Stack
) -> None:
    """C-042 to C-044, C-046, C-050."""
    headers = {"Authorization": "Bearer sim-revoked", "Tokens-Authorization": stack.licence}
    wish = {**WISH, "prompt": "A kite for who brings a token"}
    stack.simulators.clear("chatgpt")
    for stream in (False, True):
        told = call("POST", MAKE, json={**wish, "stream": stream}, headers=headers)
        assert told.status_code == 401
        assert told.json()["error"]["code"] == "invalid_api_key"
    asked = [one["body"]["prompt"] for one in stack.simulators.journal("chatgpt")]
    assert asked.count(wish["prompt"]) == 2
    bare = {"Tokens-Authorization": stack.licence}
    assert call("POST", MAKE, json=WISH, headers=bare, licence=None).status_code == 401
