"""What is known by name, for help and for completion in a shell; nothing here loads Numba."""

from __future__ import annotations

from collections.abc import Callable, Iterable

RELEASES = ("5.10", "5.15", "6.1", "6.6", "6.12", "6.18", "7.0", "7.3")
"""The first and the newest release, and those that are maintained for long, as help shows them."""
FEATURES_HELP = "psci02, pmu, sve, pauth, el1_32bit or none, joined by +"
VMMS_HELP = "qemu, firecracker, cloud-hypervisor, crosvm or kvm, which is none"

Complete = Callable[[str], list[str]]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.lower().startswith(incomplete.lower())]


def release_names() -> list[str]:
    """Every release from the oldest to the newest, 5.10 to 7.3."""
    from fastsmc.errors import FastsmcError
    from fastsmc.facts.releases import release
    from fastsmc.facts.versions import LAST_MINOR

    names = []
    for major, minors in ((5, range(10, LAST_MINOR[5] + 1)), (6, range(LAST_MINOR[6] + 1)), (7, range(20))):
        for minor in minors:
            try:
                names.append(release(f"{major}.{minor}").name)
            except FastsmcError:
                break
    return names


def releases(incomplete: str) -> list[str]:
    """Releases; after a +, the features of a vCPU."""
    release, plus, rest = incomplete.rpartition("+")
    return [f"{release}+{name}" for name in _features(rest)] if plus else _beginning(release_names(), incomplete)


def features(incomplete: str) -> list[str]:
    """Features of a vCPU, joined by +."""
    before, plus, rest = incomplete.rpartition("+")
    given = before.split("+")
    return [f"{before}{plus}{name}" for name in _features(rest) if name not in given]


def _features(incomplete: str) -> list[str]:
    from fastsmc.facts.vcpu import VCPU_FEATURES

    return _beginning(VCPU_FEATURES, incomplete)


def profiles(incomplete: str) -> list[str]:
    """Packaged cost profiles."""
    from fastsmc.facts.packaged import packaged

    return _beginning(sorted(path.stem for path in packaged("profiles").glob("*.toml")), incomplete)


def functions(incomplete: str) -> list[str]:
    """Functions that KVM knows."""
    from fastsmc.facts.smccc import FUNCTION_BY_NAME

    return _beginning(FUNCTION_BY_NAME, incomplete)


def ids(incomplete: str) -> list[str]:
    """Functions, firmware registers and services."""
    from fastsmc.facts.smccc import Service

    return [*functions(incomplete), *_beginning((service.name for service in Service), incomplete)]


def vmms(incomplete: str) -> list[str]:
    """VMMs that restore a VM."""
    from fastsmc.facts.vmms import Vmm

    return _beginning((name for name in Vmm if name is not Vmm.MINIMAL), incomplete)


def formats(incomplete: str) -> list[str]:
    """Formats of register files."""
    from fastsmc.migrate.read.result import Format

    return _beginning(Format, incomplete)


def limits(incomplete: str) -> list[str]:
    """Presets of limits on migrations."""
    from fastsmc.facts.orchestrators import PRESETS

    return _beginning([*PRESETS, "none"], incomplete)


def samples(incomplete: str) -> list[str]:
    """Packaged samples."""
    from fastsmc.facts.packaged import SAMPLES

    return _beginning((f"sample:{name}" for name in SAMPLES), incomplete)


def one_of(*words: str) -> Complete:
    """One of a few words."""
    return lambda incomplete: _beginning(words, incomplete)


def kinds(incomplete: str) -> list[str]:
    """Kinds of results that have a schema."""
    from fastsmc.schemas import KINDS

    return _beginning(KINDS, incomplete)
