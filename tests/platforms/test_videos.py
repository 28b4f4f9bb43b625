"""Films by the video routes, with a real worker: what the rows of the contract promise beyond what an
SDK looks at. The simulator of OpenAI's protocol gives a job to none but the key that began it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from app.platforms import PLATFORMS
from app.simulators.films import film
from app.simulators.image_sides import sides
from app.storage.database import Database
from tests.conftest import STUDIO
from tests.stack import PATIENCE, Json, Simulators, Stack, until

MP4 = film(1280, 720, 4, "")
MODEL = "sora-2"
OVER = ("completed", "failed")
NOBODYS = "video_" + "0" * 32
FILM_MODELS = {"flow": "veo_3_1", "grok": "grok-imagine-video"}
BROUGHT = "brought-film-token-91d4"


class Screen:
    """A caller of the video routes of one platform."""

    def __init__(
        self, stack: Stack, platform: str = "sora", licence: str = "", token: str = ""
    ) -> None:
        self.stack, self.platform = stack, platform
        licence = licence or stack.licence
        self.headers = {"Authorization": f"Bearer {licence}"}
        if token:
            self.headers = {"Authorization": f"Bearer {token}", "Tokens-Authorization": licence}

    def call(self, method: str, path: str = "", **more: Any) -> requests.Response:
        headers = self.headers | more.pop("headers", {})
        url = f"{self.stack.url(self.platform)}/v1/videos{path}"
        return requests.request(method, url, headers=headers, timeout=PATIENCE, **more)

    def begin(self, prompt: str = "A boat leaves", **more: Any) -> requests.Response:
        return self.call("POST", json={"model": MODEL, "prompt": prompt, **more})

    def begun(self, prompt: str = "A boat leaves", **more: Any) -> str:
        answer = self.begin(prompt, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def show(self, name: str, **params: str) -> Json:
        answer = self.call("GET", f"/{name}", params=params)
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()
        return told

    def ended(self, name: str) -> Json:
        """The film when nothing more becomes of it."""
        until(lambda: self.show(name)["status"] in OVER, 30)
        return self.show(name)

    def made(self, prompt: str = "A boat leaves", **more: Any) -> str:
        name = self.begun(prompt, **more)
        told = self.ended(name)
        assert told["status"] == "completed", told
        return name


def error(answer: requests.Response) -> Json:
    told: Json = answer.json()["error"]
    return told


@pytest.fixture
def screen(studio: Stack) -> Screen:
    return Screen(studio)


@pytest.fixture
def own(simulators: Simulators, tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Starts a gateway with a worker for one test alone."""
    started: list[Stack] = []

    def start(**settings: str) -> Stack:
        started.append(Stack(simulators, tmp_path / "own", **STUDIO, **settings))
        started[-1].work()
        return started[-1]

    yield start
    for one in started:
        one.stop()


# ---------------------------------------------------------------- looking


def test_there_is_detail_for_who_asks_for_it(screen):
    """C-201."""
    name = screen.made()
    assert "detail" not in screen.show(name)
    assert "detail" not in screen.show(name, detail="false")
    detail = screen.show(name, detail="true")["detail"]
    assert (detail["state"], detail["engine"], detail["engine_model"]) == (
        "completed",
        "sora",
        MODEL,
    )


def test_content_comes_whole_in_part_and_as_a_head(screen):
    """C-202."""
    name = screen.made()
    path = f"/{name}/content"
    whole = screen.call("GET", path)
    assert (whole.status_code, whole.content) == (200, MP4)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["content-length"] == str(len(MP4))
    assert whole.headers["accept-ranges"] == "bytes"

    part = screen.call("GET", path, headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, MP4[4:12])
    assert part.headers["content-range"] == f"bytes 4-11/{len(MP4)}"
    beyond = screen.call("GET", path, headers={"Range": f"bytes={len(MP4)}-"})
    assert beyond.status_code == 416

    head = screen.call("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(MP4))
    assert head.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize("variant", ["thumbnail", "spritesheet"])
def test_its_pictures_come_whole_in_part_and_as_a_head(screen, variant):
    """C-202: kept with the film, so nobody is asked for them again."""
    name = screen.made(size="1280x720")
    path, wanted = f"/{name}/content", {"variant": variant}
    screen.stack.simulators.clear("sora")
    whole = screen.call("GET", path, params=wanted)
    assert whole.status_code == 200, whole.text
    assert whole.headers["content-type"] == "image/webp"
    wide, high = sides(whole.content)
    assert wide / high == pytest.approx(16 / 9) and len(whole.content) != len(MP4)
    assert whole.headers["content-length"] == str(len(whole.content))

    part = screen.call("GET", path, params=wanted, headers={"Range": "bytes=8-11"})
    assert (part.status_code, part.content) == (206, b"WEBP")
    head = screen.call("HEAD", path, params=wanted)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert screen.call("GET", path, params={"variant": "video"}).content == MP4
    asked = screen.stack.simulators.journal("sora")
    assert [one for one in asked if one["path"].endswith("/content")] == []

    other = screen.stack.tokens("licence", "add", "--label", "somebody else").strip()
    for stranger in (Screen(screen.stack, licence=other), Screen(screen.stack, "grok")):
        assert stranger.call("GET", path, params=wanted).status_code == 404
    assert screen.call("DELETE", f"/{name}").status_code == 200
    assert screen.call("GET", path, params=wanted).status_code == 404
    kept = Database(screen.stack.environ["TOKENS_DATABASE_URL"])
    rows = sa.text("SELECT count(*) FROM media WHERE task = :task")
    assert kept.read(lambda one: one.execute(rows, {"task": name}).scalar()) == 0


def test_an_unknown_variant_and_one_that_is_not_there_yet(screen):
    """C-202, C-203."""
    slow = screen.begun("Slow\nsimulate: takes=60")
    for variant, status, param in (("poster", 400, "variant"), ("thumbnail", 409, None)):
        answer = screen.call("GET", f"/{slow}/content", params={"variant": variant})
        assert (answer.status_code, error(answer)["param"]) == (status, param)
    assert screen.call("GET", f"/{NOBODYS}/content?variant=poster").status_code == 404


@pytest.mark.parametrize("variant", ["thumbnail", "spritesheet"])
def test_a_server_that_knows_no_variants_has_none(screen, variant):
    """It sends the film whatever is asked for, which is no picture."""
    name = screen.made("Plain\nsimulate: bare")
    answer = screen.call("GET", f"/{name}/content", params={"variant": variant})
    assert (answer.status_code, error(answer)["param"]) == (404, "variant")
    assert screen.call("GET", f"/{name}/content").content == MP4


@pytest.mark.parametrize(
    "platform, model",
    [
        ("grok", "grok-imagine-video"),
        ("flow", "veo_3_1"),
        ("gemini_official", "gemini-omni-1.1-flash"),
    ],
)
def test_platforms_that_have_no_pictures_of_films_say_so(studio, platform, model):
    screen = Screen(studio, platform)
    name = screen.made(model=model)
    for variant, status in (("thumbnail", 404), ("spritesheet", 404), ("poster", 400)):
        answer = screen.call("GET", f"/{name}/content", params={"variant": variant})
        assert (answer.status_code, error(answer)["param"]) == (status, "variant")


def test_content_of_what_is_not_there(screen):
    """C-203, K-086, K-107: a client that repeats every 409 is told not to."""
    slow = screen.begun("Slow\nsimulate: takes=60")
    early = screen.call("GET", f"/{slow}/content")
    assert (early.status_code, error(early)["code"]) == (409, "video_not_ready")
    assert early.headers["x-should-retry"] == "false"

    failed = screen.begun("Sinks\nsimulate: failed=hull_broken")
    assert screen.ended(failed)["error"]["code"] == "hull_broken"
    late = screen.call("GET", f"/{failed}/content")
    assert late.status_code == 410 and "hull_broken" in error(late)["message"]
    assert late.headers.get("x-should-retry") != "true"


def test_a_film_whose_time_is_up_is_gone(own):
    """C-203, C-208: its task still says what it was."""
    screen = Screen(own(TOKENS_MEDIA_SECONDS="1"))
    name = screen.made()
    until(lambda: screen.call("GET", f"/{name}/content").status_code == 410)
    for variant in ("video", "thumbnail"):
        answer = screen.call("GET", f"/{name}/content", params={"variant": variant})
        assert (answer.status_code, error(answer)["code"]) == (410, "video_expired")
        assert answer.headers.get("x-should-retry") != "true"
    assert screen.show(name)["status"] == "completed"


# ---------------------------------------------------------------- whose it is


def test_nobody_else_sees_it_by_any_route(screen, studio):
    """C-210, R-087, R-088: as if there were none, for another licence and under another platform."""
    name = screen.made()
    other = studio.tokens("licence", "add", "--label", "somebody else").strip()
    strangers = [Screen(studio, licence=other), Screen(studio, "grok")]
    asks = [
        ("GET", "", None),
        ("GET", "/content", None),
        ("HEAD", "/content", None),
        ("POST", "/remix", {"prompt": "mine now", "model": MODEL}),
        ("DELETE", "", None),
    ]
    for stranger in strangers:
        for method, path, body in asks:
            found = stranger.call(method, f"/{name}{path}", json=body)
            absent = stranger.call(method, f"/{NOBODYS}{path}", json=body)
            assert (found.status_code, absent.status_code) == (404, 404), (method, path)
            if method != "HEAD":
                words, none = error(found), error(absent)
                assert words.pop("message").replace(name, "") == none.pop("message").replace(
                    NOBODYS, ""
                )
                assert words.keys() == none.keys() and words["code"] == none["code"]
        for path in ("edits", "extensions"):
            body = {"prompt": "mine now", "model": MODEL, "video": {"id": name}}
            assert stranger.call("POST", f"/{path}", json=body).status_code == 404
        listed = stranger.call("GET", params={"limit": "100"}).json()
        assert name not in {one["id"] for one in listed["data"]}
        assert stranger.call("GET", params={"after": name}).status_code in (200, 404)
    assert screen.call("GET", f"/{name.upper()}").status_code == 404
    assert screen.call("GET", f"/{name}/content").content == MP4


def test_what_a_key_began_that_key_goes_on_with(own):
    """C-205, C-209: each key sees its own jobs only, so a look with the other one would find nothing."""
    screen = Screen(own(TOKENS_SORA_KEYS="film-key-one,film-key-two"))
    names = [screen.begun(f"Boat {number}") for number in range(4)]
    assert {screen.ended(name)["status"] for name in names} == {"completed"}
    for name in names:
        answer = screen.call("POST", f"/{name}/remix", json={"prompt": "red"})
        assert answer.status_code == 200, answer.text
        assert (answer.json()["model"], answer.json()["remixed_from_video_id"]) == (MODEL, name)
        told = screen.ended(answer.json()["id"])
        assert told["status"] == "completed", told
        assert screen.call("GET", f"/{told['id']}/content").content == MP4


# ---------------------------------------------------------------- refused, failed, lost


@pytest.mark.parametrize(
    "field, value",
    [
        ("watermark", True),
        ("private", True),
        ("style", "anime"),
        ("storyboard", [{"prompt": "one"}]),
        ("character_url", "https://example.com/cat.png"),
        ("characters", [{"id": "char_1"}]),
        ("n", 2),
    ],
)
def test_what_no_platform_could_honour_is_refused_unless_it_says_nothing(screen, field, value):
    """C-206."""
    screen.stack.simulators.clear("sora")
    answer = screen.begin(**{field: value})
    assert (answer.status_code, error(answer)["param"]) == (400, field)
    assert screen.stack.simulators.posts("sora") == []
    assert screen.begin(**{field: 1 if field == "n" else None}).status_code == 200


@pytest.mark.parametrize(
    "platform, model",
    [
        ("flow", "veo_3_1"),
        ("flow", "omni_flash"),
        ("gemini_official", "gemini-omni-1.1-flash"),
        ("grok", "grok-imagine-video"),
    ],
)
def test_films_come_one_at_a_time(studio, platform, model):
    """C-207."""
    screen = Screen(studio, platform)
    for value in (2, "2", 0):
        studio.simulators.clear(platform)
        answer = screen.begin(model=model, n=value)
        assert (answer.status_code, error(answer)["param"]) == (400, "n"), answer.text
        assert studio.simulators.posts(platform) == []
    assert screen.begin(model=model, n=1).status_code == 200


@pytest.mark.parametrize(
    "fields, query, size",
    [
        ({"aspect_ratio": "16:9"}, {}, "1280x720"),
        ({"aspect_ratio": "16:9"}, {"aspect_ratio": "9:16"}, "720x1280"),
        ({"size": "1920x1080", "resolution": "720p"}, {}, "1280x720"),
        ({"model": "sora-2-pro", "aspect_ratio": "9:16"}, {"resolution": "1080p"}, "1024x1792"),
        ({"model": "sora_video2-landscape-hd-pro"}, {}, "1792x1024"),
    ],
)
def test_a_shape_and_a_resolution_become_a_size(screen, fields, query, size):
    """C-118 to C-120, C-180: the query goes before the body; the answer repeats what was asked for."""
    screen.stack.simulators.clear("sora")
    body = {"model": MODEL, "prompt": "A boat", **fields}
    answer = screen.call("POST", json=body, params=query)
    assert answer.status_code == 200, answer.text
    asked = screen.stack.simulators.posts("sora")[0]["body"]
    assert asked["size"] == answer.json()["size"] == size
    assert asked.keys() == {"prompt", "model", "seconds", "size"}


@pytest.mark.parametrize("resolution", ["4k", "480p", "8K"])
def test_a_resolution_that_films_have_not_is_refused(screen, resolution):
    answer = screen.begin(resolution=resolution)
    assert (answer.status_code, error(answer)["param"]) == (400, "resolution")


def test_what_is_asked_for_must_be_said(screen):
    """C-191."""
    for field in ("prompt", "model"):
        body = {"prompt": "A boat", "model": MODEL}
        del body[field]
        answer = screen.call("POST", json=body)
        assert (answer.status_code, error(answer)["param"]) == (400, field)


def test_moderation_is_a_refusal_at_once_and_a_failure_later(screen):
    """C-190."""
    answer = screen.begin("Bad\nsimulate: moderated")
    assert (answer.status_code, error(answer)["code"]) == (400, "moderation_blocked")
    told = screen.ended(screen.begun("Bad\nsimulate: moderated=later"))
    assert (told["status"], told["error"]["code"]) == ("failed", "moderation_blocked")


def test_a_server_that_makes_no_films_any_more_says_so(screen):
    """C-190: not as if only the name of the model were wrong."""
    answer = screen.begin("A boat\nsimulate: gone")
    assert (answer.status_code, error(answer)["code"]) == (404, "model_not_found")
    assert error(answer)["message"].startswith("the platform makes no films with the model sora-2")
    assert "shut down" in error(answer)["message"]


def test_a_platform_s_own_trouble_is_not_called_ours(studio):
    """C-190."""
    screen = Screen(studio, "grok")
    told = screen.ended(screen.begun("A boat\nsimulate: failed", model=FILM_MODELS["grok"]))
    assert (told["status"], told["error"]["code"]) == ("failed", "upstream_error")


def test_a_job_that_the_platform_has_lost_fails(screen):
    """C-179, C-190: when it has said three times that there is none."""
    told = screen.ended(screen.begun("Vanishes\nsimulate: vanished"))
    assert (told["status"], told["error"]["code"]) == ("failed", "video_not_found")


def test_a_job_that_never_ends_fails_at_the_deadline(own):
    """C-179, C-190, C-203."""
    screen = Screen(own(TOKENS_JOB_SECONDS="2"))
    stuck = screen.begun("Stuck\nsimulate: stuck")
    told = screen.ended(stuck)
    assert (told["status"], told["error"]["code"]) == ("failed", "timeout")
    assert told["error"]["message"]
    assert screen.call("GET", f"/{stuck}/content").status_code == 410


def test_a_restart_loses_no_film(own):
    """C-208, R-083: what was made stays, what is on its way is made, and nothing is begun twice."""
    stack = own()
    screen = Screen(stack)
    done = screen.made()
    stack.simulators.clear("sora")
    running = screen.begun("Slow\nsimulate: takes=2")
    stack.restart()
    assert screen.show(done)["status"] == "completed"
    assert screen.call("GET", f"/{done}/content").content == MP4
    assert screen.ended(running)["status"] == "completed"
    assert screen.call("GET", f"/{running}/content").content == MP4
    assert len(stack.simulators.posts("sora")) == 1


# ---------------------------------------------------------------- whose token, which engine


def test_a_film_by_a_brought_token_is_made_and_its_token_is_nowhere(own):
    """C-041, C-042, C-047, C-050."""
    stack = own()
    screen = Screen(stack, token=BROUGHT)
    name = screen.begun("A boat\nsimulate: takes=1")
    assert screen.call("GET", f"/{name}/content").status_code == 409
    assert screen.ended(name)["status"] == "completed"
    assert screen.call("GET", f"/{name}/content").content == MP4
    assert screen.call("HEAD", f"/{name}/content").headers["content-type"] == "video/mp4"
    small = screen.call("GET", f"/{name}/content", params={"variant": "thumbnail"})
    assert (small.headers["content-type"], small.content[8:12]) == ("image/webp", b"WEBP")
    again = screen.call("POST", f"/{name}/remix", json={"prompt": "red"})
    assert again.status_code == 200 and again.json()["remixed_from_video_id"] == name
    assert screen.ended(again.json()["id"])["status"] == "completed"
    assert name in {one["id"] for one in screen.call("GET").json()["data"]}
    assert screen.call("DELETE", f"/{name}").status_code == 200

    stack.stop()
    files = [path for path in stack.folder.rglob("*") if path.is_file()]
    assert files and not [path for path in files if BROUGHT.encode() in path.read_bytes()]


@pytest.mark.parametrize("platform", ["sora", "flow", "grok"])
def test_a_film_by_a_brought_token_comes_in_parts_and_does_no_harm(studio, platform):
    """C-202: what is asked of us is asked of the platform; the headers are those of our own films."""
    screen = Screen(studio, platform, token=BROUGHT)
    more = {} if platform == "sora" else {"model": FILM_MODELS[platform]}
    path = f"/{screen.made('A boat', **more)}/content"
    whole = screen.call("GET", path)
    part = screen.call("GET", path, headers={"Range": "bytes=4-11"})

    assert (whole.status_code, part.status_code) == (200, 206), part.headers
    assert part.content == whole.content[4:12]
    assert part.headers["content-range"] == f"bytes 4-11/{len(whole.content)}"
    assert part.headers["content-length"] == "8"
    for one in (whole, part):
        assert one.headers["content-type"] == "video/mp4"
        assert one.headers["accept-ranges"] == "bytes"
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["content-security-policy"].startswith("sandbox")
        assert one.headers["content-disposition"].endswith('.mp4"')
        assert one.headers["cache-control"] == "private"
    several = screen.call("GET", path, headers={"Range": "bytes=0-1,4-5"})
    assert (several.status_code, several.content) == (200, whole.content)


def test_a_brought_token_hears_the_platform_word_for_word(screen, studio):
    """C-043 to C-046: the same status and bytes, asked for once."""
    bringing = Screen(studio, token=BROUGHT)
    studio.simulators.clear("sora")
    answer = bringing.begin("Bad\nsimulate: moderated")
    asked = studio.simulators.journal("sora")
    real = studio.simulators.replay("sora", asked[-1])
    assert len(asked) == 1
    assert (answer.status_code, answer.content) == (real.status_code, real.content)
    assert answer.headers["content-type"] == real.headers["content-type"]

    wrong = Screen(studio, licence="no-licence", token=BROUGHT).begin()
    assert wrong.status_code == 401
    lonely = requests.post(
        f"{studio.url('sora')}/v1/videos",
        json={"model": MODEL, "prompt": "A boat"},
        headers={"Tokens-Authorization": studio.licence},
        timeout=PATIENCE,
    )
    assert lonely.status_code == 401


def test_the_vendor_that_has_no_films_any_more_is_not_asked(own):
    """A dead address answers nobody: what comes back is the gateway's own word."""
    screen = Screen(own(TOKENS_SORA_BASE_URL=PLATFORMS["sora"].base_url))
    answer = screen.begin()
    assert answer.status_code == 410 and error(answer)["code"] == "model_not_found"
    assert "x-tokens-attempts" not in answer.headers
    line = screen.stack.line(answer.headers["x-request-id"])
    assert line["platform"] == "sora" and line["status"] == 410
