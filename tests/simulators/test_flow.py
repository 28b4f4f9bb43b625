"""The simulated video engines of Google: interactions, operations, files and pictures."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
import requests
from google import genai
from google.genai import types

from app.simulators.image_sides import sides
from app.simulators.mishaps import Mishap
from app.simulators.pictures import picture
from app.simulators.serving import Running

Json = dict[str, Any]
Ask = Callable[..., requests.Response]
Move = Callable[[float], None]

OMNI = "gemini-omni-1.1-flash"
VEO = "veo-3.1-generate-preview"
PNG = base64.b64encode(picture(64, 64, "in", "png")).decode()
IMAGE: Json = {"type": "image", "mime_type": "image/png", "data": PNG}
CLIP: Json = {"type": "video", "mime_type": "video/mp4", "data": "AAAA"}
FORMAT: Json = {
    "type": "video",
    "aspect_ratio": "16:9",
    "resolution": "720p",
    "duration": "8s",
    "delivery": "uri",
}


@pytest.fixture
def ask(running: Running) -> Ask:
    def send(
        path: str, body: Any = None, method: str = "", key: str = "sim", **headers: str
    ) -> requests.Response:
        address = path if path.startswith("http") else running.origin("flow") + path
        sent = {"x-goog-api-key": key, **headers} if key else headers
        verb = method or ("GET" if body is None else "POST")
        return requests.request(
            verb, address, json=body, headers=sent, timeout=10, allow_redirects=False
        )

    return send


@pytest.fixture
def move(running: Running) -> Move:
    return running.simulators["flow"].clock.move


def wish(text: str = "a fox", task: str = "", **more: Any) -> Json:
    config = {"generation_config": {"video_config": {"task": task}}} if task else {}
    return {
        "model": OMNI,
        "input": text,
        "background": True,
        "response_format": FORMAT,
        **config,
        **more,
    }


def shaped(**change: Any) -> Json:
    return {"response_format": {**FORMAT, **change}}


def begin(ask: Ask, text: str = "a fox", **more: Any) -> str:
    answer = ask("/v1beta/interactions", wish(text, **more))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def poll(ask: Ask, name: str) -> Json:
    told: Json = ask(f"/v1beta/interactions/{name}").json()
    return told


def videos(told: Json) -> list[Json]:
    outputs = [step for step in told["steps"] if step["type"] == "model_output"]
    content = [part for step in outputs for part in step.get("content", [])]
    return [part for part in content if part["type"] == "video"]


def film_of(ask: Ask, text: str = "a fox", **more: Any) -> str:
    """The address of a film that has been made."""
    (video,) = videos(poll(ask, begin(ask, text, **more)))
    return str(video["uri"])


# Interactions.


def test_an_interaction_is_queued_goes_on_and_ends_with_a_video(
    running: Running, ask: Ask, move: Move
) -> None:
    begun = ask("/v1beta/interactions", wish("simulate: takes=100")).json()
    name = begun["id"]
    move(50)
    during = poll(ask, name)
    move(51)
    done = poll(ask, name)

    assert name.startswith("v1_") and begun["object"] == "interaction"
    assert (begun["status"], during["status"], done["status"]) == (
        "queued",
        "in_progress",
        "completed",
    )
    assert videos(begun) == videos(during) == []
    (video,) = videos(done)
    assert video["uri"].startswith(running.origin("flow") + "/v1beta/files/")
    assert [step["type"] for step in done["steps"]] == ["user_input", "thought", "model_output"]
    assert done["usage"]["total_output_tokens"] == 8 * 5792
    assert done["usage"]["output_tokens_by_modality"] == [{"modality": "video", "tokens": 8 * 5792}]


def test_without_background_the_answer_waits_for_the_video(ask: Ask) -> None:
    told = ask("/v1beta/interactions", wish("simulate: takes=0.2", background=False)).json()

    assert told["status"] == "completed" and len(videos(told)) == 1


def test_a_video_may_come_in_the_answer_itself(ask: Ask) -> None:
    (video,) = videos(poll(ask, begin(ask, **shaped(delivery="inline"))))

    assert base64.b64decode(video["data"])[4:8] == b"ftyp" and "uri" not in video


@pytest.mark.parametrize(
    "order, status",
    [
        ("declined", "completed"),
        ("failed", "failed"),
        ("failed=step", "failed"),
        ("status=incomplete", "incomplete"),
        ("status=budget_exceeded", "budget_exceeded"),
        ("status=requires_action", "requires_action"),
    ],
)
def test_an_interaction_may_end_without_a_video(ask: Ask, order: str, status: str) -> None:
    told = poll(ask, begin(ask, f"simulate: {order}"))

    assert told["status"] == status and videos(told) == []
    assert told["usage"]["total_output_tokens"] == 0


def test_what_went_wrong_is_told_in_one_of_three_places(ask: Ask) -> None:
    declined = poll(ask, begin(ask, "simulate: declined"))["steps"][-1]
    failed = poll(ask, begin(ask, "simulate: failed"))
    in_step = poll(ask, begin(ask, "simulate: failed=step"))

    assert declined["content"][0]["type"] == "text" and declined["content"][0]["text"]
    assert failed["errors"][0]["code"] == "internal" and failed["errors"][0]["message"]
    assert "errors" not in in_step and in_step["steps"][-1]["error"]["code"] == 13


def test_a_stuck_interaction_never_ends_and_can_be_cancelled(ask: Ask, move: Move) -> None:
    name = begin(ask, "simulate: stuck")
    move(36000)
    before = poll(ask, name)
    cancelled = ask(f"/v1beta/interactions/{name}/cancel", {})

    assert before["status"] == "in_progress"
    assert cancelled.json()["status"] == poll(ask, name)["status"] == "cancelled"
    assert ask(f"/v1beta/interactions/{name}/cancel", {}).status_code == 400


def test_the_last_of_several_videos_is_the_one_meant(ask: Ask) -> None:
    first, last = videos(poll(ask, begin(ask, "simulate: twice")))

    assert first["uri"] != last["uri"]


def test_an_interaction_may_be_deleted(ask: Ask) -> None:
    name = begin(ask)
    deleted = ask(f"/v1beta/interactions/{name}", method="DELETE")
    after = ask(f"/v1beta/interactions/{name}")

    assert deleted.status_code == 200
    assert after.status_code == 400
    assert after.json()["error"]["message"].startswith("Invalid interaction name")


def test_what_is_not_stored_cannot_be_looked_up(ask: Ask) -> None:
    told = ask("/v1beta/interactions", wish(background=False, store=False)).json()

    assert told["status"] == "completed"
    assert ask(f"/v1beta/interactions/{told['id']}").status_code == 400


def test_interactions_and_files_belong_to_their_key(ask: Ask, move: Move) -> None:
    name = begin(ask)
    (video,) = videos(poll(ask, name))
    move(2)

    assert ask(f"/v1beta/interactions/{name}", key="other").status_code == 403
    assert ask(f"/v1beta/interactions/{name}", method="DELETE", key="other").status_code == 403
    assert ask(video["uri"], key="other").status_code == 403
    assert ask(f"{video['uri']}:download?alt=media", key="other").status_code == 403
    assert ask(f"{video['uri']}:download?alt=media").status_code == 200
    assert ask("/v1beta/files", key="other").json() == {}


@pytest.mark.parametrize(
    "change, words",
    [
        (shaped(duration=8), "duration"),
        (shaped(duration="8"), "duration"),
        (shaped(duration="2s"), "between 3s and 10s"),
        (shaped(duration="12s"), "between 3s and 10s"),
        (shaped(duration="3.5s"), "duration"),
        (shaped(aspect_ratio="1:1"), "aspect_ratio"),
        (shaped(resolution="1440p"), "1440p"),
        (shaped(delivery="url"), "delivery"),
        (shaped(gcs_uri="gs://a/b"), "gcs_uri"),
        ({"response_format": [FORMAT, FORMAT]}, "response_format"),
        ({"store": False}, "store"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [IMAGE]}, "text"),
        ({"input": [{"type": "text", "text": "a"}, *[IMAGE] * 11]}, "10 images"),
        ({"input": [{"type": "text", "text": "a"}, *[CLIP] * 4]}, "3 videos"),
        ({"input": [{"type": "image", "mime_type": "image/gif", "data": PNG}]}, "image/gif"),
        ({"input": [{**IMAGE, "uri": "x"}]}, "Exactly one"),
        ({"input": [{"type": "audio", "data": PNG}]}, "audio"),
        ({"system_instruction": "be kind"}, "system_instruction"),
        ({"generation_config": {"temperature": 1}}, "temperature"),
        ({"tools": []}, "tools"),
        ({"negative_prompt": "rain"}, "negative_prompt"),
        ({"input": "a <FIRST_FRAME> dog"}, "FIRST_FRAME"),
        ({"input": [IMAGE, {"type": "text", "text": "to <LAST_FRAME>"}]}, "LAST_FRAME"),
        ({"input": [IMAGE, {"type": "text", "text": "<IMAGE_REF_1> runs"}]}, "IMAGE_REF_1"),
        ({"input": "go on with <PREVIOUS_VIDEO>"}, "PREVIOUS_VIDEO"),
        (wish(task="image_to_video"), "image_to_video"),
        (wish(task="edit"), "edit"),
        (wish(task="extend"), "extend"),
        (wish([IMAGE, {"type": "text", "text": "a"}], "text_to_video"), "text_to_video"),  # type: ignore[arg-type]
        (wish(task="upscale"), "upscale"),
        ({"previous_interaction_id": "v1_nothing"}, "Invalid interaction name"),
        ({"input": "simulate: unsafe"}, "safety"),
    ],
)
def test_an_interaction_refused_is_told_under_a_word(ask: Ask, change: Json, words: str) -> None:
    answer = ask("/v1beta/interactions", wish(**{"text": "a fox", **change}))
    error = answer.json()["error"]

    assert (answer.status_code, error["code"]) == (400, "invalid_request"), error
    assert words in error["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"response_format": [FORMAT]},
        {"response_format": {"type": "video"}},
        {"input": [{"type": "user_input", "content": [{"type": "text", "text": "a fox"}]}]},
        {
            "input": [
                IMAGE,
                IMAGE,
                {"type": "text", "text": "from <FIRST_FRAME> to <LAST_FRAME>"},
            ],
            "generation_config": {"video_config": {"task": "image_to_video"}, "seed": 3},
        },
        {
            "input": [
                {"type": "text", "text": "[# Sources <FIRST_FRAME>@Image1] It runs."},
                IMAGE,
            ]
        },
        {"input": [CLIP, {"type": "text", "text": "Make <VIDEO_0> blue"}]},
        {"webhook_config": {"uris": ["https://example.com"]}, "labels": {"a": "b"}},
        {"model": "gemini-omni-1.2-flash", **shaped(duration="15s", resolution="4k")},
    ],
)
def test_an_interaction_taken(ask: Ask, change: Json) -> None:
    assert videos(poll(ask, begin(ask, **change)))


def test_a_model_that_is_gone_or_of_another_kind_is_404(running: Running, ask: Ask) -> None:
    for model in ("gemini-omni-flash-preview", "gemini-3.8-flash", VEO):
        answer = ask("/v1beta/interactions", wish(model=model))
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert ask(f"/v1beta/models/{OMNI}:generateContent", {"contents": []}).status_code == 404
    assert ask("/v1beta/interactions", wish("simulate: retired")).status_code == 404
    assert ask(f"/v1beta/models/{OMNI}").json()["name"] == f"models/{OMNI}"


def test_a_video_is_edited_and_extended_by_the_one_before(ask: Ask) -> None:
    first = begin(ask, **shaped(duration="10s"))
    edited = begin(ask, "in snow", task="edit", previous_interaction_id=first)
    longer = begin(
        ask, "on", task="extend", previous_interaction_id=edited, **shaped(duration="10s")
    )
    told = poll(ask, longer)
    file = ask(videos(told)[0]["uri"]).json()

    assert told["previous_interaction_id"] == edited
    assert told["usage"]["total_output_tokens"] == 10 * 5792
    assert file["videoMetadata"] == {"videoDuration": "20s"}


def test_there_is_an_end_to_extending_and_to_editing(ask: Ask) -> None:
    name = begin(ask, **shaped(duration="10s"))
    for _ in range(3):
        name = begin(
            ask, "on", task="extend", previous_interaction_id=name, **shaped(duration="10s")
        )
    beyond = wish("on", "extend", previous_interaction_id=name, **shaped(duration="3s"))
    edit = wish("in snow", "edit", previous_interaction_id=name)

    assert "at most 40s" in ask("/v1beta/interactions", beyond).json()["error"]["message"]
    assert "longer than 10s" in ask("/v1beta/interactions", edit).json()["error"]["message"]


def test_nothing_goes_on_from_an_interaction_without_a_video(ask: Ask) -> None:
    for order in ("declined", "stuck", "failed"):
        name = begin(ask, f"simulate: {order}")
        answer = ask("/v1beta/interactions", wish("on", "edit", previous_interaction_id=name))
        assert "has no video" in answer.json()["error"]["message"]


def test_a_file_as_source_must_be_ready_and_ones_own(ask: Ask, move: Move) -> None:
    uri = film_of(ask)
    source = [
        {"type": "video", "mime_type": "video/mp4", "uri": uri},
        {"type": "text", "text": "in snow"},
    ]
    early = ask("/v1beta/interactions", wish(input=source))
    move(2)
    strange = ask("/v1beta/interactions", wish(input=source), key="other")

    assert (early.status_code, early.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert strange.status_code == 403
    assert begin(ask, input=source, task="edit")


def test_an_interaction_streams_its_steps(ask: Ask) -> None:
    answer = ask("/v1beta/interactions", wish("simulate: takes=0.1", background=False, stream=True))
    records = [
        dict(line.split(": ", 1) for line in each.split("\n"))
        for each in answer.text.split("\n\n")
        if each
    ]
    told = [json.loads(each["data"]) for each in records[:-1]]

    assert [each["event"] for each in records] == [each["event_type"] for each in told] + ["done"]
    assert told[0]["event_type"] == "interaction.created"
    assert told[-1]["event_type"] == "interaction.completed"
    assert (
        told[-1]["interaction"]["status"] == "completed" and "steps" not in told[-1]["interaction"]
    )
    deltas = [each["delta"] for each in told if each["event_type"] == "step.delta"]
    assert [delta["type"] for delta in deltas] == ["video"]


# Files.


def test_a_file_is_not_ready_for_a_while(ask: Ask, move: Move) -> None:
    uri = film_of(ask)
    before, early = ask(uri).json(), ask(f"{uri}:download?alt=media")
    move(2)
    after, ready = ask(uri).json(), ask(f"{uri}:download?alt=media")

    assert (before["state"], after["state"]) == ("PROCESSING", "ACTIVE")
    assert early.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert ready.headers["content-type"] == "video/mp4" and ready.content[4:8] == b"ftyp"
    assert after["sizeBytes"] == str(len(ready.content)) and after["source"] == "GENERATED"
    assert after["downloadUri"] == f"{uri}:download?alt=media"


def test_a_file_may_never_be_ready(ask: Ask, move: Move) -> None:
    uri = film_of(ask, "simulate: spoilt processing=0")

    assert ask(uri).json()["state"] == "FAILED" and ask(uri).json()["error"]["message"]
    assert ask(f"{uri}:download?alt=media").status_code == 400


def test_a_download_needs_a_key_and_the_word_media(ask: Ask) -> None:
    uri = film_of(ask, "simulate: processing=0")

    assert ask(f"{uri}:download?alt=media", key="").status_code == 403
    assert ask(f"{uri}:download?alt=media&key=sim", key="").status_code == 200
    assert ask(f"{uri}:download").status_code == 400


def test_a_download_comes_in_ranges_unless_it_is_ordered_not_to(ask: Ask) -> None:
    uri = film_of(ask, "simulate: processing=0")
    whole = film_of(ask, "simulate: processing=0 rangeless")
    part = ask(f"{uri}:download?alt=media", range="bytes=4-7")

    assert (part.status_code, part.content) == (206, b"ftyp")
    assert ask(f"{whole}:download?alt=media", range="bytes=4-7").status_code == 200


@pytest.mark.parametrize(
    "order, host", [("redirect", "127.0.0.1"), ("redirect=elsewhere", "localhost")]
)
def test_a_download_may_be_sent_elsewhere_where_no_key_is_needed(
    ask: Ask, order: str, host: str
) -> None:
    uri = film_of(ask, f"simulate: processing=0 {order}")
    answer = ask(f"{uri}:download?alt=media")
    place = answer.headers["location"]

    assert answer.status_code == 302 and place.startswith(f"http://{host}:")
    assert ask(place, key="").content[4:8] == b"ftyp"


def test_a_file_is_gone_after_two_days_or_when_it_is_deleted(ask: Ask, move: Move) -> None:
    kept, deleted = film_of(ask, "simulate: keeps=200000"), film_of(ask)
    brief, normal = film_of(ask, "simulate: keeps=60"), film_of(ask)
    ask(deleted, method="DELETE")
    move(61)
    states = [ask(each).status_code for each in (kept, deleted, brief, normal)]
    move(48 * 3600)

    assert states == [200, 404, 404, 200]
    assert [ask(each).status_code for each in (kept, normal)] == [200, 404]


# Uploads, pictures, mishaps.


def test_a_file_is_uploaded_in_pieces(running: Running, ask: Ask) -> None:
    begun = ask(
        "/upload/v1beta/files",
        {"file": {"displayName": "x"}},
        **{
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
            "x-goog-upload-header-content-length": "6",
            "x-goog-upload-header-content-type": "video/mp4",
        },
    )
    place = begun.headers["x-goog-upload-url"]

    def piece(data: bytes, offset: int, command: str) -> requests.Response:
        headers = {
            "x-goog-api-key": "sim",
            "x-goog-upload-offset": str(offset),
            "x-goog-upload-command": command,
        }
        return requests.post(place, data=data, headers=headers, timeout=10)

    first, wrong = piece(b"abc", 0, "upload"), piece(b"def", 0, "upload, finalize")
    last = piece(b"def", 3, "upload, finalize")
    file = last.json()["file"]

    assert place.startswith(running.origin("flow"))
    assert (first.headers["x-goog-upload-status"], wrong.status_code) == ("active", 400)
    assert last.headers["x-goog-upload-status"] == "final"
    assert (file["sizeBytes"], file["source"], file["state"]) == ("6", "UPLOADED", "ACTIVE")
    assert ask(f"{file['uri']}:download?alt=media").status_code == 400
    assert file["name"] in {one["name"] for one in ask("/v1beta/files").json()["files"]}


def test_pictures_are_drawn_here_as_well(ask: Ask) -> None:
    body = {
        "contents": [{"parts": [{"text": "a cat"}]}],
        "generationConfig": {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": "9:16", "imageSize": "2K"},
        },
    }
    told = ask("/v1beta/models/gemini-nano-banana-2.1:generateContent", body).json()
    (part,) = told["candidates"][0]["content"]["parts"]

    assert sides(base64.b64decode(part["inlineData"]["data"])) == (1536, 2752)


def test_the_front_end_refuses_in_an_array(ask: Ask) -> None:
    (keyless,) = ask("/v1beta/interactions", wish(), key="").json()
    (wrong,) = ask("/v1beta/interactions", wish(), key="sim-revoked").json()

    assert keyless["error"]["status"] == "PERMISSION_DENIED"
    assert wrong["error"]["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.parametrize("kind, status", [("throttle", 429), ("fail", 500), ("overload", 503)])
def test_a_prompt_orders_a_mishap_for_the_wish_itself(ask: Ask, kind: str, status: int) -> None:
    order = f"simulate: {kind} seconds=2"
    answer = ask("/v1beta/interactions", wish(order))

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)


def test_a_prompt_orders_mishaps_for_polls_and_downloads(ask: Ask) -> None:
    name = begin(ask, "simulate: poll=throttle download=cut processing=0 seconds=2")
    struck = ask(f"/v1beta/interactions/{name}")
    (video,) = videos(poll(ask, name))

    assert struck.status_code == 429
    with pytest.raises(requests.RequestException):
        ask(f"{video['uri']}:download?alt=media")
    assert ask(f"{video['uri']}:download?alt=media").status_code == 200


def test_queued_mishaps_meet_polls_too(running: Running, ask: Ask) -> None:
    name = begin(ask)
    running.simulators["flow"].mishaps.queue(Mishap("html"), Mishap("truncate"))

    assert ask(f"/v1beta/interactions/{name}").status_code == 502
    with pytest.raises(ValueError):
        poll(ask, name)
    assert poll(ask, name)["status"] == "completed"


# The vendor's own SDK.


@pytest.fixture
def client(running: Running) -> genai.Client:
    options = types.HttpOptions(base_url=running.origin("flow"))
    return genai.Client(api_key="sim", http_options=options)


def test_the_vendors_sdk_makes_a_video_and_fetches_it(client: genai.Client, move: Move) -> None:
    begun = client.interactions.create(
        model=OMNI, input="simulate: takes=60", background=True, response_format=FORMAT
    )
    move(61)
    done = client.interactions.get(begun.id)
    assert done.status == "completed" and done.output_video and done.output_video.uri
    move(2)
    name = done.output_video.uri.rpartition("/")[2]
    file = client.files.get(name=name)
    data = client.files.download(file=file)

    assert str(file.state) == "FileState.ACTIVE"
    assert data[4:8] == b"ftyp" and struct.unpack(">I", data[:4])[0] < len(data)
    client.interactions.delete(begun.id)
    with pytest.raises(Exception, match="Invalid interaction name"):
        client.interactions.get(begun.id)


def test_the_vendors_sdk_cancels_and_streams(client: genai.Client) -> None:
    begun = client.interactions.create(model=OMNI, input="simulate: stuck", background=True)
    cancelled = client.interactions.cancel(begun.id)
    events = list(client.interactions.create(model=OMNI, input="a fox", stream=True))

    assert cancelled.status == "cancelled"
    assert events[0].event_type == "interaction.created"
    assert events[-1].event_type == "interaction.completed"


def test_the_vendors_sdk_uploads(client: genai.Client, tmp_path: Any) -> None:
    path = tmp_path / "in.png"
    path.write_bytes(picture(64, 64, "in", "png"))
    file = client.files.upload(file=path)

    assert file.name and file.mime_type == "image/png" and file.uri
    assert client.files.get(name=file.name).size_bytes == path.stat().st_size
