"""What a recorded host was booted with: its kvm-arm.mode, and what the name of a folder without meta.json tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastsmc.facts.releases import KVM_ARM_MODES

NAME_ALONE = "hosts recorded without meta.json: their release and kvm-arm.mode are those in their folder's name"
"""The note of such a recording."""

_PARAMETER = re.compile(r"(?:^|\s)kvm[-_]arm\.mode=(\S+)")
_NAME = re.compile(r"(?:linux-)?(\d{1,2}\.\d{1,3}(?:\.\d{1,4})?)(?:-[a-z0-9]{1,20})?-mode-([a-z]{1,20})")


def kvm_arm_mode(meta: Mapping[str, Any]) -> str:
    """The mode on the kernel's command line, which meta.json has as "cmdline"; the last one wins.

    A word that is no mode leaves the kernel in its default one.

    >>> kvm_arm_mode({"cmdline": "panic=-1 kvm-arm.mode=nested"}), kvm_arm_mode({})
    ('nested', 'default')
    """
    found = _PARAMETER.findall(str(meta.get("cmdline", "")))
    return found[-1] if found and found[-1] in KVM_ARM_MODES else "default"


def meta_of_name(folder: str) -> dict[str, Any] | None:
    """What meta.json would say, of a folder whose name says it; None for other names.

    >>> meta_of_name("7.3.4-mode-protected")
    {'release': '7.3.4', 'cmdline': 'kvm-arm.mode=protected', 'named': True}
    >>> meta_of_name("linux-7.3.4-max") is None
    True
    """
    found = _NAME.fullmatch(folder)
    if found is None or found.group(2) not in KVM_ARM_MODES:
        return None
    return {"release": found.group(1), "cmdline": f"kvm-arm.mode={found.group(2)}", "named": True}
