"""What xAI wants before a chat: documents uploaded, and the name of the conversation in a header.

The dialect writes both into the body, as OpenAI does. Most chats have neither and go out as they
are.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
from urllib3.filepost import encode_multipart_formdata

from app.secret import Secret
from app.upstream.answer import Answering
from app.upstream.platform import Attempt, Opener, Send
from app.upstream.transport import Transport

FILE = b'"file_data":'
CONVERSATION = b'"prompt_cache_key":'
HEADER = "x-grok-conv-id"
ANSWER_BYTES = 1 << 20


def prepared(post: Opener, sign: Callable[[str, Secret], Send]) -> Opener:
    """An opener that sees to both, and then asks by `post`."""

    def opener(transport: Transport, attempt: Attempt) -> Answering:
        if FILE not in attempt.payload and CONVERSATION not in attempt.payload:
            return post(transport, attempt)
        body = orjson.loads(attempt.payload)
        for file in _files(body):
            answer = _upload(transport, attempt, sign, file)
            if answer.status != 200:
                return answer  # what is wrong with the upload is wrong with the chat
            try:
                told = orjson.loads(answer.read(ANSWER_BYTES, attempt.seconds))
            finally:
                answer.close()
            file.clear()
            file["file_id"] = told["id"]
        name = body.pop("prompt_cache_key", None)
        headers = {**attempt.headers, HEADER: name} if name else attempt.headers
        return post(transport, replace(attempt, headers=headers, payload=orjson.dumps(body)))

    return opener


def _files(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in body["messages"]:
        content = message["content"]
        for part in content if isinstance(content, list) else ():
            if part["type"] == "file" and "file_data" in part["file"]:
                yield part["file"]


def _upload(
    transport: Transport,
    attempt: Attempt,
    sign: Callable[[str, Secret], Send],
    file: dict[str, Any],
) -> Answering:
    head, _, data = file["file_data"].partition(",")
    media_type = head.removeprefix("data:").partition(";")[0]
    document = (str(file["filename"]), base64.b64decode(data), media_type)
    payload, kind = encode_multipart_formdata([("purpose", "assistants"), ("file", document)])
    signed = sign(f"{attempt.base_url}/files", attempt.credential.token)
    return transport.open(
        "POST",
        signed.url,
        {**signed.headers, "content-type": kind},
        payload,
        leash=attempt.leash,
        first_byte_seconds=attempt.seconds,
        repeat_stale=False,
    )
