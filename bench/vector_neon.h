/* NEON, for bench/vector.c: 32 calls as planes of bytes. A table of 128 bytes is two look-ups of 64. */
#include <arm_neon.h>

enum { STEP = 32 };

struct keys { uint32_t multiplier; uint8_t plane[4][N_BUCKET]; };

INLINE void with_codes(struct keys *keys, const struct vector_tables *t, const uint8_t *code)
{
    for (size_t b = 0; b < N_BUCKET; b++)
        keys->plane[3][b] = t->plane[3 * N_BUCKET + b] | code[b];
}

INLINE struct keys keys_of(const struct vector_tables *t, const uint8_t *code)
{
    struct keys keys = {.multiplier = t->multiplier};
    memcpy(keys.plane, t->plane, 3 * N_BUCKET);
    with_codes(&keys, t, code);
    return keys;
}

/* The four bytes of 16 products, a register each. */
INLINE void planes_of(const uint32_t *id, uint32_t multiplier, uint8x16_t byte[4])
{
    uint16x8_t low[2], high[2];
    for (int j = 0; j < 2; j++) {
        uint16x8_t a = vreinterpretq_u16_u32(vmulq_n_u32(vld1q_u32(id + 8 * j), multiplier));
        uint16x8_t b = vreinterpretq_u16_u32(vmulq_n_u32(vld1q_u32(id + 8 * j + 4), multiplier));
        low[j] = vuzp1q_u16(a, b);
        high[j] = vuzp2q_u16(a, b);
    }
    byte[0] = vuzp1q_u8(vreinterpretq_u8_u16(low[0]), vreinterpretq_u8_u16(low[1]));
    byte[1] = vuzp2q_u8(vreinterpretq_u8_u16(low[0]), vreinterpretq_u8_u16(low[1]));
    byte[2] = vuzp1q_u8(vreinterpretq_u8_u16(high[0]), vreinterpretq_u8_u16(high[1]));
    byte[3] = vuzp2q_u8(vreinterpretq_u8_u16(high[0]), vreinterpretq_u8_u16(high[1]));
}

INLINE uint64_t code_step(const uint32_t *id, const struct keys *keys, uint8_t *out)
{
    uint8x16_t byte[2][4], strange[2], code[2];
    for (int h = 0; h < 2; h++) {
        planes_of(id + 16 * h, keys->multiplier, byte[h]);
        strange[h] = code[h] = vdupq_n_u8(0);
    }
    /* Plane by plane for both halves: the tables of all four are more than there are registers. */
    for (int j = 3; j >= 0; j--) {
        uint8x16x4_t low = vld1q_u8_x4(keys->plane[j]), high = vld1q_u8_x4(keys->plane[j] + 64);
        for (int h = 0; h < 2; h++) {
            uint8x16_t bucket = vandq_u8(byte[h][3], vdupq_n_u8(127));
            uint8x16_t found = vqtbx4q_u8(vqtbl4q_u8(low, bucket), high, vsubq_u8(bucket, vdupq_n_u8(64)));
            if (j == 3) {
                code[h] = veorq_u8(found, vandq_u8(byte[h][3], vdupq_n_u8(0x80)));
                strange[h] = vandq_u8(code[h], vdupq_n_u8(0xC0));
            } else {
                strange[h] = vorrq_u8(strange[h], veorq_u8(found, byte[h][j]));
            }
        }
    }
    vst1q_u8(out, code[0]);
    vst1q_u8(out + 16, code[1]);
    if (__builtin_expect(vmaxvq_u8(vorrq_u8(strange[0], strange[1])) == 0, 1))
        return 0;
    const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint64_t unnamed = 0;
    for (int h = 0; h < 2; h++) {
        uint8x16_t bits = vandq_u8(vtstq_u8(strange[h], strange[h]), bit);
        uint64_t both = vaddv_u8(vget_low_u8(bits)) | (uint64_t)vaddv_u8(vget_high_u8(bits)) << 8;
        unnamed |= both << 16 * h;
    }
    return unnamed;
}
