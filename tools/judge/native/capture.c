/*
 * Executes test cases on the processor in 32-bit user mode and reports what they did (see `../wire.ts` for the stream).
 * Freestanding, so that its address space holds nothing but itself and the window that the cases use.
 */
#include "layout.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

#define SYS_EXIT 1
#define SYS_READ 3
#define SYS_WRITE 4
#define SYS_MUNMAP 91
#define SYS_SETITIMER 104
#define SYS_MODIFY_LDT 123
#define SYS_MPROTECT 125
#define SYS_SIGRETURN 173
#define SYS_SIGACTION 174
#define SYS_SIGALTSTACK 186
#define SYS_MMAP2 192
#define SYS_SET_THREAD_AREA 243

#define SIGILL 4
#define SIGTRAP 5
#define SIGBUS 7
#define SIGFPE 8
#define SIGSEGV 11
#define SIGALRM 14
#define SS_AUTODISARM 0x80000000u
#define SA_SIGINFO 0x4u
#define SA_RESTORER 0x04000000u
#define SA_ONSTACK 0x08000000u
#define SA_NODEFER 0x40000000u

static long call6(long n, long a, long b, long c, long d, long e, long f) {
  long args[2] = {n, f};
  long result;
  __asm__ volatile(
      "push %%ebp\n mov 4(%%eax), %%ebp\n mov (%%eax), %%eax\n int $0x80\n pop %%ebp"
      : "=a"(result)
      : "0"(args), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
      : "memory");
  return result;
}
#define SYS(n, a, b, c) call6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)

static void die(const char *text, int length) {
  SYS(SYS_WRITE, 2, text, length);
  SYS(SYS_EXIT, 1, 0, 0);
}
#define DIE(text) die(text "\n", sizeof(text))

void *memcpy(void *to, const void *from, u32 n) {
  void *start = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return start;
}
void *memset(void *to, int value, u32 n) {
  void *start = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return start;
}

/* Streams. */
static u8 in_buffer[1 << 16], out_buffer[1 << 16];
static u32 in_at, in_end, out_end;

static int get(void *to, u32 n) {
  u8 *p = to;
  while (n > 0) {
    if (in_at == in_end) {
      long got = SYS(SYS_READ, 0, in_buffer, sizeof in_buffer);
      if (got <= 0) return 0;
      in_at = 0;
      in_end = got;
    }
    u32 part = in_end - in_at < n ? in_end - in_at : n;
    memcpy(p, in_buffer + in_at, part);
    in_at += part;
    p += part;
    n -= part;
  }
  return 1;
}
static void flush(void) {
  u32 at = 0;
  while (at < out_end) {
    long done = SYS(SYS_WRITE, 1, out_buffer + at, out_end - at);
    if (done <= 0) DIE("capture: cannot write results");
    at += done;
  }
  out_end = 0;
}
static void put(const void *from, u32 n) {
  const u8 *p = from;
  while (n > 0) {
    if (out_end == sizeof out_buffer) flush();
    u32 part = sizeof out_buffer - out_end < n ? sizeof out_buffer - out_end : n;
    memcpy(out_buffer + out_end, p, part);
    out_end += part;
    p += part;
    n -= part;
  }
}

/* The state of a case, as on the wire. */
struct x87 {
  u16 control, status;
  u8 tags, pad[3];
  u8 st[8][10];
};
struct state {
  u32 reg[8]; /* eax ecx edx ebx esp ebp esi edi */
  u32 eflags, eip;
  u16 selector[6]; /* es cs ss ds fs gs */
  struct x87 x87;
};
struct request {
  struct state state;
  u32 loads_x87;
};
struct response {
  struct state state;
  u32 vector, error, cr2;
};

struct request request;
struct response response;
u8 fx_image[512] __attribute__((aligned(16)));
u32 far_stack[2], far_entry[2];
u32 saved_esp;
__attribute__((used)) static volatile u32 in_case, case_number, last_tick;

static u8 shadow[WINDOW_BYTES] __attribute__((aligned(16))), background[WINDOW_BYTES];

/* Loads the state and goes to its eip; comes back through `leave_case` from a signal handler. */
void enter_case(void);
void leave_case(void);
void restorer(void);
__asm__(
    ".globl enter_case\nenter_case:\n"
    "  pushal\n"
    "  mov %esp, saved_esp\n"
    "  cmpl $0, request+140\n"
    "  je 1f\n"
    "  fxrstor fx_image\n"
    "1: pushl request+32\n"
    "  movl $1, in_case\n"
    "  mov request+40, %es\n"
    "  mov request+48, %fs\n"
    "  mov request+50, %gs\n"
    "  mov request+46, %ds\n"
    "  popfl\n"
    "  mov %cs:request, %eax\n"
    "  mov %cs:request+4, %ecx\n"
    "  mov %cs:request+8, %edx\n"
    "  mov %cs:request+12, %ebx\n"
    "  mov %cs:request+20, %ebp\n"
    "  mov %cs:request+24, %esi\n"
    "  mov %cs:request+28, %edi\n"
    "  lss %cs:far_stack, %esp\n"
    "  ljmp *%cs:far_entry\n"
    ".globl leave_case\nleave_case:\n"
    "  mov saved_esp, %esp\n"
    "  pushl $0x202\n"
    "  popfl\n"
    "  popal\n"
    "  ret\n"
    ".globl restorer\nrestorer:\n"
    "  mov $173, %eax\n"
    "  int $0x80\n");

_Static_assert(__builtin_offsetof(struct request, loads_x87) == 140, "offset in enter_case");

/* What the kernel puts on the signal stack (arch/x86 uapi: asm/sigcontext.h, asm/ucontext.h). */
struct signal_context {
  u16 gs, gs_high, fs, fs_high, es, es_high, ds, ds_high;
  u32 edi, esi, ebp, esp, ebx, edx, ecx, eax, trapno, error, eip;
  u16 cs, cs_high;
  u32 eflags, esp_at_signal;
  u16 ss, ss_high;
  u8 *fpstate;
  u32 oldmask, cr2;
};
struct user_context {
  u32 flags, link, stack[3];
  struct signal_context c;
};
#define FXSAVE_OFFSET 112

static void handler(int signal, void *info, struct user_context *context) {
  struct signal_context *c = &context->c;
  (void)info;
  if (signal == SIGALRM) {
    int stuck = in_case && last_tick == case_number;
    last_tick = case_number;
    if (!stuck) return;
  } else if (!in_case) {
    DIE("capture: fault outside of a case");
  }
  in_case = 0;
  struct state *s = &response.state;
  s->reg[0] = c->eax;
  s->reg[1] = c->ecx;
  s->reg[2] = c->edx;
  s->reg[3] = c->ebx;
  s->reg[4] = c->esp_at_signal;
  s->reg[5] = c->ebp;
  s->reg[6] = c->esi;
  s->reg[7] = c->edi;
  s->eflags = c->eflags;
  s->eip = c->eip;
  s->selector[0] = c->es;
  s->selector[1] = c->cs;
  s->selector[2] = c->ss;
  s->selector[3] = c->ds;
  s->selector[4] = c->fs;
  s->selector[5] = c->gs;
  response.vector = signal == SIGALRM ? 255 : c->trapno;
  response.error = c->error;
  response.cr2 = c->cr2;
  const u8 *fx = c->fpstate + FXSAVE_OFFSET;
  memcpy(&s->x87.control, fx, 2);
  memcpy(&s->x87.status, fx + 2, 2);
  s->x87.tags = fx[4];
  for (int i = 0; i < 8; i++) memcpy(s->x87.st[i], fx + 32 + 16 * i, 10);
  leave_case();
}

static u8 signal_stack[1 << 16] __attribute__((aligned(16)));

/*
 * Each signal disarms the signal stack: else the kernel would take a case whose esp points into it by chance to run on it.
 */
static void arm_signal_stack(void) {
  static const struct {
    void *sp;
    u32 flags, size;
  } stack = {signal_stack, SS_AUTODISARM, sizeof signal_stack};
  if (SYS(SYS_SIGALTSTACK, &stack, 0, 0)) DIE("capture: sigaltstack");
}

static void set_signals(void) {
  static const u8 signals[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGALRM};
  for (u32 i = 0; i < sizeof signals; i++) {
    struct {
      void *handler;
      u32 flags;
      void *restorer;
      u32 mask[2];
    } action = {handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER, restorer, {0, 0}};
    if (call6(SYS_SIGACTION, signals[i], (long)&action, 0, 8, 0, 0)) DIE("capture: sigaction");
  }
  static const u32 every_50_ms[4] = {0, 50000, 0, 50000};
  if (SYS(SYS_SETITIMER, 0, every_50_ms, 0)) DIE("capture: setitimer");
}

struct user_desc {
  u32 entry, base, limit, flags;
};
static void set_segments(void) {
  static struct user_desc tls[] = TLS_SEGMENTS;
  for (u32 i = 0; i < sizeof tls / sizeof *tls; i++)
    if (SYS(SYS_SET_THREAD_AREA, &tls[i], 0, 0)) DIE("capture: set_thread_area");
  static struct user_desc ldt[] = LDT_SEGMENTS;
  for (u32 i = 0; i < sizeof ldt / sizeof *ldt; i++)
    if (SYS(SYS_MODIFY_LDT, 0x11, &ldt[i], sizeof ldt[i])) DIE("capture: modify_ldt");
}

extern u8 __executable_start, _end;
static void set_memory(void) {
  /* Everything but the program itself goes: the stack, the vdso. */
  u32 first = (u32)&__executable_start & -0x1000u, last = ((u32)&_end + 0xfff) & -0x1000u;
  SYS(SYS_MUNMAP, 0x10000, first - 0x10000, 0);
  SYS(SYS_MUNMAP, last, 0xffffe000u - last, 0);
  static const u32 pages[][2] = WINDOW_PAGES;
  for (u32 i = 0; i < sizeof pages / sizeof *pages; i++)
    if (call6(SYS_MMAP2, pages[i][0], pages[i][1], 7, 0x32, -1, 0) != (long)pages[i][0])
      DIE("capture: cannot map the window (it lies below vm.mmap_min_addr, or the kernel is without 32-bit support)");
}

/* A chunk of the window is one run of mapped pages; its place in the shadow follows the one before. */
static const u32 chunks[][2] = WINDOW_PAGES;
#define CHUNKS (sizeof chunks / sizeof *chunks)

static u8 *shadow_of(u32 address) {
  u32 at = 0;
  for (u32 i = 0; i < CHUNKS; i++) {
    if (address >= chunks[i][0] && address < chunks[i][0] + chunks[i][1])
      return shadow + at + (address - chunks[i][0]);
    at += chunks[i][1];
  }
  return 0;
}

static void protect(int readable_only) {
  if (SYS(SYS_MPROTECT, READ_ONLY_PAGE, 0x1000, readable_only ? 1 : 3)) DIE("capture: mprotect");
}

static void put_memory(void) {
  u32 at = 0;
  for (u32 i = 0; i < CHUNKS; i++) {
    const u32 *now = (const u32 *)chunks[i][0], *was = (const u32 *)(shadow + at);
    u32 words = chunks[i][1] / 4, k = 0;
    at += chunks[i][1];
    while (k < words) {
      if (now[k] == was[k]) {
        k++;
        continue;
      }
      u32 end = k + 1;
      while (end < words && now[end] != was[end]) end++;
      u32 header[2] = {(u32)(now + k), (end - k) * 4};
      put(header, 8);
      put(now + k, header[1]);
      k = end;
    }
  }
  static const u32 none[2] = {0, 0};
  put(none, 8);
}

static void run(void) {
  struct {
    u32 address, length;
  } patch;
  int writable = 0;
  memcpy(shadow, background, WINDOW_BYTES);
  for (;;) {
    if (!get(&patch, 8)) DIE("capture: short request");
    if (patch.length == 0) break;
    u8 *to = shadow_of(patch.address);
    if (!to || !shadow_of(patch.address + patch.length - 1)) DIE("capture: patch outside of the window");
    if (!get(to, patch.length)) DIE("capture: short request");
    if (patch.address + patch.length > READ_ONLY_PAGE) writable = 1;
  }
  u32 at = 0;
  if (writable) protect(0);
  for (u32 i = 0; i < CHUNKS; i++) {
    if (chunks[i][0] != READ_ONLY_PAGE || writable) memcpy((void *)chunks[i][0], shadow + at, chunks[i][1]);
    at += chunks[i][1];
  }
  if (writable) protect(1);
  const struct x87 *x = &request.state.x87;
  memset(fx_image, 0, sizeof fx_image);
  memcpy(fx_image, &x->control, 4);
  fx_image[4] = x->tags;
  fx_image[24] = 0x80;
  fx_image[25] = 0x1f;
  for (int i = 0; i < 8; i++) memcpy(fx_image + 32 + 16 * i, x->st[i], 10);
  far_stack[0] = request.state.reg[4];
  far_stack[1] = request.state.selector[2];
  far_entry[0] = request.state.eip;
  far_entry[1] = request.state.selector[1];
  case_number++;
  memset(&response, 0, sizeof response);
  arm_signal_stack();
  enter_case();
  put(&response, sizeof response);
  put_memory();
  if (writable) {
    protect(0);
    u32 to = 0;
    for (u32 i = 0; i < CHUNKS; i++) {
      if (chunks[i][0] == READ_ONLY_PAGE) memcpy((void *)READ_ONLY_PAGE, background + to, chunks[i][1]);
      to += chunks[i][1];
    }
    protect(1);
  }
}

__attribute__((used)) static u8 own_stack[1 << 16] __attribute__((aligned(16)));

__attribute__((used)) static void start(void) {
  set_memory();
  set_segments();
  set_signals();
  if (!get(background, WINDOW_BYTES)) DIE("capture: no background");
  u32 at = 0;
  for (u32 i = 0; i < CHUNKS; i++) {
    memcpy((void *)chunks[i][0], background + at, chunks[i][1]);
    at += chunks[i][1];
  }
  protect(1);
  while (get(&request, sizeof request)) run();
  flush();
  SYS(SYS_EXIT, 0, 0, 0);
}

__attribute__((naked)) void _start(void) {
  __asm__ volatile("lea own_stack+65536, %esp\n call start");
}
