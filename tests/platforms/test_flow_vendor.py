"""Google's engines against the vendor's simulators: whole jobs, and each way in which they go wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.canonical.media import ImageJob, Progress, VideoJob
from app.canonical.media_type import sides, sniff
from app.errors import (
    BadReply,
    BrokenTransfer,
    ContentRefused,
    CredentialRefused,
    NoPicture,
    RequestRefused,
    Throttled,
    UpstreamError,
)
from app.platforms import PLATFORMS, flow
from app.simulators import SIMULATORS
from tests.platforms.test_flow import VEO as WITH_VEO
from tests.platforms.test_google_images import png
from tests.platforms.told import Errands, errands

DRAWING = ["gemini", "gemini_official", "flow"]
OMNI, VEO = "omni_flash", "veo_3_1"
ENGINES = {OMNI: flow.PLATFORM, VEO: WITH_VEO}


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Errands]:
    simulator = SIMULATORS["flow"]()
    with errands(simulator, tmp_path, now=simulator.clock.now) as sent:
        yield sent


@pytest.fixture(params=[OMNI, VEO])
def engine(request: pytest.FixtureRequest, vendor: Errands) -> Engine:
    return Engine(request.param, vendor)


class Engine:
    """One of the two, and the jobs that are begun with it."""

    def __init__(self, name: str, vendor: Errands) -> None:
        platform = ENGINES[name]
        assert platform.videos is not None
        self.name = name
        self.vendor = vendor
        self.catalogue = platform.catalogue
        self.engine = platform.videos

    def begin(self, prompt: str, name: str = "", **more: Any) -> str:
        named = self.catalogue.names.read(name or self.name)
        job = VideoJob(model=named.model, prompt=prompt, sets=named.sets, **more)
        return self.engine.begin(self.vendor.errand, self.engine.fitted(job))

    def look(self, name: str) -> Progress:
        return self.engine.look(self.vendor.errand, name)

    def done(self, name: str) -> Progress:
        """The job when all has gone well."""
        found = self.over(name)
        assert found.state == "done", found
        return found

    def over(self, name: str) -> Progress:
        """The job when its time has come, and its file's."""
        self.forward(60)
        found = self.look(name)
        if found.percent == 99:
            self.forward(found.after or 0)
            found = self.look(name)
        return found

    def fetched(self, result: str) -> bytes:
        answer = self.engine.fetch(self.vendor.errand, result)
        whole = io.BytesIO()
        try:
            while data := answer.next(5):
                whole.write(data)
        finally:
            answer.close()
        return whole.getvalue()

    def forward(self, seconds: float) -> None:
        self.vendor.vendor.clock.move(seconds)


# Pictures.


@pytest.mark.parametrize("platform", DRAWING)
def test_pictures_are_drawn_as_they_are_asked_for(platform, tmp_path):
    engine = PLATFORMS[platform].images if platform in PLATFORMS else flow.PLATFORM.images
    assert engine is not None
    with errands(SIMULATORS[platform](), tmp_path) as sent:
        job = ImageJob(
            model="gemini-nano-banana-2.1",
            prompt="A kite",
            size="1536x1024",
            quality="high",
            count=2,
        )
        made = engine.make(sent.errand, engine.fitted(job))

        assert len(made.pictures) == 2
        for picture in made.pictures:
            data = Path(picture.file.path).read_bytes()
            assert sniff(data[:4096]) == "image/png" == picture.file.media_type
            assert sides(data, "image/png") == (2528, 1696)
        assert (made.size, made.output_format) == ("2528x1696", "png")
        assert made.usage and made.usage["total_tokens"] == sum(
            made.usage[name] for name in ("input_tokens", "output_tokens")
        )


def draw(vendor: Errands, prompt: str, **more: Any) -> Any:
    engine = flow.PLATFORM.images
    assert engine is not None
    job = engine.fitted(ImageJob(model="gemini-3-pro-image", prompt=prompt, **more))
    return engine.make(vendor.errand, job)


def test_an_edit_follows_the_first_picture(vendor):
    made = draw(vendor, "Make it night", images=(vendor.file(png(1600, 900)), vendor.file(png())))

    assert made.size == "1376x768"


@pytest.mark.parametrize(
    "prompt, error",
    [
        ("simulate: blocked", ContentRefused),
        ("simulate: finish=IMAGE_SAFETY", ContentRefused),
        ("simulate: undrawn", NoPicture),
        ("simulate: throttle", Throttled),
        ("simulate: refuse", CredentialRefused),
        ("simulate: overload", UpstreamError),
        ("simulate: cut", BrokenTransfer),
        ("simulate: garble", BadReply),
        ("simulate: html", UpstreamError),
    ],
)
def test_a_picture_that_goes_wrong(vendor, prompt, error):
    with pytest.raises(error):
        draw(vendor, prompt)


def test_drafts_are_left_out_and_formats_told(vendor):
    made = draw(vendor, "A kite. simulate: draft jpeg")

    assert (len(made.pictures), made.output_format) == (1, "jpeg")


# Films.


@pytest.mark.parametrize("size", ["1280x720", "720x1280"])
def test_a_film_from_its_beginning_to_its_end(engine, size):
    name = engine.begin("A boat leaves. simulate: takes=30", size=size, seconds=6)

    engine.forward(15)
    assert engine.look(name).state == "running"
    found = engine.done(name)
    assert sniff(engine.fetched(found.result)[:4096]) == "video/mp4"


def test_a_file_that_is_not_ready_yet_holds_the_job_up(vendor):
    engine = Engine(OMNI, vendor)
    name = engine.begin("A boat. simulate: processing=30")
    assert (engine.look(name).state, engine.look(name).percent) == ("running", 99)

    assert engine.done(name)


@pytest.mark.parametrize("count, name", [(1, OMNI), (2, "omni_flash-fl"), (4, OMNI)])
def test_films_from_pictures(vendor, count, name):
    engine = Engine(OMNI, vendor)
    pictures = tuple(vendor.file(png(9, 16)) for _ in range(count))

    assert engine.done(engine.begin("It moves", name, references=pictures))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_veos_films_from_pictures(vendor, count):
    engine = Engine(VEO, vendor)
    pictures = tuple(vendor.file(png(9, 16)) for _ in range(count))

    assert engine.done(engine.begin("It moves", references=pictures))


@pytest.mark.parametrize("shape", ["remix", "edit", "extend"])
def test_a_film_from_an_earlier_one(vendor, shape):
    engine = Engine(OMNI, vendor)
    earlier = engine.begin("A boat leaves", seconds=4)
    engine.done(earlier)
    later = engine.begin("At night", shape=shape, source=earlier, seconds=4)

    assert later != earlier
    assert engine.fetched(engine.done(later).result)


def test_a_film_from_one_that_is_brought_along(vendor):
    engine = Engine(OMNI, vendor)
    film = engine.fetched(engine.done(engine.begin("A boat leaves", seconds=4)).result)

    assert engine.done(engine.begin("At night", shape="edit", references=(vendor.file(film),)))


def test_more_of_a_film_of_veos(vendor):
    engine = Engine(VEO, vendor)
    earlier = engine.begin("A boat leaves")
    engine.done(earlier)
    later = engine.begin("And returns", "veo_3_1-extend", shape="remix", source=earlier)

    assert engine.fetched(engine.done(later).result)


@pytest.mark.parametrize(
    "name, prompt, code",
    [
        (OMNI, "simulate: declined", "moderation_blocked"),
        (OMNI, "simulate: failed", "upstream_error"),
        (OMNI, "simulate: failed=step", "upstream_error"),
        (OMNI, "simulate: status=incomplete", "upstream_error"),
        (OMNI, "simulate: spoilt", "upstream_error"),
        (VEO, "simulate: filtered", "moderation_blocked"),
        (VEO, "simulate: failed", "upstream_error"),
    ],
)
def test_a_film_that_comes_to_nothing(vendor, name, prompt, code):
    engine = Engine(name, vendor)
    found = engine.over(engine.begin(prompt))

    assert (found.state, found.code) == ("failed", code)
    assert found.message


def test_a_film_that_is_refused_at_once(vendor):
    with pytest.raises(RequestRefused) as caught:
        Engine(OMNI, vendor).begin("simulate: unsafe")

    assert (caught.value.status, caught.value.code) == (400, "moderation_blocked")


def test_a_film_that_never_ends_goes_on(engine):
    name = engine.begin("simulate: stuck")
    engine.forward(3600)

    assert engine.look(name).state == "running"


def test_a_film_that_is_called_off(vendor):
    engine = Engine(OMNI, vendor)
    name = engine.begin("simulate: takes=100")
    engine.engine.cancel(vendor.errand, name)

    found = engine.look(name)
    assert (found.state, found.code) == ("failed", "cancelled")
    engine.engine.cancel(vendor.errand, name)  # once more does no harm


def test_a_job_nobody_knows(vendor):
    assert Engine(OMNI, vendor).look("v1_nobody").state == "gone"
    gone = "models/veo-3.1-generate-preview/operations/nobody"
    assert Engine(VEO, vendor).look(gone).state == "gone"


@pytest.mark.parametrize(
    "kind, error",
    [
        ("throttle", Throttled),
        ("refuse", CredentialRefused),
        ("overload", UpstreamError),
        ("html", UpstreamError),
        ("cut", BrokenTransfer),
    ],
)
def test_calls_that_go_wrong_once_leave_the_job_as_it_is(engine, kind, error):
    with pytest.raises(error):
        engine.begin(f"simulate: {kind}")
    name = engine.begin(f"A boat. simulate: poll={kind}")
    engine.forward(60)
    with pytest.raises(error):
        engine.look(name)

    assert engine.done(name)


def test_another_key_sees_nothing_of_it(engine):
    """C-209: the film is there for the key that had it made."""
    name = engine.begin("A boat")
    result = engine.done(name).result
    other = engine.vendor.with_key("other-key-0123456789")

    with pytest.raises(CredentialRefused):
        engine.engine.look(other, name)
    with pytest.raises(RequestRefused) as caught:
        engine.engine.fetch(other, result)
    assert caught.value.code == "video_expired"  # which is how the vendor says it


def test_a_film_is_gone_after_two_days(engine):
    name = engine.begin("A boat")
    result = engine.done(name).result
    engine.forward(2 * 86_400)

    with pytest.raises(RequestRefused) as caught:
        engine.fetched(result)
    assert (caught.value.status, caught.value.code) == (404, "video_expired")


def test_redirects_stay_at_home(engine):
    near = engine.done(engine.begin("A boat. simulate: redirect")).result
    far = engine.done(engine.begin("A boat. simulate: redirect=elsewhere")).result

    assert engine.fetched(near)
    with pytest.raises(BadReply):
        engine.fetched(far)


def test_a_download_that_is_cut(engine):
    result = engine.done(engine.begin("A boat. simulate: download=cut")).result

    with pytest.raises(BrokenTransfer):
        engine.fetched(result)
    assert engine.fetched(result)  # the next one comes through


def test_veo_may_send_the_film_itself(vendor):
    engine = Engine(VEO, vendor)
    found = engine.done(engine.begin("simulate: encoded"))

    assert sniff(engine.fetched(found.result)[:4096]) == "video/mp4"


def test_a_model_that_is_no_more(engine):
    with pytest.raises(RequestRefused) as caught:
        engine.begin("simulate: retired")

    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
