"""Paths as people paste them (C-022 to C-024, K-001 to K-006)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.paths import Paths

PREFIXES = ("gemini", "claude_api", "a.b")


def paths(app=None) -> Paths:
    return Paths(app, PREFIXES)


@pytest.mark.parametrize("prefix", ["", "/gemini", "/claude_api", "/a.b"])
@pytest.mark.parametrize(
    "pasted, meant",
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("//v1///chat/completions//", "/v1/chat/completions"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/v1/chat/completions", "/v1/chat/completions"),
        ("/chat/completions/v1/chat/completions", "/v1/chat/completions"),
        ("/models", "/v1/models"),
        ("//models", "/v1/models"),
        ("/models/gpt-4o", "/v1/models/gpt-4o"),
        ("/v1/models/org/model:free", "/v1/models/org/model:free"),
        ("/messages", "/v1/messages"),
        ("/v1/messages/messages", "/v1/messages"),
        ("/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/responses/responses", "/v1/responses"),
        ("/v1beta/models/m:generateContent", "/v1beta/models/m:generateContent"),
        ("/v1/v1beta/models/m:generateContent", "/v1beta/models/m:generateContent"),
        ("/v1beta/v1/models", "/v1/models"),
        ("/v1beta/v1beta/models/", "/v1beta/models"),
        ("/v1", "/v1"),
        ("/v10/models", "/v10/models"),
        ("/modelsX", "/modelsX"),
        ("/embeddings", "/v1/embeddings"),
        ("/images/generations", "/v1/images/generations"),
    ],
)
def test_a_path_is_routed_as_it_was_meant(prefix, pasted, meant):
    assert paths().normal(prefix + pasted) == prefix + meant


@pytest.mark.parametrize(
    "pasted, meant",
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("/gemini", "/gemini"),
        ("/gemini//", "/gemini"),
        ("/geminix/models", "/geminix/models"),
        ("/aXb/models", "/aXb/models"),
        ("/health/", "/health"),
        ("/gemini/gemini/models", "/gemini/gemini/models"),
    ],
)
def test_roots_and_strangers_stay_what_they_are(pasted, meant):
    assert paths().normal(pasted) == meant


PIECES = st.sampled_from(
    """/ // /v1 /v1beta /models /chat/completions /messages /responses /gemini /a.b /x v1 models""".split()
)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_a_path_that_has_been_put_right_stays_as_it_is(pasted):
    """Also: it never ends in a slash, and never holds two together (K-001, K-002)."""
    once = paths().normal(pasted)

    assert paths().normal(once) == once
    assert "//" not in once and (once == "/" or not once.endswith("/"))


@given(st.text(max_size=600))
def test_any_text_is_some_path(pasted):
    assert isinstance(paths().normal(pasted), str)


def test_the_application_is_called_with_the_path_and_nobody_is_redirected():
    """C-022, K-006: method, body and query are left alone."""
    seen = []

    def app(environ, start_response):
        seen.append(dict(environ))
        return [b"answer"]

    environ = {"PATH_INFO": "//gemini/models/", "QUERY_STRING": "a=//b/", "REQUEST_METHOD": "POST"}
    assert paths(app)(dict(environ), None) == [b"answer"]
    assert seen == [environ | {"PATH_INFO": "/gemini/v1/models"}]
    long = "/v1/models/" + "x" * 600 + "/"
    paths(app)({"PATH_INFO": long}, None)
    assert seen[1]["PATH_INFO"] == long[:-1]
