"""The commands of deploy/install.md, taken from the page itself. Only names and places are put into them."""

from __future__ import annotations

import re

from tests.deploy.pages import page, sections

NAME = "localhost"  # it leads here without anybody's help
CERTIFICATE = f"/etc/letsencrypt/live/{NAME}/fullchain.pem"
REPOSITORY = "/srv/tokens.git"
# The name as what `sed` looks for stays as it is.
OF_OURS = r"(?<!s/)tokens\.example\.com"


class Page:
    def __init__(self, text: str | None = None) -> None:
        self._text = text or page("install.md")
        self._blocks = sections(self._text)
        self._taken: set[str] = set()

    def block(self, heading: str, number: int = 0, **instead: str) -> str:
        """The commands under this heading. What is to be replaced has to be there."""
        found = next(blocks for title, blocks in self._blocks.items() if title.endswith(heading))
        self._taken.add(found[number])
        return self._filled(found[number], instead)

    def left(self) -> list[str]:
        """The blocks that nobody has taken yet."""
        return [one for blocks in self._blocks.values() for one in blocks if one not in self._taken]

    def when_renewed(self) -> str:
        """What certbot does when it has a new certificate."""
        (found,) = re.findall(r"--deploy-hook '(.*)'", self._text)
        return str(found)

    def in_passing(self, word: str) -> str:
        """The one command in a line of text that has this word in it."""
        prose = re.sub(r"```.*?```", "", self._text, flags=re.DOTALL)
        (found,) = {one for one in re.findall(r"`([^`\n]+)`", prose) if word in one}
        return found

    @staticmethod
    def _filled(block: str, instead: dict[str, str]) -> str:
        block = block.replace("YOUR-REPOSITORY", REPOSITORY).replace("YOUR-NAME", NAME)
        block = re.sub(OF_OURS, NAME, block)
        for written, ours in instead.items():
            assert written in block, f"the page says nothing of {written} any more:\n{block}"
            block = block.replace(written, ours)
        return block
