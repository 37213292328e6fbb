/*
 * The strongest C that we can write: the table loop with the instructions of the level it is compiled for. Written for
 * this project; bench/vector.py compiles it and fills the tables, which are those of bench/rows.py folded once more.
 *
 * An id is multiplied by an odd number, so that products differ where ids do, and bits 24 to 30 are a bucket of its own
 * for every named id. There are three ways, of which bench/vector.py takes whichever is fastest on the calls of a case:
 *
 * - single: one call after the other, the id compared with the bucket's, the verdict from a row by bucket.
 * - loads: the bytes of many products are compared with the buckets' at once. What the bucket gives besides is a code
 *   below 64: in blocks of one vCPU its verdict, else where a packed row has it, in byte `code & 31`, low half or high
 *   half; that byte is loaded call by call. Ids without a name are listed, and searched after each chunk of calls.
 * - gathers: the same with gathers instead of loads.
 */
#include "tables.h"

#include <string.h>

enum { CHUNK = 2048, N_BUCKET = 128, EMPTY = 64 };

struct vector_tables {
    const struct tables *tables;
    uint32_t multiplier, shift;  /* log2 of a packed row's bytes */
    const uint32_t *word;        /* 128: product of each bucket's id, rotated so that the bucket is in the low bits */
    const uint8_t *plane;        /* 4 * 128: bytes of the products, of the topmost bit 7 only; EMPTY where no id is */
    const uint8_t *code;         /* 128: of each bucket */
    const uint8_t *packed;       /* verdicts of codes, two in a byte, a row per vCPU or per row_of_vcpu */
    const uint16_t *row_of_vcpu;
    const uint32_t *key;         /* 128: the id of each bucket, one of another bucket where it is empty */
    const uint32_t *place;       /* of each vCPU, its row in by_bucket: 128 * row_of_vcpu */
    const uint8_t *by_bucket;    /* 128 per row: verdict of each bucket */
    uint32_t is_per_vcpu;
};

/* ---- single: one call after the other ------------------------------------------------------------------------- */

/* One by one: where the id is compared, and where the bucket's verdict is, nothing waits for the other. */
#define ONE_BY_ONE(INDEX, NAME)                                                                                       \
    void vector_single_##NAME(const uint32_t *restrict id, const INDEX *restrict vcpu,                                \
                              const struct vector_tables *restrict t, uint8_t *restrict out, size_t n)                \
    {                                                                                                                 \
        const uint32_t *restrict key = t->key, *restrict place = t->place, twice = 2 * t->multiplier;                 \
        const uint8_t *restrict by_bucket = t->by_bucket;                                                             \
        for (size_t i = 0; i < n; i++) {                                                                              \
            uint32_t bucket = id[i] * twice >> 25;                                                                    \
            size_t v = vcpu[i];                                                                                       \
            out[i] = __builtin_expect(key[bucket] == id[i], 1)                                                        \
                         ? by_bucket[place[v] + bucket]                                                               \
                         : unknown_id(t->tables, t->tables->policy_of_vcpu[v], id[i]);                                \
        }                                                                                                             \
    }

ONE_BY_ONE(uint16_t, u16)
ONE_BY_ONE(uint32_t, u32)

/* Blocks of one vCPU each; first has n + 1 elements. */
void vector_single_blocks(const uint32_t *restrict id, const int64_t *restrict first,
                          const uint32_t *restrict block_vcpu, const struct vector_tables *restrict t,
                          uint8_t *restrict out, size_t n)
{
    const uint32_t *restrict key = t->key, twice = 2 * t->multiplier;
    for (size_t b = 0; b < n; b++) {
        const uint8_t *restrict verdict = t->by_bucket + t->place[block_vcpu[b]];
        for (int64_t i = first[b]; i < first[b + 1]; i++) {
            uint32_t bucket = id[i] * twice >> 25;
            out[i] = __builtin_expect(key[bucket] == id[i], 1)
                         ? verdict[bucket]
                         : unknown_id(t->tables, t->tables->policy_of_vcpu[block_vcpu[b]], id[i]);
        }
    }
}

#if defined(__AVX2__) || defined(__aarch64__)

/* ---- one step: the codes of STEP calls, and a bit for each that has no name ------------------------------------- */

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 32")

/* The code of one call; false where the id has no name. */
static inline int one(uint32_t id, const struct vector_tables *t, const uint8_t *code, uint8_t *out)
{
    uint32_t bucket = id * (2 * t->multiplier) >> 25;
    *out = code[bucket];
    return t->key[bucket] == id;
}

#if defined(__AVX512VBMI__)
#include "vector_vbmi.h"
#elif defined(__AVX512BW__)
#include "vector_avx512.h"
#elif defined(__AVX2__)
#include "vector_avx2.h"
#elif defined(__aarch64__)
#include "vector_neon.h"
#endif

/* The first three without a branch: where few ids have no name, nobody can foresee whether a step has one. */
INLINE size_t listed(uint64_t unnamed, size_t i, uint16_t *list, size_t n_listed)
{
    for (int k = 0; k < 3; k++) {
        list[n_listed] = (uint16_t)(i + (size_t)__builtin_ctzll(unnamed | 1ull << 63));
        n_listed += unnamed != 0;
        unnamed &= unnamed - 1;
    }
    for (; __builtin_expect(unnamed != 0, 0); unnamed &= unnamed - 1)
        list[n_listed++] = (uint16_t)(i + (size_t)__builtin_ctzll(unnamed));
    return n_listed;
}

/* ---- verdicts: by loads one by one, or by gathers ---------------------------------------------------------------- */

#ifndef PLACES
#define PLACES(INDEX, NAME)                                                                                           \
    INLINE void places_##NAME(const INDEX *vcpu, const struct vector_tables *t, const uint8_t *code, uint32_t *at)    \
    {                                                                                                                 \
        for (int j = 0; j < STEP; j++)                                                                                \
            at[j] = ((uint32_t)vcpu[j] << t->shift) + (code[j] & 31);                                                 \
    }
#endif

#define LOADS(INDEX, NAME)                                                                                            \
    INLINE void loads_##NAME(const INDEX *vcpu, const struct vector_tables *t, const uint8_t *code, uint8_t *out)     \
    {                                                                                                                 \
        const uint8_t *packed = t->packed;                                                                            \
        uint32_t at[STEP];                                                                                            \
        if (t->is_per_vcpu)                                                                                           \
            places_##NAME(vcpu, t, code, at);                                                                         \
        else                                                                                                          \
            for (int j = 0; j < STEP; j++)                                                                            \
                at[j] = ((uint32_t)t->row_of_vcpu[vcpu[j]] << t->shift) + (code[j] & 31);                             \
        UNROLLED for (int j = 0; j < STEP; j++)                                                                       \
            out[j] = packed[at[j]];                                                                                   \
    }

PLACES(uint16_t, u16)
PLACES(uint32_t, u32)

/* Last of all the half of each byte that its code names. */
static void choose(const uint8_t *restrict code, uint8_t *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (code[i] & 32 ? out[i] >> 4 : out[i]) & 15;
}

#define BATCHES(INDEX, NAME, WAY)                                                                                     \
    void vector_##WAY##_##NAME(const uint32_t *restrict id, const INDEX *restrict vcpu,                               \
                               const struct vector_tables *of_fleet, uint8_t *restrict out, size_t n)                 \
    {                                                                                                                 \
        const struct vector_tables own = *of_fleet, *t = &own;                                                        \
        struct keys keys = keys_of(t, t->code);                                                                       \
        uint16_t list[CHUNK + 3];                                                                                     \
        uint8_t code[CHUNK] __attribute__((aligned(64)));                                                             \
        for (size_t at = 0; at < n; at += CHUNK) {                                                                    \
            size_t i = 0, many = n - at < CHUNK ? n - at : CHUNK, n_listed = 0;                                       \
            for (; i + STEP <= many; i += STEP) {                                                                     \
                uint64_t unnamed = code_step(id + at + i, &keys, code + i);                                           \
                WAY##_##NAME(vcpu + at + i, t, code + i, out + at + i);                                               \
                n_listed = listed(unnamed, i, list, n_listed);                                                        \
            }                                                                                                         \
            for (; i < many; i++)                                                                                     \
                if (one(id[at + i], t, t->code, code + i))                                                            \
                    out[at + i] = t->packed[((size_t)(t->is_per_vcpu ? vcpu[at + i] : t->row_of_vcpu[vcpu[at + i]])   \
                                             << t->shift) + (code[i] & 31)];                                          \
                else                                                                                                  \
                    list[n_listed++] = (uint16_t)i;                                                                   \
            choose(code, out + at, many);                                                                             \
            for (size_t k = 0; k < n_listed; k++) {                                                                   \
                size_t c = at + list[k];                                                                              \
                out[c] = unknown_id(t->tables, t->tables->policy_of_vcpu[vcpu[c]], id[c]);                            \
            }                                                                                                         \
        }                                                                                                             \
    }

LOADS(uint16_t, u16)
LOADS(uint32_t, u32)
BATCHES(uint16_t, u16, loads)
BATCHES(uint32_t, u32, loads)
#ifdef GATHERS
GATHERS(uint16_t, u16)
GATHERS(uint32_t, u32)
BATCHES(uint16_t, u16, gathers)
BATCHES(uint32_t, u32, gathers)
#endif

void vector_loads_blocks(const uint32_t *restrict id, const int64_t *restrict first,
                         const uint32_t *restrict block_vcpu, const struct vector_tables *t, uint8_t *restrict out,
                         size_t n)
{
    struct keys keys = keys_of(t, t->code);
    uint16_t list[CHUNK + 3];
    for (size_t b = 0; b < n; b++) {
        const uint8_t *verdict = t->by_bucket + t->place[block_vcpu[b]];
        uint32_t policy = t->tables->policy_of_vcpu[block_vcpu[b]];
        with_codes(&keys, t, verdict);
        for (size_t at = first[b], end = first[b + 1]; at < end; at += CHUNK) {
            size_t i = 0, many = end - at < CHUNK ? end - at : CHUNK, n_listed = 0;
            for (; i + STEP <= many; i += STEP) {
                uint64_t unnamed = code_step(id + at + i, &keys, out + at + i);
                if (__builtin_expect(unnamed != 0, 0))
                    n_listed = listed(unnamed, i, list, n_listed);
            }
            for (; i < many; i++)
                if (!one(id[at + i], t, verdict, out + at + i))
                    list[n_listed++] = (uint16_t)i;
            for (size_t k = 0; k < n_listed; k++)
                out[at + list[k]] = unknown_id(t->tables, policy, id[at + list[k]]);
        }
    }
}

#endif
