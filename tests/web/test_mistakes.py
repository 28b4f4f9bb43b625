"""What callers of the picture and film routes get wrong is told so that they can put it right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.web.house import House
from tests.web.test_images_served import TEXT


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


IMAGE = {"model": "gpt-image-2", "prompt": "A kite"}
FILM = {"model": "sora-2", "prompt": "A kite"}
MISTAKES: list[Any] = [
    ("/sora/v1/images/edits", IMAGE | {"image": "file:///etc/passwd"}, "only http, https and data"),
    ("/sora/v1/images/edits", IMAGE | {"image": "ftp://a.example/b"}, "only http, https and data"),
    ("/sora/v1/images/edits", IMAGE | {"image": [TEXT] * 17}, "has more than 16 entries"),
    ("/sora/v1/images/generations", IMAGE | {"quality": "best"}, "xhigh, max, standard, hd"),
    ("/sora/v1/videos", FILM | {"seconds": "99"}, "one of 4, 8, 12"),
    ("/sora/v1/videos", FILM | {"seconds": "0"}, "at least 1"),
    ("/sora/v1/videos", FILM | {"input_reference": [TEXT, TEXT]}, "must be one picture"),
    ("/grok/v1/videos", FILM | {"model": "grok-imagine-video", "seconds": 99}, "from 1 to 15"),
    ("/flow/v1/videos", FILM | {"model": "omni_flash", "seconds": 99}, "must be one of"),
]


@pytest.mark.parametrize("path, body, words", MISTAKES, ids=[one[2] for one in MISTAKES])
def test_a_mistake_is_told_with_its_limits(
    house: House, path: str, body: dict[str, Any], words: str
) -> None:
    """C-166, C-171, C-191, C-194."""
    answer = house.ask("POST", path, house.owner, body)
    assert answer.status == 400 and words in json.loads(answer.body)["error"]["message"]


def test_of_pictures_that_are_gone_the_task_is_still_told(tmp_path: Path) -> None:
    """C-179: how it went, and a code of its own."""
    house = House(tmp_path)
    task = house.pictures["sora"]
    house.hub.media.remove(house.hub.media.find(task.result["media"][0]["id"]))

    answer = house.ask("GET", f"/sora/v1/images/{task.id}", house.owner)
    told = json.loads(answer.body)
    assert (answer.status, told["id"], told["status"]) == (200, task.id, "completed")
    assert told["error"]["code"] == "image_expired" and "data" not in told
    other = json.loads(
        house.ask("GET", f"/grok/v1/images/{house.pictures['grok'].id}", house.owner).body
    )
    assert other["error"] is None and len(other["data"]) == 1


def test_a_page_of_nothing_leads_nowhere(house: House) -> None:
    """C-197: who pages until there is no more comes to an end."""
    told = json.loads(house.ask("GET", "/sora/v1/videos?limit=0", house.owner).body)
    assert (told["data"], told["last_id"], told["has_more"]) == ([], None, False)
