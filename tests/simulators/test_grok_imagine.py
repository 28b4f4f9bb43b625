"""The simulated xAI's pictures and films."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
import requests

from app.simulators.image_sides import sides
from app.simulators.mishaps import Mishap
from app.simulators.pictures import picture
from app.simulators.serving import Running

Json = dict[str, Any]
Post = Callable[..., requests.Response]
Poll = Callable[..., requests.Response]

IMAGE = "grok-imagine-image"
NEWEST = "grok-imagine-image-2.0"
VIDEO = "grok-imagine-video"
LATER = "grok-imagine-video-1.5"
FAR: Json = {"url": "https://example.com/a.png"}
OTHER = "xai-other"


def linked(width: int = 64, height: int = 64) -> Json:
    data = base64.b64encode(picture(width, height, "in", "png")).decode()
    return {"url": f"data:image/png;base64,{data}", "type": "image_url"}


@pytest.fixture
def post(running: Running) -> Post:
    def send(path: str, key: str = "xai-sim", **body: Any) -> requests.Response:
        headers = {"authorization": f"Bearer {key}"}
        return requests.post(running.url("grok") + path, json=body, headers=headers, timeout=10)

    return send


@pytest.fixture
def poll(running: Running) -> Poll:
    def ask(begun: requests.Response, key: str = "xai-sim") -> requests.Response:
        address = f"{running.url('grok')}/videos/{begun.json()['request_id']}"
        return requests.get(address, headers={"authorization": f"Bearer {key}"}, timeout=10)

    return ask


@pytest.fixture
def move(running: Running) -> Callable[[float], None]:
    return running.simulators["grok"].clock.move


def draw(post: Post, prompt: str = "a cat", **more: Any) -> requests.Response:
    return post("/images/generations", model=IMAGE, prompt=prompt, **more)


def edit(post: Post, prompt: str = "a hat", **more: Any) -> requests.Response:
    return post("/images/edits", model=IMAGE, prompt=prompt, **more)


def begin(post: Post, prompt: str = "a fox", model: str = VIDEO, **more: Any) -> requests.Response:
    return post("/videos/generations", model=model, prompt=prompt, **more)


# Pictures.


def test_a_picture_lies_at_an_address_that_needs_no_key(running: Running, post: Post) -> None:
    told = draw(post).json()
    (one,) = told["data"]
    fetched = requests.get(one["url"], timeout=10)

    assert told.keys() == {"data", "usage"} and "created" not in told
    assert one["url"].startswith(running.origin("grok") + "/") and one["url"].endswith(".jpeg")
    assert (one["mime_type"], fetched.headers["content-type"]) == ("image/jpeg", "image/jpeg")
    assert sides(fetched.content) == (1024, 1024)
    assert told["usage"]["cost_in_usd_ticks"] == 200_000_000


def test_addresses_are_those_by_which_the_caller_came(running: Running) -> None:
    there = running.url("grok").replace("127.0.0.1", "localhost")
    told = requests.post(
        f"{there}/images/generations",
        json={"prompt": "a cat"},
        headers={"authorization": "Bearer xai-sim"},
        timeout=10,
    )

    assert told.json()["data"][0]["url"].startswith(there.removesuffix("/v1") + "/xai-imgen/")


def test_an_address_works_for_hours_and_no_longer(
    post: Post, move: Callable[[float], None]
) -> None:
    url = draw(post).json()["data"][0]["url"]
    kept = draw(post, "simulate: keeps=7200").json()["data"][0]["url"]
    move(3601)

    assert requests.get(url, timeout=10).status_code == 404
    assert requests.get(kept, timeout=10).status_code == 200


@pytest.mark.parametrize("order, head", [("", ""), ("prefixed", "data:image/jpeg;base64,")])
def test_pictures_come_as_base64_on_request(post: Post, order: str, head: str) -> None:
    told = draw(post, f"simulate: {order}", n=2, response_format="b64_json").json()
    files = [base64.b64decode(one["b64_json"].removeprefix(head)) for one in told["data"]]

    assert all(one["b64_json"].startswith(head or "/9j/") for one in told["data"])
    assert [sides(data) for data in files] == [(1024, 1024)] * 2 and files[0] != files[1]


@pytest.mark.parametrize("ratio", ["1:1", "16:9", "9:19.5", "2:1"])
@pytest.mark.parametrize("resolution, pixels", [("1k", 2**20), ("2k", 2**22)])
def test_ratio_and_resolution_give_the_size(
    post: Post, ratio: str, resolution: str, pixels: int
) -> None:
    told = draw(post, aspect_ratio=ratio, resolution=resolution, response_format="b64_json").json()
    width, height = sides(base64.b64decode(told["data"][0]["b64_json"])) or (0, 0)
    across, down = (float(each) for each in ratio.split(":"))

    assert width % 16 == height % 16 == 0
    assert width * height == pytest.approx(pixels, rel=0.05)
    assert width / height == pytest.approx(across / down, rel=0.05)


def test_pictures_sent_along_with_a_drawing_are_passed_over(post: Post) -> None:
    assert draw(post, image=[1], images="x").status_code == 200


@pytest.mark.parametrize(
    "more, status, words",
    [
        ({"n": 11}, 400, "between 1 and 10"),
        ({"n": "2"}, 422, "Failed to deserialize"),
        ({"aspect_ratio": "5:4"}, 400, "aspect_ratio must be one of"),
        ({"aspect_ratio": "auto"}, 400, "aspect_ratio must be one of"),
        ({"resolution": "1K"}, 422, "Failed to deserialize"),
        ({"size": "1024x1024"}, 422, "size"),
        ({"quality": "hd"}, 422, "Failed to deserialize"),
        ({"prompt": " "}, 400, "prompt"),
        ({"model": "grok-imagine-image-pro"}, 404, "does not exist"),
        ({"model": VIDEO}, 404, "does not exist"),
    ],
)
def test_a_drawing_refused_is_told_flat(post: Post, more: Json, status: int, words: str) -> None:
    answer = post("/images/generations", **{"model": IMAGE, "prompt": "a cat", **more})

    assert answer.status_code == status
    assert answer.json().keys() == {"code", "error"} and words in answer.json()["error"]


def test_what_is_unknown_may_be_passed_over_and_the_newest_model_chooses(post: Post) -> None:
    assert draw(post, "simulate: lenient", size="1024x1024", style="vivid").status_code == 200
    answer = post("/images/generations", model=NEWEST, prompt="a cat", aspect_ratio="auto")

    assert answer.status_code == 200


def test_moderation_is_400_with_its_price(post: Post) -> None:
    answer = draw(post, "simulate: moderated", n=2)

    assert answer.status_code == 400
    assert answer.json()["code"] == "imagine:content-moderated"
    assert answer.json()["usage"]["cost_in_usd_ticks"] == 400_000_000


def test_some_pictures_may_be_withheld(post: Post) -> None:
    some = draw(post, "simulate: withheld=1", n=3).json()["data"]
    (none,) = draw(post, "simulate: withheld", response_format="b64_json").json()["data"]

    assert [one.get("respect_moderation", True) for one in some] == [True, True, False]
    assert some[2]["url"] == "" and none["b64_json"] == ""


@pytest.mark.parametrize("more", [{}, {"aspect_ratio": "1:1"}])
def test_one_picture_edited_keeps_its_shape(post: Post, more: Json) -> None:
    told = edit(post, image=linked(160, 90), response_format="b64_json", **more).json()
    width, height = sides(base64.b64decode(told["data"][0]["b64_json"])) or (0, 1)

    assert width / height == pytest.approx(16 / 9, rel=0.05)


def test_several_pictures_edited_get_the_shape_that_is_asked_for(post: Post) -> None:
    images = [linked(160, 90), FAR]
    told = edit(post, images=images, aspect_ratio="1:2", response_format="b64_json").json()
    width, height = sides(base64.b64decode(told["data"][0]["b64_json"])) or (0, 1)

    assert width / height == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    "more, status",
    [
        ({}, 400),
        ({"images": []}, 400),
        ({"images": [FAR] * 4}, 400),
        ({"image": FAR, "images": [FAR]}, 400),
        ({"image": "https://example.com/a.png"}, 422),
        ({"image": {}}, 400),
        ({"image": {**FAR, "file_id": "file-1"}}, 400),
        ({"image": {"url": "ftp://example.com/a.png"}}, 400),
        ({"image": {"url": "data:image/gif;base64,AAAA"}}, 422),
        ({"image": {"file_id": "file-unknown"}}, 404),
        ({"image": FAR, "mask": FAR}, 422),
    ],
)
def test_an_edit_refused(post: Post, more: Json, status: int) -> None:
    answer = edit(post, **more)

    assert answer.status_code == status and answer.json().keys() == {"code", "error"}


def test_a_form_is_not_an_edit(running: Running) -> None:
    answer = requests.post(
        f"{running.url('grok')}/images/edits",
        data={"prompt": "a hat"},
        files={"image": ("a.png", b"x", "image/png")},
        headers={"authorization": "Bearer xai-sim"},
        timeout=10,
    )

    assert answer.status_code == 415


def test_a_picture_uploaded_or_made_here_can_be_edited(running: Running, post: Post) -> None:
    uploaded = requests.post(
        f"{running.url('grok')}/files",
        files={"file": ("a.png", picture(90, 160, "in", "png"), "image/png")},
        headers={"authorization": "Bearer xai-sim"},
        timeout=10,
    ).json()
    made = draw(post).json()["data"][0]["url"]

    assert edit(post, image={"file_id": uploaded["id"]}).status_code == 200
    assert edit(post, image={"url": made}).status_code == 200
    assert edit(post, image={"url": made + "x"}).status_code == 400


@pytest.mark.parametrize("kind, status", [("throttle", 429), ("fail", 500), ("html", 502)])
def test_a_prompt_may_order_a_mishap(post: Post, kind: str, status: int) -> None:
    assert draw(post, f"simulate: {kind}").status_code == status
    assert begin(post, f"simulate: {kind}").status_code == status


# Films.


def test_a_film_is_begun_polled_and_fetched(
    post: Post, poll: Poll, move: Callable[[float], None]
) -> None:
    begun = begin(post, "simulate: takes=100", duration=5)
    move(30)
    first, second = poll(begun), poll(begun)
    move(71)
    done = poll(begun)

    assert begun.json().keys() == {"request_id"}
    assert (first.status_code, second.status_code, second.content) == (202, 202, b"")
    assert first.json()["status"] == "pending" and 30 <= first.json()["progress"] < 40
    assert done.status_code == 200 and done.json()["status"] == "done"
    assert done.json()["progress"] == 100 and done.json()["model"] == VIDEO
    assert done.json()["usage"]["cost_in_usd_ticks"] == 2_500_000_000
    video = done.json()["video"]
    assert video["duration"] == 5 and video["respect_moderation"] is True
    fetched = requests.get(video["url"], timeout=10)
    assert video["url"].endswith(".mp4") and fetched.content[4:8] == b"ftyp"
    assert fetched.headers["content-type"] == "video/mp4"


def test_a_film_is_fetched_in_ranges_and_for_some_hours(
    post: Post, poll: Poll, move: Callable[[float], None]
) -> None:
    url = poll(begin(post)).json()["video"]["url"]
    whole = requests.get(url, timeout=10).content
    part = requests.get(url, headers={"range": "bytes=4-7"}, timeout=10)
    end = requests.get(url, headers={"range": "bytes=-10"}, timeout=10)
    beyond = requests.get(url, headers={"range": f"bytes={len(whole)}-"}, timeout=10)
    move(3601)

    assert (part.status_code, part.content) == (206, whole[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{len(whole)}"
    assert end.content == whole[-10:] and beyond.status_code == 416
    assert requests.get(url, timeout=10).status_code == 404


@pytest.mark.parametrize(
    "order, status, told",
    [
        ("failed", 200, {"status": "failed", "error": {"code": "internal_error"}}),
        ("failed=invalid_argument", 200, {"error": {"code": "invalid_argument"}}),
        ("expired", 200, {"status": "expired"}),
        ("withheld", 200, {"video": {"url": "", "respect_moderation": False}}),
        ("moderated=later", 400, {"code": "imagine:content-moderated"}),
        ("moderated=older", 400, {"code": "Client specified an invalid argument"}),
        ("gone", 404, {"code": "not-found"}),
        ("stuck", 202, {"status": "pending", "progress": 99}),
        ("polite takes=500", 200, {"status": "pending"}),
    ],
)
def test_the_prompt_orders_how_a_film_ends(
    post: Post, poll: Poll, order: str, status: int, told: Json
) -> None:
    answer = poll(begin(post, f"simulate: {order}"))
    body = answer.json()

    assert answer.status_code == status
    for name, value in told.items():
        found = body[name]
        assert found == value or (isinstance(value, dict) and value.items() <= found.items())


def test_a_film_may_be_done_without_saying_so(post: Post, poll: Poll) -> None:
    told = poll(begin(post, "simulate: statusless")).json()

    assert "status" not in told and told["video"]["url"]


def test_a_wish_moderated_at_once_has_its_price(post: Post) -> None:
    answer = begin(post, "simulate: moderated", duration=10, resolution="720p")

    assert answer.status_code == 400
    assert answer.json()["usage"]["cost_in_usd_ticks"] == 7_000_000_000


def test_a_film_belongs_to_the_key_that_asked_for_it(post: Post, poll: Poll) -> None:
    begun = begin(post)

    assert poll(begun, key=OTHER).status_code == 404
    assert poll(begun).status_code == 200


@pytest.mark.parametrize(
    "model, more, status",
    [
        (VIDEO, {"duration": 16}, 400),
        (VIDEO, {"duration": 0}, 400),
        (VIDEO, {"duration": "8"}, 422),
        (VIDEO, {"aspect_ratio": "21:9"}, 400),
        (VIDEO, {"resolution": "1080p"}, 400),
        (VIDEO, {"resolution": "4k"}, 422),
        (VIDEO, {"image": FAR, "reference_images": [FAR]}, 400),
        (VIDEO, {"reference_images": []}, 400),
        (VIDEO, {"reference_images": [FAR] * 8}, 400),
        (VIDEO, {"reference_images": [FAR], "duration": 11}, 400),
        (LATER, {"reference_images": [FAR], "resolution": "1080p"}, 400),
        (LATER, {"reference_audios": [{"voice_id": "eve"}]}, 400),
        (VIDEO, {"reference_images": [FAR], "reference_audios": [{"voice_id": "eve"}]}, 400),
        (VIDEO, {"seed": 1}, 422),
        (VIDEO, {"prompt": ""}, 400),
        (IMAGE, {}, 404),
    ],
)
def test_a_film_refused(post: Post, model: str, more: Json, status: int) -> None:
    answer = post("/videos/generations", **{"model": model, "prompt": "a fox", **more})

    assert answer.status_code == status and answer.json().keys() == {"code", "error"}


@pytest.mark.parametrize(
    "model, more",
    [
        (VIDEO, {"duration": 15, "resolution": "720p", "aspect_ratio": "1:1"}),
        (LATER, {"resolution": "1080p", "image": FAR}),
        ("grok-imagine-video-1.5-preview", {"resolution": "1080p"}),
        (
            LATER,
            {
                "reference_images": [linked(), FAR],
                "reference_audios": [{"voice_id": "eve"}],
                "generate_audio": False,
            },
        ),
    ],
)
def test_a_film_taken(post: Post, model: str, more: Json) -> None:
    assert begin(post, model=model, **more).json().keys() == {"request_id"}


def test_a_film_is_edited_or_made_longer(post: Post, poll: Poll) -> None:
    url = poll(begin(post, duration=6)).json()["video"]["url"]
    source = {"model": VIDEO, "prompt": "in snow", "video": {"url": url}}
    edited = poll(post("/videos/edits", **source)).json()["video"]
    longer = poll(post("/videos/extensions", **source, duration=4)).json()["video"]

    assert (edited["duration"], longer["duration"]) == (6, 10)
    assert edited["url"] != url != longer["url"]


@pytest.mark.parametrize(
    "path, more, status",
    [
        ("/videos/edits", {}, 422),
        ("/videos/edits", {"video": FAR, "duration": 5}, 422),
        ("/videos/edits", {"video": FAR, "resolution": "720p"}, 422),
        ("/videos/extensions", {"video": FAR, "duration": 1}, 400),
        ("/videos/extensions", {"video": FAR, "duration": 11}, 400),
        ("/videos/extensions", {"video": FAR, "user": "u"}, 422),
        ("/videos/extensions", {"video": {"url": "data:image/png;base64,AAAA"}}, 422),
    ],
)
def test_a_change_refused(post: Post, path: str, more: Json, status: int) -> None:
    answer = post(path, model=VIDEO, prompt="in snow", **more)

    assert answer.status_code == status and answer.json().keys() == {"code", "error"}


def test_a_source_must_not_be_too_long_to_edit(post: Post, poll: Poll) -> None:
    url = poll(begin(post, duration=10)).json()["video"]["url"]
    answer = post("/videos/edits", model=VIDEO, prompt="in snow", video={"url": url})

    assert answer.status_code == 400 and "8.7 seconds" in answer.json()["error"]


def test_a_prompt_may_order_a_mishap_for_the_first_poll(post: Post, poll: Poll) -> None:
    begun = begin(post, "simulate: poll=throttle seconds=2")
    struck = poll(begun)

    assert (struck.status_code, struck.headers["retry-after"]) == (429, "2")
    assert poll(begun).status_code == 200


def test_a_prompt_may_order_a_mishap_for_the_first_download(post: Post, poll: Poll) -> None:
    url = poll(begin(post, "simulate: download=cut")).json()["video"]["url"]

    with pytest.raises(requests.RequestException):
        requests.get(url, timeout=10)
    assert requests.get(url, timeout=10).content[4:8] == b"ftyp"


@pytest.mark.parametrize("kind, status", [("throttle", 429), ("refuse", 400), ("overload", 503)])
def test_queued_mishaps_meet_polls_too(
    running: Running, post: Post, poll: Poll, kind: str, status: int
) -> None:
    begun = begin(post)
    running.simulators["grok"].mishaps.queue(Mishap(kind))

    assert poll(begun).status_code == status
    assert poll(begun).status_code == 200


def test_the_models_for_pictures_have_a_list_of_their_own(running: Running) -> None:
    def get(path: str) -> Json:
        headers = {"authorization": "Bearer xai-sim"}
        told: Json = requests.get(running.url("grok") + path, headers=headers, timeout=10).json()
        return told

    painters = {one["id"]: one["image_price"] for one in get("/image-generation-models")["models"]}
    assert painters[IMAGE] == 2
    assert {IMAGE, VIDEO} <= {one["id"] for one in get("/models")["data"]}
