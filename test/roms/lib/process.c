#include "process.h"

enum { SYS_EXIT = 1, SYS_WRITE = 4, SYS_GETPID = 20, SYS_CLOCK_GETTIME = 265, ENOSYS = 38, EFAULT = 14 };

static void (*timer_function)(void);
static void on_timer(void) {
  void (*f)(void) = timer_function;
  timer_function = 0;
  if (f) f();
}

void timer_once(u32 us, void (*f)(void)) {
  timer_function = f;
  set_irq_handler(0, on_timer);
  hcall1(HC_SET_CLOCKEVENT, f ? us * 1000 : 0);
}

int process_start(struct process *process, void (*entry)(u32), u32 argument) {
  memset(process, 0, sizeof *process);
  process->user = user_new(entry, argument);
  return 1;
}

void process_free(struct process *process) {
  user_free(process->user);
  process->user = 0;
}

/* Where [address, address + length) of the process stands; 0 unless it is one piece of a mapped user page. */
static void *user_bytes(struct process *process, u32 address, u32 length) {
  if (address >= PAGE_OFFSET || (address & 4095) + length > PAGE_SIZE) return 0;
  volatile u32 *pte = pte_of(process->user->directory, address);
  if (!pte || (*pte & (PTE_P | PTE_U)) != (PTE_P | PTE_U)) return 0;
  return (char *)virt_of(*pte & ~4095u) + (address & 4095);
}

void process_poke(struct process *process, u32 address, const void *data, u32 length) {
  void *to = user_bytes(process, address, length);
  if (!to) panic("process_poke: not mapped");
  memcpy(to, data, length);
}

u32 process_peek(struct process *process, u32 address) {
  u32 *from = user_bytes(process, address, 4);
  if (!from) panic("process_peek: not mapped");
  return *from;
}

static u32 system_write(struct process *process, u32 address, u32 length) {
  u32 left = length;
  while (left) {
    u32 n = PAGE_SIZE - (address & 4095);
    if (n > left) n = left;
    const char *text = user_bytes(process, address, n);
    if (!text) return (u32)-EFAULT;
    print_sink(text, n);
    address += n;
    left -= n;
  }
  return length;
}

static void serve_system_call(struct process *process) {
  struct regs *r = &process->user->regs;
  u32 number = r->eax, result = (u32)-ENOSYS;
  process->system_calls++;
  if (number == SYS_GETPID) {
    result = 1;
  } else if (number == SYS_WRITE) {
    result = system_write(process, r->ecx, r->edx);
  } else if (number == SYS_CLOCK_GETTIME) {
    u32 ns, seconds = (u32)divide(now_ns(), 1000000000, &ns), *to = user_bytes(process, r->ecx, 8);
    result = to ? 0 : (u32)-EFAULT;
    if (to) to[0] = seconds, to[1] = ns;
  } else if (number == SYS_EXIT) {
    process->state = PROCESS_EXITED;
    process->exit_code = r->ebx;
    return;
  }
  r->eax = result;
}

void process_step(struct process *process) {
  u32 vector = user_run(process->user), address = process->user->cr2;
  if (vector == SYSCALL_VECTOR) {
    serve_system_call(process);
  } else if (vector == 14 && address >= HEAP_BASE && address < HEAP_END && !(process->user->regs.error & PTE_P)) {
    process->page_faults++;
    map(process->user->directory, address & ~4095u, phys_of(page_alloc()) | PTE_P | PTE_W | PTE_U);
  } else if (vector >= 32 && vector < 64) {
    process->preemptions++;
  } else {
    process->state = PROCESS_DIED;
    process->exit_code = vector;
  }
}

int process_finish(struct process *process) {
  while (process->state == PROCESS_RUNNING) process_step(process);
  struct regs *r = &process->user->regs;
  if (process->state == PROCESS_DIED)
    printf("process died: trap %u error %x eip %08x address %08x\n", r->vector, r->error, r->eip, process->user->cr2);
  process_free(process);
  return process->state == PROCESS_EXITED && process->exit_code == 0;
}

static volatile int slice_over;
static void end_slice(void) { slice_over = 1; }

void processes_run(struct process *processes, u32 count, u32 slice_us) {
  for (u32 running = count; running;) {
    running = 0;
    for (u32 i = 0; i < count; i++) {
      if (processes[i].state != PROCESS_RUNNING) continue;
      running++;
      slice_over = 0;
      timer_once(slice_us, end_slice);
      while (processes[i].state == PROCESS_RUNNING && !slice_over) process_step(&processes[i]);
    }
  }
  timer_once(0, 0);
}
