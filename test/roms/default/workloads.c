/* Work in ring 3 that the shell and the self-test start. */
#include "default.h"
#include "user-programs.h"

static u32 elapsed(u32 since) { return now_us() - since; }

int bench_run(const char *name, u32 percent) {
  static struct process p;
  char text[16];
  u32 top = USER_STACK_TOP;
  process_start(&p, 0, 0);
  p.user->regs.eip = (u32)bench_user_main;
  /* Its two arguments stand above the return address: at esp + 4 and + 8. */
  u32 second = top - 32;
  format(text, sizeof text, "%s", name);
  process_poke(&p, top - 64, text, sizeof text);
  format(text, sizeof text, "%u", percent);
  process_poke(&p, second, text, sizeof text);
  u32 frame[3] = {0, top - 64, second};
  p.user->regs.esp = top - 80;
  process_poke(&p, top - 80, frame, sizeof frame);
  return process_finish(&p);
}

int page_fault_storm(u32 pages) {
  static struct process p;
  u32 start = now_us();
  process_start(&p, user_touch, pages);
  while (p.state == PROCESS_RUNNING) process_step(&p);
  u32 faults = p.page_faults;
  int good = process_finish(&p) && faults == pages;
  printf("pfstorm: %u faults, %u us, %s\n", faults, elapsed(start), good ? "right" : "WRONG");
  return good;
}

int modify_code(u32 times) {
  static struct process p;
  u32 start = now_us();
  process_start(&p, user_modify, times);
  int good = process_finish(&p);
  printf("smc: %u rewrites, %u us, %s\n", times, elapsed(start), good ? "right" : "STALE");
  return good;
}

int system_call_storm(u32 times) {
  static struct process p;
  u32 start = now_us();
  process_start(&p, user_getpid, times);
  while (p.state == PROCESS_RUNNING) process_step(&p);
  int good = p.system_calls == times + 1;
  good &= process_finish(&p);
  printf("syscalls: %u calls, %u us, %s\n", times, elapsed(start), good ? "right" : "WRONG");
  return good;
}
