/*
 * The strongest C that we can write: the table loop with the instructions of the level it is compiled for. Written for
 * this project; bench/vector.py compiles it and fills the tables, which are those of bench/rows.py folded once more.
 *
 * An id is multiplied and the product rotated, so that its low 7 bits are a bucket of its own for every named id. The
 * word of the bucket is the rotated product of its id, xor a code in the low 6 bits: xor the word in hand, all that is
 * left of a named id is its code, below 64. An empty bucket leaves bit 6, and another id leaves what is above.
 * A code says where a row has its verdict: byte `code & 31`, low half or high half. In blocks of one vCPU the code is
 * the verdict itself. Ids without a name are listed in a chunk of calls and searched after it.
 */
#include "tables.h"

#include <string.h>

enum { CHUNK = 2048, N_BUCKET = 128, EMPTY = 64 };

struct vector_tables {
    const struct tables *tables;
    uint32_t multiplier, shift;  /* log2 of a packed row's bytes */
    const uint32_t *word;        /* 128: of each bucket */
    const uint32_t *key;         /* the same without a code; EMPTY where no id is */
    const uint8_t *plane;        /* 4 * 128: bytes of each bucket's product, the topmost with the code */
    const uint16_t *row_of_vcpu; /* null where packed has a row per vCPU */
    const uint8_t *packed;       /* verdicts of codes, two in a byte */
    const uint16_t *byte_row_of_vcpu;
    const uint8_t *bytes;        /* 64 per row: verdict of each code */
    const uint8_t *by_bucket;    /* 128 per row: verdict of each bucket */
};

static inline uint32_t rotated(uint32_t id, uint32_t multiplier)
{
    uint32_t product = id * multiplier;
    return product << 8 | product >> 24;
}

/* ---- one call ------------------------------------------------------------------------------------------------- */

static inline uint8_t one(const struct vector_tables *t, uint32_t id, size_t vcpu)
{
    uint32_t at = rotated(id, t->multiplier), code = at ^ t->word[at % N_BUCKET];
    if (__builtin_expect(code >= EMPTY, 0))
        return unknown_id(t->tables, t->tables->policy_of_vcpu[vcpu], id);
    return t->bytes[64 * (size_t)t->byte_row_of_vcpu[vcpu] + code];
}

static void scalar_block(const uint32_t *restrict id, const struct vector_tables *t, const uint32_t *restrict word,
                         uint32_t policy, uint8_t *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t at = rotated(id[i], t->multiplier), code = at ^ word[at % N_BUCKET];
        out[i] = __builtin_expect(code >= EMPTY, 0) ? unknown_id(t->tables, policy, id[i]) : code;
    }
}

/* ---- many calls: `pass` and `block_pass` do what is a multiple of STEP and list what has no name ---------------- */

#if defined(__AVX512BW__)
#include "vector_avx512.h"
#elif defined(__AVX2__)
#include "vector_avx2.h"
#elif defined(__aarch64__)
#include "vector_neon.h"
#else
#include "vector_scalar.h"
#endif

#define BATCHES(INDEX, NAME)                                                                                          \
    void vector_##NAME(const uint32_t *restrict id, const INDEX *restrict vcpu, const struct vector_tables *t,        \
                       uint8_t *restrict out, size_t n)                                                               \
    {                                                                                                                 \
        uint16_t list[CHUNK + 64];                                                                                    \
        size_t at = 0;                                                                                                \
        for (; at + STEP <= n; at += n - at < CHUNK ? (n - at) / STEP * STEP : CHUNK) {                               \
            size_t many = n - at < CHUNK ? (n - at) / STEP * STEP : CHUNK;                                            \
            size_t n_listed = pass_##NAME(id + at, vcpu + at, t, out + at, many, list);                               \
            for (size_t k = 0; k < n_listed; k++) {                                                                   \
                size_t i = at + list[k];                                                                              \
                out[i] = unknown_id(t->tables, t->tables->policy_of_vcpu[vcpu[i]], id[i]);                            \
            }                                                                                                         \
        }                                                                                                             \
        for (; at < n; at++)                                                                                          \
            out[at] = one(t, id[at], vcpu[at]);                                                                       \
    }

BATCHES(uint16_t, u16)
BATCHES(uint32_t, u32)

/* Blocks of one vCPU each; first has n + 1 elements. */
void vector_blocks(const uint32_t *restrict id, const int64_t *restrict first, const uint32_t *restrict block_vcpu,
                   const struct vector_tables *t, uint8_t *restrict out, size_t n)
{
    uint16_t list[CHUNK + 64];
    for (size_t b = 0; b < n; b++) {
        uint32_t policy = t->tables->policy_of_vcpu[block_vcpu[b]];
        struct block_row row = row_of(t, t->by_bucket + N_BUCKET * (size_t)t->byte_row_of_vcpu[block_vcpu[b]]);
        size_t at = first[b], end = first[b + 1];
        while (at + STEP <= end) {
            size_t many = end - at < CHUNK ? (end - at) / STEP * STEP : CHUNK;
            size_t n_listed = block_pass(id + at, t, &row, out + at, many, list);
            for (size_t k = 0; k < n_listed; k++)
                out[at + list[k]] = unknown_id(t->tables, policy, id[at + list[k]]);
            at += many;
        }
        scalar_block(id + at, t, row.word, policy, out + at, end - at);
    }
}
