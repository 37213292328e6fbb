/*
 * AVX2, for bench/vector.c: 32 calls as planes of bytes. A table of 128 bytes is eight look-ups of 16; each has its own
 * copy of the buckets, in which those of the other seven are above 127, so that their look-up gives 0.
 */
#include <immintrin.h>

enum { STEP = 32, N_PART = 8 };

struct keys { uint32_t multiplier; __m256i plane[4][N_PART]; };

INLINE __m256i sixteen_twice(const uint8_t *at)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)at));
}

INLINE void with_codes(struct keys *keys, const struct vector_tables *t, const uint8_t *code)
{
    const uint8_t *top = t->plane + 3 * N_BUCKET;
    for (int k = 0; k < N_PART; k++)
        keys->plane[3][k] = _mm256_or_si256(sixteen_twice(top + 16 * k), sixteen_twice(code + 16 * k));
}

INLINE struct keys keys_of(const struct vector_tables *t, const uint8_t *code)
{
    struct keys keys = {.multiplier = t->multiplier};
    for (int j = 0; j < 3; j++)
        for (int k = 0; k < N_PART; k++)
            keys.plane[j][k] = sixteen_twice(t->plane + N_BUCKET * j + 16 * k);
    with_codes(&keys, t, code);
    return keys;
}

INLINE uint64_t code_step(const uint32_t *id, const struct keys *keys, uint8_t *out)
{
    const __m128i by_four = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i by_byte = _mm256_broadcastsi128_si256(by_four), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i multiplier = _mm256_set1_epi32((int)keys->multiplier);
    __m256i p[4], found[4];
    for (int j = 0; j < 4; j++) {
        __m256i ids = _mm256_loadu_si256((const __m256i *)(id + 8 * j));
        p[j] = _mm256_shuffle_epi8(_mm256_mullo_epi32(ids, multiplier), by_byte);
    }
    __m256i ab_low = _mm256_unpacklo_epi32(p[0], p[1]), ab_high = _mm256_unpackhi_epi32(p[0], p[1]);
    __m256i cd_low = _mm256_unpacklo_epi32(p[2], p[3]), cd_high = _mm256_unpackhi_epi32(p[2], p[3]);
    __m256i byte[4] = {_mm256_unpacklo_epi64(ab_low, cd_low), _mm256_unpackhi_epi64(ab_low, cd_low),
                       _mm256_unpacklo_epi64(ab_high, cd_high), _mm256_unpackhi_epi64(ab_high, cd_high)};
    __m256i bucket = _mm256_and_si256(byte[3], _mm256_set1_epi8(127));
    __m256i part[N_PART];
    UNROLLED for (int k = 0; k < N_PART; k++)
        part[k] = _mm256_adds_epu8(_mm256_xor_si256(bucket, _mm256_set1_epi8((char)(16 * k))), _mm256_set1_epi8(0x70));
    UNROLLED for (int j = 0; j < 4; j++) {
        found[j] = _mm256_shuffle_epi8(keys->plane[j][0], part[0]);
        UNROLLED for (int k = 1; k < N_PART; k++)
            found[j] = _mm256_or_si256(found[j], _mm256_shuffle_epi8(keys->plane[j][k], part[k]));
    }
    __m256i code = _mm256_xor_si256(found[3], _mm256_andnot_si256(_mm256_set1_epi8(127), byte[3]));
    __m256i strange = _mm256_andnot_si256(_mm256_set1_epi8(EMPTY - 1), code);
    for (int j = 0; j < 3; j++)
        strange = _mm256_or_si256(strange, _mm256_xor_si256(byte[j], found[j]));
    _mm256_storeu_si256((__m256i *)out, _mm256_permutevar8x32_epi32(code, order));
    __m256i is_named = _mm256_cmpeq_epi8(_mm256_permutevar8x32_epi32(strange, order), _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(is_named);
}

INLINE __m256i eight_u16(const uint16_t *vcpu)
{
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)vcpu));
}

INLINE __m256i eight_u32(const uint32_t *vcpu) { return _mm256_loadu_si256((const __m256i *)vcpu); }

/* Where eight verdicts are; of a row per vCPU. */
INLINE __m256i eight_places(const struct vector_tables *t, __m256i row, const uint8_t *code)
{
    __m256i byte = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)code));
    byte = _mm256_and_si256(byte, _mm256_set1_epi32(31));
    return _mm256_add_epi32(_mm256_sll_epi32(row, _mm_cvtsi32_si128((int)t->shift)), byte);
}

/* In each word the byte that holds a verdict. */
INLINE __m256i eight_pairs(const struct vector_tables *t, __m256i row, const uint8_t *code)
{
    if (!t->is_per_vcpu)
        row = _mm256_and_si256(_mm256_i32gather_epi32((const int *)t->row_of_vcpu, row, 2), _mm256_set1_epi32(0xFFFF));
    __m256i at = eight_places(t, row, code);
    return _mm256_and_si256(_mm256_i32gather_epi32((const int *)t->packed, at, 1), _mm256_set1_epi32(255));
}

#define PLACES(INDEX, NAME)                                                                                           \
    INLINE void places_##NAME(const INDEX *vcpu, const struct vector_tables *t, const uint8_t *code, uint32_t *at)    \
    {                                                                                                                 \
        for (int j = 0; j < STEP; j += 8)                                                                             \
            _mm256_storeu_si256((__m256i *)(at + j), eight_places(t, eight_##NAME(vcpu + j), code + j));              \
    }

#define GATHERS(INDEX, NAME)                                                                                          \
    INLINE void gathers_##NAME(const INDEX *vcpu, const struct vector_tables *t, const uint8_t *code, uint8_t *out)   \
    {                                                                                                                 \
        __m256i p[4];                                                                                                 \
        for (int j = 0; j < 4; j++)                                                                                   \
            p[j] = eight_pairs(t, eight_##NAME(vcpu + 8 * j), code + 8 * j);                                          \
        __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(p[0], p[1]), _mm256_packus_epi32(p[2], p[3]));        \
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));                        \
        _mm256_storeu_si256((__m256i *)out, bytes);                                                                   \
    }
