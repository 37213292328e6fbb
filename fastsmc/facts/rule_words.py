"""What a reader calls the rules of a release."""

from __future__ import annotations

RULE_WORDS = {
    "fw_registers": "firmware registers",
    "bitmap_limit": "bits of bitmaps",
    "bitmap_reset": "bits of bitmaps",
    "psci_versions": "PSCI versions",
    "answers": "services",
    "is_gated": "whether bitmaps gate services",
    "has_filter": "the SMCCC filter",
    "serves_smc": "SMC from guests",
    "has_system_suspend": "SYSTEM_SUSPEND",
    "has_event_data": "data of system events",
    "filter_empty_at_0_errno": "the errno of an empty filter range at base 0",
    "mpidr_masks_extra_bits": "PSCI targets with reserved bits",
    "a32_refuses_all_smc64": "SMC64 calls of AArch32 callers",
    "n_vcpu_feature": "vCPU features",
    "has_protected": "protected VMs",
    "caches_are_fixed": "writes of cache registers",
    "id_registers_are_fixed": "writes of ID registers",
    "writable_id_fields": "writes of ID registers",
    "fixed_id_fields": "writes of ID registers",
    "ignored_id_fields": "writes of ID registers",
    "nonzero_id_fields": "writes of ID registers",
    "unknown_id_fields": "writes of ID registers",
    "ignores_aarch32_ids": "writes of ID registers",
    "pmu_version_must_match": "writes of ID registers",
    "takes_system_mode": "the mode of AArch32 vCPUs",
}
"""The fields of `releases.Release` that may be in doubt, by name."""
