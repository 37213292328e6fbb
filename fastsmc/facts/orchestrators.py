"""How many VMs an orchestrator migrates at once, and when it gives one up: its defaults, by release, with their source.

Read in the source code and documentation of the releases named. A default is what an orchestrator does where its owner
has set nothing; nobody's cluster has to have it.
"""

from __future__ import annotations

from typing import NamedTuple


class Setting(NamedTuple):
    """A default of an orchestrator.

    Attributes:
        limit: which field of `plan.Limits` it is.
        name: what the orchestrator calls it.
        value: in the unit of the field; None where it limits nothing.
        since: the day from which it is known to have held, of a release or a change.
        kind: "source" where it was read in source code or documentation, "assumed" where nothing was found.
        source: where.
    """

    limit: str
    name: str
    value: float | None
    since: str
    kind: str
    source: str


_VIRT_CONFIG = "kubevirt/kubevirt pkg/virt-config/virt-config.go"
_NO_INBOUND = "pkg/virt-controller/watch/migration/migration.go counts outbound migrations only"
_QEMU_300 = "QEMU's default, which KubeVirt leaves (hyperconverged-cluster-operator #4426: hardcoded 300 ms)"


def _kubevirt(tag: str, day: str, timeout: float, timeout_source: str) -> tuple[Setting, ...]:
    where = f"{_VIRT_CONFIG}, {tag}"
    return (
        Setting("cluster", "parallelMigrationsPerCluster", 5, day, "source", where),
        Setting("outbound", "parallelOutboundMigrationsPerNode", 2, day, "source", where),
        Setting("inbound", "inbound migrations per node", None, day, "source", f"{_NO_INBOUND}, {tag}"),
        Setting(
            *("bandwidth_mib_per_s", "bandwidthPerMigration", None, day, "source"),
            f"{where}: 0Mi, unlimited, since 2021-07-09 (ba569ec0bb); before 64Mi",
        ),
        Setting("timeout_s_per_gib", "completionTimeoutPerGiB", timeout, day, "source", f"{where}{timeout_source}"),
        Setting("downtime_limit_ms", "QEMU's downtime-limit", 300, day, "source", _QEMU_300),
    )


def _hco(tag: str, day: str, outbound: float, timeout: float, source: str) -> tuple[Setting, ...]:
    where = f"kubevirt/hyperconverged-cluster-operator api/v1/hyperconverged_types.go, {tag}{source}"
    return (
        Setting("cluster", "parallelMigrationsPerCluster", 5, day, "source", where),
        Setting("outbound", "parallelOutboundMigrationsPerNode", outbound, day, "source", where),
        Setting("inbound", "inbound migrations per node", None, day, "source", f"KubeVirt: {_NO_INBOUND}"),
        Setting("bandwidth_mib_per_s", "bandwidthPerMigration", None, day, "source", f"{where}: no default"),
        Setting("timeout_s_per_gib", "completionTimeoutPerGiB", timeout, day, "source", where),
        Setting("downtime_limit_ms", "QEMU's downtime-limit", 300, day, "source", _QEMU_300),
    )


_HCO_CHANGE = " (#4426, bffbfe545, merged 2026-08-04, proposed 2026-07-22)"
_NOVA = "openstack/nova {}, 33.0.2"
_WATCHER = "openstack/watcher zone_migration.py, 16.0.0; 15.0.0 has the same"
_PVE = "proxmox/pve-docs {}, e5010dc"

PRESETS: dict[str, tuple[Setting, ...]] = {
    "kubevirt-1.3": _kubevirt("v1.3.0", "2024-07-08", 800, ""),
    "kubevirt-1.6": _kubevirt("v1.6.0", "2025-07-24", 150, "; 800 before v1.4.0 (#12848, 2024-09-25)"),
    "hco-1.18": _hco("v1.18.0", "2026-06-24", 2, 150, ""),
    "hco-1.19": _hco("release-1.19", "2026-08-04", 1, 20, _HCO_CHANGE),
    "nova-2026.1": (
        Setting("cluster", "migrations at once in all", None, "2026-06-16", "source", "Nova: each compute has its own"),
        Setting(
            *("outbound", "max_concurrent_live_migrations", 1, "2026-06-16", "source"),
            _NOVA.format("nova/conf/compute.py") + ": outbound ones of a compute",
        ),
        Setting("inbound", "inbound migrations per compute", None, "2026-06-16", "assumed", "no such option was found"),
        Setting(
            *("bandwidth_mib_per_s", "live_migration_bandwidth", None, "2026-06-16", "source"),
            _NOVA.format("nova/conf/libvirt.py") + ": 0, the hypervisor's own",
        ),
        Setting(
            *("timeout_s_per_gib", "live_migration_completion_timeout", 800, "2026-06-16", "source"),
            _NOVA.format("nova/conf/libvirt.py") + ": per GiB, then abort",
        ),
        Setting(
            *("timeout_least_gib", "live_migration_completion_timeout", 2, "2026-06-16", "source"),
            _NOVA.format("nova/conf/libvirt.py") + ": at least 2 GiB are counted",
        ),
        Setting(
            *("downtime_limit_ms", "live_migration_downtime", 500, "2026-06-16", "source"),
            _NOVA.format("nova/conf/libvirt.py") + ": reached in 10 steps, taken for reached",
        ),
    ),
    "watcher-2026.1": (
        Setting("cluster", "parallel_total", 6, "2026-03-12", "source", _WATCHER),
        Setting("outbound", "parallel_per_node", 2, "2026-03-12", "source", _WATCHER + "; of the source"),
        Setting("inbound", "inbound migrations per node", None, "2026-03-12", "assumed", "no such option was found"),
        Setting("bandwidth_mib_per_s", "live_migration_bandwidth", None, "2026-06-16", "source", "Nova's, see there"),
        Setting(
            *("timeout_s_per_gib", "live_migration_completion_timeout", 800, "2026-06-16", "source"),
            "Nova's, see there; Nova's own limit of outbound migrations has to allow Watcher's",
        ),
        Setting("timeout_least_gib", "live_migration_completion_timeout", 2, "2026-06-16", "source", "Nova's"),
        Setting("downtime_limit_ms", "live_migration_downtime", 500, "2026-06-16", "source", "Nova's, see there"),
    ),
    "proxmox-9": (
        Setting("cluster", "migrations at once in all", None, "2026-04-30", "assumed", "no such option was found"),
        Setting(
            *("outbound", "max_workers", 4, "2026-04-30", "source"),
            _PVE.format("ha-manager.adoc") + ": workers of a node's HA manager, each of which may be a migration",
        ),
        Setting("inbound", "inbound migrations per node", None, "2026-04-30", "assumed", "no such option was found"),
        Setting(
            *("bandwidth_mib_per_s", "bwlimit migration", None, "2026-04-30", "source"),
            _PVE.format("generated/datacenter.cfg.5-opts.adoc") + ": no default",
        ),
        Setting("timeout_s_per_gib", "a timeout of migrations", None, "2026-04-30", "assumed", "no option was found"),
        Setting(
            *("downtime_limit_ms", "migrate_downtime", 100, "2026-04-30", "source"),
            _PVE.format("api-viewer/apidata.js") + ": 0.1 s; that it is raised until a migration converges is left out",
        ),
    ),
}
"""By orchestrator and release."""
