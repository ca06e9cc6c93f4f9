/* Page tables: permissions, accessed and dirty bits, invalidation, address spaces. */
#include "../lib/snippet.h"

#define BASE 0x20000000
#define KERNEL_BASE 0xe0000000
SNIPPET(read_word, "mov (%ecx), %eax");
SNIPPET(write_word, "movl $77, (%ecx)");

static u32 *pages[3];
static volatile u32 *const at = (u32 *)BASE;

static void accessed_and_dirty(u32 *directory) {
  map(directory, BASE, phys_of(pages[0]) | PTE_P | PTE_W | PTE_U);
  volatile u32 *pte = pte_of(directory, BASE);
  check("a new entry is clean", !(*pte & (PTE_A | PTE_D)));
  (void)at[0];
  check("a read sets accessed", (*pte & (PTE_A | PTE_D)) == PTE_A);
  at[0] = 5;
  check("a write sets dirty", (*pte & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
  *pte &= ~(PTE_A | PTE_D);
  flush_page(directory, BASE);
  at[1] = 5;
  check("a write alone sets both", (*pte & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
  *pte &= ~(PTE_A | PTE_D);
  flush_page(directory, BASE);
  struct catch c;
  *pte &= ~PTE_W;
  flush_page(directory, BASE);
  catch_trap(&c, write_word, (void *)BASE);
  check("a refused write does not set dirty", c.regs.error == 3 && !(*pte & PTE_D));
}

static void invalidation(u32 *directory) {
  for (u32 i = 0; i < 3; i++) pages[i][0] = 100 + i;
  map(directory, BASE, phys_of(pages[0]) | PTE_P | PTE_W | PTE_U);
  check_equal("the first page", at[0], 100);
  *pte_of(directory, BASE) = phys_of(pages[1]) | PTE_P | PTE_W | PTE_U;
  hcall3(HC_SET_PTE, phys_of(directory), BASE, *pte_of(directory, BASE));
  check_equal("SET_PTE", at[0], 101);
  *pte_of(directory, BASE) = phys_of(pages[2]) | PTE_P | PTE_W | PTE_U;
  hcall3(HC_SET_PTE, phys_of(directory), BASE, 0);
  check_equal("SET_PTE with 0 only forgets", at[0], 102);
  *pte_of(directory, BASE) = phys_of(pages[0]) | PTE_P | PTE_W | PTE_U;
  hcall1(HC_FLUSH_TLB, 0);
  check_equal("FLUSH_TLB of the user part", at[0], 100);
  *pte_of(directory, BASE) = phys_of(pages[1]) | PTE_P | PTE_W | PTE_U;
  hcall1(HC_FLUSH_TLB, 1);
  check_equal("FLUSH_TLB of everything", at[0], 101);
  u32 *table = page_alloc();
  table[BASE >> 12 & 1023] = phys_of(pages[2]) | PTE_P | PTE_W | PTE_U;
  u32 old = directory[BASE >> 22];
  directory[BASE >> 22] = phys_of(table) | PTE_P | PTE_W | PTE_U;
  hcall2(HC_SET_PGD, phys_of(directory), BASE >> 22);
  check_equal("SET_PGD", at[0], 102);
  directory[BASE >> 22] = old;
  hcall2(HC_SET_PGD, phys_of(directory), BASE >> 22);
  *pte_of(directory, BASE) = 0;
  flush_page(directory, BASE);
  EXPECT_FAULT(read_word, "unmapped", BASE, 14, 0);
  /* Not-present entries are never remembered: no call is needed after a new mapping. */
  *pte_of(directory, BASE) = phys_of(pages[0]) | PTE_P | PTE_W | PTE_U;
  check_equal("mapped again without a call", at[0], 100);
}

static void write_protection(u32 *directory) {
  map(directory, BASE, phys_of(pages[0]) | PTE_P | PTE_U);
  EXPECT_FAULT(write_word, "ring 1 honours write protection", BASE, 14, 3);
  map(directory, BASE, phys_of(pages[0]) | PTE_P | PTE_W | PTE_U);
  directory[BASE >> 22] &= ~PTE_W;
  hcall2(HC_SET_PGD, phys_of(directory), BASE >> 22);
  EXPECT_FAULT(write_word, "in the directory too", BASE, 14, 3);
  directory[BASE >> 22] |= PTE_W;
  hcall2(HC_SET_PGD, phys_of(directory), BASE >> 22);
  struct catch c;
  check("and then may write", !catch_trap(&c, write_word, (void *)BASE) && pages[0][0] == 77);
}

static void address_spaces(void) {
  u32 *spaces[12];
  int good = 1;
  for (u32 i = 0; i < 12; i++) {
    spaces[i] = directory_new();
    u32 *page = page_alloc();
    page[0] = 1000 + i;
    map(spaces[i], BASE, phys_of(page) | PTE_P | PTE_W | PTE_U);
  }
  for (u32 round = 0; round < 5; round++)
    for (u32 i = 0; i < 12; i++) {
      directory_switch(spaces[i]);
      good &= at[0]++ == 1000 + i + round;
    }
  check("twelve address spaces", good);
  /* The kernel's part is common to all. */
  directory_switch(spaces[0]);
  volatile u32 *kernel = (u32 *)KERNEL_BASE;
  map(kernel_directory, KERNEL_BASE, phys_of(pages[1]) | PTE_P | PTE_W);
  for (u32 i = 0; i < 12; i++) spaces[i][KERNEL_BASE >> 22] = kernel_directory[KERNEL_BASE >> 22];
  pages[1][0] = 1;
  pages[2][0] = 2;
  good = 1;
  for (u32 i = 0; i < 12; i++) {
    directory_switch(spaces[i]);
    good &= kernel[0] == 1;
  }
  check("a kernel page in all of them", good);
  map(kernel_directory, KERNEL_BASE, phys_of(pages[2]) | PTE_P | PTE_W);
  for (u32 i = 0; i < 12; i++) {
    directory_switch(spaces[i]);
    good &= kernel[0] == 2;
  }
  check("one SET_PTE changes it for all", good);
  for (u32 i = 0; i < 12; i++) directory_free(spaces[i]);
}

static void across_pages(u32 *directory) {
  map(directory, BASE, phys_of(pages[2]) | PTE_P | PTE_W | PTE_U);
  map(directory, BASE + PAGE_SIZE, phys_of(pages[0]) | PTE_P | PTE_W | PTE_U);
  volatile u32 *word = (u32 *)(BASE + PAGE_SIZE - 2);
  *word = 0x12345678;
  check("a word across two pages that are not neighbours", pages[2][1023] >> 16 == 0x5678 && (pages[0][0] & 0xffff) == 0x1234);
  check_equal("and back", *word, 0x12345678);
  map(directory, BASE + PAGE_SIZE, phys_of(pages[0]) | PTE_P | PTE_U);
  EXPECT_FAULT(write_word, "the second page is read-only", word, 14, 3);
  check_equal("it wrote nothing", *word, 0x12345678);
  check_equal("the address", lguest_data.cr2, BASE + PAGE_SIZE);
}

void rom_main(void) {
  for (u32 i = 0; i < 3; i++) pages[i] = page_alloc();
  u32 *directory = directory_new();
  directory_switch(directory);
  accessed_and_dirty(directory);
  invalidation(directory);
  write_protection(directory);
  across_pages(directory);
  address_spaces();
}
