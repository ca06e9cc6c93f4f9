/*
 * Code that changes under the CPU's feet: whatever stood in a translation must be gone at the very next instruction.
 * Each case runs its code often enough to be translated before and after the change.
 */
#include "../lib/kernel.h"

#define WARM 3000
typedef u32 (*function)(void);

/* mov $value, %eax; ret */
static void put_function(void *at, u32 value) {
  u8 *p = at;
  p[0] = 0xb8;
  memcpy(p + 1, &value, 4);
  p[5] = 0xc3;
}
static function as_function(const void *p) {
  asm volatile("" : "+r"(p) : : "memory");
  return (function)p;
}
static int all_equal(const void *code, u32 value) {
  for (u32 i = 0; i < WARM; i++)
    if (as_function(code)() != value) return 0;
  return 1;
}

/* ecx = value. The store changes the immediate of the instruction right behind it. */
u32 own_next(u32 value);
asm(".data\n.balign 64\nown_next: mov 4(%esp), %ecx; mov %ecx, own_next_target + 1\nown_next_target: mov $0, %eax; ret\n.text");
/* The same within a loop: each turn's store changes the next instruction of the same turn. */
asm(".data\n.balign 64\nown_loop: push %ebx; mov 8(%esp), %ecx; xor %ebx, %ebx\n"
    "1: mov %ecx, own_loop_target + 2\nown_loop_target: .byte 0x81, 0xc3; .long 0; dec %ecx; jnz 1b\n"
    "mov %ebx, %eax; pop %ebx; ret\n.text");
u32 own_loop(u32 turns);

/* push writes over the instruction behind it: esp points there. */
u32 push_next(u32 instruction);
asm(".data\n.balign 64\npush_next: mov 4(%esp), %ecx; mov %esp, %edx; mov $push_next_target + 4, %esp; push %ecx\n"
    "push_next_target: .byte 0x90, 0x90, 0x90, 0x90; mov %edx, %esp; ret\n.text");
/* call writes its return address over the instructions it goes to. */
u32 call_over(void);
asm(".data\n.balign 64\ncall_over: mov %esp, %edx; mov $call_over_target + 5, %esp; xor %eax, %eax; call call_over_target\n"
    /* behind the call: the return address' low byte is this place; what runs is: b8 <return address> */
    "call_over_back: mov %edx, %esp; ret\n"
    "call_over_target: .byte 0xb8, 0, 0, 0, 0; mov %edx, %esp; ret\n.text");
extern char call_over_back[];
/* rep movsb that ends in the instruction behind it: mov $0, %eax becomes mov $value, %eax. */
u32 rep_next(u32 value);
asm(".data\n.balign 64\nrep_next: push %esi; push %edi; lea 12(%esp), %esi; mov $rep_next_target + 1, %edi; mov $4, %ecx\n"
    "rep movsb\nrep_next_target: mov $0, %eax; pop %edi; pop %esi; ret\n.text");

static void near_code(void) {
  int good = 1;
  for (u32 i = 0; i < WARM; i++) good &= own_next(i) == i;
  check("the next instruction", good);
  check_equal("in a loop", own_loop(WARM), WARM * (WARM + 1) / 2);
  good = 1;
  u32 was = irq_save(); /* an interrupt would be pushed over the code */
  for (u32 i = 0; i < WARM; i++)
    good &= (push_next(0x909000b0u | (i & 127) << 8) & 255) == (i & 127); /* mov $i, %al; nop; nop */
  check("push onto the next instruction", good);
  good = 1;
  for (u32 i = 0; i < WARM; i++) good &= call_over() == (u32)call_over_back;
  irq_restore(was);
  check("call writes over its target", good);
  good = 1;
  for (u32 i = 0; i < WARM; i++) good &= rep_next(i * 77777) == i * 77777;
  check("rep movsb into the next instruction", good);
}

static void other_blocks(void) {
  static u8 code[64] __attribute__((aligned(64)));
  put_function(code, 1);
  int good = all_equal(code, 1);
  put_function(code, 2);
  check("another block", good && all_equal(code, 2));
  code[1] = 3;
  check("by one byte", all_equal(code, 3));
  static u8 next[8];
  put_function(next, 4);
  u8 *to = code;
  const u8 *from = next;
  u32 n = 6;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  check("by rep movsb", all_equal(code, 4));
  u32 words[2] = {5 << 8 | 0xb8, 0xc300};
  u32 *to32 = (u32 *)code, *from32 = words;
  n = 2;
  asm volatile("rep movsl" : "+D"(to32), "+S"(from32), "+c"(n) : : "memory");
  check("by rep movsl", all_equal(code, 5));
  u8 value = 6;
  asm volatile("xchgb %0, %1" : "+q"(value), "+m"(code[1]) : : "memory");
  check("by xchg", value == 5 && all_equal(code, 6));
  asm volatile("lock incb %0" : "+m"(code[1]) : : "memory");
  check("by lock inc", all_equal(code, 7));
  asm volatile("lock cmpxchg %2, %0" : "+m"(*(u32 *)(code + 1)), "=a"(n) : "r"(8), "1"(7) : "memory");
  check("by cmpxchg", all_equal(code, 8));
  u32 low = 8 << 8 | 0xb8, high = 0xc300;
  low = *(u32 *)code, high = *(u32 *)(code + 4);
  asm volatile("cmpxchg8b %0" : "+m"(*(u64 *)code), "+a"(low), "+d"(high) : "b"(9 << 8 | 0xb8), "c"(0xc300) : "memory");
  check("by cmpxchg8b", all_equal(code, 9));
  /* Data next to code: the code must stay right, however often the data changes. */
  volatile u32 *data = (u32 *)(code + 32);
  good = 1;
  for (u32 i = 0; i < WARM; i++) {
    data[0] = i;
    good &= as_function(code)() == 9 && data[0] == i;
  }
  check("data beside code", good);
}

static void pages(void) {
  u8 *first = page_alloc(), *second = page_alloc();
  u32 base = 0xe0000000;
  map(kernel_directory, base, phys_of(first) | PTE_P | PTE_W);
  map(kernel_directory, base + PAGE_SIZE, phys_of(second) | PTE_P | PTE_W);
  u8 *across = (u8 *)base + PAGE_SIZE - 3;
  put_function(across, 0x11223344);
  int good = all_equal(across, 0x11223344);
  second[0] = 0x99; /* the third byte of the immediate */
  check("an instruction across two pages, its second page", good && all_equal(across, 0x11993344));
  first[PAGE_SIZE - 1] = 0x88;
  check("its first page", all_equal(across, 0x11998844));
  u8 *third = page_alloc();
  memcpy(third, second, PAGE_SIZE);
  third[1] = 0x77;
  map(kernel_directory, base + PAGE_SIZE, phys_of(third) | PTE_P | PTE_W);
  check("its second page mapped elsewhere", all_equal(across, 0x77998844));

  u8 *alias = (u8 *)base + 16 * PAGE_SIZE;
  map(kernel_directory, (u32)alias, phys_of(first) | PTE_P | PTE_W);
  put_function(first + 64, 10);
  good = all_equal((u8 *)base + 64, 10) && all_equal(alias + 64, 10);
  alias[64 + 1] = 11;
  check("a second mapping of the page", good && all_equal((u8 *)base + 64, 11) && all_equal(alias + 64, 11));

  put_function(second + 64, 20);
  good = all_equal((u8 *)base + 64, 11);
  map(kernel_directory, base, phys_of(second) | PTE_P | PTE_W);
  check("another page at the address", good && all_equal((u8 *)base + 64, 20));
  map(kernel_directory, base, phys_of(first) | PTE_P | PTE_W);
  check("and the first one again", all_equal((u8 *)base + 64, 11));

  /* Two address spaces with different code at one address, run in turn. */
  u32 *spaces[2] = {directory_new(), directory_new()};
  u32 address = 0x20000000;
  for (u32 i = 0; i < 2; i++) {
    u8 *page = page_alloc();
    put_function(page, 30 + i);
    map(spaces[i], address, phys_of(page) | PTE_P | PTE_W | PTE_U);
  }
  good = 1;
  for (u32 i = 0; i < WARM; i++) {
    directory_switch(spaces[i & 1]);
    good &= as_function((u8 *)address)() == 30 + (i & 1);
  }
  check("two address spaces", good);

  /* A caller keeps running while its callee is remapped between calls. */
  directory_switch(spaces[0]);
  u32 one = *pte_of(spaces[0], address), two = *pte_of(spaces[1], address);
  good = 1;
  for (u32 i = 0; i < WARM; i++) {
    *pte_of(spaces[0], address) = i & 1 ? two : one;
    hcall3(HC_SET_PTE, phys_of(spaces[0]), address, 0);
    good &= as_function((u8 *)address)() == 30 + (i & 1);
  }
  check("a callee remapped between calls", good);
  directory_switch(kernel_directory);
}

/* A debugger's breakpoint: int3 over an instruction, whose first byte comes back in the trap handler. */
static u8 breakpoint_code[64] __attribute__((aligned(64)));
static u32 breakpoints;
static void on_breakpoint(struct regs *regs) {
  breakpoints++;
  regs->eip--;
  *(u8 *)regs->eip = 0xb8;
}
static void debugger(void) {
  set_trap_handler(3, on_breakpoint);
  put_function(breakpoint_code, 1234);
  int good = all_equal(breakpoint_code, 1234);
  for (u32 i = 0; i < 500; i++) {
    *(volatile u8 *)breakpoint_code = 0xcc;
    good &= as_function(breakpoint_code)() == 1234 && as_function(breakpoint_code)() == 1234;
  }
  check("breakpoints come and go", good && breakpoints == 500);
}

/* Generates a fresh function for each round over the same place, as a JIT in the guest would. */
static void generated(void) {
  static u8 code[4096];
  int good = 1;
  for (u32 round = 0; round < 200; round++) {
    u32 n = 0, value = 0;
    code[n++] = 0x31, code[n++] = 0xc0; /* xor %eax, %eax */
    for (u32 i = 0; i < 50; i++) {
      u32 add = round * 977 + i * 13;
      value += add;
      code[n++] = 0x05; /* add $imm32, %eax */
      memcpy(code + n, &add, 4);
      n += 4;
    }
    code[n] = 0xc3;
    good &= as_function(code)() == value;
    good &= as_function(code)() == value;
  }
  check("functions generated over each other", good);
}

void rom_main(void) {
  near_code();
  other_blocks();
  pages();
  debugger();
  generated();
}
