"""Model lists: in the shape of whoever asks, in pages, and no longer than the licence allows
(contract section 1, clients 2.3).
"""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from app.platforms import PLATFORMS

EVERY = sorted(PLATFORMS)
ANTHROPIC = {"anthropic-version": "2023-06-01"}
GOOGLES = [
    {"x-goog-api-key": "{}"},
    {"x-goog-api-key": "{}", "Authorization": "Bearer {}"},
    {"x-goog-api-client": "google-genai-sdk/2.18.0", "Authorization": "Bearer {}"},
]


@pytest.fixture(scope="module")
def scoped(stack):
    words = "--json", "--platforms", "chatgpt,codex", "--models", "gpt-4o*,gpt-5.4"
    return json.loads(stack.tokens("licence", "add", *words))["licence"]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("headers", GOOGLES, ids=lambda headers: "+".join(headers))
def test_googles_clients_are_answered_in_geminis_shape(call, stack, name, headers):
    """C-034, K-034."""
    filled = {header: value.format(stack.licence) for header, value in headers.items()}
    listed = call("GET", f"/{name}/v1/models", licence=None, headers=filled)
    first = next(one for one in listed.json()["models"] if one["inputTokenLimit"])
    one = call("GET", f"/{name}/v1/{first['name']}", licence=None, headers=filled)

    assert (listed.status_code, one.status_code, one.json()) == (200, 200, first)
    assert first["inputTokenLimit"] > first["outputTokenLimit"] > 0


@pytest.mark.parametrize("name", EVERY)
def test_a_key_in_the_query_shows_a_client_of_googles_unless_a_header_has_one(call, stack, name):
    """C-035, K-018."""
    query = f"/{name}/v1/models?key={stack.licence}"

    assert "models" in call("GET", query, licence=None).json()
    assert call("GET", query).json()["object"] == "list"
    assert call("GET", f"/{name}/v1/models?key=wrong", licence=None).status_code == 401


@pytest.mark.parametrize("name", EVERY)
def test_token_counts_are_advertised_where_they_can_be_had(call, name):
    methods = call("GET", f"/{name}/v1beta/models").json()["models"][0][
        "supportedGenerationMethods"
    ]
    counted = call("POST", f"/{name}/v1beta/models/x:countTokens", json={})

    assert methods[:2] == ["generateContent", "streamGenerateContent"]
    assert ("countTokens" in methods) == ("endpoint_not_supported" not in counted.text)


@pytest.mark.parametrize("name", EVERY)
def test_every_model_has_a_day_and_its_limits(call, name):
    """C-244, K-027."""
    openai = call("GET", f"/{name}/v1/models").json()["data"]
    anthropic = call("GET", f"/{name}/v1/models?limit=1000", headers=ANTHROPIC).json()["data"]

    assert [one["id"] for one in openai] == [one["id"] for one in anthropic]
    for one, other in zip(openai, anthropic, strict=True):
        assert isinstance(one["created"], int) and one["created"] > 1_700_000_000
        assert datetime.fromisoformat(other["created_at"]).timestamp() == one["created"]
        if PLATFORMS[name].catalogue.facts(one["id"]).makes:
            continue  # what makes pictures or films counts in something else
        assert other["max_input_tokens"] == one["context_length"] > 0
        assert other["max_tokens"] == one["max_output_tokens"] > 0


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_anthropics_pages_lead_through_the_list_both_ways(call, name, limit):
    def page(query: str = "") -> dict:
        path = f"/{name}/v1/models?limit={limit}{query}"
        return call("GET", path, headers=ANTHROPIC).json()

    whole = [one["id"] for one in call("GET", f"/{name}/v1/models").json()["data"]]
    pages = [page()]
    while pages[-1]["has_more"]:
        pages.append(page(f"&after_id={pages[-1]['last_id']}"))
    back = [pages[-1]]
    while back[0]["first_id"] != whole[0]:
        back.insert(0, page(f"&before_id={back[0]['first_id']}"))

    for walked in (pages, back):
        assert [one["id"] for found in walked for one in found["data"]] == whole
    assert all(len(found["data"]) <= limit for found in pages + back)
    assert not page(f"&after_id={whole[-1]}")["data"] and not page(f"&before_id={whole[0]}")["data"]


@pytest.mark.parametrize("name", EVERY)
def test_geminis_pages_lead_through_the_list(call, name):
    found, token, pages = [], "", 0
    while pages == 0 or token:
        path = f"/{name}/v1beta/models?pageSize=5&pageToken={token}"
        page = call("GET", path).json()
        found += [model["name"] for model in page["models"]]
        token, pages = page.get("nextPageToken", ""), pages + 1

    whole = call("GET", f"/{name}/v1beta/models?pageSize=5000").json()
    assert found == [model["name"] for model in whole["models"]] and pages == -(-len(found) // 5)
    assert "nextPageToken" not in whole


def test_a_page_has_twenty_entries_or_fifty_unless_asked_otherwise(call):
    anthropic = call("GET", "/codex/v1/models", headers=ANTHROPIC).json()
    gemini = call("GET", "/codex/v1beta/models").json()

    assert (len(anthropic["data"]), anthropic["has_more"]) == (20, True)
    assert 20 < len(gemini["models"]) < 50


@pytest.mark.parametrize(
    "query, param",
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("after_id=nobody", "after_id"),
        ("before_id=nobody", "before_id"),
    ],
)
def test_a_page_that_is_none_is_400_in_the_right_shape(call, query, param):
    answer = call("GET", f"/gemini/v1/models?{query}", headers=ANTHROPIC)

    assert (answer.status_code, answer.json()["type"]) == (400, "error")
    assert param in answer.json()["error"]["message"]


@pytest.mark.parametrize("query", ["pageSize=-1", "pageSize=0", "pageSize=%C2%B2", "pageToken=no"])
def test_a_page_of_geminis_that_is_none_is_400(call, query):
    answer = call("GET", f"/gemini/v1beta/models?{query}")

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "headers, path",
    [({}, "v1/models"), (ANTHROPIC, "v1/models"), ({}, "v1beta/models")],
    ids=["openai", "anthropic", "gemini"],
)
def test_a_list_holds_what_the_licence_covers(call, scoped, headers, path):
    listed = call("GET", f"/chatgpt/{path}", licence=scoped, headers=headers).json()
    entries = listed.get("data") or listed["models"]
    names = {one.get("id") or one["name"].removeprefix("models/") for one in entries}

    assert names == {"gpt-4o", "gpt-4o-mini", "gpt-5.4"}
    found = [
        call("GET", f"/chatgpt/{path}/{name}", licence=scoped, headers=headers).status_code
        for name in ("gpt-4o", "gpt-5.5")
    ]
    assert found == [200, 403]
    assert call("GET", f"/gemini/{path}", licence=scoped, headers=headers).status_code == 403


def test_the_roots_list_holds_what_the_licence_covers(call, scoped):
    """C-248: the root's list is open to strangers, and shows them everything."""
    listed = call("GET", "/v1/models", licence=scoped).json()["data"]
    names = ("gpt-4o", "gpt-4o-mini", "gpt-5.4")

    assert [one["id"] for one in listed] == [
        f"{p}/{n}" for p in ("chatgpt", "codex") for n in names
    ]
    statuses = {
        name: call("GET", f"/v1/models/{name}", licence=scoped).status_code
        for name in ("codex/gpt-4o", "codex/o3", "claude_api/claude-sonnet-5")
    }
    assert list(statuses.values()) == [200, 403, 403]
    everything = call("GET", "/v1/models", licence=None).json()["data"]
    assert call("GET", "/v1/models", licence="wrong").json()["data"] == everything
