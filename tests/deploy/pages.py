"""The pages in deploy/, and the commands in them that are to be pasted."""

from __future__ import annotations

import re

from tests.stack import ROOT


def page(name: str) -> str:
    return (ROOT / "deploy" / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def sections(text: str) -> dict[str, list[str]]:
    """The blocks, by the heading they stand under."""
    _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    return {part.partition("\n")[0]: blocks(part) for part in parts}
