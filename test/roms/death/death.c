/* kind=… on the command line chooses how this guest dies. None may do more than end the machine with a message. */
#include "../lib/virtio.h"

#define BASE 0x20000000
void user_syscall(u32 argument);
static volatile u32 *const at = (u32 *)BASE;

static void unknown_call(void) { hcall0(99); }
static void unassigned_call(void) { hcall0(3); }
static void huge_call(void) { hcall0(0xffffffff); }
static void second_init(void) { hcall1(HC_INIT, phys_of(&lguest_data)); }
static void unknown_in_ring(void) {
  lguest_data.hcalls[0].number = 99;
  lguest_data.hcall_status[0] = SLOT_READY;
  hcall0(HC_FLUSH_ASYNC);
}
static void init_in_ring(void) {
  lguest_data.hcalls[0].number = HC_INIT;
  lguest_data.hcalls[0].arg1 = phys_of(&lguest_data);
  lguest_data.hcall_status[0] = SLOT_READY;
  hcall0(HC_FLUSH_ASYNC);
}
static void no_gate(void) {
  set_gate(6, GATE_INTERRUPT, 0, 0);
  asm volatile("ud2");
}
static void bad_gate_type(void) { set_gate(40, 5, 0, 1); }
static void bad_gate_index(void) { set_gate(300, GATE_INTERRUPT, 0, 1); }
static void bad_gdt_index(void) { set_gdt_entry(4000, 0, 0); }
static void bad_tls(void) { hcall1(HC_LOAD_TLS, 0xfffffff8); }
static void large_page(void) {
  kernel_directory[BASE >> 22] = PTE_P | PTE_W | PTE_PSE | PTE_U;
  hcall2(HC_SET_PGD, phys_of(kernel_directory), BASE >> 22);
  (void)at[0];
}
static void page_beyond_memory(void) {
  map(kernel_directory, BASE, 0x7ffff000 | PTE_P | PTE_W);
  (void)at[0];
}
static void table_beyond_memory(void) {
  kernel_directory[BASE >> 22] = 0x7ffff000 | PTE_P | PTE_W | PTE_U;
  hcall2(HC_SET_PGD, phys_of(kernel_directory), BASE >> 22);
  (void)at[0];
}
static void directory_beyond_memory(void) {
  hcall1(HC_NEW_PGTABLE, 0x7ffff000);
  (void)at[0];
}
static void stack_of_ring_0(void) { hcall3(HC_SET_STACK, 0x68, PAGE_OFFSET + 0x200000, 1); }
static void stack_too_long(void) { hcall3(HC_SET_STACK, KERNEL_DS, PAGE_OFFSET + 0x200000, 3); }
static void stack_not_mapped(void) {
  struct user *user = user_new(user_syscall, 0);
  user_run(user);
  /* The genuine Host kills here; at the latest the next trap in ring 3 must. */
  hcall3(HC_SET_STACK, KERNEL_DS, BASE, 1);
  user_run(user);
}
static void stack_overrun(void) {
  /* A trap in ring 1 whose frame does not fit on the stack. */
  asm volatile("mov %0, %%esp; ud2" : : "r"(BASE));
}
static void string_beyond_memory(void) { hcall2(HC_SHUTDOWN, 0xfffffff0, SHUTDOWN_POWEROFF); }
static void notify_beyond_memory(void) { hcall1(HC_NOTIFY, 0x7ffff000); }
static void die_in_panic(void) { panic("it was all too much"); }
static void sleep_forever(void) {
  lguest_data.blocked_interrupts = ~0u;
  irq_save();
  halt();
}

/* Chains no device may follow. The console's output ring stands for all. */
static struct device console;
static struct queue *open_queue(void) {
  device_find(&console, VIRTIO_CONSOLE, 0);
  device_start(&console, 0);
  return &console.queues[1];
}
static void give(struct queue *queue, u32 head) {
  queue->avail->ring[queue->avail->index & (queue->entries - 1)] = (u16)head;
  queue->avail->index++;
  queue_kick(queue);
}
static void chain_loop(void) {
  struct queue *queue = open_queue();
  queue->desc[0] = (struct vring_desc){0x100000, 0, 4, VRING_NEXT, 1};
  queue->desc[1] = (struct vring_desc){0x100000, 0, 4, VRING_NEXT, 0};
  give(queue, 0);
}
static void chain_next_outside(void) {
  struct queue *queue = open_queue();
  queue->desc[0] = (struct vring_desc){0x100000, 0, 4, VRING_NEXT, 9999};
  give(queue, 0);
}
static void chain_head_outside(void) { give(open_queue(), 5000); }
static void chain_beyond_memory(void) {
  struct queue *queue = open_queue();
  queue->desc[0] = (struct vring_desc){0xfffff000, 0, 0x2000, 0, 0};
  give(queue, 0);
}
static void chain_high_address(void) {
  struct queue *queue = open_queue();
  queue->desc[0] = (struct vring_desc){0x100000, 1, 4, 0, 0};
  give(queue, 0);
}
static void chain_wrong_way(void) {
  struct queue *queue = open_queue();
  queue->desc[0] = (struct vring_desc){0x100000, 0, 4, VRING_WRITE, 0};
  give(queue, 0);
}
static void available_too_far(void) {
  struct queue *queue = open_queue();
  queue->avail->index = 1000;
  queue_kick(queue);
}

static const struct {
  const char *name;
  void (*die)(void);
} kinds[] = {
    {"unknown-call", unknown_call},
    {"unassigned-call", unassigned_call},
    {"huge-call", huge_call},
    {"second-init", second_init},
    {"unknown-in-ring", unknown_in_ring},
    {"init-in-ring", init_in_ring},
    {"no-gate", no_gate},
    {"bad-gate-type", bad_gate_type},
    {"bad-gate-index", bad_gate_index},
    {"bad-gdt-index", bad_gdt_index},
    {"bad-tls", bad_tls},
    {"large-page", large_page},
    {"page-beyond-memory", page_beyond_memory},
    {"table-beyond-memory", table_beyond_memory},
    {"directory-beyond-memory", directory_beyond_memory},
    {"stack-of-ring-0", stack_of_ring_0},
    {"stack-too-long", stack_too_long},
    {"stack-not-mapped", stack_not_mapped},
    {"stack-overrun", stack_overrun},
    {"string-beyond-memory", string_beyond_memory},
    {"notify-beyond-memory", notify_beyond_memory},
    {"panic", die_in_panic},
    {"sleep-forever", sleep_forever},
    {"chain-loop", chain_loop},
    {"chain-next-outside", chain_next_outside},
    {"chain-head-outside", chain_head_outside},
    {"chain-beyond-memory", chain_beyond_memory},
    {"chain-high-address", chain_high_address},
    {"chain-wrong-way", chain_wrong_way},
    {"available-too-far", available_too_far},
};

void rom_main(void) {
  const char *kind = after_prefix(command_line, "kind=");
  for (u32 i = 0; kind && i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kind, kinds[i].name)) continue;
    printf("dying by %s\n", kind);
    kinds[i].die();
    printf("FAIL %s: still alive\n", kind);
    return;
  }
  printf("FAIL no such kind\n");
}
