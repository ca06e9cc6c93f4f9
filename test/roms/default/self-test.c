#include "default.h"
#include "user-programs.h"

static volatile u32 ticks;
static void tick(void) { ticks++; }

static void test_timer(void) {
  u32 start = now_us();
  ticks = 0;
  for (u32 i = 1; i <= 3; i++) {
    u32 enabled = irq_save();
    timer_once(2000, tick);
    while (ticks < i) {
      halt();
      lguest_data.irq_enabled = 0;
    }
    irq_restore(enabled);
  }
  check("timer interrupts", ticks == 3);
  check("timer is not early", now_us() - start >= 6000);
}

static void test_traps(void) {
  static struct process p;
  process_start(&p, user_hypercall, HC_SHUTDOWN);
  while (p.state == PROCESS_RUNNING) process_step(&p);
  check("hypercall from ring 3 is a general protection fault",
        p.state == PROCESS_DIED && p.exit_code == 13 && p.user->regs.error == 0xfa);
  process_free(&p);
  process_start(&p, user_trespass, 1);
  while (p.state == PROCESS_RUNNING) process_step(&p);
  check("kernel memory is out of reach",
        p.state == PROCESS_DIED && p.exit_code == 14 && p.user->regs.error == 7 && p.user->cr2 == PAGE_OFFSET + 0x100000);
  process_free(&p);
}

static void test_processes(void) {
  static struct process p[3];
  u32 good = 1, preemptions = 0;
  for (u32 i = 0; i < 3; i++) process_start(&p[i], user_spin, 2000000 + i);
  processes_run(p, 3, 500);
  for (u32 i = 0; i < 3; i++) {
    good &= p[i].state == PROCESS_EXITED && p[i].exit_code == 0;
    preemptions += p[i].preemptions;
    process_free(&p[i]);
  }
  check("three processes finish", good);
  check("the timer preempts them", preemptions >= 3);
}

static void test_disk(void) {
  static u8 saved[512] __attribute__((aligned(512))), data[512] __attribute__((aligned(512)));
  u32 last = (u32)block_sectors() - 1;
  check("disk read", block_request(BLOCK_IN, last, saved, 512) == BLOCK_OK);
  for (u32 i = 0; i < 512; i++) data[i] = (u8)(i * 7);
  if (block_request(BLOCK_OUT, last, data, 512) != BLOCK_OK) {
    printf("the disk is read-only\n");
    return;
  }
  memset(data, 0, 512);
  block_request(BLOCK_IN, last, data, 512);
  u32 good = 1;
  for (u32 i = 0; i < 512; i++) good &= data[i] == (u8)(i * 7);
  check("disk write and read back", good);
  check("disk restore", block_request(BLOCK_OUT, last, saved, 512) == BLOCK_OK);
}

void self_test(void) {
  checks_failed = 0;
  test_timer();
  test_traps();
  test_processes();
  check("page-fault storm", page_fault_storm(500));
  check("system calls", system_call_storm(2000));
  check("self-modifying code", modify_code(1000));
  check("benchmarks", bench_run("all", 1));
  if (has_disk) test_disk();
  printf(checks_failed ? "TEST-FAILED\n" : "TEST-OK\n");
}
