/*
 * AVX-512, for bench/vector.c: sixteen calls to a register, and the words of all buckets in eight registers. With VBMI
 * the ids of 64 calls as planes of bytes, for which a table of 128 bytes is one look-up in two registers.
 */
#include <immintrin.h>

enum { STEP = 64 };

static inline size_t listed(uint64_t unnamed, size_t i, uint16_t *list, size_t n_listed)
{
    const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int j = 0; j < 64; j += 16, unnamed >>= 16) {
        __m512i here = _mm512_add_epi32(numbers, _mm512_set1_epi32((int)i + j));
        __m512i kept = _mm512_maskz_compress_epi32((__mmask16)unnamed, here);
        _mm256_storeu_si256((__m256i *)(list + n_listed), _mm512_cvtepi32_epi16(kept));
        n_listed += (size_t)__builtin_popcount((uint16_t)unnamed);
    }
    return n_listed;
}

static inline __m512i sixteen_u16(const uint16_t *vcpu)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)vcpu));
}

static inline __m512i sixteen_u32(const uint32_t *vcpu) { return _mm512_loadu_si512(vcpu); }

/* In each word the byte that holds the verdict of a code, whose low five bits are all that `code` may have. */
static inline __m512i pairs(const struct vector_tables *t, __m512i row, __m512i code)
{
    if (t->row_of_vcpu)
        row = _mm512_and_si512(_mm512_i32gather_epi32(row, t->row_of_vcpu, 2), _mm512_set1_epi32(0xFFFF));
    __m512i at = _mm512_add_epi32(_mm512_sll_epi32(row, _mm_cvtsi32_si128((int)t->shift)), code);
    return _mm512_i32gather_epi32(at, t->packed, 1);
}

/* The low bytes of 64 words. In each quarter: four bytes of a, of b, of c, of d. */
static inline __m512i low_bytes(__m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i low = _mm512_set1_epi32(255);
    a = _mm512_packus_epi32(_mm512_and_si512(a, low), _mm512_and_si512(b, low));
    c = _mm512_packus_epi32(_mm512_and_si512(c, low), _mm512_and_si512(d, low));
    return _mm512_packus_epi16(a, c);
}

/* From the order of low_bytes to that of the calls. */
static inline void put(uint8_t *out, __m512i bytes)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi32(order, bytes));
}

/* Of 64 pairs of verdicts the one that bit 5 of each code names. */
static inline __m512i chosen(__m512i pair, __m512i code)
{
    __mmask64 is_high = _mm512_test_epi8_mask(code, _mm512_set1_epi8(32));
    __m512i either = _mm512_mask_blend_epi8(is_high, pair, _mm512_srli_epi16(pair, 4));
    return _mm512_and_si512(either, _mm512_set1_epi8(15));
}

#ifdef __AVX512VBMI__

struct plane { __m512i low, high; };
struct block_row { uint32_t word[N_BUCKET]; struct plane top; };
struct keys { struct plane plane[4]; };

static inline struct plane plane_at(const uint8_t *at)
{
    return (struct plane){_mm512_loadu_si512(at), _mm512_loadu_si512(at + 64)};
}

static inline struct keys keys_of(const struct vector_tables *t)
{
    struct keys keys;
    for (int j = 0; j < 4; j++)
        keys.plane[j] = plane_at(t->plane + N_BUCKET * j);
    return keys;
}

/* Codes of 64 calls and which of them have no name; both in the order of low_bytes. */
static inline __m512i codes(const uint32_t *id, const struct keys *keys, __m512i multiplier, __m512i *strange)
{
    const __m512i by_byte = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m512i p[4];
    for (int j = 0; j < 4; j++)
        p[j] = _mm512_shuffle_epi8(_mm512_mullo_epi32(_mm512_loadu_si512(id + 16 * j), multiplier), by_byte);
    __m512i ab_low = _mm512_unpacklo_epi32(p[0], p[1]), ab_high = _mm512_unpackhi_epi32(p[0], p[1]);
    __m512i cd_low = _mm512_unpacklo_epi32(p[2], p[3]), cd_high = _mm512_unpackhi_epi32(p[2], p[3]);
    __m512i byte[4] = {_mm512_unpacklo_epi64(ab_low, cd_low), _mm512_unpackhi_epi64(ab_low, cd_low),
                       _mm512_unpacklo_epi64(ab_high, cd_high), _mm512_unpackhi_epi64(ab_high, cd_high)};
    __m512i found[4];
    for (int j = 0; j < 4; j++)
        found[j] = _mm512_permutex2var_epi8(keys->plane[j].low, byte[3], keys->plane[j].high);
    /* Differing bits of three planes; of the topmost bit 7, which no bucket tells, and bit 6 of an empty bucket. */
    __m512i differs = _mm512_xor_si512(byte[0], found[0]);
    differs = _mm512_ternarylogic_epi32(differs, byte[1], found[1], 0xF6);
    differs = _mm512_ternarylogic_epi32(differs, byte[2], found[2], 0xF6);
    __m512i top = _mm512_xor_si512(found[3], _mm512_and_si512(byte[3], _mm512_set1_epi8((char)0x80)));
    *strange = _mm512_ternarylogic_epi32(differs, top, _mm512_set1_epi8((char)0xC0), 0xF8);
    return top;
}

/* From a mask in the order of low_bytes to one in that of the calls. */
static inline uint64_t unnamed(__m512i strange)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    strange = _mm512_permutexvar_epi32(order, strange);
    return _mm512_test_epi8_mask(strange, strange);
}

/* Byte j of each word's four, as words. */
static inline __m512i words_of(__m512i bytes, int j)
{
    return _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(_mm_setr_epi8(
        (char)(4 * j), -1, -1, -1, (char)(4 * j + 1), -1, -1, -1, (char)(4 * j + 2), -1, -1, -1, (char)(4 * j + 3), -1, -1, -1)));
}

#define PASS(INDEX, NAME)                                                                                             \
    static size_t pass_##NAME(const uint32_t *restrict id, const INDEX *restrict vcpu, const struct vector_tables *t, \
                              uint8_t *restrict out, size_t n, uint16_t *restrict list)                               \
    {                                                                                                                 \
        __m512i multiplier = _mm512_set1_epi32((int)t->multiplier), strange, pair[4];                                 \
        struct keys keys = keys_of(t);                                                                                \
        size_t n_listed = 0;                                                                                          \
        for (size_t i = 0; i < n; i += STEP) {                                                                        \
            __m512i code = codes(id + i, &keys, multiplier, &strange);                                                \
            __m512i low = _mm512_and_si512(code, _mm512_set1_epi8(31));                                               \
            for (int j = 0; j < 4; j++)                                                                               \
                pair[j] = pairs(t, sixteen_##NAME(vcpu + i + 16 * j), words_of(low, j));                              \
            put(out + i, chosen(low_bytes(pair[0], pair[1], pair[2], pair[3]), code));                                \
            if (__builtin_expect(_mm512_test_epi8_mask(strange, strange) != 0, 0))                                    \
                n_listed = listed(unnamed(strange), i, list, n_listed);                                               \
        }                                                                                                             \
        return n_listed;                                                                                              \
    }

static inline struct block_row row_of(const struct vector_tables *t, const uint8_t *by_bucket)
{
    const __m512i own = _mm512_set1_epi8((char)0xC0); /* what is no code: the topmost bit, and of an empty bucket */
    struct block_row row = {.top = plane_at(by_bucket)};
    struct plane top = plane_at(t->plane + 3 * N_BUCKET);
    row.top.low = _mm512_ternarylogic_epi32(row.top.low, top.low, own, 0xF8);
    row.top.high = _mm512_ternarylogic_epi32(row.top.high, top.high, own, 0xF8);
    for (size_t b = 0; b < N_BUCKET; b += 16)
        _mm512_storeu_si512(row.word + b, _mm512_xor_si512(_mm512_loadu_si512(t->key + b),
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(by_bucket + b)))));
    return row;
}

static size_t block_pass(const uint32_t *restrict id, const struct vector_tables *t, const struct block_row *row,
                         uint8_t *restrict out, size_t n, uint16_t *restrict list)
{
    __m512i multiplier = _mm512_set1_epi32((int)t->multiplier), strange;
    struct keys keys = keys_of(t);
    keys.plane[3] = row->top;
    size_t n_listed = 0;
    for (size_t i = 0; i < n; i += STEP) {
        __m512i verdict = codes(id + i, &keys, multiplier, &strange);
        put(out + i, verdict);
        if (__builtin_expect(_mm512_test_epi8_mask(strange, strange) != 0, 0))
            n_listed = listed(unnamed(strange), i, list, n_listed);
    }
    return n_listed;
}

#else /* without VBMI */

struct words { __m512i eighth[8]; };
struct block_row { uint32_t word[N_BUCKET]; };

static inline struct words words_of(const uint32_t *word)
{
    struct words words;
    for (int j = 0; j < 8; j++)
        words.eighth[j] = _mm512_loadu_si512(word + 16 * j);
    return words;
}

static inline __m512i codes(const uint32_t *id, const struct words *w, __m512i multiplier)
{
    __m512i at = _mm512_rol_epi32(_mm512_mullo_epi32(_mm512_loadu_si512(id), multiplier), 8);
    __mmask16 bit_5 = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
    __mmask16 bit_6 = _mm512_test_epi32_mask(at, _mm512_set1_epi32(64));
    __m512i quarter[4];
    for (int j = 0; j < 4; j++)
        quarter[j] = _mm512_permutex2var_epi32(w->eighth[2 * j], at, w->eighth[2 * j + 1]);
    __m512i low = _mm512_mask_blend_epi32(bit_5, quarter[0], quarter[1]);
    __m512i high = _mm512_mask_blend_epi32(bit_5, quarter[2], quarter[3]);
    return _mm512_xor_si512(at, _mm512_mask_blend_epi32(bit_6, low, high));
}

static inline uint64_t unnamed(const __m512i code[4])
{
    uint64_t mask = 0;
    for (int j = 0; j < 4; j++)
        mask |= (uint64_t)_mm512_cmpge_epu32_mask(code[j], _mm512_set1_epi32(EMPTY)) << 16 * j;
    return mask;
}

static inline int any_unnamed(const __m512i code[4])
{
    __m512i all = _mm512_ternarylogic_epi32(code[0], code[1], _mm512_or_si512(code[2], code[3]), 0xFE);
    return _mm512_cmpge_epu32_mask(all, _mm512_set1_epi32(EMPTY)) != 0;
}

#define PASS(INDEX, NAME)                                                                                             \
    static size_t pass_##NAME(const uint32_t *restrict id, const INDEX *restrict vcpu, const struct vector_tables *t, \
                              uint8_t *restrict out, size_t n, uint16_t *restrict list)                               \
    {                                                                                                                 \
        __m512i multiplier = _mm512_set1_epi32((int)t->multiplier), code[4], pair[4];                                 \
        struct words words = words_of(t->word);                                                                       \
        size_t n_listed = 0;                                                                                          \
        for (size_t i = 0; i < n; i += STEP) {                                                                        \
            for (int j = 0; j < 4; j++) {                                                                             \
                code[j] = codes(id + i + 16 * j, &words, multiplier);                                                 \
                __m512i low = _mm512_and_si512(code[j], _mm512_set1_epi32(31));                                       \
                pair[j] = pairs(t, sixteen_##NAME(vcpu + i + 16 * j), low);                                           \
            }                                                                                                         \
            __m512i bytes = low_bytes(code[0], code[1], code[2], code[3]);                                            \
            put(out + i, chosen(low_bytes(pair[0], pair[1], pair[2], pair[3]), bytes));                               \
            if (__builtin_expect(any_unnamed(code), 0))                                                               \
                n_listed = listed(unnamed(code), i, list, n_listed);                                                  \
        }                                                                                                             \
        return n_listed;                                                                                              \
    }

static inline struct block_row row_of(const struct vector_tables *t, const uint8_t *by_bucket)
{
    struct block_row row;
    for (size_t b = 0; b < N_BUCKET; b += 16)
        _mm512_storeu_si512(row.word + b, _mm512_xor_si512(_mm512_loadu_si512(t->key + b),
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(by_bucket + b)))));
    return row;
}

static size_t block_pass(const uint32_t *restrict id, const struct vector_tables *t, const struct block_row *row,
                         uint8_t *restrict out, size_t n, uint16_t *restrict list)
{
    __m512i multiplier = _mm512_set1_epi32((int)t->multiplier), code[4];
    struct words words = words_of(row->word);
    size_t n_listed = 0;
    for (size_t i = 0; i < n; i += STEP) {
        for (int j = 0; j < 4; j++)
            code[j] = codes(id + i + 16 * j, &words, multiplier);
        put(out + i, low_bytes(code[0], code[1], code[2], code[3]));
        if (__builtin_expect(any_unnamed(code), 0))
            n_listed = listed(unnamed(code), i, list, n_listed);
    }
    return n_listed;
}

#endif

PASS(uint16_t, u16)
PASS(uint32_t, u32)
