"""LangChain's ChatOpenAI: one answer, one streamed, one tool called, over both of OpenAI's dialects."""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

told: dict[str, Any] = json.loads(sys.argv[1])


@tool
def read_note(name: str) -> str:
    """Reads a note."""
    return f"{told['word']} in {name}"


def play(door: dict[str, str], responses: bool) -> dict[str, Any]:
    chat = ChatOpenAI(
        model=door["model"],
        base_url=f"{door['url']}/v1",
        api_key=door["licence"],
        use_responses_api=responses,
        max_retries=0,
    )
    turns: list[Any] = [HumanMessage(told["order"])]
    asked = chat.bind_tools([read_note]).invoke(turns)
    turns += [asked, *(read_note.invoke(call) for call in asked.tool_calls)]
    return {
        "text": chat.invoke(told["say"]).text,
        "stream": "".join(piece.text for piece in chat.stream(told["say"])),
        "called": [[call["name"], call["args"]] for call in asked.tool_calls],
        "after": chat.bind_tools([read_note]).invoke(turns).text,
    }


found = {
    door["name"]: {kind: play(door, kind == "responses") for kind in ("chat", "responses")}
    for door in told["doors"]
}
print(json.dumps(found))
