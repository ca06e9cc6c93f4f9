/* Segments that are not flat: bases, limits, null selectors, what lar, lsl, verr and verw say. */
#include "../lib/snippet.h"

SNIPPET(read_gs, "mov %gs:(%ecx), %eax");
SNIPPET(read_gs_byte, "movb %gs:(%ecx), %al");
SNIPPET(write_gs_byte, "movb %al, %gs:(%ecx)");
SNIPPET(write_cs, "movb %al, %cs:(%ecx)");
SNIPPET(far_jump, "ljmp *(%ecx)");

static u32 words[16] = {100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115};

static void set_segment(u32 index, u32 base, u32 limit, u32 access, u32 flags) {
  set_gdt_entry(index, (limit & 0xffff) | base << 16,
                (base >> 16 & 255) | access << 8 | (limit & 0xf0000) | flags << 20 | (base & 0xff000000));
}
static void load_gs(u32 selector) { asm volatile("mov %0, %%gs" : : "r"(selector)); }

void rom_main(void) {
  u32 value, base = (u32)&words[4];
  set_segment(20, base, 15, 0xb3, 4); /* DPL 1 data, writable, 16 bytes */
  load_gs(20 * 8 + 1);
  asm volatile("mov %%gs:4, %0" : "=r"(value));
  check_equal("base", value, 105);
  struct catch c;
  check("the last byte", !catch_trap(&c, read_gs_byte, (void *)15));
  EXPECT_FAULT(read_gs_byte, "beyond the limit", 16, 13, 0);
  EXPECT_FAULT(read_gs, "a word across the limit", 13, 13, 0);
  EXPECT_FAULT(read_gs, "a negative offset", -4, 13, 0);

  set_segment(20, base, 15, 0xb1, 4); /* read-only */
  load_gs(20 * 8 + 1);
  EXPECT_FAULT(write_gs_byte, "write to a read-only segment", 0, 13, 0);
  set_segment(20, base, 7, 0xb7, 4); /* expands down: offsets above 7 */
  load_gs(20 * 8 + 1);
  EXPECT_FAULT(read_gs, "below an expand-down limit", 4, 13, 0);
  asm volatile("mov %%gs:8, %0" : "=r"(value));
  check_equal("above it", value, 106);

  set_segment(20, base, 0xfffff, 0xb3, 12); /* 4 GiB from a base: offsets wrap */
  load_gs(20 * 8 + 1);
  asm volatile("mov %%gs:-16, %0" : "=r"(value));
  check_equal("offsets wrap around", value, 100);
  asm volatile("mov %1, %%gs:-12" : "=m"(words) : "r"(55));
  check_equal("stores too", words[1], 55);

  load_gs(0);
  EXPECT_FAULT(read_gs, "null selector", words, 13, 0);
  EXPECT_FAULT(write_cs, "write through cs", words, 13, 0);
  set_segment(20, 0, 0xfffff, 0xd3, 12); /* DPL 2 data */
  load_gs(20 * 8 + 2);
  check("a selector of a less privileged segment", 1);
  load_gs(0);
  struct {
    u32 offset;
    u16 selector;
  } __attribute__((packed)) far = {0, 0x60};
  EXPECT_FAULT(far_jump, "far jump to a data segment", (far.selector = 0x69, &far), 13, 0x68);
  EXPECT_FAULT(far_jump, "far jump to ring 3", (far.selector = 0x73, &far), 13, 0x70);

  u32 limit = 0, access = 0;
  u8 good;
  asm volatile("lsl %2, %0; setz %1" : "+r"(limit), "=q"(good) : "r"(KERNEL_CS));
  check("lsl of the kernel's code", good && limit == 0xffffffff);
  asm volatile("lar %2, %0; setz %1" : "+r"(access), "=q"(good) : "r"(KERNEL_CS));
  check_equal("lar of it", access & 0xf0ff00, 0xc0bb00);
  asm volatile("lar %2, %0; setz %1" : "+r"(access), "=q"(good) : "r"(0));
  check("lar of nothing", !good);
  asm volatile("verr %1; setz %0" : "=q"(good) : "r"((u16)KERNEL_DS));
  check("verr", good);
  asm volatile("verw %1; setz %0" : "=q"(good) : "r"((u16)KERNEL_DS));
  check("verw", good);
  asm volatile("verw %1; setz %0" : "=q"(good) : "r"((u16)KERNEL_CS));
  check("verw of code", !good);
  u16 selector;
  asm volatile("mov %%cs, %0" : "=r"(selector));
  check_equal("cs", selector, KERNEL_CS);
}
