"""Films by Omni, call by call: what is asked, and what comes of the answers."""

from __future__ import annotations

import base64

import pytest

from app.errors import BadReply, CredentialRefused, RequestRefused, Throttled, UpstreamError
from app.simulators.exchange import Reply
from tests.platforms.films import (
    BEGUN,
    ENGINE,
    FILE,
    MP4,
    NAME,
    OMNI,
    OPERATION,
    URI,
    VEO,
    begin,
    interaction,
    video,
)
from tests.platforms.test_google_images import png
from tests.platforms.told import refused

# Omni: what is asked.


def test_a_film_from_words_as_omni_wants_it(send):
    sent = send(BEGUN)
    body = begin(sent, seconds=4, extras={"negative_prompt": "rain", "seed": 7})

    (call,) = sent.asked
    assert (call.method, call.path) == ("POST", "/v1beta/interactions")
    assert call.headers["api-revision"] == "2026-05-20"
    assert body == {
        "model": OMNI,
        "background": True,
        "store": True,
        "input": [{"type": "text", "text": "A boat leaves\n\nAvoid: rain"}],
        "response_format": {
            "type": "video",
            "aspect_ratio": "16:9",
            "resolution": "720p",
            "duration": "4s",
            "delivery": "uri",
        },
        "generation_config": {"video_config": {"task": "text_to_video"}, "seed": 7},
    }


FIRST = "[# Sources <FIRST_FRAME>@Image1] "
BOTH = "[# Sources <FIRST_FRAME>@Image1 <LAST_FRAME>@Image2] "
THREE = "[# References <IMAGE_REF_0>@Image1 <IMAGE_REF_1>@Image2 <IMAGE_REF_2>@Image3] "
EARLIER = {"source": "v1_earlier"}


@pytest.mark.parametrize(
    "given, asked, task, prefix",
    [
        ("p", {}, "image_to_video", FIRST),
        ("pp", {}, "image_to_video", BOTH),
        ("pp", {"sets": {"frames": True}}, "image_to_video", BOTH),
        ("ppp", {}, "reference_to_video", THREE),
        ("f", {}, "edit", ""),
        ("fp", {}, "edit", "[# References <IMAGE_REF_0>@Image1] "),
        ("f", {"shape": "extend"}, "extend", ""),
        ("f", {"shape": "edit"}, "edit", ""),
        ("", {"shape": "remix", **EARLIER}, "edit", ""),
        ("", {"shape": "edit", **EARLIER}, "edit", ""),
        ("p", {"shape": "remix", **EARLIER}, "edit", "[# References <IMAGE_REF_0>@Image1] "),
        ("", {"shape": "extend", **EARLIER}, "extend", ""),
        ("", {"shape": "remix", "sets": {"shape": "extend"}, **EARLIER}, "extend", ""),
        ("p", {"prompt": "<FIRST_FRAME> sails"}, "image_to_video", ""),
        ("pp", {"prompt": "<IMAGE_REF_0> and <IMAGE_REF_1>"}, "reference_to_video", ""),
        ("fp", {"prompt": "<VIDEO_REF_0> as <IMAGE_REF_0>"}, "reference_to_video", ""),
        ("fp", {"prompt": "put <IMAGE_REF_0> there", "shape": "edit"}, "edit", ""),
    ],
)
def test_references_play_their_roles(send, given, asked, task, prefix):
    """flow.md 2.1, 8.2 and 9."""
    sent = send(BEGUN)
    data = {"p": png(3, 3, padding=50_000), "f": MP4}
    body = begin(sent, references=tuple(sent.file(data[one]) for one in given), **asked)

    *files, words = body["input"]
    assert [base64.b64decode(one["data"]) for one in files] == [data[one] for one in given]
    assert [one["type"] for one in files] == [{"p": "image", "f": "video"}[one] for one in given]
    assert words == {"type": "text", "text": prefix + asked.get("prompt", "A boat leaves")}
    assert body["generation_config"]["video_config"]["task"] == task
    assert body.get("previous_interaction_id") == asked.get("source")


# Omni: what comes of it.


@pytest.mark.parametrize(
    "answer, state, percent",
    [
        (interaction("queued"), "queued", 0),
        (interaction("in_progress"), "running", 50),
        (interaction("thinking_about_it"), "running", 50),
        (interaction("in_progress", created="2026-11-19T10:00:00Z"), "running", 95),
        (interaction("in_progress", created="2026-11-21T10:00:00Z"), "running", 0),
        (interaction("in_progress", created="soon"), "running", 0),
    ],
)
def test_a_job_on_its_way(send, answer, state, percent):
    found = ENGINE.look(send(answer).errand, NAME)

    assert (found.state, found.percent, found.after) == (state, percent, 5.0)


@pytest.mark.parametrize(
    "uri",
    [
        URI,
        "https://generativelanguage.googleapis.com/files/f123",
        f"{URI}:download?alt=media",
        "http://127.0.0.1:1/v1beta/files/f123",
    ],
)
def test_a_film_is_done_when_its_file_is_ready(send, uri):
    """Only the name of the file counts, so that no answer leads anywhere else."""
    sent = send(interaction("completed", video("gone"), {"type": "text"}, video(uri)), FILE)
    found = ENGINE.look(sent.errand, NAME)

    assert (found.state, found.percent, found.result) == ("done", 100, "files/f123")
    assert found.usage == {"input_tokens": 20, "output_tokens": 46336, "total_tokens": 46356}
    assert [call.path for call in sent.asked] == [
        f"/v1beta/interactions/{NAME}",
        "/v1beta/files/f123",
    ]


def test_a_file_may_need_a_while(send):
    sent = send(interaction("completed", video()), FILE | {"state": "PROCESSING"})
    found = ENGINE.look(sent.errand, NAME)

    assert (found.state, found.percent, found.after) == ("running", 99, 2.0)


@pytest.mark.parametrize(
    "file, code",
    [
        (FILE | {"state": "FAILED"}, "upstream_error"),
        (refused(404, "The file was not found."), "video_expired"),
        (
            refused(403, "You do not have permission to access the File f123 or it may not exist."),
            "video_expired",
        ),
    ],
)
def test_a_file_that_never_comes(send, file, code):
    found = ENGINE.look(send(interaction("completed", video()), file).errand, NAME)

    assert (found.state, found.code) == ("failed", code)
    assert found.message


@pytest.mark.parametrize(
    "answer, code, words",
    [
        (
            interaction("completed", {"type": "text", "text": "I cannot show this."}),
            "moderation_blocked",
            "I cannot show this.",
        ),
        (interaction("completed"), "moderation_blocked", "no film"),
        (
            interaction("failed", errors=[{"code": "internal", "message": "It broke."}]),
            "upstream_error",
            "It broke.",
        ),
        (
            interaction("failed", steps=[{"type": "x", "error": {"code": 13, "message": "Hm."}}]),
            "upstream_error",
            "Hm.",
        ),
        (
            interaction("failed", errors=[{"code": "x", "message": "Blocked by safety filters."}]),
            "moderation_blocked",
            "Blocked",
        ),
        (interaction("cancelled"), "cancelled", "cancelled"),
        (interaction("budget_exceeded"), "upstream_error", "budget_exceeded"),
        (interaction("completed", video("http://169.254.169.254/x")), "upstream_bad_reply", "own"),
        (interaction("completed", video("https://evil.com/a.mp4")), "upstream_bad_reply", "own"),
        (
            interaction("completed", video("https://evil.com#.googleapis.com")),
            "upstream_bad_reply",
            "own",
        ),
        (
            interaction("completed", video("https://u:p@storage.googleapis.com/a.mp4")),
            "upstream_bad_reply",
            "own",
        ),
        (interaction("completed", video("http://[::1/x")), "upstream_bad_reply", "own"),
        (interaction("completed", video("a b")), "upstream_bad_reply", "own"),
    ],
)
def test_a_job_that_fails(send, answer, code, words):
    sent = send(answer)
    found = ENGINE.look(sent.errand, NAME)

    assert (found.state, found.code) == ("failed", code)
    assert words in found.message
    assert len(sent.asked) == 1


@pytest.mark.parametrize("verbatim", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        refused(400, "Invalid interaction name: v1_abc"),
        refused(404, "not found"),
        Reply(400, b'{"error":{"code":"invalid_request","message":"Invalid interaction name"}}'),
    ],
)
def test_a_job_nobody_knows_is_gone(send, answer, verbatim):
    """flow.md 2.3: it is a 400, not a 404."""
    assert ENGINE.look(send(answer, verbatim=verbatim).errand, NAME).state == "gone"


@pytest.mark.parametrize(
    "answer, error",
    [
        (refused(429, "quota"), Throttled),
        (refused(403, "The caller does not have permission"), CredentialRefused),
        (refused(400, "API key not valid. Please pass a valid API key."), CredentialRefused),
        (refused(500, "internal"), UpstreamError),
        (refused(400, "something else"), RequestRefused),
        (b"<html>", BadReply),
        (b"[]", BadReply),
        ({"status": "completed", "steps": [3]}, BadReply),
    ],
)
def test_a_look_that_fails_says_nothing_of_the_job(send, answer, error):
    with pytest.raises(error):
        ENGINE.look(send(answer).errand, NAME)


@pytest.mark.parametrize(
    "answer, code",
    [
        (
            Reply(400, b'{"error":{"code":"invalid_request","message":"bad duration"}}'),
            "invalid_request",
        ),
        (
            Reply(400, b'[{"error":{"code":400,"message":"It was blocked by safety filters."}}]'),
            "moderation_blocked",
        ),
    ],
)
def test_a_job_that_is_refused_at_once(send, answer, code):
    """flow.md 2.3: the word stands where others have a number, or all of it in an array."""
    with pytest.raises(RequestRefused) as caught:
        begin(send(answer))

    assert (caught.value.status, caught.value.code, caught.value.verdict) == (400, code, "stop")


@pytest.mark.parametrize("answer", [{}, {"id": 3}, b"[]", b"{"])
@pytest.mark.parametrize("model", [OMNI, VEO])
def test_a_job_without_a_name_is_none(send, answer, model):
    with pytest.raises(BadReply):
        begin(send(answer), model)


def test_names_of_jobs_cannot_lead_elsewhere(send):
    sent = send(interaction("queued"))
    ENGINE.look(sent.errand, "../files/x?y=1")

    assert (
        sent.asked[0].path == "/v1beta/interactions/../files/x?y=1"
    )  # one piece, when it was sent
    assert sent.asked[0].query == ""
    with pytest.raises(BadReply):
        begin(send({"name": "models/a/operations/../../files/x"}), VEO)


def test_calling_off(send):
    sent = send({"id": NAME, "status": "cancelled"})
    ENGINE.cancel(sent.errand, NAME)

    assert [(call.method, call.path) for call in sent.asked] == [
        ("POST", f"/v1beta/interactions/{NAME}/cancel")
    ]


def test_calling_off_what_is_over_does_nothing(send):
    ENGINE.cancel(send(refused(400, "Only what runs can be cancelled.")).errand, NAME)
    ENGINE.cancel(send(refused(400, "Only what runs"), verbatim=True).errand, NAME)
    with pytest.raises(UpstreamError):
        ENGINE.cancel(send(refused(503, "overloaded")).errand, NAME)


def test_calling_off_is_not_for_veo(send):
    sent = send(refused(500, "nobody should have asked"))
    ENGINE.cancel(sent.errand, OPERATION)

    assert sent.asked == []
