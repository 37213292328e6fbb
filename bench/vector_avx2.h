/* AVX2, for bench/vector.c: eight calls to a register, a gather for the word of the bucket and one for the row. */
#include <immintrin.h>

enum { STEP = 32 };

struct block_row { uint32_t word[N_BUCKET] __attribute__((aligned(32))); };

static inline struct block_row row_of(const struct vector_tables *t, const uint8_t *by_bucket)
{
    struct block_row row;
    for (size_t b = 0; b < N_BUCKET; b += 8) {
        __m256i verdict = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(by_bucket + b)));
        __m256i key = _mm256_loadu_si256((const __m256i *)(t->key + b));
        _mm256_store_si256((__m256i *)(row.word + b), _mm256_xor_si256(key, verdict));
    }
    return row;
}

static inline __m256i codes(const uint32_t *id, const uint32_t *word, __m256i multiplier)
{
    /* The rotation as a shuffle: one instruction, and not on the port of the multiplications. */
    const __m256i rotate = _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14,
                                            3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
    __m256i product = _mm256_mullo_epi32(_mm256_loadu_si256((const __m256i *)id), multiplier);
    __m256i at = _mm256_shuffle_epi8(product, rotate);
    __m256i bucket = _mm256_and_si256(at, _mm256_set1_epi32(N_BUCKET - 1));
    return _mm256_xor_si256(at, _mm256_i32gather_epi32((const int *)word, bucket, 4));
}

static inline __m256i four_to_bytes(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

static inline size_t listed(const __m256i code[4], size_t i, uint16_t *list, size_t n_listed)
{
    uint32_t named = 0;
    for (int j = 0; j < 4; j++) {
        __m256i above = _mm256_and_si256(code[j], _mm256_set1_epi32(-EMPTY));
        __m256i is_named = _mm256_cmpeq_epi32(above, _mm256_setzero_si256());
        named |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(is_named)) << 8 * j;
    }
    for (uint32_t left = ~named; left; left &= left - 1)
        list[n_listed++] = (uint16_t)(i + (size_t)__builtin_ctz(left));
    return n_listed;
}

static inline int any_unnamed(const __m256i code[4])
{
    __m256i all = _mm256_or_si256(_mm256_or_si256(code[0], code[1]), _mm256_or_si256(code[2], code[3]));
    return !_mm256_testz_si256(all, _mm256_set1_epi32(-EMPTY));
}

static inline __m256i eight_u16(const uint16_t *vcpu)
{
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)vcpu));
}

static inline __m256i eight_u32(const uint32_t *vcpu) { return _mm256_loadu_si256((const __m256i *)vcpu); }

static inline __m256i verdicts(const struct vector_tables *t, __m256i row, __m256i code)
{
    if (t->row_of_vcpu)
        row = _mm256_and_si256(_mm256_i32gather_epi32((const int *)t->row_of_vcpu, row, 2), _mm256_set1_epi32(0xFFFF));
    __m256i at = _mm256_add_epi32(_mm256_sll_epi32(row, _mm_cvtsi32_si128((int)t->shift)),
                                  _mm256_and_si256(code, _mm256_set1_epi32(31)));
    __m256i half = _mm256_and_si256(_mm256_srli_epi32(code, 3), _mm256_set1_epi32(4));
    __m256i pair = _mm256_i32gather_epi32((const int *)t->packed, at, 1);
    return _mm256_and_si256(_mm256_srlv_epi32(pair, half), _mm256_set1_epi32(15));
}

#define PASS(INDEX, NAME)                                                                                             \
    static size_t pass_##NAME(const uint32_t *restrict id, const INDEX *restrict vcpu, const struct vector_tables *t, \
                              uint8_t *restrict out, size_t n, uint16_t *restrict list)                               \
    {                                                                                                                 \
        __m256i multiplier = _mm256_set1_epi32((int)t->multiplier);                                                   \
        size_t n_listed = 0;                                                                                          \
        for (size_t i = 0; i < n; i += STEP) {                                                                        \
            __m256i code[4], verdict[4];                                                                              \
            for (int j = 0; j < 4; j++)                                                                               \
                code[j] = codes(id + i + 8 * j, t->word, multiplier);                                                 \
            for (int j = 0; j < 4; j++)                                                                               \
                verdict[j] = verdicts(t, eight_##NAME(vcpu + i + 8 * j), code[j]);                                    \
            _mm256_storeu_si256((__m256i *)(out + i), four_to_bytes(verdict[0], verdict[1], verdict[2], verdict[3])); \
            if (__builtin_expect(any_unnamed(code), 0))                                                               \
                n_listed = listed(code, i, list, n_listed);                                                           \
        }                                                                                                             \
        return n_listed;                                                                                              \
    }

PASS(uint16_t, u16)
PASS(uint32_t, u32)

static size_t block_pass(const uint32_t *restrict id, const struct vector_tables *t, const struct block_row *row,
                         uint8_t *restrict out, size_t n, uint16_t *restrict list)
{
    __m256i multiplier = _mm256_set1_epi32((int)t->multiplier);
    size_t n_listed = 0;
    for (size_t i = 0; i < n; i += STEP) {
        __m256i code[4];
        for (int j = 0; j < 4; j++)
            code[j] = codes(id + i + 8 * j, row->word, multiplier);
        _mm256_storeu_si256((__m256i *)(out + i), four_to_bytes(code[0], code[1], code[2], code[3]));
        if (__builtin_expect(any_unnamed(code), 0))
            n_listed = listed(code, i, list, n_listed);
    }
    return n_listed;
}
