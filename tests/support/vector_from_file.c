/*
 * Runs bench/vector.c on tables, calls and verdicts that a test has written into a file, where there is no Python for
 * the CPU: under an emulator. Prints how many verdicts of each way differ. Every array is its size in bytes (uint64) and
 * its content, in the order of the reads below.
 */
#include "../../bench/vector.c"

#include <stdio.h>
#include <stdlib.h>

static void *array(FILE *file, size_t *n_byte)
{
    uint64_t n;
    if (fread(&n, sizeof n, 1, file) != 1)
        exit(2);
    void *read = aligned_alloc(64, (n + 191) / 64 * 64);
    if (!read || fread(read, 1, n, file) != n)
        exit(2);
    if (n_byte)
        *n_byte = n;
    return read;
}

static void say(const char *way, const uint8_t *expected, uint8_t *found, size_t n)
{
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += found[i] != expected[i];
    for (size_t i = n; i < n + 64; i++)
        wrong += found[i] != 255;
    printf("%s: %zu of %zu differ\n", way, wrong, n);
    memset(found, 255, n + 64);
}

int main(int argc, char **argv)
{
    FILE *file = fopen(argv[argc - 1], "rb");
    if (!file)
        return 2;
    uint32_t *number = array(file, NULL);
    struct tables tables = {.multiplier = number[0], .shift = number[1]};
    tables.slot_of_bucket = array(file, NULL);
    tables.slot_id = array(file, NULL);
    tables.policy_of_vcpu = array(file, NULL);
    tables.action = array(file, NULL);
    tables.unknown = array(file, NULL);
    tables.step_first = array(file, NULL);
    tables.step_start = array(file, NULL);
    tables.step_action = array(file, NULL);
    struct vector_tables t = {.tables = &tables, .multiplier = number[2], .shift = number[3], .is_per_vcpu = number[4]};
    t.word = array(file, NULL);
    t.plane = array(file, NULL);
    t.code = array(file, NULL);
    t.packed = array(file, NULL);
    t.row_of_vcpu = array(file, NULL);
    t.key = array(file, NULL);
    t.place = array(file, NULL);
    t.by_bucket = array(file, NULL);
    size_t n_block, n;
    uint32_t *id = array(file, NULL);
    uint16_t *narrow = array(file, NULL);
    uint32_t *wide = array(file, NULL);
    int64_t *first = array(file, NULL);
    uint32_t *block_vcpu = array(file, &n_block);
    uint8_t *expected = array(file, &n), *found = malloc(n + 64);
    memset(found, 255, n + 64);
    n_block /= sizeof *block_vcpu;
    vector_single_u16(id, narrow, &t, found, n), say("single, u16", expected, found, n);
    vector_single_u32(id, wide, &t, found, n), say("single, u32", expected, found, n);
    vector_single_blocks(id, first, block_vcpu, &t, found, n_block), say("single, blocks", expected, found, n);
    vector_loads_u16(id, narrow, &t, found, n), say("loads, u16", expected, found, n);
    vector_loads_u32(id, wide, &t, found, n), say("loads, u32", expected, found, n);
    vector_loads_blocks(id, first, block_vcpu, &t, found, n_block), say("loads, blocks", expected, found, n);
    return 0;
}
