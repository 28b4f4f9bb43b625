"""Bodies that are wrong, absurd or meant to hurt: a clear 4xx in JSON, never a 500 (R-093 to R-099,
R-103).
"""

from __future__ import annotations

import gzip
import json

import pytest

from tests.web.conftest import CHAT, HELLO

WRONG = {
    "nothing": b"",
    "not json": b"{model: gpt-4o}",
    "half": b'{"model": "gpt-4o", "messages": [{"role"',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "NaN": b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
    "a lone surrogate": b'{"model":"\\ud800","messages":[{"role":"user","content":"x"}]}',
    "not utf-8": b'{"model":"gpt-4o","messages":[{"role":"user","content":"\xff\xfe"}]}',
    "utf-16": json.dumps(HELLO).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(HELLO).encode(),
    "a name twice": b'{"model":"a","model":"gpt-4o","messages":[{"role":"user","content":"x"}]}',
    "a name twice, in disguise": b'{"model":"a","mod\\u0065l":"b","messages":[{"role":"user","content":"x"}]}',
    "100 deep": b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}],"metadata":'
    + b"[" * 100
    + b"]" * 100
    + b"}",
    "100,000 deep": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_a_body_that_cannot_be_read_is_400(call, what):
    """C-080, K-049, R-098."""
    answer = call("POST", CHAT, data=WRONG[what], headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "change, param",
    [
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}] * 100_001}, "messages"),
        ({"tools": [{}] * 5000}, "tools"),
        ({"stream": "yes"}, "stream"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            "messages[0].content[0]",
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "nan"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 1e308}, "max_tokens"),
        ({"retry_attempt": -1}, "retry_attempt"),
        ({"retry_attempt": "many"}, "retry_attempt"),
        ({"close_reasoning_content": "perhaps"}, "close_reasoning_content"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "%%"}}]}
                ]
            },
            "messages[0].content[0].image_url",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}
                        ],
                    }
                ]
            },
            "messages[0].content[0].image_url",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_field_is_400_and_named(call, change, param):
    """C-052, C-053, C-065, C-066, C-122, C-123, K-063, R-064, R-099."""
    answer = call(
        "POST",
        "/claude_api/v1/chat/completions",
        json=HELLO | {"model": "claude-sonnet-5"} | change,
    )

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("value", [10**30, 1e308, "1e30", -(10**30)], ids=str)
def test_a_number_beyond_all_bounds_is_called_too_large(call, value):
    body = HELLO | {"model": "claude-sonnet-5", "max_tokens": value}
    answer = call("POST", "/claude_api/v1/chat/completions", data=json.dumps(body))

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "max_tokens is too large"


LICENCE = "a-licence-in-a-broken-head"
BROKEN_HEADS = {
    "a negative length": (400, f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"),
    "two lengths": (
        400,
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    ),
    "an unknown coding": (
        400,
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: magic\r\n\r\n",
    ),
    "no request line": (400, f"hello?key={LICENCE}\r\n\r\n"),
    "a method that is none": (400, f"G@T /?key={LICENCE} HTTP/1.1\r\n\r\n"),
    "another protocol": (400, "GET / HTTP/9.9\r\n\r\n"),
    "a header without a colon": (400, f"GET / HTTP/1.1\r\nAuthorization {LICENCE}\r\n\r\n"),
    "a header name that is none": (400, f"GET / HTTP/1.1\r\nA b: {LICENCE}\r\n\r\n"),
    "a line that is too long": (431, f"GET /{'x' * 9000} HTTP/1.1\r\n\r\n"),
    "a header that is too long": (431, f"GET / HTTP/1.1\r\nA: {'x' * 17000}\r\n\r\n"),
    "too many headers": (431, "GET / HTTP/1.1\r\n" + "A: b\r\n" * 101 + "\r\n"),
}


@pytest.mark.parametrize("what", sorted(BROKEN_HEADS))
def test_what_never_becomes_a_request_is_refused_in_json(raw, stack, what):
    """C-025, C-039, C-181, C-187, C-188."""
    status, sent = BROKEN_HEADS[what]
    head, _, body = raw(sent.encode()).partition(b"\r\n\r\n")
    error = json.loads(body)
    lines = head.decode().split("\r\n")

    assert lines[0].startswith(f"HTTP/1.1 {status} ")
    assert "Content-Type: application/json" in lines
    assert f"x-request-id: {error['request_id']}" in lines
    assert error["error"]["type"] == "invalid_request_error"
    assert error["request_id"] in stack.noise
    assert LICENCE not in stack.noise + body.decode()


def test_a_compressed_body_is_415(call):
    """R-095, S-043."""
    body = gzip.compress(json.dumps(HELLO).encode())

    answer = call("POST", CHAT, data=body, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


def test_a_body_over_the_limit_is_413_before_it_is_read(raw, stack):
    """C-081, R-093: a gigabyte is announced, none of it is sent."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: {stack.licence}\r\n"
    answer = raw(f"{head}Content-Length: 1073741824\r\nConnection: close\r\n\r\n".encode())

    assert b" 413 " in answer.partition(b"\r\n")[0] + b" "
    assert b"request_too_large" in answer


def test_a_stranger_is_refused_before_the_body_is_read(raw):
    """R-094, S-040."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: wrong\r\n"
    answer = raw(f"{head}Content-Length: 50000000\r\nConnection: close\r\n\r\n".encode())

    assert b" 401 " in answer.partition(b"\r\n")[0] + b" "


def test_a_chunked_body_is_read(raw, stack):
    """K-047."""
    body = json.dumps(HELLO).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: {stack.licence}\r\nConnection: close\r\n"
    chunks = b"%x\r\n%s\r\n" % (10, body[:10]) + b"%x\r\n%s\r\n" % (len(body) - 10, body[10:])

    answer = raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ") and b"chat.completion" in answer


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain", ""])
def test_any_content_type_will_do(call, kind):
    """C-082, K-048."""
    answer = call("POST", CHAT, data=json.dumps(HELLO), headers={"Content-Type": kind})

    assert answer.status_code == 200


def test_large_pictures_fit(call):
    """C-081: 5 pictures of 15 MB, as base64."""
    picture = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgoA" * 1_666_667},
    }
    body = HELLO | {"messages": [{"role": "user", "content": [picture] * 5}]}

    answer = call("POST", CHAT, data=json.dumps(body))

    assert answer.status_code in (200, 400)  # the simulator may not like the picture; we pass it on
    assert "request_too_large" not in answer.text


@pytest.mark.parametrize("name", ["base_url", "api_base", "custom_host", "proxy", "endpoint"])
def test_no_request_can_choose_where_a_key_goes(call, stack, name):
    """R-107: in the body, the query or a header, it changes nothing."""
    trap = "http://127.0.0.1:9/v1"

    answer = call(
        "POST", f"{CHAT}?{name}={trap}", json=HELLO | {name: trap}, headers={f"x-{name}": trap}
    )

    assert answer.status_code == 200


def test_a_line_end_in_a_model_name_reaches_no_header_and_no_log(call, stack):
    """R-103."""
    answer = call("POST", CHAT, json=HELLO | {"model": "gpt-4o\r\nx-evil: 1\n"})
    line = stack.line(answer.headers["x-request-id"])

    assert 400 <= answer.status_code < 500
    assert "x-evil" not in answer.headers
    assert line["model"] == "gpt-4o\r\nx-evil: 1\n"  # as JSON, on one line
