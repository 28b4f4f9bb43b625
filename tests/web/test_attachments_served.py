"""A link that cannot be fetched is named by its place in what the caller sent."""

from __future__ import annotations

import pytest

LINK = "http://127.0.0.1/a.png"  # no address of the open internet
WORDS = {"type": "text", "text": "look"}


def chat(link):
    part = {"type": "image_url", "image_url": {"url": link}}
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "system", "content": "be brief"}]}
    body["messages"].append({"role": "user", "content": [WORDS, part]})
    return "/claude_api/v1/chat/completions", body


def chat_file(link):
    path, body = chat(link)
    body["messages"][1]["content"][1] = {"type": "file", "file": {"file_data": link}}
    return path, body


def responses(link):
    content = [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": link}]
    return "/chatgpt/v1/responses", {
        "model": "gpt-4o",
        "instructions": "be brief",
        "input": [{"role": "user", "content": content}],
    }


def responses_file(link):
    path, body = responses(link)
    body["input"][0]["content"][1] = {"type": "input_file", "file_url": link}
    return path, body


def messages(link):
    image = {"type": "image", "source": {"type": "url", "url": link}}
    return "/chatgpt/v1/messages", {
        "model": "gpt-4o",
        "max_tokens": 99,
        "system": "be brief",
        "messages": [{"role": "user", "content": [WORDS, image]}],
    }


def messages_result(link):
    path, body = messages(link)
    image = body["messages"][0]["content"][1]
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    body["tools"] = [{"name": "look", "input_schema": {"type": "object"}}]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [WORDS, image]}
    body["messages"] += [
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    body["messages"][0]["content"] = "look"
    return path, body


def generate(link):
    parts = [{"text": "look"}, {"fileData": {"mimeType": "image/png", "fileUri": link}}]
    return "/chatgpt/v1beta/models/gpt-4o:generateContent", {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [{"role": "user", "parts": parts}],
    }


def named(answer):
    """Where the answer says that the mistake is."""
    body = answer.json()
    if body.get("type") == "error":  # Anthropic's errors have no field for it, but words
        return body["error"]["message"].partition(": ")[0]
    if "param" in body["error"]:
        return body["error"]["param"]
    details = body["error"]["details"]
    return [one["fieldViolations"][0]["field"] for one in details if "fieldViolations" in one][0]


@pytest.mark.parametrize(
    "asked, place",
    [
        (chat, "messages[1].content[1].image_url"),
        (chat_file, "messages[1].content[1].file.file_data"),
        (responses, "input[0].content[1].image_url"),
        (responses_file, "input[0].content[1].file_url"),
        (messages, "messages[0].content[1].source.url"),
        (messages_result, "messages[2].content[0].content[1].source.url"),
        (generate, "contents[0].parts[1].fileData.fileUri"),
    ],
)
def test_a_link_that_cannot_be_fetched_is_named_in_the_callers_shape(call, asked, place):
    """C-065."""
    path, body = asked(LINK)
    answer = call("POST", path, json=body)

    assert answer.status_code == 400 and "could not be used" in answer.text
    assert named(answer) == place
