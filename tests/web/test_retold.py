"""Why work failed, in the language of whoever asks (C-186)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from app.canonical import endings
from app.storage.tasks import Task, new_id
from app.web.retold import in_chinese
from tests.web.house import House

CHINESE = {"HTTP_ACCEPT_LANGUAGE": "zh-CN,zh;q=0.9,en;q=0.8"}


@pytest.mark.parametrize("name", [name for name in vars(endings) if name.isupper()])
def test_every_ending_has_its_chinese(name: str) -> None:
    words = getattr(endings, name)
    assert not in_chinese(words).isascii()


@pytest.mark.parametrize(
    "words, told",
    [
        ("the platform made no picture: a {brace}\nfell", "平台没有生成图片：a {brace}\nfell"),
        ("the platform answered with status 500", "平台返回了状态码 500"),
        ("Your prompt is empty", "Your prompt is empty"),
        ("prompt is required", "prompt is required"),
        ("", ""),
    ],
)
def test_facts_and_platforms_words_stay(words: str, told: str) -> None:
    assert in_chinese(words) == told


@pytest.mark.parametrize("kind, path", [("video", "videos"), ("image", "images")])
def test_a_task_says_why_it_failed_in_the_caller_s_language(
    tmp_path: Path, kind: Any, path: str
) -> None:
    house, now, name = House(tmp_path), time.time(), new_id(kind)
    job: Any = {"prompt": "mine", "extras": {}}
    facts = {"owner": house.films["sora"].owner, "platform": "sora", "engine": "sora", "job": job}
    task = Task(id=name, kind=kind, model="m", created_at=now, deadline=now + 9, **facts)
    house.tasks.add(task)
    house.tasks.cancel(name, now)

    asked = f"/sora/v1/{path}/{name}"
    for more, words in ((None, endings.CANCELLED), (CHINESE, "任务已取消")):
        told = json.loads(house.ask("GET", asked, house.owner, environ=more).body)
        assert told["completed_at"] is None
        assert told["error"] == {"code": "cancelled", "message": words}
    if kind == "video":
        content = house.ask("GET", f"{asked}/content", house.owner, environ=CHINESE)
        assert json.loads(content.body)["error"]["message"] == "没有视频：任务已取消"
        listed = json.loads(house.ask("GET", "/sora/v1/videos", house.owner, environ=CHINESE).body)
        assert "任务已取消" in [one["error"]["message"] for one in listed["data"] if one["error"]]
