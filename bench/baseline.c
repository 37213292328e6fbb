/*
 * What the kernels are compared with: the same verdicts the way a hypervisor finds them, one call at a time; by table;
 * and loops that move as many bytes and do next to nothing. Written for this project from the facts in
 * fastsmc/facts/smccc.py and fastsmc/facts/releases.py; HVCs only, arguments not looked at. bench/baseline.py compiles it
 * and fills the structures.
 */
#include "tables.h"

enum service { ARCH, PSCI, TRNG, PV_TIME, VENDOR_HYP, UNKNOWN, N_SERVICE };

/* What differs between releases and features is a flag here; a kernel has most of it compiled in. */
enum trait {
    GATED = 1, WORKAROUND_1 = 2, WORKAROUND_2 = 4, WORKAROUND_3 = 8, HAS_TRNG = 16, HAS_PV_TIME = 32, HAS_VENDOR = 64,
    AARCH32 = 128, REFUSES_ALL_SMC64 = 256, SYSTEM_SUSPEND = 512
};

enum psci_version { V0_1 = 0x1, V0_2 = 0x2, V1_0 = 0x10000, V1_1 = 0x10001, V1_3 = 0x10003 };

struct range { uint32_t first, last, action; };

struct vm {
    uint64_t bitmap[4];
    const struct range *ranges; /* ascending, disjoint */
    uint32_t n_range, psci_version, traits, index;
    uint32_t pad[2]; /* one cache line */
};

struct vcpu { struct vm *vm; uint64_t pad[7]; };

/* ---- one call at a time -------------------------------------------------------------------------------------- */

static uint32_t filter_action(const struct vm *vm, uint32_t id)
{
    uint32_t low = 0, high = vm->n_range;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (vm->ranges[middle].last < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < vm->n_range && vm->ranges[low].first <= id ? vm->ranges[low].action : 0;
}

static int bit(const struct vm *vm, int bitmap, int number) { return vm->bitmap[bitmap] >> number & 1; }

static int permitted(const struct vm *vm, uint32_t id)
{
    switch (id) {
    case 0x80000000: case 0x80000001:
    case 0x95C1BA5E: case 0x95C1BA5F: case 0x95C1BA60: case 0x95C1BA61:
        return 1;
    case 0x84000050: case 0x84000051: case 0x84000052: case 0x84000053: case 0xC4000053:
        return bit(vm, 0, 0);
    case 0xC5000020: case 0xC5000021:
        return bit(vm, 1, 0);
    case 0x8600FF01: case 0x86000000:
        return bit(vm, 2, 0);
    case 0x86000001:
        return bit(vm, 2, 1);
    default:
        return (id >> 24 & 0x3F) == 4 && (id & 0xFFFF) <= 0x1F;
    }
}

static uint8_t psci_0_1(uint32_t id)
{
    switch (id) {
    case 0x95C1BA5F: case 0x95C1BA60: return HANDLED;
    default: return NOT_SUPPORTED;
    }
}

static uint8_t psci_0_2(uint32_t id)
{
    switch (id) {
    case 0x84000000: case 0x84000001: case 0xC4000001: case 0x84000002: case 0x84000003: case 0xC4000003:
    case 0x84000004: case 0xC4000004: case 0x84000006:
        return HANDLED;
    case 0x84000008: case 0x84000009:
        return EXIT;
    default:
        return NOT_SUPPORTED;
    }
}

static uint8_t psci_1(const struct vm *vm, uint32_t id)
{
    switch (id) {
    case 0x8400000A: return HANDLED;
    case 0x8400000E: case 0xC400000E: return vm->traits & SYSTEM_SUSPEND ? EXIT : NOT_SUPPORTED;
    case 0x84000012: case 0xC4000012: return vm->psci_version >= V1_1 ? EXIT : NOT_SUPPORTED;
    case 0x84000015: case 0xC4000015: return vm->psci_version >= V1_3 ? EXIT : NOT_SUPPORTED;
    default: return psci_0_2(id);
    }
}

static uint8_t psci(const struct vm *vm, uint32_t id)
{
    if (vm->traits & AARCH32 && id & 0x40000000) {
        if (vm->traits & REFUSES_ALL_SMC64)
            return NOT_SUPPORTED;
        if (id == 0xC4000001 || id == 0xC4000003 || id == 0xC4000004)
            return NOT_SUPPORTED;
    }
    switch (vm->psci_version) {
    case V0_1: return psci_0_1(id);
    case V0_2: return psci_0_2(id);
    default: return psci_1(vm, id);
    }
}

static uint8_t handle(const struct vcpu *vcpu, uint32_t id)
{
    const struct vm *vm = vcpu->vm;
    uint32_t action;

    if ((id == 0x80008000 && vm->traits & WORKAROUND_1) || (id == 0x80007FFF && vm->traits & WORKAROUND_2) ||
        (id == 0x80003FFF && vm->traits & WORKAROUND_3))
        return FAST_PATH;
    action = filter_action(vm, id);
    if (action == 1)
        return DENIED;
    if (action == 2)
        return FORWARDED;
    if (vm->traits & GATED && !permitted(vm, id))
        return DENIED;
    switch (id) {
    case 0x80000000: case 0x80000001:
        return HANDLED;
    case 0x84000050: case 0x84000051: case 0x84000052: case 0x84000053: case 0xC4000053:
        return vm->traits & HAS_TRNG ? HANDLED : NOT_SUPPORTED;
    case 0xC5000020: case 0xC5000021:
        return vm->traits & HAS_PV_TIME ? HANDLED : NOT_SUPPORTED;
    case 0x8600FF01: case 0x86000000: case 0x86000001:
        return vm->traits & HAS_VENDOR ? HANDLED : NOT_SUPPORTED;
    default:
        return psci(vm, id);
    }
}

/* The service of a named id, for counters. */
static int service(uint32_t id)
{
    switch (id) {
    case 0x80000000: case 0x80000001: case 0x80000002: case 0x80000004: case 0x80008000: case 0x80007FFF:
    case 0x80003FFF:
        return ARCH;
    case 0x95C1BA5E: case 0x95C1BA5F: case 0x95C1BA60: case 0x95C1BA61:
    case 0x84000000: case 0x84000001: case 0x84000002: case 0x84000003: case 0x84000004: case 0x84000005:
    case 0x84000006: case 0x84000007: case 0x84000008: case 0x84000009: case 0x8400000A: case 0x8400000B:
    case 0x8400000C: case 0x8400000D: case 0x8400000E: case 0x8400000F: case 0x84000010: case 0x84000011:
    case 0x84000012: case 0x84000013: case 0x84000014: case 0x84000015:
    case 0xC4000001: case 0xC4000003: case 0xC4000004: case 0xC4000005: case 0xC4000007: case 0xC400000C:
    case 0xC400000D: case 0xC400000E: case 0xC4000010: case 0xC4000011: case 0xC4000012: case 0xC4000014:
    case 0xC4000015:
        return PSCI;
    case 0x84000050: case 0x84000051: case 0x84000052: case 0x84000053: case 0xC4000053:
        return TRNG;
    case 0xC5000020: case 0xC5000021:
        return PV_TIME;
    case 0x8600FF01: case 0x86000000: case 0x86000001: case 0xC6000002: case 0xC6000003: case 0xC6000004:
    case 0xC6000007: case 0xC6000040: case 0xC6000041:
        return VENDOR_HYP;
    default:
        return UNKNOWN;
    }
}

/* Called through a pointer that the compiler cannot see through, as a kernel's table of exit handlers is. */
static uint8_t (*volatile handler)(const struct vcpu *, uint32_t) = handle;

/* ---- batches, by width of the vCPU index --------------------------------------------------------------------- */

#define BATCHES(INDEX, NAME)                                                                                          \
    void kernel_style_##NAME(const uint32_t *id, const INDEX *vcpu, const struct vcpu *vcpus, uint8_t *out, size_t n) \
    {                                                                                                                 \
        for (size_t i = 0; i < n; i++)                                                                                \
            out[i] = handler(&vcpus[vcpu[i]], id[i]);                                                                 \
    }                                                                                                                 \
    void kernel_style_counted_##NAME(const uint32_t *id, const INDEX *vcpu, const struct vcpu *vcpus,                 \
                                     int64_t *by_service, int64_t *by_vm, uint8_t *out, size_t n)                     \
    {                                                                                                                 \
        for (size_t i = 0; i < n; i++) {                                                                              \
            uint8_t verdict = out[i] = handler(&vcpus[vcpu[i]], id[i]);                                               \
            by_service[service(id[i]) * N_VERDICT + verdict]++;                                                       \
            by_vm[(size_t)vcpus[vcpu[i]].vm->index * N_VERDICT + verdict]++;                                          \
        }                                                                                                             \
    }                                                                                                                 \
    void table_##NAME(const uint32_t *restrict id, const INDEX *restrict vcpu, const struct tables *restrict t,       \
                      uint8_t *restrict out, size_t n)                                                                \
    {                                                                                                                 \
        for (size_t i = 0; i < n; i++) {                                                                              \
            uint32_t f = id[i], policy = t->policy_of_vcpu[vcpu[i]];                                                  \
            uint32_t slot = t->slot_of_bucket[f * t->multiplier >> t->shift];                                         \
            out[i] = t->slot_id[slot] == f ? t->action[64 * (size_t)policy + slot] : unknown_id(t, policy, f);        \
        }                                                                                                             \
    }

BATCHES(uint16_t, u16)
BATCHES(uint32_t, u32)

/* Blocks of one vCPU each: whose they are is looked up once. first has n + 1 elements. */
void kernel_style_blocks(const uint32_t *id, const int64_t *first, const uint32_t *block_vcpu,
                         const struct vcpu *vcpus, uint8_t *out, size_t n)
{
    for (size_t b = 0; b < n; b++) {
        const struct vcpu *vcpu = &vcpus[block_vcpu[b]];
        for (int64_t i = first[b]; i < first[b + 1]; i++)
            out[i] = handler(vcpu, id[i]);
    }
}

void table_blocks(const uint32_t *restrict id, const int64_t *restrict first, const uint32_t *restrict block_vcpu,
                  const struct tables *restrict t, uint8_t *restrict out, size_t n)
{
    for (size_t b = 0; b < n; b++) {
        uint32_t policy = t->policy_of_vcpu[block_vcpu[b]];
        const uint8_t *row = t->action + 64 * (size_t)policy;
        for (int64_t i = first[b]; i < first[b + 1]; i++) {
            uint32_t f = id[i], slot = t->slot_of_bucket[f * t->multiplier >> t->shift];
            out[i] = t->slot_id[slot] == f ? row[slot] : unknown_id(t, policy, f);
        }
    }
}

/* ---- the core itself ------------------------------------------------------------------------------------------ */

/* Independent steps, no memory: as fast as the core is at this moment, and first to notice that it is shared. */
uint64_t spin(size_t n)
{
    uint64_t a = n, b = n + 1, c = n + 2, d = n + 3, e = n + 4, f = n + 5;
    for (size_t i = 0; i < n; i++) {
        a += a << 3 ^ i;
        b += b << 5 ^ i;
        c += c << 7 ^ i;
        d ^= d >> 3;
        e ^= e >> 5;
        f ^= f >> 7;
    }
    return a ^ b ^ c ^ d ^ e ^ f;
}

/* ---- as many bytes ------------------------------------------------------------------------------------------- */

void stream_4_1(const uint32_t *restrict a, uint8_t *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)a[i];
}

void stream_4_2_1(const uint32_t *restrict a, const uint16_t *restrict b, uint8_t *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(a[i] ^ b[i]);
}

void stream_4_4_1(const uint32_t *restrict a, const uint32_t *restrict b, uint8_t *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(a[i] ^ b[i]);
}

void stream_4_2_32(const uint32_t *restrict a, const uint16_t *restrict b, uint64_t *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[4 * i] = out[4 * i + 1] = out[4 * i + 2] = out[4 * i + 3] = a[i] ^ b[i];
}

void stream_4_4_32(const uint32_t *restrict a, const uint32_t *restrict b, uint64_t *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[4 * i] = out[4 * i + 1] = out[4 * i + 2] = out[4 * i + 3] = a[i] ^ b[i];
}
