"""The simulated Videos protocol: jobs, their films, and how they end, driven with OpenAI's SDK."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import openai
import pytest
import requests

from app.simulators.image_sides import sides
from app.simulators.mishaps import Mishap
from app.simulators.pictures import picture
from app.simulators.serving import Running

Json = dict[str, Any]
Ask = Callable[..., requests.Response]
Move = Callable[[float], None]

KEY = "sk-sim-0123456789"
OTHER = "sk-other-0123456789"
PNG = picture(64, 64, "in", "png")
LINK = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
CLIP = b"\0\0\0\x18ftypisom" + bytes(16)
UNKNOWN = "video_" + "0" * 32

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")  # the SDK warns


@pytest.fixture
def client(running: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=running.url("sora"), api_key=KEY, max_retries=0)


@pytest.fixture
def ask(running: Running) -> Ask:
    def send(
        path: str, body: Any = None, method: str = "", key: str = KEY, **more: Any
    ) -> requests.Response:
        headers = {"authorization": f"Bearer {key}", **more.pop("headers", {})}
        verb = method or ("GET" if body is None and not more else "POST")
        address = running.url("sora") + path
        return requests.request(verb, address, json=body, headers=headers, timeout=10, **more)

    return send


@pytest.fixture
def move(running: Running) -> Move:
    return running.simulators["sora"].clock.move


def begin(ask: Ask, prompt: str = "a fox", key: str = KEY, **more: Any) -> str:
    answer = ask("/videos", {"prompt": prompt, **more}, key=key)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def form(texts: dict[str, str]) -> Json:
    """A form without files, as both SDKs send one: objects are in the names."""
    return {name: (None, text) for name, text in texts.items()}


def refused(answer: requests.Response, status: int, code: str | None, param: str | None) -> None:
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), error
    assert error["type"] == "invalid_request_error" and error["message"]


# Beginning.


def test_a_job_begun_has_every_member_and_the_usual_wishes(ask: Ask) -> None:
    answer = ask("/videos", {"prompt": "a fox"})
    told = answer.json()
    name, created = told.pop("id"), told.pop("created_at")

    assert name.startswith("video_") and isinstance(created, int)
    assert answer.headers["x-request-id"].startswith("req_")
    assert told == {
        "object": "video",
        "model": "sora-2",
        "status": "queued",
        "progress": 0,
        "completed_at": None,
        "expires_at": None,
        "prompt": "a fox",
        "seconds": "4",
        "size": "720x1280",
        "remixed_from_video_id": None,
        "error": None,
    }


@pytest.mark.parametrize("model", ["sora-2", "sora-2-2025-12-08", "sora-2-pro"])
@pytest.mark.parametrize("seconds", ["4", "8", "12"])
def test_wishes_are_told_back(client: openai.OpenAI, model: Any, seconds: Any) -> None:
    video = client.videos.create(prompt="a fox", model=model, seconds=seconds, size="1280x720")

    assert (video.model, video.seconds, video.size) == (model, seconds, "1280x720")


def test_the_sdk_sends_a_form_and_plain_json_says_the_same(
    running: Running, client: openai.OpenAI, ask: Ask
) -> None:
    video = client.videos.create(prompt="ein Füchslein", seconds="8").to_dict()
    kind = running.simulators["sora"].journal.last().headers["content-type"]
    told = ask("/videos", {"prompt": "ein Füchslein", "seconds": "8"}).json()

    assert kind.startswith("multipart/form-data")
    for one in (video, told):
        one.pop("id")
        one.pop("created_at")
    assert video == told and told["prompt"] == "ein Füchslein"


def test_a_reference_comes_as_a_file_or_as_an_object(client: openai.OpenAI, ask: Ask) -> None:
    file = ("a.png", PNG, "image/png")

    assert client.videos.create(prompt="a fox", input_reference=file).status == "queued"
    for name, value in (("image_url", LINK), ("file_id", "file-1")):
        begin(ask, input_reference={name: value})
        texts = {"prompt": "a fox", f"input_reference[{name}]": value}
        assert ask("/videos", files=form(texts)).status_code == 200


def test_a_file_may_come_before_the_prompt(ask: Ask) -> None:
    file = ("a.webp", picture(8, 8, "in", "webp"), "image/webp")
    parts = {"input_reference": file, **form({"prompt": "a fox"})}

    assert ask("/videos", files=parts).json()["prompt"] == "a fox"


@pytest.mark.parametrize(
    "more, status, code, param",
    [
        ({"prompt": None}, 400, "missing_required_parameter", "prompt"),
        ({"prompt": 7}, 400, "invalid_type", "prompt"),
        ({"prompt": ""}, 400, "string_below_min_length", "prompt"),
        ({"prompt": "x" * 32_001}, 400, "string_above_max_length", "prompt"),
        ({"seconds": "5"}, 400, "invalid_value", "seconds"),
        ({"seconds": "16"}, 400, "invalid_value", "seconds"),
        ({"seconds": 4}, 400, "invalid_type", "seconds"),
        ({"size": "1024x1024"}, 400, "invalid_value", "size"),
        ({"size": "1792x1024"}, 400, "invalid_value", "size"),
        ({"size": ["720x1280"]}, 400, "invalid_value", "size"),
        ({"model": "sora-3"}, 404, "model_not_found", "model"),
        ({"model": ["sora-2"]}, 404, "model_not_found", "model"),
        ({"model": "gpt-image-2"}, 404, "model_not_found", "model"),
        ({"input_reference": {}}, 400, "invalid_value", "input_reference"),
        (
            {"input_reference": {"image_url": LINK, "file_id": "file-1"}},
            400,
            "invalid_value",
            "input_reference",
        ),
        ({"input_reference": LINK}, 400, "invalid_type", "input_reference"),
        (
            {"input_reference": {"image_url": "ftp://example.com/a.png"}},
            400,
            "invalid_image_url",
            "input_reference.image_url",
        ),
        ({"n": 2}, 400, "unknown_parameter", "n"),
    ],
)
def test_a_wish_is_refused(ask: Ask, more: Json, status: int, code: str, param: str) -> None:
    refused(ask("/videos", {"prompt": "a fox", **more}), status, code, param)


def test_the_longest_prompt_and_the_large_sizes_of_the_larger_model_are_taken(ask: Ask) -> None:
    begin(ask, "x" * 32_000)
    for size in ("1792x1024", "1024x1792"):
        begin(ask, model="sora-2-pro", size=size)


def test_a_form_is_refused_as_json_is(ask: Ask) -> None:
    texts = {
        "prompt": "a fox",
        "input_reference[image_url]": LINK,
        "input_reference[file_id]": "file-1",
    }
    text = {"input_reference": ("a.png", b"not a picture", "image/png")}

    refused(ask("/videos", files=form(texts)), 400, "invalid_value", "input_reference")
    refused(
        ask("/videos", data={"prompt": "a fox"}, files=text),
        400,
        "invalid_image_file",
        "input_reference",
    )
    refused(ask("/videos", data={"prompt": "a fox"}), 400, "unsupported_content_type", None)
    refused(
        ask("/videos", data=b"{", headers={"content-type": "application/json"}), 400, None, None
    )


def test_a_wish_may_be_moderated_at_once_and_the_server_may_be_gone(
    client: openai.OpenAI, ask: Ask
) -> None:
    with pytest.raises(openai.BadRequestError) as moderated:
        client.videos.create(prompt="simulate: moderated")
    with pytest.raises(openai.NotFoundError) as gone:
        client.videos.create(prompt="simulate: gone")

    assert moderated.value.code == "moderation_blocked" and gone.value.code == "model_not_found"
    assert UNKNOWN not in ask("/videos").text


# Looking.


def test_a_film_goes_on_by_and_by(client: openai.OpenAI, move: Move) -> None:
    begun = client.videos.create(prompt="simulate: takes=1000")
    seen = []
    for seconds in (0, 300, 300, 500):
        move(seconds)
        seen.append(client.videos.retrieve(begun.id))
    first, second, third, done = seen

    assert [one.status for one in seen] == ["queued", "in_progress", "in_progress", "completed"]
    assert 30 <= second.progress < 40 and 60 <= third.progress < 70
    assert (first.progress, done.progress) == (0, 100)
    assert third.completed_at is None and third.expires_at is None
    assert done.created_at == begun.created_at
    assert done.completed_at in (begun.created_at + 1000, begun.created_at + 1001)
    assert done.expires_at == done.completed_at + 3600


def test_the_sdk_polls_until_the_film_is_there(running: Running, client: openai.OpenAI) -> None:
    video = client.videos.create_and_poll(prompt="a fox", poll_interval_ms=1)
    polled = running.simulators["sora"].journal.last()

    assert video.status == "completed" and polled.path == f"/v1/videos/{video.id}"
    raw = client.videos.with_raw_response.retrieve(video.id)
    assert raw.headers["openai-poll-after-ms"] == "1000"


@pytest.mark.parametrize(
    "order, code",
    [
        ("failed", "video_generation_failed"),
        ("failed=sentinel_block", "sentinel_block"),
        ("moderated=later", "moderation_blocked"),
    ],
)
def test_a_film_may_fail(ask: Ask, order: str, code: str) -> None:
    name = begin(ask, f"simulate: {order}")
    told = ask(f"/videos/{name}").json()

    assert told["status"] == "failed" and told["progress"] < 100
    assert told["error"].keys() == {"code", "message"} and told["error"]["code"] == code
    assert told["completed_at"] is None and told["expires_at"] is None
    refused(ask(f"/videos/{name}/content"), 404, "video_not_ready", None)
    refused(ask(f"/videos/{name}/remix", {"prompt": "again"}), 400, "invalid_value", "video")


def test_a_film_fails_when_it_would_be_done_and_not_before(ask: Ask, move: Move) -> None:
    name = begin(ask, "simulate: failed takes=100")
    move(50)
    during = ask(f"/videos/{name}").json()
    move(51)

    assert (during["status"], during["error"]) == ("in_progress", None)
    assert ask(f"/videos/{name}").json()["status"] == "failed"


def test_a_film_may_be_stuck_or_vanish(ask: Ask, move: Move) -> None:
    stuck, vanished = begin(ask, "simulate: stuck"), begin(ask, "simulate: vanished")
    move(100_000)

    assert ask(f"/videos/{stuck}").json()["status"] == "queued"
    refused(ask(f"/videos/{vanished}"), 404, None, None)


def test_other_servers_word_it_otherwise(running: Running, ask: Ask, move: Move) -> None:
    name = begin(ask, "simulate: synonyms takes=100")
    seen = []
    for seconds in (0, 50, 51):
        move(seconds)
        seen.append(ask(f"/videos/{name}").json())
    queued, going, done = seen
    failed = ask(f"/videos/{begin(ask, 'simulate: synonyms failed')}").json()
    link = done["metadata"]["url"]

    assert [one["status"] for one in seen] == ["NOT_START", "processing", "SUCCESS"]
    assert (queued["progress"], done["progress"]) == ("0%", "100%")
    assert going["progress"] in ("50%", "51%") and "metadata" not in going
    assert done["task_id"] == name and failed["status"] == "FAILURE"
    assert link == f"{running.url('sora')}/videos/{name}/content"
    assert requests.get(link, headers={"authorization": f"Bearer {KEY}"}, timeout=10).ok


def test_a_film_belongs_to_the_key_that_asked_for_it(ask: Ask) -> None:
    name = begin(ask)

    for path in (f"/videos/{name}", f"/videos/{name}/content"):
        refused(ask(path, key=OTHER), 404, None, None)
    refused(ask(f"/videos/{name}", method="DELETE", key=OTHER), 404, None, None)
    refused(ask(f"/videos/{name}/remix", {"prompt": "more"}, key=OTHER), 404, None, None)
    wish = {"prompt": "more", "video": {"id": name}}
    refused(ask("/videos/edits", wish, key=OTHER), 404, None, None)
    assert ask("/videos", key=OTHER).json()["data"] == []
    assert ask(f"/videos/{name}").status_code == 200


# Films.


def test_a_film_is_fetched_whole_in_parts_and_in_small(client: openai.OpenAI, ask: Ask) -> None:
    name = begin(ask, size="1280x720")
    whole = client.videos.download_content(name)
    data = whole.content
    part = ask(f"/videos/{name}/content", headers={"range": "bytes=4-7"})
    end = ask(f"/videos/{name}/content", headers={"range": "bytes=-10"})
    rest = ask(f"/videos/{name}/content", headers={"range": "bytes=8-"})
    beyond = ask(f"/videos/{name}/content", headers={"range": f"bytes={len(data)}-"})

    assert whole.response.headers["content-type"] == "video/mp4" and data[4:8] == b"ftyp"
    assert b"moov" in data and b"mdat" in data
    assert whole.response.headers["accept-ranges"] == "bytes"
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert part.headers["content-range"] == f"bytes 4-7/{len(data)}"
    assert (end.content, rest.content) == (data[-10:], data[8:])
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(data)}"


@pytest.mark.parametrize("variant", ["thumbnail", "spritesheet"])
def test_a_film_has_pictures_of_its_shape(client: openai.OpenAI, ask: Ask, variant: Any) -> None:
    small = client.videos.download_content(begin(ask, size="1280x720"), variant=variant)
    wide, high = sides(small.content) or (0, 1)

    assert small.response.headers["content-type"] == "image/webp"
    assert small.content[8:12] == b"WEBP" and wide / high == pytest.approx(16 / 9)


@pytest.mark.parametrize("variant", ["thumbnail", "poster"])
def test_some_servers_know_no_variant(ask: Ask, variant: str) -> None:
    answer = ask(f"/videos/{begin(ask, 'simulate: bare')}/content?variant={variant}")
    assert answer.headers["content-type"] == "video/mp4"


def test_no_other_variant_is_known(ask: Ask) -> None:
    answer = ask(f"/videos/{begin(ask)}/content?variant=poster")
    refused(answer, 400, "invalid_value", "variant")


def test_a_film_is_there_when_done_and_for_a_while(ask: Ask, move: Move) -> None:
    name, kept = begin(ask, "simulate: takes=100"), begin(ask, "simulate: keeps=9000")
    refused(ask(f"/videos/{name}/content"), 404, "video_not_ready", None)
    move(101)
    assert ask(f"/videos/{name}/content").status_code == 200
    move(3600)

    refused(ask(f"/videos/{name}/content"), 404, None, None)
    assert ask(f"/videos/{kept}/content").status_code == 200


# Films of films.


def test_a_film_is_remixed(client: openai.OpenAI, ask: Ask) -> None:
    source = begin(ask, seconds="8", size="1792x1024", model="sora-2-pro")
    video = client.videos.remix(source, prompt="at night")

    assert video.remixed_from_video_id == source and video.id != source
    assert (video.model, video.seconds, video.size) == ("sora-2-pro", "8", "1792x1024")
    assert video.prompt == "at night"


def test_a_film_is_edited_and_made_longer(ask: Ask) -> None:
    source = begin(ask, seconds="8", size="1280x720")
    wish = {"prompt": "it runs", "video": {"id": source}}
    texts = {"prompt": "it runs", "video[id]": source}
    edited = [ask("/videos/edits", wish), ask("/videos/edits", files=form(texts))]
    longer = [
        ask("/videos/extensions", wish | {"seconds": "20"}),
        ask("/videos/extensions", files=form(texts | {"seconds": "4"})),
    ]

    assert [one.json()["seconds"] for one in edited + longer] == ["8", "8", "28", "12"]
    assert all(one.json()["size"] == "1280x720" for one in edited + longer)


def test_a_film_that_is_sent_along_is_edited(client: openai.OpenAI) -> None:
    edited = client.videos.edit(prompt="in snow", video=("a.mp4", CLIP, "video/mp4"))
    assert edited.remixed_from_video_id is None
    with pytest.raises(openai.BadRequestError) as told:
        client.videos.edit(prompt="in snow", video=("a.mp4", b"nothing", "video/mp4"))

    assert told.value.param == "video"


@pytest.mark.parametrize(
    "path, more, status, code, param",
    [
        ("edits", {"video": None}, 400, "missing_required_parameter", "video"),
        ("edits", {"video": {}}, 400, "invalid_type", "video"),
        ("edits", {"video": "film"}, 400, "invalid_type", "video"),
        ("edits", {"video": {"id": UNKNOWN}}, 404, None, None),
        ("edits", {"prompt": None}, 400, "missing_required_parameter", "prompt"),
        ("edits", {"seconds": "4"}, 400, "unknown_parameter", "seconds"),
        ("extensions", {}, 400, "missing_required_parameter", "seconds"),
        ("extensions", {"seconds": "5"}, 400, "invalid_value", "seconds"),
        ("extensions", {"seconds": 8}, 400, "invalid_type", "seconds"),
    ],
)
def test_films_of_films_are_refused(
    ask: Ask, path: str, more: Json, status: int, code: str | None, param: str | None
) -> None:
    body = {"prompt": "more", "video": {"id": begin(ask)}, **more}
    refused(ask(f"/videos/{path}", body), status, code, param)


def test_only_a_film_that_is_done_has_others_made_of_it(ask: Ask) -> None:
    going = begin(ask, "simulate: takes=100")
    wish = {"prompt": "more", "video": {"id": going}}

    refused(ask(f"/videos/{going}/remix", {"prompt": "more"}), 400, "invalid_value", "video")
    refused(ask("/videos/edits", wish), 400, "invalid_value", "video")
    refused(ask("/videos/extensions", wish | {"seconds": "4"}), 400, "invalid_value", "video")


# Characters.


def test_a_character_is_made_of_a_film_and_belongs_to_its_key(
    client: openai.OpenAI, ask: Ask
) -> None:
    made = client.videos.create_character(name="Ada", video=("a.mp4", CLIP, "video/mp4"))
    told = ask(f"/videos/characters/{made.id}").json()

    assert told == {"id": made.id, "name": "Ada", "created_at": made.created_at}
    assert client.videos.get_character(str(made.id)).to_dict() == told
    refused(ask(f"/videos/characters/{made.id}", key=OTHER), 404, None, None)
    refused(ask("/videos/characters/char_0"), 404, None, None)


@pytest.mark.parametrize(
    "texts, data, code, param",
    [
        ({}, CLIP, "missing_required_parameter", "name"),
        ({"name": ""}, CLIP, "string_below_min_length", "name"),
        ({"name": "x" * 81}, CLIP, "string_above_max_length", "name"),
        ({"name": "Ada"}, b"nothing", "invalid_value", "video"),
        ({"name": "Ada"}, None, "missing_required_parameter", "video"),
        ({"name": "Ada", "timestamps": "0,3"}, CLIP, "unknown_parameter", "timestamps"),
    ],
)
def test_a_character_is_refused(
    ask: Ask, texts: dict[str, str], data: bytes | None, code: str, param: str
) -> None:
    parts = form({"name": "Ada"} | texts if data is None else texts)
    if data is not None:
        parts["video"] = ("a.mp4", data, "video/mp4")
    refused(ask("/videos/characters", files=parts), 400, code, param)


# Lists and deletion.


def test_films_are_listed_in_pages(running: Running) -> None:
    client = openai.OpenAI(base_url=running.url("sora"), api_key="sk-pages-1", max_retries=0)
    names = [client.videos.create(prompt=f"film {place}").id for place in range(5)]
    page = client.videos.list(limit=2)
    older = client.videos.list(limit=2, after=names[1], order="desc")

    assert [one.id for one in page.data] == names[:2:-1] and page.has_more
    assert [one.id for one in page] == names[::-1]
    assert [one.id for one in client.videos.list(limit=2, order="asc")] == names
    assert [one.id for one in older.data] == names[:1] and not older.has_more


def test_a_list_has_its_ends(ask: Ask) -> None:
    key = "sk-ends-1"
    empty = ask("/videos", key=key).json()
    names = [begin(ask, key=key) for _ in range(21)]
    full = ask("/videos", key=key).json()

    assert empty == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert (full["first_id"], full["last_id"]) == (names[-1], names[1])
    assert len(full["data"]) == 20 and full["has_more"]
    assert full["data"][0] == ask(f"/videos/{names[-1]}", key=key).json()
    assert ask("/videos?limit=0", key=key).json()["data"] == []


@pytest.mark.parametrize(
    "query, status, code, param",
    [
        ("limit=101", 400, "integer_above_max_value", "limit"),
        ("limit=-1", 400, "integer_below_min_value", "limit"),
        ("limit=many", 400, "invalid_type", "limit"),
        ("order=up", 400, "invalid_value", "order"),
        (f"after={UNKNOWN}", 404, None, None),
    ],
)
def test_a_list_is_refused(
    ask: Ask, query: str, status: int, code: str | None, param: str | None
) -> None:
    refused(ask(f"/videos?{query}"), status, code, param)


@pytest.mark.parametrize("order", ["", "failed"])
def test_a_film_that_has_ended_is_deleted(client: openai.OpenAI, ask: Ask, order: str) -> None:
    name = begin(ask, f"simulate: {order}")
    told = client.videos.delete(name)

    assert (told.id, told.object, told.deleted) == (name, "video.deleted", True)
    for method, path in (("GET", name), ("DELETE", name), ("GET", f"{name}/content")):
        refused(ask(f"/videos/{path}", method=method), 404, None, None)


def test_a_film_on_its_way_is_not_deleted(ask: Ask, move: Move) -> None:
    name = begin(ask, "simulate: takes=100")
    refused(ask(f"/videos/{name}", method="DELETE"), 409, None, None)
    move(101)

    assert ask(f"/videos/{name}", method="DELETE").status_code == 200


# What goes wrong.


@pytest.mark.parametrize(
    "kind, status, code",
    [
        ("throttle", 429, "rate_limit_exceeded"),
        ("overload", 503, "server_is_overloaded"),
        ("fail", 500, None),
    ],
)
@pytest.mark.parametrize("as_form", [False, True])
def test_a_prompt_may_order_a_mishap(
    ask: Ask, as_form: bool, kind: str, status: int, code: str | None
) -> None:
    wish = f"simulate: {kind}"
    sent: Json = {"files": form({"prompt": wish})} if as_form else {"body": {"prompt": wish}}
    answer = ask("/videos", **sent)

    assert answer.status_code == status and answer.json()["error"]["code"] == code


def test_a_poll_may_fail_and_the_film_is_there_all_the_same(running: Running, ask: Ask) -> None:
    name = begin(ask)
    running.simulators["sora"].mishaps.queue(Mishap("fail"))

    assert ask(f"/videos/{name}").status_code == 500
    assert ask(f"/videos/{name}").json()["status"] == "completed"


def test_a_download_may_be_cut_off(running: Running, ask: Ask) -> None:
    name = begin(ask)
    running.simulators["sora"].mishaps.queue(Mishap("cut"))

    with pytest.raises(requests.exceptions.RequestException):
        ask(f"/videos/{name}/content")


def test_what_is_nowhere_and_who_has_no_key(running: Running, ask: Ask) -> None:
    refused(ask(f"/videos/{UNKNOWN}"), 404, None, None)
    refused(ask("/films"), 404, None, None)
    refused(ask("/videos", method="DELETE"), 405, None, None)
    assert requests.get(running.url("sora") + "/videos", timeout=10).status_code == 401
    assert ask("/videos", key="sk-sim-revoked").json()["error"]["code"] == "invalid_api_key"


# Pictures beside the films.


def test_pictures_are_made_and_edited_here_too(client: openai.OpenAI) -> None:
    made = client.images.generate(model="gpt-image-2", prompt="a cat", size="1536x1024")
    edited = client.images.edit(model="gpt-image-2", prompt="a hat", image=("a.png", PNG))
    files = [base64.b64decode((answer.data or [])[0].b64_json or "") for answer in (made, edited)]

    assert [sides(data) for data in files] == [(1536, 1024), (1024, 1024)]
