"""What Anthropic refuses because of the model, or because two settings do not go together."""

from __future__ import annotations

from typing import Any

from app.simulators.anthropic_checks import Refused, fail
from app.simulators.anthropic_models import FIVE, Traits, resolved, traits
from app.simulators.anthropic_rules import BETA_FIELDS, COUNT, MESSAGE
from app.simulators.anthropic_schemas import require_supported
from app.simulators.anthropic_turns import blocks, require_texts, require_turns

Json = dict[str, Any]

SAMPLING = ("temperature", "top_p", "top_k")
LEAST_TOP_P = 0.95  # the least a model that thinks allows
NEWEST = "2026-10-21"  # the API version that took the sampling parameters away
VERSIONS = (NEWEST, "2023-06-01", "2023-01-01")
INTERLEAVED = "interleaved-thinking-2025-05-14"
USE_ADAPTIVE = (
    'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
)


def accept(raw: Any, betas: tuple[str, ...], counting: bool = False, version: str = NEWEST) -> Json:
    """The request with the model's full id, known to be acceptable; raises `Refused` otherwise."""
    (COUNT if counting else MESSAGE)(raw, "")
    _require_betas(raw, betas)
    if version == NEWEST:
        _newest(raw)
    body: Json = {**raw, "model": resolved(raw["model"])}
    found = traits(body["model"])
    if isinstance(body.get("system"), list):
        require_texts(body["system"], "system")
    require_turns(body)
    _tools(body)
    _thinking(body, found, betas)
    _forced(body, found)
    _output(body, found)
    if not counting:
        _sampling(body, found)
        _length(body, found)
    return body


def thinks(body: Json) -> bool:
    """Whether the model thinks when it is asked this."""
    asked = body.get("thinking")
    if asked is None:
        return traits(body["model"]).unasked
    if asked["type"] == "between_tools":
        last = blocks(body["messages"][-1]["content"])
        return any(part["type"] == "tool_result" for part in last)
    return bool(asked["type"] in ("enabled", "adaptive"))


def _require_betas(body: Json, betas: tuple[str, ...]) -> None:
    for name, start in BETA_FIELDS.items():
        if name in body and not any(beta.startswith(start) for beta in betas):
            fail(name, "Extra inputs are not permitted")
    if "task_budget" in (body.get("output_config") or {}) and not betas:
        fail("output_config.task_budget", "Extra inputs are not permitted")


def _newest(body: Json) -> None:
    """What the newest version of the API no longer takes, whatever the model."""
    for name in SAMPLING:
        if name in body:
            fail(name, "Extra inputs are not permitted")
    for index, message in enumerate(body["messages"]):
        for place, part in enumerate(blocks(message["content"])):
            if message["role"] == "user" and part["type"] == "text" and part.get("citations"):
                fail(
                    f"messages.{index}.content.{place}.text.citations",
                    "citations are not permitted in user messages",
                )


def _tools(body: Json) -> None:
    names: list[str] = []
    for index, tool in enumerate(body.get("tools") or ()):
        names.append(tool.get("name", ""))
        if tool.get("allowed_domains") and tool.get("blocked_domains"):
            fail(f"tools.{index}", "Only one of allowed_domains and blocked_domains may be given")
        if tool.get("strict") and "input_schema" in tool:
            require_supported(tool["input_schema"], f"tools.{index}.custom")
    if any(name and names.count(name) > 1 for name in names):
        fail("tools", "Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not names:
        fail("tool_choice", "tool_choice may only be specified while providing tools")
    if choice["type"] == "tool" and choice["name"] not in names:
        raise Refused(f"Tool '{choice['name']}' not found in provided tools")


def _thinking(body: Json, found: Traits, betas: tuple[str, ...]) -> None:
    asked = body.get("thinking")
    if asked is None:
        return
    kind = asked["type"]
    effort = (body.get("output_config") or {}).get("effort")
    calm = found.disabled == "calm" and effort not in FIVE[3:]
    allowed = {
        "enabled": found.enabled,
        "adaptive": found.adaptive,
        "disabled": found.disabled == "yes" or calm,
        "between_tools": found.between_tools,
    }
    if not allowed[kind]:
        hint = USE_ADAPTIVE if found.adaptive else ""
        raise Refused(f'"thinking.type.{kind}" is not supported for this model. {hint}'.strip())
    most = body.get("max_tokens")
    if kind == "enabled" and most is not None and INTERLEAVED not in betas:
        if asked["budget_tokens"] >= most:
            raise Refused("`max_tokens` must be greater than `thinking.budget_tokens`")


def _forced(body: Json, found: Traits) -> None:
    choice = (body.get("tool_choice") or {}).get("type")
    if choice not in ("any", "tool"):
        return
    if not found.forced:
        raise Refused(f"tool_choice.type: '{choice}' is not supported on this model")
    if (body.get("thinking") or {}).get("type") == "enabled":
        raise Refused("Thinking may not be enabled when tool_choice forces tool use.")


def _output(body: Json, found: Traits) -> None:
    config = body.get("output_config") or {}
    effort = config.get("effort")
    if effort is not None and not found.efforts:
        raise Refused("This model does not support the effort parameter.")
    if effort is not None and effort not in found.efforts:
        fail("output_config.effort", f"This model does not support effort level '{effort}'")
    form = config.get("format") or body.get("output_format")
    if not form:
        return
    require_supported(form["schema"], "output_config.format.schema")
    if body["messages"][-1]["role"] == "assistant":
        raise Refused("output_config.format is not compatible with assistant message prefill")
    if any(_cites(message) for message in body["messages"]):
        raise Refused("output_config.format is not compatible with citations")


def _cites(message: Json) -> bool:
    asked = (part.get("citations") for part in blocks(message["content"]))
    return any(isinstance(each, dict) and each.get("enabled") for each in asked)


def _sampling(body: Json, found: Traits) -> None:
    sent = [name for name in SAMPLING if name in body]
    if found.sampling == "default":
        sent = [name for name in sent if name == "top_k" or body[name] != 1]
    if found.sampling != "free" and sent:
        raise Refused(f"`{sent[0]}` is deprecated for this model.")
    if found.sampling != "free":
        return
    if "temperature" in body and "top_p" in body:
        raise Refused(
            "`temperature` and `top_p` cannot both be specified for this model. "
            "Please use only one."
        )
    if thinks(body):
        _sampling_of_thinkers(body)


def _sampling_of_thinkers(body: Json) -> None:
    if body.get("temperature", 1) != 1:
        raise Refused("`temperature` may only be set to 1 when thinking is enabled.")
    if "top_k" in body:
        raise Refused("`top_k` must be unset when thinking is enabled.")
    if body.get("top_p", 1) < LEAST_TOP_P:
        raise Refused(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."
        )


def _length(body: Json, found: Traits) -> None:
    most = body["max_tokens"]
    if most > found.output:
        raise Refused(
            f"max_tokens: {most} > {found.output}, which is the maximum allowed number of output "
            f"tokens for {body['model']}"
        )
    if most:
        return
    choice = (body.get("tool_choice") or {}).get("type")
    beside = {
        "stream": body.get("stream"),
        "thinking": (body.get("thinking") or {}).get("type") == "enabled",
        "output_config.format": (body.get("output_config") or {}).get("format"),
        "tool_choice": choice in ("any", "tool"),
    }
    for name, there in beside.items():
        if there:
            raise Refused(f"max_tokens: 0 may not be combined with `{name}`")
