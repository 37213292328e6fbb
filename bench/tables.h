/*
 * What the C contestants by table share: the tables of bench/rows.py, and an id without a name. Written for this
 * project.
 */
#ifndef BENCH_TABLES_H
#define BENCH_TABLES_H

#include <stddef.h>
#include <stdint.h>

enum verdict { HANDLED, DENIED, FORWARDED, NOT_SUPPORTED, EXIT, FAST_PATH, SMC_REFUSED, TO_VEL2 = 7, N_VERDICT = 8 };

struct tables {
    uint32_t multiplier, shift;
    const uint8_t *slot_of_bucket;
    const uint32_t *slot_id;
    const uint32_t *policy_of_vcpu;
    const uint8_t *action;  /* 64 per policy */
    const uint8_t *unknown; /* 2 per policy: not on the PSCI allow list, on it */
    const uint64_t *step_first; /* per policy, and the end; no step: no filter */
    const uint32_t *step_start;
    const uint8_t *step_action;
};

static uint8_t unknown_id(const struct tables *t, uint32_t policy, uint32_t id)
{
    const uint32_t *start = t->step_start + t->step_first[policy];
    size_t n = t->step_first[policy + 1] - t->step_first[policy], at = 0;
    while (n > 1) {
        size_t half = n / 2;
        at += start[at + half] <= id ? half : 0;
        n -= half;
    }
    if (n) {
        uint8_t action = t->step_action[start - t->step_start + at];
        if (action)
            return action == 1 ? DENIED : FORWARDED;
    }
    return t->unknown[2 * policy + ((id >> 24 & 0x3F) == 4 && (id & 0xFFFF) <= 0x1F)];
}

#endif
