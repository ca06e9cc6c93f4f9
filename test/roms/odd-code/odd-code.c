/*
 * Code that is odd, and legal: entered in the middle of instructions, overlapping itself, at the end of RAM, on device
 * pages, running into pages that are not there, with as many prefixes as fit; and many targets of one computed call.
 */
#include "../lib/kernel.h"

#define WARM 400
typedef u32 (*function)(void);

static u32 seed = 1;
static u32 random(void) { return seed = seed * 1664525 + 1013904223, seed >> 8; }

static u32 run(const void *code) {
  asm volatile("" : "+r"(code) : : "memory");
  return ((function)code)();
}
static void put_function(void *at, u32 value) {
  u8 *p = at;
  p[0] = 0xb8; /* mov $value, %eax; ret */
  memcpy(p + 1, &value, 4);
  p[5] = 0xc3;
}
static int all_equal(const void *code, u32 value) {
  for (u32 i = 0; i < WARM; i++)
    if (run(code) != value) return 0;
  return 1;
}

/* What code of these six instructions does, from any of its bytes on. */
static u32 emulate(const u8 *p) {
  for (u32 eax = 0;;) {
    u32 value;
    switch (*p++) {
    case 0x40: eax++; continue;
    case 0x48: eax--; continue;
    case 0xc3: return eax;
    }
    memcpy(&value, p, 4);
    if (p[-1] == 0x05) eax += value;
    else if (p[-1] == 0x35) eax ^= value;
    else if (p[-1] == 0xb8) eax = value;
    else return 0xbad;
    p += 4;
  }
}

/* xor %eax, %eax; jmp *4(%esp) as a call: eax must start at 0. */
u32 call_at(const void *code);
asm(".text\ncall_at: xor %eax, %eax; jmp *4(%esp)");

static void middles(void) {
  enum { BYTES = 300, END = 8 };
  static u8 code[BYTES + END];
  static const u8 choice[] = {0x05, 0x35, 0xb8, 0x40, 0x48};
  for (u32 i = 0; i < BYTES; i++) code[i] = choice[random() % sizeof choice];
  memset(code + BYTES, 0xc3, END);
  int good = 1;
  for (u32 turn = 0; turn < 3; turn++)
    for (u32 i = 0; i < BYTES; i++) good &= call_at(code + i) == emulate(code + i);
  for (u32 i = 0; i < BYTES; i += 53)
    for (u32 turn = 0; turn < WARM; turn++) good &= call_at(code + i) == emulate(code + i);
  check("entered at every byte", good);
}

static void call_it(void *code) { run(code); }

static void prefixes(void) {
  static u8 code[4096 + 16];
  memset(code, 0x3e, sizeof code); /* ds: */
  struct catch c;
  int good = 1;
  for (u32 i = 0; i < 50; i++) good &= catch_trap(&c, call_it, code + i) && c.regs.vector == 13 && c.regs.error == 0 &&
                                       c.regs.eip == (u32)(code + i);
  check("nothing but prefixes", good);
  code[14] = 0x90, code[15] = 0xc3;
  good = 1;
  for (u32 i = 0; i < WARM; i++) good &= catch_trap(&c, call_it, code) == 0;
  check("fourteen prefixes", good);
  good = 1;
  code[14] = 0x3e, code[15] = 0x90, code[16] = 0xc3;
  for (u32 i = 0; i < 50; i++) good &= catch_trap(&c, call_it, code) && c.regs.vector == 13;
  check("fifteen are too many", good);
}

static void ends(void) {
  u8 *end = virt_of(ram_bytes);
  u32 value = 0x12345678;
  put_function(end - 6, value);
  check("the last bytes of RAM", all_equal(end - 6, value));
  struct catch c;
  memset(end - 64, 0x90, 64);
  int good = 1;
  for (u32 i = 0; i < 50; i++)
    good &= catch_trap(&c, call_it, end - 64) && c.regs.vector == 14 && c.cr2 == (u32)end && c.regs.eip == (u32)end;
  check("behind RAM", good);
  end[-1] = 0xb8;
  for (u32 i = 0; i < 50; i++)
    good &= catch_trap(&c, call_it, end - 64) && c.regs.vector == 14 && c.cr2 == (u32)end &&
            c.regs.eip == (u32)end - 1;
  check("half an instruction at the end of RAM", good);

  u8 *device = (u8 *)0xe0000000;
  map(kernel_directory, (u32)device, ram_bytes | PTE_P | PTE_W);
  u8 *place = device + PAGE_SIZE - 64;
  put_function(place, value);
  good = all_equal(place, value);
  put_function(place, value + 1);
  check("on a device page", good && all_equal(place, value + 1));
}

static void holes(void) {
  u8 *page = (u8 *)0xe1000000, *next = page + PAGE_SIZE;
  void *first = page_alloc(), *second = page_alloc();
  struct catch c;
  int good = 1;
  for (u32 i = 0; i < 50; i++)
    good &= catch_trap(&c, call_it, page) && c.regs.vector == 14 && c.cr2 == (u32)page && c.regs.eip == (u32)page;
  check("a page that is not there", good);
  map(kernel_directory, (u32)page, phys_of(first) | PTE_P | PTE_W);
  map(kernel_directory, (u32)next, phys_of(second) | PTE_P | PTE_W);
  memset(next - 32, 0x40, 32);
  memset(next, 0x40, 32);
  next[32] = 0xc3;
  good = 1;
  for (u32 i = 0; i < WARM; i++) good &= call_at(next - 32) == 64;
  for (u32 i = 0; i < 50; i++) {
    map(kernel_directory, (u32)next, 0);
    flush_page(kernel_directory, (u32)next);
    good &= catch_trap(&c, call_it, next - 32) && c.regs.vector == 14 && c.cr2 == (u32)next &&
            c.regs.eip == (u32)next;
    map(kernel_directory, (u32)next, phys_of(second) | PTE_P | PTE_W);
    good &= call_at(next - 32) == 64;
  }
  check("a page that goes and comes", good);
}

/* `add $i, %eax; ret` at every 16 bytes of the upper half of RAM. */
static void targets(u32 number) {
  u8 *code = virt_of(ram_bytes / 2);
  for (u32 i = 0; i < number; i++) {
    u8 *p = code + 16 * i;
    p[0] = 0x05;
    memcpy(p + 1, &i, 4);
    p[5] = 0xc3;
  }
  int good = 1;
  for (u32 turn = 0; turn < 3; turn++)
    for (u32 i = 0; i < number; i++) good &= call_at(code + 16 * i) == i;
  check("many targets", good);
}

static void undefined(void) {
  static u8 code[64] = {0x40, 0x40, 0x0f, 0x0b, 0xc3};
  struct catch c;
  int good = 1;
  for (u32 i = 0; i < WARM; i++)
    good &= catch_trap(&c, call_it, code) && c.regs.vector == 6 && c.regs.eip == (u32)code + 2;
  check("an undefined instruction", good);
}

void rom_main(void) {
  middles();
  prefixes();
  ends();
  holes();
  targets(500);
  undefined();
}
