"""Requests as OpenTelemetry traces: a span for each, and one below it for each attempt at a platform, with
the names that the GenAI conventions have for them.

They are made when a request is over, from what is known of it then, and sent in the background. Nobody
imports this but where traces are wanted: it needs what docs/traces.md says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.canonical.events import Usage
from app.clock import Clock
from app.services.trail import Trail

PROVIDERS = {"google": "gcp.gemini", "xai": "x_ai"}  # the conventions' words for owners of models
OPERATIONS = {"gemini_generate": "generate_content"}
MOST_TOGETHER = 128  # spans: more of them at a time would hold up others while they are written


class SentTraces:
    """One per process. `owners` are the makers of each platform's models. The standard environment
    variables say where traces go, how many and under which name.
    """

    def __init__(self, owners: Mapping[str, str], clock: Clock) -> None:
        self._providers = {name: PROVIDERS.get(owner, owner) for name, owner in owners.items()}
        self._clock = clock
        self._read = TraceContextTextMapPropagator().extract
        self._tracer: trace.Tracer = trace.NoOpTracer()

    def start(self) -> None:
        """Not before the fork: the greenlet that sends would be left behind."""
        named = Resource.create().merge(Resource({SERVICE_NAME: "tokens"}))
        provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()))
        provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(), max_export_batch_size=MOST_TOGETHER)
        )
        self._tracer = provider.get_tracer("tokens")

    def over(self, trail: Trail, record: Mapping[str, Any], seconds: float) -> None:
        ended = self._clock.now()
        status, outcome = record.get("status", 500), record.get("outcome", "ok")
        span = self._tracer.start_span(
            f"{record['method']} {trail.route}".rstrip(),
            context=self._read(trail.parent),
            kind=SpanKind.SERVER,
            start_time=_nanoseconds(ended - seconds),
            attributes={
                "http.request.method": record["method"],
                "http.response.status_code": status,
                "http.route": trail.route,
                "tokens.request_id": record["request"],
                "tokens.attempts": record.get("attempts", 0),
                **self._about(record),
                **_counted(record.get("usage")),
            },
        )
        below = trace.set_span_in_context(span)
        for tried in trail.tried:
            self._attempt(
                below, record, tried.began, tried.ended or ended, tried.outcome or outcome
            )
        if outcome != "ok":
            span.set_attribute("error.type", outcome)
        if status >= 500 or (status < 400 and outcome != "ok"):
            span.set_status(Status(StatusCode.ERROR, outcome))
        span.end(_nanoseconds(ended))

    def _attempt(
        self, below: Any, record: Mapping[str, Any], began: float, ended: float, outcome: str
    ) -> None:
        about = self._about(record)
        name = f"{about.get('gen_ai.operation.name', 'chat')} {record.get('model', '')}".rstrip()
        span = self._tracer.start_span(
            name,
            context=below,
            kind=SpanKind.CLIENT,
            start_time=_nanoseconds(began),
            attributes=about,
        )
        if outcome != "ok":
            span.set_attribute("error.type", outcome)
            span.set_status(Status(StatusCode.ERROR, outcome))
        span.end(_nanoseconds(ended))

    def _about(self, record: Mapping[str, Any]) -> dict[str, str | bool]:
        """What call it is, where it is one of a model."""
        if (platform := record.get("platform")) is None or "model" not in record:
            return {}
        provider = self._providers.get(platform, platform)
        return {
            "gen_ai.operation.name": OPERATIONS.get(record.get("spoken", ""), "chat"),
            "gen_ai.provider.name": provider,
            "gen_ai.system": provider,  # what the conventions called it before
            "gen_ai.request.model": record["model"],
            "gen_ai.request.stream": bool(record.get("stream")),
            "tokens.platform": platform,
        }


def _counted(usage: Usage | None) -> dict[str, int]:
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cached,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
    }


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
