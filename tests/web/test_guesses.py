"""Who guesses the id of another's film, picture or file learns nothing (R-087), by no route (R-088;
C-179, C-210).
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.media.samples import MP4
from tests.web.house import FILMS, PICTURES, Answer, House

# Reliability asks for 10,000: set SOAK_GUESSES.
GUESSES = int(os.environ.get("SOAK_GUESSES", "2500"))
NOBODYS = "0" * 32
Way = tuple[str, str, Any]  # method, path and body, with {id} where the id belongs

# Each route that a film, a picture or a file is reached by has its words here, and a test finds out
# whether any is missing.
BY_VIDEO = {
    "/v1/videos/<video>": ("GET", "HEAD", "DELETE"),
    "/v1/videos/<video>/content": ("GET", "HEAD"),
    "/v1/videos/<video>/remix": ("POST",),
}
BY_TASK = {"/v1/images/<task>": ("GET", "HEAD", "DELETE")}
IN_BODIES = ("/v1/videos/edits", "/v1/videos/extensions")
OTHERS = {
    "wanted": "a model, which is nobody's",
    "model": "a model, which is nobody's",
    "response": "the platform's own id, judged by the platform",
    "character": "a character, asked for by its owner alone: see the tests of characters",
    "seal": "a link, whose seal is its own licence",
    "name": "a link, whose seal is its own licence",
    "path": "where no route leads",
}
CHANGE = {"prompt": "mine now", "model": "m"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


def ways(platform: str, kind: str) -> list[Way]:
    """All that can be done under a platform with the id of one kind of task."""
    found: list[Way] = []
    for rule, methods in (BY_VIDEO if kind == "video" else BY_TASK).items():
        path = f"/{platform}{rule.replace('<video>', '{id}').replace('<task>', '{id}')}"
        found += [(one, path, CHANGE if one == "POST" else None) for one in methods]
    if kind == "video":
        found += [
            ("POST", f"/{platform}{path}", {**CHANGE, "video": {"id": "{id}"}})
            for path in IN_BODIES
        ]
    return found


def asked(house: House, way: Way, name: str, licence: str) -> Answer:
    method, path, body = way
    if body and "video" in body:
        body = {**body, "video": {"id": name}}
    return house.ask(method, path.replace("{id}", name), licence, body)


def test_every_route_with_an_id_in_its_path_is_one_whose_owner_is_asked_for(house):
    """R-088: a new route stands here, or this fails."""
    found: dict[str, set[str]] = {"video": set(), "task": set()}
    for rule in house.app.url_map.iter_rules():
        for name in rule.arguments - OTHERS.keys():
            assert name in found, f"{rule.rule}: who may see what <{name}> names?"
            platform, _, rest = rule.rule[1:].partition("/")
            assert platform in (FILMS if name == "video" else PICTURES)
            known = (BY_VIDEO if name == "video" else BY_TASK)[f"/{rest}"]
            assert (rule.methods or set()) - {"OPTIONS"} <= set(known), rule.rule
            found[name].add(f"/{rest}")
    assert found == {"video": set(BY_VIDEO), "task": set(BY_TASK)}


def test_its_owner_finds_it_by_each_of_them(house):
    """Otherwise the others would prove nothing."""
    for platform, task in house.films.items():
        content = house.ask("GET", f"/{platform}/v1/videos/{task.id}/content", house.owner)
        assert (content.status, content.body) == (200, MP4)
    for platform, task in house.pictures.items():
        shown = house.ask("GET", f"/{platform}/v1/images/{task.id}", house.owner)
        assert shown.status == 200 and b"b64_json" in shown.body


def near(name: str, chance: random.Random) -> str:
    """A name that is not this one, but looks as if it might lead there."""
    kind, _, number = name.partition("_")
    other = {"video": "image", "image": "video"}.get(kind, "video")
    step = chance.randint(1, 500) * chance.choice((1, -1))
    cut = chance.randint(1, len(name) - 1)
    return chance.choice(
        (
            f"{kind}_{(int(number, 16) + step) % (1 << 128):032x}",
            f"{kind}_{chance.getrandbits(128):032x}",
            f"{kind}_{step}",
            "".join(chance.choice((one.upper(), one)) for one in name[:-1])
            + name[-1].upper()
            + " ",
            name.upper(),
            name.title(),
            f"{kind}_{number.upper()}" if number.upper() != number else name.upper(),
            name[:cut],
            name[cut:],
            number,
            f"{other}_{number}",
            f" {name}",
            f"{name}.",
            f"{name}\0",
            f"{name}%",
            f"{name}' OR '1'='1",
            name.replace("_", "-"),
            name.replace("e", "\uff45") + "\uff10",
            f"{name}{number}",
        )
    )


def test_guesses_are_answered_as_what_nobody_has(house):
    """R-087: another licence's ids as they are, sequential, cut, in other letters and made up, by every
    route; and near ones by their owner, too. Status, headers and words are those for an id that nobody
    has.
    """
    chance = random.Random(87)
    targets = [(one, "video") for one in house.films.values()]
    targets += [(one, "image") for one in house.pictures.values()]
    absent: dict[tuple[str, str], Any] = {}
    counted = 0
    while counted < GUESSES:
        task, kind = targets[counted % len(targets)]
        way = chance.choice(ways(task.platform, kind))
        exact = chance.random() < 0.25
        name = task.id if exact else near(task.id, chance)
        licence = house.curious if exact or chance.random() < 0.7 else house.owner

        answer = asked(house, way, name, licence)

        nobodys = f"{kind}_{NOBODYS}"
        if way[:2] not in absent:
            absent[way[:2]] = said(asked(house, way, nobodys, house.curious), way, nobodys)
        assert answer.status == 404, (way, name)
        assert said(answer, way, name) == absent[way[:2]], (way, name)
        counted += 1

    for task in house.everything:  # and nothing has become of what was guessed at
        assert house.tasks.find(task.id) == task
    assert counted == GUESSES and len(absent) == sum(len(ways(*one)) for one in places())


def places() -> Iterator[tuple[str, str]]:
    yield from ((platform, "video") for platform in FILMS)
    yield from ((platform, "image") for platform in PICTURES)


def said(answer: Answer, way: Way, name: str) -> Any:
    return (answer.status, answer.body) if way[0] == "HEAD" else answer.of(name)


def test_one_platforms_ids_are_nothing_to_another_even_to_their_owner(house):
    """C-210."""
    for platform, kind in places():
        for task in house.everything:
            if task.platform != platform or task.kind != kind:
                for way in ways(platform, kind):
                    assert asked(house, way, task.id, house.owner).status == 404, (way, task)


def test_nothing_of_another_licence_is_listed(house):
    """R-088: the second way to a film, from the beginning and from behind one that is another's."""
    for platform, task in house.films.items():
        path = f"/{platform}/v1/videos"
        seen = [house.ask("GET", path, house.curious), house.ask("GET", path, house.owner)]
        assert [task.id.encode() in one.body for one in seen] == [False, True]
        behind = [
            house.ask("GET", f"{path}?after={after}", house.curious)
            for after in (task.id, f"video_{NOBODYS}")
        ]
        assert (behind[0].status, behind[0].body) == (behind[1].status, behind[1].body)


def test_guesses_of_links_open_nothing(house):
    """R-087, R-089: the seal of one file, of another name; and made-up seals for names that there are."""
    chance = random.Random(89)
    links = [urlsplit(one).path for one in house.links()]
    seals, names = zip(*(one.split("/")[2:] for one in links), strict=True)
    assert {house.ask("GET", one, "").status for one in links} == {200}
    opened = []
    for _ in range(GUESSES):
        name, seal = chance.choice(names), chance.choice(seals)
        if f"/media/{seal}/{name}" in links or chance.random() < 0.5:
            id, _, ending = name.partition(".")
            step = chance.randint(1, 1000)
            name = chance.choice((f"{int(id, 16) ^ step:032x}.{ending}", f"{id.upper()}.{ending}"))
        if chance.random() < 0.3:
            name = chance.choice(names)
            seal = f"{9999999999 - chance.randint(0, 999)}-{chance.getrandbits(256):043x}"[:54]
        answer = house.ask("GET", f"/media/{seal}/{name}", house.curious)
        if answer.status != 404 or b"there is nothing at this path" not in answer.body:
            opened.append((seal, name))

    assert opened == []


def test_how_long_a_refusal_takes_is_told(house, record_property):
    """R-087: one query with the owner in it (S-013) answers both, so there is nothing to tell them apart
    by. Machines that do several things at once make no judge: what was measured is written down, and
    only a difference that would need another way through the code fails.
    """
    chance = random.Random(87)
    taken: dict[str, list[float]] = {"another's": [], "nobody's": []}
    for _ in range(500):
        task = chance.choice(list(house.films.values()))
        whose = chance.choice(list(taken))
        name = task.id if whose == "another's" else f"video_{chance.getrandbits(128):032x}"
        began = time.perf_counter()
        house.ask("GET", f"/{task.platform}/v1/videos/{name}", house.curious)
        taken[whose].append(time.perf_counter() - began)
    medians = {whose: statistics.median(times) for whose, times in taken.items()}
    record_property("microseconds", {whose: round(at * 1e6) for whose, at in medians.items()})
    print({whose: f"{at * 1e6:.0f} us" for whose, at in medians.items()})

    assert max(medians.values()) < 5 * min(medians.values())
