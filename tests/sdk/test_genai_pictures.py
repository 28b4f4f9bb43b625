"""The official Google GenAI SDK for Python: pictures on every platform that makes them, by the one call
of Google's that there is here, and what is said of those that there are not.
"""

from __future__ import annotations

from typing import Any

import pytest
from google import genai
from google.genai import types

from app.simulators.pictures import picture
from tests.sdk.conftest import Door
from tests.sdk.pictures import DRAWING, PAINTERS, look, shown
from tests.sdk.test_genai_python import client_of

pytestmark = pytest.mark.parametrize("door", DRAWING, indirect=True)
GIVEN = types.Part.from_bytes(data=picture(64, 48, "given"), mime_type="image/png")


@pytest.fixture
def client(door: Door) -> genai.Client:
    return client_of(door)


def drawn(door: Door, answers: list[Any]) -> None:
    """As a link in Markdown; where the call is passed on as it is, as the file."""
    parts = [part for one in answers for part in (one.parts or ())]
    if door.name == "gemini":
        (file,) = [part.inline_data for part in parts if part.inline_data]
        assert look(file.data)[0] == file.mime_type
        return
    shown("".join(part.text or "" for part in parts))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("given", [[], [GIVEN]], ids=["drawn", "edited"])
def test_a_picture_is_made(client: genai.Client, door: Door, given: Any, stream: bool) -> None:
    """C-114, C-224, C-226."""
    door.stack.simulators.clear(door.name)
    wish: Any = {"model": PAINTERS[door.name].model, "contents": [*given, "A kite"]}
    models = client.models
    if stream:
        drawn(door, list(models.generate_content_stream(**wish)))
    else:
        drawn(door, [models.generate_content(**wish)])
    (asked,) = door.stack.simulators.posts(door.name)
    assert bool(given) == ("edits" in asked["path"] or "inlineData" in str(asked["body"]))


def test_films_are_not_made_by_interactions(client: genai.Client, door: Door) -> None:
    """C-027. Of the SDK's `generate_images` and `generate_videos` nothing is heard here: without Vertex it
    refuses them itself.
    """
    door.stack.simulators.clear(door.name)
    for call in (client.models.generate_images, client.models.generate_videos):
        with pytest.raises(ValueError, match="only supported in"):
            call(model="veo-3.1-generate-preview", prompt="A boat")
    with pytest.raises(Exception, match="404.*does not offer this endpoint"):
        client.interactions.create(model="gemini-omni-1.1-flash", input="A boat")
    assert door.stack.simulators.posts(door.name) == []
