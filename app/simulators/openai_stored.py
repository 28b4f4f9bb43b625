"""Chat completions that were asked to be stored, and the routes by which they are read back."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from app.simulators.exchange import Call, Reply, as_json
from app.simulators.openai_checks import Refused, mapping, record, string
from app.simulators.openai_house import Route, read_json

KEPT = 200
PAGE = 20

Json = dict[str, Any]

UPDATE = record({"metadata": mapping(most=16, key=64, value_check=string(most=512))})


class StoredCompletions:
    """The last completions kept, oldest first."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._kept: OrderedDict[str, tuple[Json, list[Json]]] = OrderedDict()

    def keep(self, completion: Json, messages: list[Json]) -> None:
        self._kept[completion["id"]] = (completion, messages)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def routes(self, call: Call) -> dict[str, Route]:
        name = call.path.removeprefix(self._path + "/")
        if name in ("", call.path):
            return {}
        if name.endswith("/messages"):
            return {"GET": lambda call: self._messages(call, name.removesuffix("/messages"))}
        return {
            "GET": lambda _: Reply(200, as_json(self._found(name)[0])),
            "POST": lambda call: self._update(call, name),
            "DELETE": lambda _: self._delete(name),
        }

    def listed(self, call: Call) -> Reply:
        model = call.parameter("model")
        found = [each for each, _ in self._kept.values() if model in (None, each["model"])]
        return Reply(200, as_json(page(found, call)))

    def _found(self, name: str) -> tuple[Json, list[Json]]:
        if name not in self._kept:
            raise Refused(f"Chat completion with id '{name}' not found.", status=404)
        return self._kept[name]

    def _update(self, call: Call, name: str) -> Reply:
        completion, _ = self._found(name)
        body = read_json(call)
        UPDATE(body, "")
        completion["metadata"] = body["metadata"]
        return Reply(200, as_json(completion))

    def _delete(self, name: str) -> Reply:
        self._found(name)
        del self._kept[name]
        return Reply(
            200, as_json({"object": "chat.completion.deleted", "id": name, "deleted": True})
        )

    def _messages(self, call: Call, name: str) -> Reply:
        _, messages = self._found(name)
        listed = [
            {**message, "id": f"{name}-{place}", "content_parts": None}
            for place, message in enumerate(messages)
        ]
        return Reply(200, as_json(page(listed, call)))


def page(items: list[Json], call: Call, order: str = "asc") -> Json:
    """One page of a list, as `limit`, `order` and `after` ask for it."""
    limit = call.parameter("limit") or str(PAGE)
    if not limit.isdecimal() or not 1 <= int(limit) <= 100:
        raise Refused(f"Invalid 'limit': '{limit}'.", "limit", "invalid_value")
    ordered = items[::-1] if (call.parameter("order") or order) == "desc" else items
    if after := call.parameter("after"):
        ids = [item["id"] for item in ordered]
        ordered = ordered[ids.index(after) + 1 :] if after in ids else []
    shown = ordered[: int(limit)]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(ordered) > len(shown),
    }
