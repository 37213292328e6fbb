/*
 * AVX-512 without VBMI, for bench/vector.c: the words of all buckets in eight registers. A product that is combined with
 * the word of its bucket by exclusive or has its bucket's bits gone: what is left of a named id is its code. An empty
 * bucket leaves EMPTY, and another id leaves what is above.
 */
#include "vector_512.h"

struct keys { uint32_t multiplier; __m512i eighth[8]; };

INLINE void with_codes(struct keys *keys, const struct vector_tables *t, const uint8_t *code)
{
    for (int j = 0; j < 8; j++) {
        __m512i codes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(code + 16 * j)));
        keys->eighth[j] = _mm512_xor_si512(_mm512_loadu_si512(t->word + 16 * j), codes);
    }
}

INLINE struct keys keys_of(const struct vector_tables *t, const uint8_t *code)
{
    struct keys keys = {.multiplier = t->multiplier};
    with_codes(&keys, t, code);
    return keys;
}

INLINE __m512i codes_of(const uint32_t *id, const __m512i eighth[8], __m512i multiplier)
{
    __m512i at = _mm512_rol_epi32(_mm512_mullo_epi32(_mm512_loadu_si512(id), multiplier), 8), quarter[4];
    __mmask16 bit_5 = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
    __mmask16 bit_6 = _mm512_test_epi32_mask(at, _mm512_set1_epi32(64));
    for (int j = 0; j < 4; j++)
        quarter[j] = _mm512_permutex2var_epi32(eighth[2 * j], at, eighth[2 * j + 1]);
    __m512i low = _mm512_mask_blend_epi32(bit_5, quarter[0], quarter[1]);
    __m512i high = _mm512_mask_blend_epi32(bit_5, quarter[2], quarter[3]);
    return _mm512_xor_si512(at, _mm512_mask_blend_epi32(bit_6, low, high));
}

INLINE uint64_t code_step(const uint32_t *id, const struct keys *keys, uint8_t *out)
{
    const __m512i multiplier = _mm512_set1_epi32((int)keys->multiplier), least = _mm512_set1_epi32(EMPTY);
    __m512i code[4];
    for (int j = 0; j < 4; j++)
        code[j] = codes_of(id + 16 * j, keys->eighth, multiplier);
    _mm512_storeu_si512(out, ordered(low_bytes(code[0], code[1], code[2], code[3])));
    __m512i all = _mm512_ternarylogic_epi32(code[0], code[1], _mm512_or_si512(code[2], code[3]), 0xFE);
    if (__builtin_expect(_mm512_cmpge_epu32_mask(all, least) == 0, 1))
        return 0;
    uint64_t unnamed = 0;
    for (int j = 0; j < 4; j++)
        unnamed |= (uint64_t)_mm512_cmpge_epu32_mask(code[j], least) << 16 * j;
    return unnamed;
}
