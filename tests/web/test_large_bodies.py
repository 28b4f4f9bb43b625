"""Large bodies: what a gateway's worker and the worker beside it hold in memory while pictures of 15 MB
and films of 80 MB go through them, measured by the kernel in processes of their own.

Each case is a path of its own through the code, not a platform: JSON, forms, texts in forms and links
are read by the same code everywhere (`chatgpt` stands for all); pictures are sent on in three shapes
(OpenAI's form, xAI's JSON, Google's JSON), and come back as OpenAI's JSON, which is read as xAI's is,
as its events and as Google's JSON. Films come by OpenAI's protocol and, for who brought a token, by xAI's
links; they are kept in a folder and in a bucket.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.conftest import STUDIO
from tests.giant import Giant, picture
from tests.media.bucket import BUCKET, KEY, REGION, SECRET, Bucket
from tests.memory import MEGABYTE, Memory, Rise, rise, serving
from tests.sdk.pictures import PAINTERS
from tests.stack import Stack, until

MOST = 30 * MEGABYTE  # that a process may grow by
PATIENCE = 100.0
OPENAI_STYLE = {"chatgpt", "codex", "grok", "sora"}  # whose addresses end with a version
LARGEST = {"chatgpt": (5, 15), "grok": (3, 15), "gemini": (5, 7)}  # how many of how many megabytes
FILMS = {"sora": "sora-2", "grok": "grok-imagine-video"}
# Larger ones, and more at the same time: set SOAK_FILM=200 and SOAK_PICTURES=5.
FILM = int(os.environ.get("SOAK_FILM", "80"))
PICTURES = int(os.environ.get("SOAK_PICTURES", "2"))


@pytest.fixture(scope="module")
def giant() -> Iterator[Giant]:
    giant = Giant()
    yield giant
    giant.stop()


class Place:
    """A gateway and a worker in front of the giant."""

    def __init__(self, stack: Stack, giant: Giant) -> None:
        stack.work()
        self.stack, self.giant = stack, giant
        self.headers = {"Authorization": f"Bearer {stack.licence}"}
        for name in LARGEST:  # whatever is only loaded once is loaded now
            assert self.edit(name, "form", 1, 1).status_code == 200
            assert self.over(self.edit(name, "form", 1, 1, "?async=true"))["status"] == "completed"

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        url = self.stack.url() + path
        return requests.request(method, url, headers=headers, timeout=PATIENCE, **more)

    def edit(
        self, name: str, how: str, many: int, megabytes: int, query: str = ""
    ) -> requests.Response:
        self.giant.bodies.clear()
        wish = {"model": PAINTERS[name].model, "prompt": "A kite"}
        sent = HOW[how](wish, picture(megabytes), many, self.giant)
        return self.call("POST", f"/{name}/v1/images/edits{query}", **sent)

    def draw(self, name: str, **more: Any) -> requests.Response:
        wish = {"model": PAINTERS[name].model, "prompt": "A kite", **more}
        return self.call("POST", f"/{name}/v1/images/generations", json=wish)

    def over(self, begun: requests.Response) -> dict[str, Any]:
        """A task when nothing more becomes of it."""
        assert begun.status_code == 200, begun.text
        name = begun.request.path_url.split("/")[1]
        kind = "videos" if "/videos" in begun.request.path_url else "images"
        path = f"/{name}/v1/{kind}/{begun.json()['id']}"
        brought = {
            one: begun.request.headers[one]
            for one in ("Authorization", "Tokens-Authorization")
            if one in begun.request.headers
        }

        def look() -> Any:
            # Of a picture's task this is all of it, with the pictures.
            told = self.call("GET", path, headers=brought).json()
            return told if told["status"] in ("completed", "failed") else None

        found = until(look, 60)
        assert found, "the task is not over"
        return dict(found)

    @property
    def gateway(self) -> Memory:
        return serving(self.stack)

    @property
    def worker(self) -> Memory:
        return Memory(self.stack.worker_pid)


def _form(wish: Any, one: bytes, many: int, giant: Giant) -> dict[str, Any]:
    return {"data": wish, "files": [("image[]", ("a.png", one))] * many}


def _texts(wish: Any, one: bytes, many: int, giant: Giant) -> dict[str, Any]:
    text = "data:image/png;base64," + base64.b64encode(one).decode()
    fields = [(name, (None, value)) for name, value in wish.items()]
    return {"files": [*fields, *[("image[]", (None, text))] * many]}


def _urls(wish: Any, one: bytes, many: int, giant: Giant) -> dict[str, Any]:
    text = "data:image/png;base64," + base64.b64encode(one).decode()
    return {"json": {**wish, "images": [{"image_url": text}] * many}}


def _slashes(wish: Any, one: bytes, many: int, giant: Giant) -> dict[str, Any]:
    """As PHP writes JSON."""
    text = base64.b64encode(one).decode()
    return {"data": json.dumps({**wish, "image": [text] * many}).replace("/", "\\/")}


def _lines(wish: Any, one: bytes, many: int, giant: Giant) -> dict[str, Any]:
    """As `base64` writes it, in lines."""
    return {"json": {**wish, "image": [base64.encodebytes(one).decode()] * many}}


def _links(wish: Any, one: bytes, many: int, giant: Giant) -> dict[str, Any]:
    link = f"{giant.url}/picture/{len(one) // MEGABYTE}"
    return {"json": {**wish, "image": [link] * many}}


HOW: dict[str, Callable[..., dict[str, Any]]] = {
    "form": _form,
    "texts": _texts,
    "data URLs": _urls,
    "slashes": _slashes,
    "lines": _lines,
    "links": _links,
}


def served_by(gateway: Callable[..., Stack], giant: Giant, **more: str) -> Place:
    addresses = {
        f"TOKENS_{name.upper()}_BASE_URL": giant.url + ("/v1" if name in OPENAI_STYLE else "")
        for name in PAINTERS
    }
    stack = gateway(
        TOKENS_WORKERS="1",
        TOKENS_FETCH_ALLOWED_HOSTS=giant.host,
        **STUDIO,
        **addresses,
        **more,
    )
    return Place(stack, giant)


@pytest.fixture(scope="module")
def place(gateway: Callable[..., Stack], giant: Giant) -> Place:
    return served_by(gateway, giant)


def few(*grown: Rise) -> bool:
    return all(one.bytes < MOST for one in grown)


# ---------------------------------------------------------------- pictures in


@pytest.mark.parametrize(
    "name, how",
    [*(("chatgpt", how) for how in HOW), ("grok", "data URLs"), ("gemini", "data URLs")],
)
def test_five_pictures_of_fifteen_megabytes_come_in(
    place: Place, giant: Giant, name: str, how: str
) -> None:
    """C-081, C-162 to C-166: in one request, and on to the platform, where each is whole. xAI takes three,
    and Google seven megabytes each.
    """
    many, megabytes = LARGEST[name]
    giant.answers = giant.megabytes = 1
    with rise(place.gateway) as grown:
        told = place.edit(name, how, many, megabytes)

    assert told.status_code == 200, told.text
    (body,) = giant.bodies
    one = picture(megabytes)
    assert body.count(one if name == "chatgpt" else base64.b64encode(one)) == many
    assert few(grown), grown


def test_five_pictures_wait_for_a_worker(place: Place, giant: Giant) -> None:
    """C-174."""
    giant.answers = giant.megabytes = 1
    with rise(place.gateway) as here, rise(place.worker) as there:
        assert place.over(place.edit("chatgpt", "data URLs", 5, 15, "?async=true"))["data"]

    (body,) = giant.bodies
    assert body.count(picture(15)) == 5
    assert few(here, there), (here, there)


def test_pictures_that_a_platform_does_not_take_are_not_held_either(place: Place) -> None:
    with rise(place.gateway) as grown:
        told = place.edit("gemini", "data URLs", 5, 15)

    assert (told.status_code, told.json()["error"]["param"]) == (400, "image")
    assert few(grown), grown


# ---------------------------------------------------------------- pictures out


@pytest.mark.parametrize(
    "name, how",
    [
        *(("chatgpt", how) for how in ("b64_json", "url", "stream", "async")),
        ("gemini", "b64_json"),
    ],
)
def test_four_pictures_of_fifteen_megabytes_go_out(
    place: Place, giant: Giant, name: str, how: str
) -> None:
    """R-008, C-116: whole, as links, in events, and from a worker."""
    giant.answers, giant.megabytes = 4, 15
    wish: dict[str, Any] = {"n": 4} if name == "gemini" else {}
    wish |= {"stream": {"stream": True, "partial_images": 3}, "async": {"async": True}}.get(
        how, {"response_format": how}
    )
    with rise(place.gateway) as here, rise(place.worker) as there:
        told = place.draw(name, **wish)
        assert told.status_code == 200, told.text[:500]
        given = _given(place, told, how)

    assert given == [picture(15)] * 4
    assert few(here, there), (here, there)


def _given(place: Place, told: requests.Response, how: str) -> list[bytes]:
    if how == "stream":
        lines = [one[6:] for one in told.text.splitlines() if one.startswith("data: {")]
        found = [json.loads(one) for one in lines]
    else:
        found = (place.over(told) if how == "async" else told.json())["data"]
    if how == "url":
        return [requests.get(one["url"], timeout=PATIENCE).content for one in found]
    return [base64.b64decode(one["b64_json"], validate=True) for one in found]


# ---------------------------------------------------------------- films


def film(place: Place, name: str, headers: dict[str, str], **more: Any) -> str:
    """Has one made, and reads it whole; the path of it."""
    wish = {"model": FILMS[name], "prompt": "A boat leaves", **more}
    told = place.call("POST", f"/{name}/v1/videos", json=wish, headers=headers)
    made = place.over(told)
    assert made["status"] == "completed", made
    path = f"/{name}/v1/videos/{made['id']}/content"
    size = 0
    with place.call("GET", path, headers=headers, stream=True) as answer:
        assert answer.status_code == 200
        for piece in answer.iter_content(MEGABYTE):
            size += len(piece)
    assert size == FILM * MEGABYTE
    return path


@pytest.fixture(scope="module")
def bucketed(gateway: Callable[..., Stack], giant: Giant) -> Iterator[Place]:
    bucket = Bucket()
    yield served_by(
        gateway,
        giant,
        TOKENS_MEDIA_S3_BUCKET=BUCKET,
        TOKENS_MEDIA_S3_ENDPOINT=bucket.endpoint,
        TOKENS_MEDIA_S3_REGION=REGION,
        TOKENS_MEDIA_S3_KEY=KEY,
        TOKENS_MEDIA_S3_SECRET=SECRET,
    )
    bucket.stop()


@pytest.mark.slow
@pytest.mark.parametrize("name, kept", [("sora", "place"), ("sora", "bucketed")])
def test_a_large_film_is_kept_and_given_out(
    request: pytest.FixtureRequest, giant: Giant, name: str, kept: str
) -> None:
    """C-202: from the folder and from a bucket, whole and in part; begun with a picture of 15 MB."""
    place: Place = request.getfixturevalue(kept)
    giant.film, giant.megabytes = FILM, 1
    shown = {"image_url": "data:image/png;base64," + base64.b64encode(picture(15)).decode()}
    with rise(place.gateway) as here, rise(place.worker) as there:
        path = film(place, name, {}, input_reference=shown)
        part = place.call("GET", path, headers={"Range": f"bytes={(FILM - 20) * MEGABYTE}-"})

    assert (part.status_code, len(part.content)) == (206, 20 * MEGABYTE)
    assert few(here, there), (here, there)


def test_a_film_passes_by_who_brought_the_token(place: Place, giant: Giant) -> None:
    """C-050."""
    giant.film = FILM
    brought = {"Authorization": "Bearer own", "Tokens-Authorization": place.stack.licence}
    with rise(place.gateway) as grown:
        film(place, "grok", brought)

    assert few(grown), grown


# ---------------------------------------------------------------- at the same time


@pytest.mark.parametrize("what", ["in", "out"])
def test_five_at_the_same_time_are_not_five_times_as_much(
    place: Place, giant: Giant, what: str
) -> None:
    """Five requests with several pictures each; five streams of as many each."""
    giant.answers, giant.megabytes = (1, 1) if what == "in" else (PICTURES, 15)

    def ask(_: int) -> int:
        if what == "in":
            return place.edit("chatgpt", "data URLs", PICTURES, 15).status_code
        told = place.draw("chatgpt", stream=True, partial_images=3)
        return told.status_code if len(told.content) > PICTURES * 20 * MEGABYTE else 0

    with rise(place.gateway) as grown, ThreadPoolExecutor(5) as threads:
        assert list(threads.map(ask, range(5))) == [200] * 5

    assert few(grown), grown
