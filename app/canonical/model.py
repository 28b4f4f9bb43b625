"""What is known of a model: facts that writers need, held as data beside each platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Thinks = Literal["never", "budget", "adaptive", "level", "effort"]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The defaults describe a model nobody has described: pass everything on and let the platform
    judge.

    `thinks` is the currency in which thinking is asked for: `budget` tokens, `adaptive` (on or off,
    with an effort), a named `level`, an `effort`. `can_disable` False means that it cannot be
    switched off; `thinks_unasked` says that it thinks when nothing is said. `refuses` names
    top-level fields of the upstream's own dialect that the model answers with a 400. `forced_tools`
    is False where a forced tool choice is refused altogether, and `forced_tools_thinking` where it
    is refused while thinking is on; `tools_thinking` is False where tools of any kind are.
    `system_turns` says that a system text may stand in mid-conversation. `mixes_tools` is False
    where functions, the platform's own tools and JSON formats exclude each other; `modalities` are
    what an answer has to be asked for; `max_whole_output` is the most output of an answer that is
    not streamed. `makes` is set where the model does not talk but make pictures or films: in these
    `ratios` and `resolutions`, small ones first, of so many `lengths` in seconds, and from no more than
    `most_images`. Nothing said = anything goes. `usual_length` is how long a film is where nobody
    says, also when another's engine makes it, and `usual_size` how large.
    """

    name: str = ""
    context: int = 0
    max_output: int = 0
    default_output: int = 0
    thinks: Thinks = "effort"
    thinks_unasked: bool = False
    efforts: tuple[str, ...] = ()
    effort_field: bool = True
    budget_least: int = 0
    budget_most: int = 0
    can_disable: bool = True
    refuses: frozenset[str] = frozenset()
    refuses_thinking: frozenset[str] = frozenset()
    forced_tools: bool = True
    forced_tools_thinking: bool = True
    prefill: bool = True
    modern_limit: bool = True
    signatures: bool = False
    most_stops: int = 0
    tools_thinking: bool = True
    system_turns: bool = False
    mixes_tools: bool = True
    modalities: tuple[str, ...] = ()
    max_whole_output: int = 0
    makes: Literal["", "image", "video"] = ""
    free_sizes: bool = False
    ratios: tuple[str, ...] = ()
    resolutions: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    usual_length: int = 0
    usual_size: str = ""
    most_images: int = 0
