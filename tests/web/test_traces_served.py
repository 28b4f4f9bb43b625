"""Traces, as a receiver of OTLP over HTTP gets them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.stack import Stack, until
from tests.web.conftest import CHAT, HELLO

PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT, ERROR = 2, 3, 2  # kinds of spans, and a status


class Receiver(ThreadingHTTPServer):
    """Keeps every span it is sent; `answers` says whether it answers at all."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.spans: list[Any] = []
        self.resources: list[Any] = []
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, request: str) -> list[Any]:
        """The spans of the trace that this request has one in, the request's own first."""
        spans = list(self.spans)
        traces = {one.trace_id for one in spans if told(one).get("tokens.request_id") == request}
        return sorted((one for one in spans if one.trace_id in traces), key=lambda one: one.kind)


class Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        self.server.answers.wait(20)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.resources.append(group.resource)
            self.server.spans += [span for scope in group.scope_spans for span in scope.spans]
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def told(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.answers.set()
    receiver.shutdown()
    receiver.server_close()


@pytest.fixture(scope="module")
def traced(gateway: Callable[..., Stack], receiver: Receiver) -> Stack:
    return gateway(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.server_port}",
        OTEL_BSP_SCHEDULE_DELAY="50",
        NO_PROXY="127.0.0.1",
        TOKENS_CHATGPT_KEYS="sk-one,sk-two",
        TOKENS_RETRY_ATTEMPT="1",
    )


def chat(stack: Stack, words: str, **more: Any) -> requests.Response:
    headers = {
        "Authorization": f"Bearer {stack.licence}",
        "traceparent": f"00-{PARENT[0]}-{PARENT[1]}-01",
    }
    body = HELLO | {"messages": [{"role": "user", "content": words}]} | more
    return requests.post(stack.url() + CHAT, json=body, headers=headers, timeout=20)


def spans(receiver: Receiver, answer: requests.Response) -> tuple[Any, list[Any]]:
    """The span of the request, and those of its attempts."""
    request = answer.headers["x-request-id"]
    assert until(lambda: receiver.of(request))
    found = [one for one in receiver.spans if told(one).get("tokens.request_id") == request]
    (own,) = found
    return own, [one for one in receiver.spans if one.parent_span_id == own.span_id]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_a_span_of_its_callers_trace_with_one_below_it(traced, receiver, stream):
    answer = chat(traced, "hello", stream=stream)
    own, (attempt,) = spans(receiver, answer)
    line = traced.line(answer.headers["x-request-id"])

    assert (own.trace_id.hex(), own.parent_span_id.hex()) == PARENT
    assert (own.kind, own.name) == (SERVER, f"POST {CHAT}")
    assert told(own) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": CHAT,
        "tokens.request_id": line["request"],
        "tokens.attempts": 1,
        "tokens.platform": "chatgpt",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.stream": stream,
        "gen_ai.usage.input_tokens": line["tokens_in"],
        "gen_ai.usage.output_tokens": line["tokens_out"],
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
    }
    assert (attempt.kind, attempt.name) == (CLIENT, "chat gpt-4o")
    assert told(attempt)["gen_ai.request.model"] == "gpt-4o"
    assert own.start_time_unix_nano <= attempt.start_time_unix_nano
    assert attempt.start_time_unix_nano < attempt.end_time_unix_nano <= own.end_time_unix_nano
    assert {one.key: one.value.string_value for one in receiver.resources[0].attributes}[
        "service.name"
    ] == "tokens"


def test_an_attempt_that_failed_has_a_span_too(traced, receiver):
    answer = chat(traced, "simulate: refuse")
    own, attempts = spans(receiver, answer)

    assert told(own)["tokens.attempts"] == len(attempts) == 2
    assert {told(one)["error.type"] for one in (own, *attempts)} == {"no_available_key"}
    assert {one.status.code for one in (own, *attempts)} == {ERROR}


def test_what_calls_no_model_is_one_span(traced, receiver):
    answer = requests.get(traced.url() + "/nowhere", timeout=20)
    own, attempts = spans(receiver, answer)

    assert attempts == [] and not own.parent_span_id
    assert own.name == "GET" and told(own)["error.type"] == "not_found"
    assert not [one for one in told(own) if one.startswith("gen_ai")]


def test_a_receiver_that_does_not_answer_holds_up_nobody(traced, receiver):
    receiver.answers.clear()
    receiver.asked.clear()
    try:
        chat(traced, "hello")
        assert receiver.asked.wait(20)
        answers = [chat(traced, "hello") for _ in range(5)]
    finally:
        receiver.answers.set()

    assert {one.status_code for one in answers} == {200}
    assert max(one.elapsed.total_seconds() for one in answers) < 5


def test_no_secret_and_no_prompt_is_in_a_span(traced, receiver):
    spans(receiver, chat(traced, "canary-prompt"))
    text = "".join(map(str, receiver.spans))

    assert not [one for one in (traced.licence, "sk-one", "canary") if one in text]


def test_without_a_receiver_nothing_of_it_is_imported(stack, traced):
    assert (has_protobuf(stack), has_protobuf(traced)) == (False, True)


def has_protobuf(stack: Stack) -> bool:
    """Whether a worker has loaded what traces are written with."""
    children = Path(f"/proc/{stack.pid}/task/{stack.pid}/children").read_text().split()
    return any("google/_upb" in Path(f"/proc/{pid}/maps").read_text() for pid in children)
