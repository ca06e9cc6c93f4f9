/*
 * Seven CPU benchmarks. The same file runs in ring 3 of the default guest, which serves the Linux system calls it uses,
 * and natively, for comparison:
 *
 *   gcc -m32 -O2 -nostdlib -static -fno-pie -no-pie -fno-stack-protector -ffreestanding -DNATIVE bench-programs.c -o bench
 *   ./bench [name|all] [percent]
 *
 * Where no 32-bit programs run, the native one can do without -m32.
 *
 * Each line: bench <name> iterations <n> check <hex> us <microseconds> ticks <TSC, in thousands>.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

/* As wide as an address. */
typedef unsigned long word;

#ifdef __x86_64__
static word system_call(word number, word a, word b, word c) {
  asm volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return number;
}
enum { SYS_EXIT = 60, SYS_WRITE = 1, SYS_CLOCK_GETTIME = 228, CLOCK_MONOTONIC = 1 };
#else
static word system_call(word number, word a, word b, word c) {
  asm volatile("int $0x80" : "+a"(number) : "b"(a), "c"(b), "d"(c) : "memory");
  return number;
}
enum { SYS_EXIT = 1, SYS_WRITE = 4, SYS_CLOCK_GETTIME = 265, CLOCK_MONOTONIC = 1 };
#endif

static u32 microseconds(void) {
  word time[2];
  system_call(SYS_CLOCK_GETTIME, CLOCK_MONOTONIC, (word)time, 0);
  return (u32)time[0] * 1000000 + (u32)time[1] / 1000;
}

static u64 ticks(void) {
#ifdef __x86_64__
  word low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return high << 32 | low;
#else
  u64 t;
  asm volatile("rdtsc" : "=A"(t));
  return t;
#endif
}

/* Work space of all programs; each fills what it uses. */
static u32 space[32768];

static u32 random_state;
static u32 next_random(void) { return random_state = random_state * 1664525 + 1013904223; }

static u32 sieve(u32 iterations) {
  u8 *composite = (u8 *)space;
  u32 primes = 0, limit = 65536;
  while (iterations--) {
    primes = 0;
    for (u32 i = 0; i < limit; i++) composite[i] = 0;
    for (u32 i = 2; i < limit; i++) {
      if (composite[i]) continue;
      primes++;
      for (u32 j = i + i; j < limit; j += i) composite[j] = 1;
    }
  }
  return primes;
}

static u32 crc(u32 iterations) {
  u32 *table = space, sum = 0;
  u8 *data = (u8 *)(space + 256);
  for (u32 i = 0; i < 256; i++) {
    u32 c = i;
    for (u32 k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  for (u32 i = 0; i < 65536; i++) data[i] = (u8)(i * 31 ^ i >> 8);
  while (iterations--) {
    sum = ~sum;
    for (u32 i = 0; i < 65536; i++) sum = table[(sum ^ data[i]) & 255] ^ sum >> 8;
    sum = ~sum;
  }
  return sum;
}

static void sort(int *a, int low, int high) {
  while (low < high) {
    int pivot = a[(low + high) >> 1], i = low, j = high;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) {
        int t = a[i];
        a[i++] = a[j];
        a[j--] = t;
      }
    }
    if (j - low < high - i) {
      sort(a, low, j);
      low = i;
    } else {
      sort(a, i, high);
      high = j;
    }
  }
}

static u32 qsort_(u32 iterations) {
  int *a = (int *)space;
  u32 n = 16384, sum = 0;
  random_state = 1;
  while (iterations--) {
    for (u32 i = 0; i < n; i++) a[i] = (int)next_random();
    sort(a, 0, (int)n - 1);
    for (u32 i = 1; i < n; i++)
      if (a[i - 1] > a[i]) return 0xbad;
    sum = sum * 31 + (u32)a[n / 2];
  }
  return sum;
}

/* Kept a real recursion: gcc would unroll it into something else. */
static u32 __attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) fibonacci(u32 n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static u32 fib(u32 iterations) {
  u32 sum = 0;
  while (iterations--) sum += fibonacci(22);
  return sum;
}

/* A stack machine with its program: the sum over i of (i * 3) ^ 5. */
enum { PUSH, LOAD, STORE, ADD, MUL, XOR, LESS, JUMP_IF, END };
static u32 interpret(u32 iterations) {
  static const u8 program[] = {PUSH, 0, STORE, 0, PUSH, 0,   STORE, 1, LOAD,    1, LOAD,  0, PUSH, 3, MUL, PUSH, 5, XOR, ADD, STORE, 1,
                               LOAD, 0, PUSH,  1, ADD,  STORE, 0,   LOAD, 0, PUSH, 200, LESS, JUMP_IF, 8, END};
  u32 sum = 0;
  while (iterations--) {
    u32 stack[16], variables[4], *top = stack;
    const u8 *p = program;
    for (;;) {
      switch (*p++) {
        case PUSH:
          *top++ = *p++;
          continue;
        case LOAD:
          *top++ = variables[*p++];
          continue;
        case STORE:
          variables[*p++] = *--top;
          continue;
        case ADD:
          top--;
          top[-1] += *top;
          continue;
        case MUL:
          top--;
          top[-1] *= *top;
          continue;
        case XOR:
          top--;
          top[-1] ^= *top;
          continue;
        case LESS:
          top--;
          top[-1] = top[-1] < *top;
          continue;
        case JUMP_IF:
          if (*--top)
            p = program + *p;
          else
            p++;
          continue;
      }
      break;
    }
    sum = sum * 17 + variables[1];
  }
  return sum;
}

static u32 rotate(u32 x, u32 n) { return x << n | x >> (32 - n); }

/* Shaped like a hash's compression function: adds, rotations, logic, a schedule of 64 words. */
static u32 mix(u32 iterations) {
  u32 a = 0x67452301, b = 0xefcdab89, c = 0x98badcfe, d = 0x10325476, *w = space;
  for (u32 i = 0; i < 16; i++) w[i] = i * 0x9e3779b9;
  while (iterations--) {
    for (u32 i = 16; i < 64; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (u32 i = 0; i < 64; i++) {
      u32 f = i & 16 ? (b & c) | (~b & d) : b ^ c ^ d;
      u32 t = rotate(a, 5) + f + w[i] + 0x5a827999 * (i >> 4);
      a = d;
      d = c;
      c = rotate(b, 30);
      b = t;
    }
    w[0] += a;
  }
  return a ^ b ^ c ^ d;
}

/* Three ways of copying 32 KiB: rep movsl, dwords, bytes. */
static u32 copy(u32 iterations) {
  u32 *from = space, *to = space + 8192, sum = 0;
  for (u32 i = 0; i < 8192; i++) from[i] = i * 2654435761u;
  while (iterations--) {
    u32 *s = from, *d = to, n = 8192;
    asm volatile("rep movsl" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
    for (u32 i = 0; i < 8192; i++) ((volatile u32 *)from)[i] = to[8191 - i];
    for (u32 i = 0; i < 8192; i++) ((volatile u8 *)to)[i] = (u8)from[i];
    sum = sum * 3 + to[iterations & 8191];
  }
  return sum;
}

static const struct {
  const char *name;
  u32 (*run)(u32 iterations);
  u32 iterations; /* about 100 million instructions */
} benchmarks[] = {
    {"sieve", sieve, 160}, {"crc", crc, 200},  {"qsort", qsort_, 30}, {"fib", fib, 320},
    {"interp", interpret, 4000}, {"mix", mix, 80000}, {"copy", copy, 800},
};

static char *put_text(char *p, const char *s) {
  while (*s) *p++ = *s++;
  return p;
}

static char *put_number(char *p, u32 value, u32 base) {
  char digits[10];
  u32 n = 0;
  do {
    digits[n++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (n) *p++ = digits[--n];
  return p;
}

static int same(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

/* Runs what `name` says (or "all") with `percent` of the iterations; returns how many ran. */
static u32 run_benchmarks(const char *name, u32 percent) {
  u32 ran = 0;
  for (u32 i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++) {
    if (!same(name, "all") && !same(name, benchmarks[i].name)) continue;
    u32 n = benchmarks[i].iterations * percent / 100;
    if (!n) n = 1;
    u32 start = microseconds();
    u64 start_ticks = ticks();
    u32 result = benchmarks[i].run(n);
    u32 kiloticks = (u32)((ticks() - start_ticks) >> 3) / 125, us = microseconds() - start;
    char line[160], *p = line;
    p = put_text(put_text(p, "bench "), benchmarks[i].name);
    p = put_number(put_text(p, " iterations "), n, 10);
    p = put_number(put_text(p, " check "), result, 16);
    p = put_number(put_text(p, " us "), us, 10);
    p = put_number(put_text(p, " ticks "), kiloticks, 10);
    p = put_text(p, "k\n");
    system_call(SYS_WRITE, 1, (word)line, (word)(p - line));
    ran++;
  }
  return ran;
}

/* `arguments`: "name", NUL, "percent", NUL. */
void bench_user_main(const char *name, const char *percent) {
  u32 value = 0;
  while (*percent >= '0' && *percent <= '9') value = value * 10 + (u32)(*percent++ - '0');
  u32 ran = run_benchmarks(name, value ? value : 100);
  if (!ran) {
    static const char message[] = "no such benchmark: sieve crc qsort fib interp mix copy all\n";
    system_call(SYS_WRITE, 1, (word)message, sizeof message - 1);
  }
  system_call(SYS_EXIT, ran ? 0 : 1, 0, 0);
}

#ifdef NATIVE
/* The stack at entry: argc, argv[0], ... */
#ifdef __x86_64__
asm(".globl _start\n_start: mov %rsp, %rdi\n call native_start\n");
#else
asm(".globl _start\n_start: mov %esp, %eax\n push %eax\n call native_start\n");
#endif
void native_start(word *stack) {
  word count = stack[0];
  char **arguments = (char **)(stack + 1);
  bench_user_main(count > 1 ? arguments[1] : "all", count > 2 ? arguments[2] : "100");
}
#endif
