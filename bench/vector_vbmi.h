/* AVX-512 with VBMI, for bench/vector.c: 64 calls as planes of bytes; a table of 128 bytes is one look-up. */
#include "vector_512.h"

struct plane { __m512i low, high; };
struct keys { uint32_t multiplier; struct plane plane[4]; };

INLINE struct plane plane_at(const uint8_t *at)
{
    return (struct plane){_mm512_loadu_si512(at), _mm512_loadu_si512(at + 64)};
}

INLINE void with_codes(struct keys *keys, const struct vector_tables *t, const uint8_t *code)
{
    struct plane own = plane_at(t->plane + 3 * N_BUCKET), codes = plane_at(code);
    keys->plane[3] = (struct plane){_mm512_or_si512(own.low, codes.low), _mm512_or_si512(own.high, codes.high)};
}

INLINE struct keys keys_of(const struct vector_tables *t, const uint8_t *code)
{
    struct keys keys = {.multiplier = t->multiplier};
    for (int j = 0; j < 3; j++)
        keys.plane[j] = plane_at(t->plane + N_BUCKET * j);
    with_codes(&keys, t, code);
    return keys;
}

INLINE uint64_t code_step(const uint32_t *id, const struct keys *keys, uint8_t *out)
{
    const __m512i by_byte = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const __m512i multiplier = _mm512_set1_epi32((int)keys->multiplier);
    __m512i p[4], found[4];
    for (int j = 0; j < 4; j++)
        p[j] = _mm512_shuffle_epi8(_mm512_mullo_epi32(_mm512_loadu_si512(id + 16 * j), multiplier), by_byte);
    __m512i ab_low = _mm512_unpacklo_epi32(p[0], p[1]), ab_high = _mm512_unpackhi_epi32(p[0], p[1]);
    __m512i cd_low = _mm512_unpacklo_epi32(p[2], p[3]), cd_high = _mm512_unpackhi_epi32(p[2], p[3]);
    __m512i byte[4] = {_mm512_unpacklo_epi64(ab_low, cd_low), _mm512_unpackhi_epi64(ab_low, cd_low),
                       _mm512_unpacklo_epi64(ab_high, cd_high), _mm512_unpackhi_epi64(ab_high, cd_high)};
    for (int j = 0; j < 4; j++)
        found[j] = _mm512_permutex2var_epi8(keys->plane[j].low, byte[3], keys->plane[j].high);
    /* Bits of three planes that differ; then bit 7 of the fourth, and EMPTY. */
    __m512i differs = _mm512_xor_si512(byte[0], found[0]);
    differs = _mm512_ternarylogic_epi32(differs, byte[1], found[1], 0xF6);
    differs = _mm512_ternarylogic_epi32(differs, byte[2], found[2], 0xF6);
    __m512i code = _mm512_xor_si512(found[3], _mm512_and_si512(byte[3], _mm512_set1_epi8((char)0x80)));
    differs = _mm512_ternarylogic_epi32(differs, code, _mm512_set1_epi8((char)0xC0), 0xF8);
    _mm512_storeu_si512(out, ordered(code));
    differs = ordered(differs);
    return _mm512_test_epi8_mask(differs, differs);
}
