/* Plain C, for bench/vector.c: four calls at a time, so that their look-ups overlap. */

enum { STEP = 4 };

struct block_row { uint32_t word[N_BUCKET]; };

static inline struct block_row row_of(const struct vector_tables *t, const uint8_t *by_bucket)
{
    struct block_row row;
    for (size_t b = 0; b < N_BUCKET; b++)
        row.word[b] = t->key[b] ^ by_bucket[b];
    return row;
}

#define PASS(INDEX, NAME)                                                                                             \
    static size_t pass_##NAME(const uint32_t *restrict id, const INDEX *restrict vcpu, const struct vector_tables *t, \
                              uint8_t *restrict out, size_t n, uint16_t *restrict list)                               \
    {                                                                                                                 \
        const uint32_t *restrict word = t->word, multiplier = t->multiplier;                                          \
        const uint16_t *restrict row = t->byte_row_of_vcpu;                                                           \
        const uint8_t *restrict bytes = t->bytes;                                                                     \
        size_t n_listed = 0;                                                                                          \
        for (size_t i = 0; i < n; i += STEP) {                                                                        \
            uint32_t code[STEP], all = 0;                                                                             \
            for (size_t j = 0; j < STEP; j++) {                                                                       \
                uint32_t at = rotated(id[i + j], multiplier);                                                         \
                all |= code[j] = at ^ word[at % N_BUCKET];                                                            \
            }                                                                                                         \
            for (size_t j = 0; j < STEP; j++)                                                                         \
                out[i + j] = bytes[64 * (size_t)row[vcpu[i + j]] + code[j] % 64];                                     \
            if (__builtin_expect(all >= EMPTY, 0))                                                                    \
                for (size_t j = 0; j < STEP; j++) {                                                                   \
                    list[n_listed] = (uint16_t)(i + j);                                                               \
                    n_listed += code[j] >= EMPTY;                                                                     \
                }                                                                                                     \
        }                                                                                                             \
        return n_listed;                                                                                              \
    }

PASS(uint16_t, u16)
PASS(uint32_t, u32)

static size_t block_pass(const uint32_t *restrict id, const struct vector_tables *t, const struct block_row *row,
                         uint8_t *restrict out, size_t n, uint16_t *restrict list)
{
    const uint32_t *restrict word = row->word, multiplier = t->multiplier;
    size_t n_listed = 0;
    for (size_t i = 0; i < n; i += STEP) {
        uint32_t code[STEP], all = 0;
        for (size_t j = 0; j < STEP; j++) {
            uint32_t at = rotated(id[i + j], multiplier);
            all |= code[j] = at ^ word[at % N_BUCKET];
        }
        uint32_t four = code[0] | code[1] << 8 | code[2] << 16 | code[3] << 24;
        if (__builtin_expect(all >= EMPTY, 0))
            for (size_t j = 0; j < STEP; j++) {
                list[n_listed] = (uint16_t)(i + j);
                n_listed += code[j] >= EMPTY;
            }
        memcpy(out + i, &four, sizeof four);
    }
    return n_listed;
}
