/* What both kinds of AVX-512 share, for bench/vector.c: 64 calls at a time. */
#include <immintrin.h>

enum { STEP = 64 };

/* The low bytes of 64 words. In each quarter: four bytes of a, of b, of c, of d. */
INLINE __m512i low_bytes(__m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i low = _mm512_set1_epi32(255);
    a = _mm512_packus_epi32(_mm512_and_si512(a, low), _mm512_and_si512(b, low));
    c = _mm512_packus_epi32(_mm512_and_si512(c, low), _mm512_and_si512(d, low));
    return _mm512_packus_epi16(a, c);
}

/* From the order of low_bytes to that of the calls. */
INLINE __m512i ordered(__m512i bytes)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, bytes);
}

INLINE __m512i sixteen_u16(const uint16_t *vcpu)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)vcpu));
}

INLINE __m512i sixteen_u32(const uint32_t *vcpu) { return _mm512_loadu_si512(vcpu); }

/* In each word the byte that holds a verdict. */
INLINE __m512i pairs(const struct vector_tables *t, __m512i row, const uint8_t *code)
{
    __m512i byte = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)code));
    byte = _mm512_and_si512(byte, _mm512_set1_epi32(31));
    if (!t->is_per_vcpu)
        row = _mm512_and_si512(_mm512_i32gather_epi32(row, t->row_of_vcpu, 2), _mm512_set1_epi32(0xFFFF));
    __m512i at = _mm512_add_epi32(_mm512_sll_epi32(row, _mm_cvtsi32_si128((int)t->shift)), byte);
    return _mm512_i32gather_epi32(at, t->packed, 1);
}

#define GATHERS(INDEX, NAME)                                                                                          \
    INLINE void gathers_##NAME(const INDEX *vcpu, const struct vector_tables *t, const uint8_t *code, uint8_t *out)   \
    {                                                                                                                 \
        __m512i p[4];                                                                                                 \
        for (int j = 0; j < 4; j++)                                                                                   \
            p[j] = pairs(t, sixteen_##NAME(vcpu + 16 * j), code + 16 * j);                                            \
        _mm512_storeu_si512(out, ordered(low_bytes(p[0], p[1], p[2], p[3])));                                         \
    }
