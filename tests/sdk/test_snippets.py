"""The snippets that people copy from the documents: run as they stand, by the shell, by Python and
by Node.

They are kept in `snippets/`, a fence each. Only what a reader has to fill in is filled in: address,
key, prefix and, where the text has a gap for it, the model and the content. A snippet that names a
model of its own is run on a platform which has it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import requests

from app.platforms import PLATFORMS
from tests.models import DIRECT, EVERY, MODELS
from tests.sdk import scenes
from tests.stack import Json, Stack, clean_environ, missing, program

HERE = Path(__file__).parent
BLOCK = re.compile(r"^## (.+?)\n.*?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = HERE / "node" / "node_modules"
SECONDS = 60
GREETED = 'You said "Hello!".'
OPENAI = ("chatgpt", "codex")  # who has a gpt-4o
PRACTICE = ("errors", "time", "stream", "parameters", "key", "more time")


@cache
def snippets(document: str) -> dict[str, str]:
    """The document's snippets by name."""
    text = (HERE / "snippets" / f"{document}.md").read_text(encoding="utf-8")
    return {name: code for name, _, code in BLOCK.findall(text)}


def filled(code: str, platform: str, stack: Stack) -> str:
    """The snippet as a reader would fill it in."""
    for gap in ("<平台前缀>", "<各平台前缀>", "<平台名称>"):
        code = code.replace(f"http://<你的IP>:<你的端口>/{gap}", stack.url(platform))
    for gap in ("<你的许可证>", "你的许可证"):
        code = code.replace(gap, stack.licence)
    for gap in ("<平台模型>", "平台提供的模型"):
        code = code.replace(gap, MODELS[platform].plain)
    return code.replace("<对话内容>", "Hello!").replace("<图片描述>", "a cat")


def at_the_root(code: str, stack: Stack, key: str = "your-api-key") -> str:
    """The snippet with its address changed, and its key only if another is given."""
    return code.replace("http://127.0.0.1:2048", stack.url()).replace("your-api-key", key)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, env=clean_environ(), capture_output=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def shell(code: str, folder: Path) -> str:
    program("curl")
    return run(["sh", "-c", code], folder)


def python(code: str, folder: Path) -> str:
    script = folder / "snippet.py"
    script.write_text(code, encoding="utf-8")
    return run([sys.executable, "-X", "utf8", str(script)], folder)


def node(code: str, folder: Path) -> str:
    path = program("node")
    if not (MODULES / "openai").is_dir():
        missing("the npm package openai (npm ci --prefix tests/sdk/node)")
    (folder / "node_modules").symlink_to(MODULES)
    script = folder / "snippet.mjs"
    script.write_text(code, encoding="utf-8")
    return run([path, str(script)], folder)


def content(answer: str) -> str:
    """The text of a chat completion."""
    return str(json.loads(answer)["choices"][0]["message"]["content"])


def streamed(answer: str) -> str:
    """The text of a chat stream, read as the documents' own loop reads it."""
    text = ""
    for line in answer.split("\n"):
        if line.startswith("data: "):
            if line[6:].strip() == "[DONE]":
                return text
            text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
    raise AssertionError(f"no end: {answer}")


# Getting access.


@pytest.mark.parametrize("platform", OPENAI)
@pytest.mark.parametrize("name, document", [("curl", "access"), ("curl developer", "chat2api")])
def test_curl_says_hello(
    platform: str, name: str, document: str, stack: Stack, tmp_path: Path
) -> None:
    """C-002, C-003, C-030, C-055."""
    assert GREETED in content(shell(filled(snippets(document)[name], platform, stack), tmp_path))


def test_curl_says_hello_with_a_bare_licence(stack: Stack, tmp_path: Path) -> None:
    """C-031: the second of the two forms of the header."""
    code = filled(snippets("access")["curl"], "chatgpt", stack)

    assert GREETED in content(shell(code.replace("Bearer ", ""), tmp_path))


@pytest.mark.parametrize(
    "name, document",
    [("python", "access"), ("python errors", "access"), ("python developer", "chat2api")],
)
def test_python_says_hello(name: str, document: str, stack: Stack, tmp_path: Path) -> None:
    """C-003, C-055, C-091."""
    told = python(filled(snippets(document)[name], "codex", stack), tmp_path)

    assert told.startswith("ChatCompletionMessage(content=") and GREETED in told


def test_python_streams_below_the_client_of_the_first_snippet(stack: Stack, tmp_path: Path) -> None:
    """C-104: `choices[0]` without a look, in every chunk."""
    found = snippets("access")
    client = found["python"].partition("# 创建对话")[0]
    told = python(filled(client + found["python stream"], "chatgpt", stack), tmp_path)

    assert GREETED in told
    assert told.startswith("NoneThis is") and told.endswith("None")  # role chunk, last chunk


def test_python_is_told_of_errors_as_the_snippet_expects_them(stack: Stack, tmp_path: Path) -> None:
    """C-181."""
    code = filled(snippets("access")["python errors"], "chatgpt", stack)
    told = python(code.replace(stack.licence, "wrong-licence"), tmp_path)

    assert told == "API 错误: Error code: 401 - the licence is not valid\n"


def test_node_says_hello(stack: Stack, tmp_path: Path) -> None:
    told = node(filled(snippets("access")["node"], "chatgpt", stack), tmp_path)

    assert "role: 'assistant'" in told and GREETED in told


@pytest.mark.parametrize("platform", EVERY)
def test_node_may_send_nothing_but_a_developer_message(
    platform: str, stack: Stack, tmp_path: Path
) -> None:
    """C-055, C-078: some platforms refuse a conversation without a user, and few know `store`."""
    code = filled(snippets("chat2api")["node developer"], platform, stack)
    model = "gpt-4o" if platform in OPENAI else MODELS[platform].plain
    told = node(code.replace("gpt-4o", model), tmp_path)

    assert "finish_reason: 'stop'" in told and "offline simulator" in told


@pytest.mark.parametrize("platform", EVERY)
def test_curl_brings_its_own_token(platform: str, stack: Stack, tmp_path: Path) -> None:
    """C-041, C-047."""
    code = filled(snippets("chat2api")["curl chat2api"], platform, stack)
    told = streamed(shell(code.replace("<平台Token>", "token-of-mine"), tmp_path))

    assert 'You said "你是什么模型".' in told


@pytest.mark.parametrize("platform", EVERY)
def test_curl_is_told_what_the_platform_says_of_its_token(
    platform: str, stack: Stack, tmp_path: Path
) -> None:
    """C-044: in its own words, not in our neutral ones."""
    code = filled(snippets("chat2api")["curl chat2api"], platform, stack)
    told = json.loads(shell(code.replace("<平台Token>", "token-of-mine-revoked"), tmp_path))

    error = (told[0] if isinstance(told, list) else told)["error"]
    words = error if isinstance(error, str) else error["message"]  # some platforms tell it flat

    assert re.search(r"api[- ]key|credential", words, re.IGNORECASE)
    assert words != "the platform does not accept the credential it is called with"


# The interface of all platforms.


@pytest.mark.parametrize("platform", EVERY)
def test_curl_sends_text(platform: str, stack: Stack, tmp_path: Path) -> None:
    """C-052 to C-056, C-087 to C-093."""
    answer: Json = json.loads(
        shell(filled(snippets("platforms")["curl text"], platform, stack), tmp_path)
    )
    shape = {"id", "object", "created", "model", "choices", "usage"}

    assert shape <= answer.keys() and answer["id"].startswith("foaicmpl-")
    assert answer["object"] == "chat.completion" and answer["model"] == MODELS[platform].plain
    assert GREETED in answer["choices"][0]["message"]["content"]


IMAGE = ("curl image", "图片的URL或者base64", scenes.PNG_URL, "image/png")
FILE = ("curl file", "文件的URL或者base64", scenes.PDF_URL, "application/pdf")


@pytest.mark.parametrize("bare", [False, True], ids=["data url", "bare base64"])
@pytest.mark.parametrize(
    "name, gap, url, kind, platform",
    [
        *((*IMAGE, platform) for platform in EVERY),
        *((*FILE, platform) for platform in DIRECT),
    ],
    ids=lambda value: value if value in EVERY or value in (IMAGE[0], FILE[0]) else "",
)
def test_curl_sends_a_file(
    platform: str,
    bare: bool,
    name: str,
    gap: str,
    url: str,
    kind: str,
    stack: Stack,
    tmp_path: Path,
) -> None:
    """C-058 to C-061."""
    data = url.partition(",")[2] if bare else url
    code = filled(snippets("platforms")[name], platform, stack).replace(gap, data)

    assert f"I also received {kind}." in content(shell(code, tmp_path))


@pytest.mark.parametrize("platform", EVERY)
def test_curl_streams(platform: str, stack: Stack, tmp_path: Path) -> None:
    """C-098 to C-104."""
    told = shell(filled(snippets("platforms")["curl stream"], platform, stack), tmp_path)

    assert GREETED in streamed(told)
    assert told.startswith('data: {"id":"foaicmpl-') and told.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("platform", DIRECT)
def test_curl_sends_several_turns(platform: str, stack: Stack, tmp_path: Path) -> None:
    """C-067."""
    stack.simulators.clear(platform)
    told = content(shell(filled(snippets("platforms")["curl turns"], platform, stack), tmp_path))
    (asked,) = stack.simulators.posts(platform)
    sent = json.dumps(asked["body"], ensure_ascii=False)
    turns = ["什么是 JavaScript？", "高级编程语言", "它和 Java 有什么关系？"]

    assert 'You said "它和 Java 有什么关系？".' in told
    assert sorted(turns, key=sent.index) == turns and "编程助手" in sent


@pytest.mark.parametrize("platform", [one for one in EVERY if PLATFORMS[one].images is None])
@pytest.mark.parametrize("name", ["images json", "images form", "edits json", "edits form"])
def test_what_is_not_offered_is_said_so(
    platform: str, name: str, stack: Stack, tmp_path: Path
) -> None:
    """C-027: a clear error, whatever the form of the body."""
    code = filled(snippets("platforms")[name], platform, stack)
    for number in ("1", "2"):
        picture = tmp_path / f"example{number}.jpg"
        picture.write_bytes(scenes.PNG)
        code = code.replace(f"/path/to/example{number}.jpg", str(picture))
    told = json.loads(shell(code, tmp_path))

    assert told["error"]["code"] == "endpoint_not_supported"


# Clients of the root.


@pytest.fixture(scope="module")
def opened(gateway: Callable[..., Stack]) -> Stack:
    """A gateway whose root anybody may use, with any key or none (C-250)."""
    return gateway(TOKENS_ROOT_OPEN="true")


def test_curl_asks_for_health_and_models_without_a_key(stack: Stack, tmp_path: Path) -> None:
    """C-247, C-248."""
    found = snippets("root")
    health = json.loads(shell(at_the_root(found["curl health"], stack), tmp_path))
    models = json.loads(shell(at_the_root(found["curl models"], stack), tmp_path))

    assert health.keys() == {"status", "message", "details"} and health["status"] == "ok"
    assert models["object"] == "list" and models["data"]
    assert all(one.keys() >= {"id", "object", "created", "owned_by"} for one in models["data"])


@pytest.mark.parametrize("licensed", [False, True], ids=["open", "licensed"])
def test_curl_chats_and_streams_at_the_root(
    licensed: bool, opened: Stack, stack: Stack, tmp_path: Path
) -> None:
    """C-249 to C-252, C-254."""
    where, key = (stack, stack.licence) if licensed else (opened, "your-api-key")
    found = snippets("root")
    chat = content(shell(at_the_root(found["curl chat"], where, key), tmp_path))
    stream = streamed(shell(at_the_root(found["curl stream"], where, key), tmp_path))

    assert 'simulator of gemini-2.5-pro. You said "你好，请介绍一下自己".' in chat
    assert 'simulator of gemini-2.5-flash. You said "请讲一个关于人工智能的故事".' in stream


def test_curl_with_parameters_needs_no_key_where_the_root_is_open(
    opened: Stack, stack: Stack, tmp_path: Path
) -> None:
    """C-038, C-073, C-250, C-252."""
    code = snippets("root")["curl parameters"]
    refused = json.loads(shell(at_the_root(code, stack), tmp_path))

    assert "asyncio" in content(shell(at_the_root(code, opened), tmp_path))
    assert refused["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    "name, said",
    [
        ("basic", "什么是 FastAPI?"),
        ("stream", "请讲一个关于机器学习的故事"),
        ("parameters", "解释装饰器的工作原理"),
        ("retry", "你好"),
        ("requests", "什么是深度学习?"),
        ("requests stream", "请讲一个故事"),
    ],
)
def test_python_chats_at_the_root(name: str, said: str, opened: Stack, tmp_path: Path) -> None:
    """C-249, C-253, C-254."""
    told = python(at_the_root(snippets("root")[f"python {name}"], opened), tmp_path)

    assert f'You said "{said}".' in told
    assert told.startswith("AI: This is" if "stream" in name else "This is")
    assert name != "parameters" or re.search(r"使用的 tokens: [1-9]\d*$", told.strip())


def test_python_follows_the_good_practice_of_the_examples(opened: Stack, tmp_path: Path) -> None:
    """The fragments stand below each other, as a reader would collect them, and the function is
    called.
    """
    found = snippets("root")
    fragments = [found["python retry"], *(found[f"practice {name}"] for name in PRACTICE)]
    called = 'print(robust_chat(client, [{"role": "user", "content": "Hello!"}]).id)\n'
    told = python(at_the_root("\n".join([*fragments, called]), opened), tmp_path)

    assert 'You said "写一篇长文".' in told
    assert told.strip().rpartition(".")[2].startswith("foaicmpl-")


@pytest.mark.parametrize(
    "name, said",
    [
        ("basic", ["什么是 Node.js?"]),
        ("stream", ["请讲一个关于编程的故事"]),
        ("retry", ["你好"]),
        ("fetch", ["什么是 JavaScript?"]),
    ],
)
def test_node_chats_at_the_root(name: str, said: list[str], opened: Stack, tmp_path: Path) -> None:
    """C-249, C-253, C-254."""
    told = node(at_the_root(snippets("root")[f"node {name}"], opened), tmp_path)

    assert [one for one in said if f'You said "{one}".' not in told] == []
    assert name != "fetch" or "AI: " in told


@pytest.mark.parametrize(
    "key", ["Bearer your-api-key", "", "Bearer "], ids=["any", "none", "empty"]
)
def test_chat_programs_find_what_they_look_for(opened: Stack, key: str) -> None:
    """C-253: Open WebUI, LobeChat and Continue are given `/v1`, ChatBox adds it itself; the key may
    be empty.
    """
    headers = {"authorization": key} if key else {}
    base = opened.url() + "/v1"
    models = requests.get(f"{base}/models", headers=headers, timeout=10)
    body = {
        "model": "gemini-1.5-pro",
        "messages": [{"role": "user", "content": "Hello!"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    chat = requests.post(f"{base}/chat/completions", json=body, headers=headers, timeout=10)

    assert (models.status_code, chat.status_code) == (200, 200)
    assert chat.headers["content-type"].startswith("text/event-stream")
    assert GREETED in "".join(
        choice["delta"].get("content", "")
        for line in chat.text.split("\n")
        if line.startswith("data: {")
        for choice in json.loads(line[6:])["choices"]
    )
