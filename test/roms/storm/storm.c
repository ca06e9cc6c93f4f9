/*
 * A storm of changing code: round after round, code is changed in every way that keeps a translator busy, and must do
 * what it now says. `rounds=N` on the command line (default 1; 0: for ever); behind it, `restart`: the machine starts
 * again at the end.
 */
#include "../lib/kernel.h"

typedef u32 (*function)(u32);

enum {
  PAGES = 64,   /* pages of generated code */
  HOT = 40000, /* turns of its loops: more than make a translator take notice */
  REWRITES = 2000,
  TARGETS = 512,
};

static u32 run(const void *code, u32 argument) {
  asm volatile("" : "+r"(code) : : "memory");
  return ((function)code)(argument);
}
static u8 *put_dword(u8 *p, u32 value) {
  memcpy(p, &value, 4);
  return p + 4;
}

/* eax = argument; ecx turns of a few additions and xors; what it returns is known. */
static u32 generate(u8 *p, u32 key, u32 turns, u32 argument) {
  u32 n = 1 + key % 5, value = argument;
  *p++ = 0x8b, *p++ = 0x44, *p++ = 0x24, *p++ = 0x04; /* mov 4(%esp), %eax */
  *p++ = 0xb9, p = put_dword(p, turns);               /* mov $turns, %ecx */
  u8 *loop = p;
  for (u32 i = 0; i < n; i++) {
    *p++ = i & 1 ? 0x35 : 0x05; /* xor, add $imm, %eax */
    p = put_dword(p, key * (2 * i + 77));
  }
  *p++ = 0x49, *p++ = 0x75; /* dec %ecx; jnz loop */
  *p = (u8)(loop - p - 1), p++;
  *p = 0xc3;
  for (u32 t = 0; t < turns; t++)
    for (u32 i = 0; i < n; i++) value = i & 1 ? value ^ key * (2 * i + 77) : value + key * (2 * i + 77);
  return value;
}

static u8 *area; /* PAGES pages of code, in the upper half of RAM */

/* New hot functions over old ones, on a page after the other. */
static int generations(u32 round) {
  int good = 1;
  for (u32 i = 0; i < 8; i++) {
    u32 number = round * 8 + i;
    u8 *place = area + number % PAGES * PAGE_SIZE + number / PAGES % 8 * 256;
    u32 expected = generate(place, number * 2654435761u, HOT, round);
    good &= run(place, round) == expected;
  }
  return good;
}

/* One immediate, changed before each call. */
static int rewrites(u32 round) {
  static u8 code[64] __attribute__((aligned(64))) = {0xb8, 0, 0, 0, 0, 0xc3};
  int good = 1;
  for (u32 i = 0; i < REWRITES; i++) {
    put_dword(code + 1, round + i);
    good &= run(code, 0) == round + i;
  }
  return good;
}

/* Many small functions, that move with each round. */
static int targets(u32 round) {
  u8 *code = area + PAGES * PAGE_SIZE + round % 16;
  for (u32 i = 0; i < TARGETS; i++) {
    u8 *p = code + 32 * i;
    *p++ = 0xb8, p = put_dword(p, i ^ round);
    *p = 0xc3;
  }
  int good = 1;
  for (u32 i = 0; i < TARGETS; i++) good &= run(code + 32 * i, 0) == (i ^ round);
  return good;
}

/* A function behind a page that is mapped in turn to one and to another. */
static int remaps(u32 round) {
  const u32 address = 0xe0000000;
  int good = 1;
  for (u32 i = 0; i < 64; i++) {
    u8 *page = area + (round + i) % 2 * PAGE_SIZE;
    u8 *p = page + 0xf00;
    *p++ = 0xb8, p = put_dword(p, round + i);
    *p = 0xc3;
    map(kernel_directory, address, phys_of(page) | PTE_P | PTE_W);
    good &= run((u8 *)address + 0xf00, 0) == round + i;
  }
  return good;
}

void rom_main(void) {
  const char *text = after_prefix(command_line, "rounds=");
  u32 rounds = text ? parse_number(&text) : 1;
  area = virt_of(ram_bytes / 2);
  for (u32 round = 0; rounds == 0 || round < rounds; round++) {
    int good = generations(round) & rewrites(round) & targets(round) & remaps(round);
    if (!good) panic("stale code");
    printf("round %u\n", round);
  }
  if (text && after_prefix(text, " restart")) restart();
}
