/* Ring-3 processes with a few Linux system calls, demand paging and preemption. */
#ifndef PROCESS_H
#define PROCESS_H
#include "kernel.h"

enum { PROCESS_RUNNING, PROCESS_EXITED, PROCESS_DIED };
struct process {
  struct user *user;
  u32 state;
  u32 exit_code; /* or the vector that ended it */
  u32 system_calls, page_faults, preemptions;
};

/* Zero pages appear on first touch in here. */
#define HEAP_BASE 0x10000000
#define HEAP_END 0x20000000

int process_start(struct process *process, void (*entry)(u32), u32 argument);
/* Copies bytes to a mapped address of the process; it must not cross a page. */
void process_poke(struct process *process, u32 address, const void *data, u32 length);
u32 process_peek(struct process *process, u32 address);
/* Runs it until it traps once and serves that. */
void process_step(struct process *process);
/* Runs it to its end and frees it; 1 if it called exit(0). Says why if it died. */
int process_finish(struct process *process);
/* Runs all in turn, `slice_us` each by the timer, until all have ended; frees nothing. */
void processes_run(struct process *processes, u32 count, u32 slice_us);
void process_free(struct process *process);

/* Timer: calls `f` once, after `us`. 0 stops it. */
void timer_once(u32 us, void (*f)(void));
#endif
