/* Hypercalls one by one, and the asynchronous ring. */
#include "../lib/snippet.h"

SNIPPET(x87, "fnop");
SNIPPET(read_word, "mov (%ecx), %eax");
static int ts_is_set(void) {
  struct catch c;
  return catch_trap(&c, x87, 0) && c.regs.vector == 7;
}

static u32 producer;
/* As the kernel does it: into the ring if there is room, else at once. Returns 1 if it went into the ring. */
static int async(u32 number, u32 a, u32 b, u32 c) {
  if (lguest_data.hcall_status[producer] != SLOT_FREE) {
    hcall3(number, a, b, c);
    return 0;
  }
  lguest_data.hcalls[producer].number = number;
  lguest_data.hcalls[producer].arg1 = a;
  lguest_data.hcalls[producer].arg2 = b;
  lguest_data.hcalls[producer].arg3 = c;
  asm volatile("" ::: "memory");
  lguest_data.hcall_status[producer] = SLOT_READY;
  producer = (producer + 1) % RING_SLOTS;
  return 1;
}
static int ring_is_free(void) {
  for (u32 i = 0; i < RING_SLOTS; i++)
    if (lguest_data.hcall_status[i] != SLOT_FREE) return 0;
  return 1;
}

static void at_init(void) {
  check_equal("the magic of what INIT found: kernel_address", lguest_data.kernel_address, PAGE_OFFSET);
  check("reserve_mem is given", lguest_data.reserve_mem >= 4096 && lguest_data.reserve_mem <= 0x400000);
  check("the wall clock is given", lguest_data.time_sec != 0);
  check("interrupts are free to come", lguest_data.irq_pending == 0);
}

static void one_by_one(void) {
  hcall1(HC_TS, 8);
  check("TS", ts_is_set());
  hcall1(HC_TS, 0);
  check("TS 0", !ts_is_set());
  u32 ebx = 1, ecx = 2, edx = 3, esi = 4, edi = 5, eax = HC_FLUSH_ASYNC, flags;
  asm volatile("std; int $0x1f; pushf; pop %6; cld"
               : "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx), "+S"(esi), "+D"(edi), "=m"(flags));
  check("registers survive", ebx == 1 && ecx == 2 && edx == 3 && esi == 4 && edi == 5);
  check("flags survive", (flags & FLAG_DF) != 0);
  hcall0(HC_SEND_INTERRUPTS);
  check("SEND_INTERRUPTS", 1);
  hcall2(HC_SET_PMD, phys_of(kernel_directory), 0);
  check("SET_PMD", 1);

  /* TLS entries 6..8; what a segment register holds changes at its next load. */
  static u32 tls[6] __attribute__((aligned(32)));
  static u32 words[4] = {11, 22, 33, 44};
  u32 base = (u32)&words[2], value, first;
  tls[0] = 0xffff | base << 16;
  tls[1] = (base >> 16 & 255) | (base & 0xff000000) | 0x00cff200;
  hcall1(HC_LOAD_TLS, phys_of(tls));
  asm volatile("mov %2, %%gs; mov %%gs:0, %0; mov %%gs:-8, %1" : "=&r"(value), "=&r"(first) : "r"(0x33));
  check_equal("LOAD_TLS", value, 33);
  check_equal("a negative offset", first, 11);
  tls[0] = tls[1] = 0;
  hcall1(HC_LOAD_TLS, phys_of(tls));
  asm volatile("mov %%gs:0, %0" : "=r"(value));
  check_equal("the loaded segment stays", value, 33);
  asm volatile("mov %0, %%gs" : : "r"(0));

  set_gdt_entry(21, 0x0000000f, 0x00409300); /* base 0, 16 bytes; the privilege level becomes 1 */
  u32 limit = 0, good;
  asm volatile("lsl %2, %0; setz %b1" : "+r"(limit), "=q"(good) : "r"(21 * 8 + 1));
  check("LOAD_GDT_ENTRY", (good & 255) && limit == 15);
  u32 access = 0;
  asm volatile("lar %1, %0" : "+r"(access) : "r"(21 * 8 + 1));
  check_equal("its privilege level", access >> 13 & 3, 1);
  set_gdt_entry(16, 0xffff, 0x00cf9300); /* the Host's own entry: ignored */
  access = 0;
  asm volatile("lar %1, %0" : "+r"(access) : "r"(16 * 8 + 1));
  check("a reserved entry is not ours", access == 0 || (access >> 12 & 1) == 0);
}

static void ring(void) {
  async(HC_TS, 8, 0, 0);
  check("nothing happens at once", !ts_is_set());
  hcall0(HC_FLUSH_ASYNC);
  check("FLUSH_ASYNC runs it", ts_is_set() && ring_is_free());
  async(HC_TS, 8, 0, 0);
  async(HC_TS, 0, 0, 0);
  hcall0(HC_SEND_INTERRUPTS);
  check("any call runs them in order", !ts_is_set() && ring_is_free());
  u32 in_ring = 0;
  for (u32 i = 0; i < RING_SLOTS; i++) in_ring += (u32)async(HC_TS, i == RING_SLOTS - 1 ? 8 : 0, 0, 0);
  int at_once = !async(HC_TS, 0, 0, 0) && !ts_is_set() && ring_is_free(); /* printing would drain the ring */
  check_equal("64 calls fit", in_ring, RING_SLOTS);
  check("the next one is made at once, after them", at_once);
  /* Odd batches, so that they start at every place of the ring. */
  int good = 1;
  for (u32 round = 0; round < 300; round++) {
    for (u32 i = 0; i < 1 + round % 23; i++) async(HC_TS, i == round % 23 ? (round & 1) * 8 : 8, 0, 0);
    hcall0(HC_FLUSH_ASYNC);
    good &= ts_is_set() == (int)(round & 1) && ring_is_free();
  }
  check("around the ring", good);
  hcall1(HC_TS, 0);

  /* Page-table calls through the ring, before the synchronous call that drains it. */
  u32 *page = page_alloc(), *other = page_alloc();
  volatile u32 *at = (u32 *)0xe0000000;
  page[0] = 1, other[0] = 2;
  map(kernel_directory, (u32)at, phys_of(page) | PTE_P | PTE_W);
  good = at[0] == 1;
  *pte_of(kernel_directory, (u32)at) = phys_of(other) | PTE_P | PTE_W;
  async(HC_SET_PTE, phys_of(kernel_directory), (u32)at, phys_of(other) | PTE_P | PTE_W);
  hcall0(HC_FLUSH_ASYNC);
  check("SET_PTE through the ring", good && at[0] == 2);
}

static void early_console(void) {
  static char text[64] = "0123456789abcdef and no more\n";
  hcall1(HC_NOTIFY, phys_of(text));
  printf("\n");
  static char newline[2] __attribute__((aligned(2))) = "\n";
  hcall1(HC_NOTIFY, phys_of(newline + 1)); /* empty */
  check("an empty string", 1);
}

void rom_main(void) {
  at_init();
  one_by_one();
  ring();
  early_console();
}
