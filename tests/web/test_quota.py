"""What callers see when the quota for files is reached (R-092)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.media.samples import MP4
from tests.sdk.pictures import PAINTERS
from tests.web.house import Answer, House

MODELS = {"sora": "sora-2", "grok": "grok-imagine-video", "flow": "veo_3_1"}
HOURS = 2 * 3600.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    """With room for one megabyte, all of which is taken by one file and some small ones."""
    house = House(tmp_path, TOKENS_MEDIA_MEGABYTES="1")
    house.kept(MP4 + bytes(1 << 20))
    return house


def wanted(house: House) -> list[Answer]:
    """Films, and pictures that nobody waits for."""
    asked: list[tuple[str, Any]] = [
        (f"/{name}/v1/videos", {"model": model, "prompt": "A boat"})
        for name, model in MODELS.items()
    ]
    wish = {"prompt": "A kite", "async": True}
    asked += [
        (f"/{name}/v1/images/generations", {"model": PAINTERS[name].model, **wish})
        for name in house.pictures
    ]
    return [house.ask("POST", path, house.owner, body) for path, body in asked]


def waited_for(house: House) -> list[Answer]:
    """Pictures that are kept when they are there: as links, and in chats."""
    asked: list[tuple[str, Any]] = []
    for name in house.pictures:
        model = {"model": PAINTERS[name].model}
        wish = {**model, "prompt": "A kite", "response_format": "url"}
        asked.append((f"/{name}/v1/images/generations", wish))
        chat = {**model, "messages": [{"role": "user", "content": "A kite"}]}
        asked.append((f"/{name}/v1/chat/completions", chat))
    return [house.ask("POST", path, house.owner, body) for path, body in asked]


def test_a_picture_that_is_kept_nowhere_needs_no_room(house):
    """Without a key the refusal is another one."""
    for name in house.pictures:
        wish = {"model": PAINTERS[name].model, "prompt": "A kite"}
        for more in ({}, {"response_format": "b64_json"}, {"stream": True}):
            answer = house.ask("POST", f"/{name}/v1/images/generations", house.owner, wish | more)
            assert answer.status == 503 and b'"no_available_key"' in answer.body


def test_new_work_is_refused_before_it_costs_anything_and_what_is_there_is_given_out(house):
    before = house.tasks.counts()

    for answer in [*wanted(house), *waited_for(house)]:
        assert answer.status == 507 and b'"storage_full"' in answer.body

    assert house.tasks.counts() == before
    for platform, task in house.films.items():
        content = house.ask("GET", f"/{platform}/v1/videos/{task.id}/content", house.owner)
        assert (content.status, content.body) == (200, MP4)


def test_there_is_room_again_when_the_sweep_has_been(house):
    """The oldest went, down to the low mark. Without a key the next refusal is another one."""
    assert house.hub.media.sweep(time.time() + HOURS) > 0

    answers = wanted(house)
    assert {answer.status for answer in answers} == {200, 503}
    assert not any(b"storage_full" in answer.body for answer in answers)
    found = [
        house.ask("GET", f"/{platform}/v1/videos/{film.id}/content", house.owner)
        for platform, film in house.films.items()
    ]
    assert {one.status for one in found} <= {200, 410}
    assert any(one.status == 410 and b'"video_expired"' in one.body for one in found)
