"""`tokens settings`: what can be set, what it means, what it is."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from app.cli.words import settings, show
from app.config import Settings
from app.platforms import PLATFORMS
from app.secret import Secret


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--markdown", action="store_true", help="print the README's table of defaults"
    )


def run(options: argparse.Namespace) -> int:
    if options.markdown:
        print(markdown())
        return 0
    show(rows(settings()), as_json=options.json)
    return 0


def rows(chosen: Settings) -> list[dict[str, Any]]:
    """Every setting with its value. Keys are counted, not shown, and passwords in addresses are
    dots.
    """
    listed = [
        {
            "setting": f"TOKENS_{field.name.upper()}",
            "value": _shown(getattr(chosen, field.name)),
            "about": field.metadata["about"],
        }
        for field in fields(Settings)
        if field.name != "platforms"
    ]
    for name, one in sorted(chosen.platforms.items()):
        prefix = f"TOKENS_{name.upper()}"
        title = PLATFORMS[name].title
        keys = f"{len(one.keys)} set" if one.keys else ""
        listed.append({"setting": f"{prefix}_KEYS", "value": keys, "about": f"keys of {title}"})
        listed.append(
            {"setting": f"{prefix}_BASE_URL", "value": one.base_url, "about": f"address of {title}"}
        )
        if header := PLATFORMS[name].beta_header:
            about = f"added to the callers' `{header}`"
            listed.append(
                {"setting": f"{prefix}_BETAS", "value": _shown(one.betas), "about": about}
            )
        for option in PLATFORMS[name].options:
            value = _shown(one.options[option.name])
            listed.append(
                {"setting": f"{prefix}_{option.name}", "value": value, "about": option.about}
            )
    return listed


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Secret):
        return str(value) if value else ""
    text = str(value)
    if "://" in text and (password := urlsplit(text).password):
        text = text.replace(f":{password}@", ":••••@")
    return text


def _row(name: str, default: Any, about: str) -> str:
    shown = f"`{_shown(default)}`" if _shown(default) else "empty"
    return f"| `{name}` | {shown} | {about} |"


def markdown() -> str:
    """The table of settings as the README shows it: the defaults, whatever the environment says."""
    lines = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for field in fields(Settings):
        if field.name != "platforms":
            about = field.metadata["about"]
            lines.append(_row(f"TOKENS_{field.name.upper()}", field.default, about))
    for name, platform in sorted(PLATFORMS.items()):
        prefix = f"TOKENS_{name.upper()}"
        variables = " or ".join(f"`{one}`" for one in platform.key_variables)
        lines.append(
            f"| `{prefix}_KEYS` | {variables} | keys of {platform.title}, comma-separated, used in turn |"
        )
        lines.append(
            f"| `{prefix}_BASE_URL` | `{platform.base_url}` | address of {platform.title} |"
        )
        if platform.beta_header:
            about = f"beta features added to the callers' `{platform.beta_header}`, comma-separated"
            lines.append(f"| `{prefix}_BETAS` | empty | {about} |")
        for option in platform.options:
            lines.append(_row(f"{prefix}_{option.name}", option.default, option.about))
    return "\n".join(lines)
