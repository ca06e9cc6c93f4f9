#include "default.h"
#include "../lib/line.h"

int has_console, has_disk;

void hex_dump(const u8 *data, u32 length, u32 address) {
  u32 starred = 0;
  for (u32 at = 0; at < length; at += 16) {
    /* Full lines that repeat the one before become one star; the last is always shown. */
    if (at && at + 16 < length && memcmp(data + at, data + at - 16, 16) == 0) {
      if (!starred++) printf("*\n");
      continue;
    }
    starred = 0;
    char line[80];
    u32 n = (u32)format(line, sizeof line, "%08x ", address + at);
    for (u32 i = 0; i < 16; i++)
      n += (u32)(at + i < length ? format(line + n, sizeof line - n, " %02x", data[at + i])
                                 : format(line + n, sizeof line - n, "   "));
    n += (u32)format(line + n, sizeof line - n, "  ");
    for (u32 i = 0; i < 16 && at + i < length; i++)
      line[n++] = data[at + i] >= 32 && data[at + i] < 127 ? (char)data[at + i] : '.';
    line[n] = 0;
    printf("%s\n", line);
  }
}

/* Civil date of a number of seconds since 1970 (Gregorian, years as March to February). */
void print_date(u32 seconds) {
  u32 days = seconds / 86400 + 719468, second = seconds % 86400;
  u32 era = days / 146097, day = days % 146097;
  u32 year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  u32 in_year = day - (365 * year + year / 4 - year / 100), month = (5 * in_year + 2) / 153;
  u32 date = in_year - (153 * month + 2) / 5 + 1;
  month = month < 10 ? month + 3 : month - 9;
  printf("%04u-%02u-%02u %02u:%02u:%02u UTC\n", year + era * 400 + (month <= 2), month, date, second / 3600,
         second / 60 % 60, second % 60);
}

/* ---- Commands: `rest` is what follows the name, without leading blanks. */

static const char *skip_blanks(const char *s) {
  while (*s == ' ') s++;
  return s;
}

static u32 number_or(const char **rest, u32 otherwise) {
  const char *start = *rest = skip_blanks(*rest);
  u32 value = parse_number(rest);
  return *rest == start ? otherwise : value;
}

static void do_echo(const char *rest) { printf("%s\n", rest); }

static void do_mem(const char *rest) {
  if (!*rest) {
    printf("%u MiB of RAM. mem ADDRESS [LENGTH] shows physical memory.\n", ram_bytes >> 20);
    return;
  }
  u32 address = number_or(&rest, 0), length = number_or(&rest, 64);
  if (address >= ram_bytes || length > ram_bytes - address) {
    printf("There is no memory from 0x%x to 0x%x.\n", address, address + length);
    return;
  }
  hex_dump(virt_of(address), length, address);
}

static void do_disk(const char *rest) {
  static u8 sector[512] __attribute__((aligned(512)));
  if (!has_disk) {
    printf("There is no disk. Start with --block=FILE to have one.\n");
    return;
  }
  if (!*rest) {
    printf("%u sectors. disk SECTOR shows one, disk write SECTOR TEXT writes one.\n", (u32)block_sectors());
    return;
  }
  const char *writing = after_prefix(rest, "write ");
  if (writing) rest = writing;
  u32 number = number_or(&rest, 0), status;
  if (writing) {
    memset(sector, 0, 512);
    format((char *)sector, 512, "%s", skip_blanks(rest));
    status = block_request(BLOCK_OUT, number, sector, 512);
  } else {
    status = block_request(BLOCK_IN, number, sector, 512);
  }
  if (status != BLOCK_OK)
    printf("sector %u: %s\n", number, status == BLOCK_IOERR ? "input/output error" : "not supported");
  else if (writing)
    printf("sector %u written\n", number);
  else
    hex_dump(sector, 512, number * 512);
}

static void cpuid(u32 leaf, u32 out[4]) {
  asm volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "0"(leaf), "2"(0));
}

static void do_cpuid(const char *rest) {
  u32 leaf[4], max;
  (void)rest;
  cpuid(0, leaf);
  max = leaf[0];
  u32 vendor[4] = {leaf[1], leaf[3], leaf[2], 0};
  printf("vendor %s\n", (char *)vendor);
  for (u32 i = 0; i <= max && i < 16; i++) {
    cpuid(i, leaf);
    printf("%08x: eax %08x ebx %08x ecx %08x edx %08x\n", i, leaf[0], leaf[1], leaf[2], leaf[3]);
  }
}

static void do_bench(const char *rest) {
  char name[16];
  u32 n = 0;
  for (; *rest && *rest != ' '; rest++)
    if (n < sizeof name - 1) name[n++] = *rest;
  name[n] = 0;
  bench_run(n ? name : "all", number_or(&rest, 100));
}

static void do_pfstorm(const char *rest) {
  u32 pages = number_or(&rest, 1000), most = (ram_bytes >> 12) / 2;
  page_fault_storm(pages < most ? pages : most);
}
static void do_smc(const char *rest) { modify_code(number_or(&rest, 10000)); }
static void do_syscalls(const char *rest) { system_call_storm(number_or(&rest, 100000)); }

static u64 started_ns;
static void do_uptime(const char *rest) {
  u32 ms;
  (void)rest;
  u32 seconds = (u32)divide(divide(now_ns() - started_ns, 1000000, 0), 1000, &ms);
  printf("up %u.%03u s\n", seconds, ms);
}

static void do_date(const char *rest) {
  (void)rest;
  /* The Host refreshes the time with each interrupt. */
  print_date(lguest_data.time_sec);
}

static void do_irqs(const char *rest) {
  (void)rest;
  for (u32 i = 0; i < 32; i++)
    if (irq_counts[i]) printf("irq %u: %u%s\n", i, irq_counts[i], i == 0 ? " (timer)" : "");
  printf("blocked %08x pending %x\n", lguest_data.blocked_interrupts, lguest_data.irq_pending);
}

static void do_random(const char *rest) {
  static u8 bytes[32] __attribute__((aligned(32)));
  (void)rest;
  u32 n = random_bytes(bytes, sizeof bytes);
  if (n)
    hex_dump(bytes, n, 0);
  else
    printf("There is no random number device. Start with --rng to have one.\n");
}

static volatile int slept;
static void wake(void) { slept = 1; }
static void do_sleep(const char *rest) {
  u32 ms = number_or(&rest, 1000), enabled = irq_save();
  slept = 0;
  timer_once((ms < 4000 ? ms : 4000) * 1000, wake);
  while (!slept) {
    halt();
    lguest_data.irq_enabled = 0;
  }
  irq_restore(enabled);
}

static void do_test(const char *rest) {
  (void)rest;
  self_test();
}
static void do_reboot(const char *rest) {
  (void)rest;
  restart();
}
static void do_poweroff(const char *rest) {
  (void)rest;
  power_off();
}
static void do_panic(const char *rest) { panic(*rest ? rest : "panic as asked"); }
static void do_crash(const char *rest) {
  (void)rest;
  printf("a division by zero without a gate\n");
  set_gate(0, GATE_INTERRUPT, 0, 0);
  asm volatile("divl %0" : : "r"(0), "a"(1), "d"(0));
}
static void do_help(const char *rest);

static const struct {
  const char *name, *arguments, *meaning;
  void (*run)(const char *rest);
} commands[] = {
    {"help", "", "this list", do_help},
    {"bench", "[NAME [PERCENT]]", "CPU benchmarks: sieve crc qsort fib interp mix copy", do_bench},
    {"pfstorm", "[PAGES]", "page faults in ring 3", do_pfstorm},
    {"smc", "[TIMES]", "code that rewrites itself", do_smc},
    {"syscalls", "[TIMES]", "system calls from ring 3", do_syscalls},
    {"test", "", "the self-test programme", do_test},
    {"mem", "[ADDRESS [LENGTH]]", "physical memory", do_mem},
    {"disk", "[[write] SECTOR [TEXT]]", "the block device", do_disk},
    {"random", "", "bytes from the random number device", do_random},
    {"cpuid", "", "what the CPU says it is", do_cpuid},
    {"irqs", "", "interrupts so far", do_irqs},
    {"uptime", "", "time since the start", do_uptime},
    {"date", "", "wall clock", do_date},
    {"sleep", "[MILLISECONDS]", "sleep until the timer fires", do_sleep},
    {"echo", "TEXT", "print it", do_echo},
    {"reboot", "", "restart the machine", do_reboot},
    {"poweroff", "", "switch it off", do_poweroff},
    {"panic", "[TEXT]", "die as a kernel panic does", do_panic},
    {"crash", "", "die by an unhandled trap", do_crash},
};

static void do_help(const char *rest) {
  (void)rest;
  for (u32 i = 0; i < sizeof commands / sizeof *commands; i++) {
    char usage[40];
    format(usage, sizeof usage, "%s %s", commands[i].name, commands[i].arguments);
    printf("  %-32s %s\n", usage, commands[i].meaning);
  }
}

static void run_command(const char *line) {
  line = skip_blanks(line);
  if (!*line) return;
  for (u32 i = 0; i < sizeof commands / sizeof *commands; i++) {
    const char *rest = after_prefix(line, commands[i].name);
    if (rest && (*rest == ' ' || !*rest)) {
      commands[i].run(skip_blanks(rest));
      return;
    }
  }
  printf("No such command: %s. Try help.\n", line);
}

/* run=command;command on the kernel command line; _ stands for a blank, since blanks end the word. */
static void run_boot_commands(void) {
  const char *p = command_line;
  const char *found = 0;
  for (; *p && !found; p++)
    if (p == command_line || p[-1] == ' ') found = after_prefix(p, "run=");
  while (found && *found && *found != ' ') {
    char line[128];
    u32 n = 0;
    for (; *found && *found != ' ' && *found != ';'; found++)
      if (n + 1 < sizeof line) line[n++] = *found == '_' ? ' ' : *found;
    line[n] = 0;
    if (*found == ';') found++;
    printf("lguest> %s\n", line);
    run_command(line);
  }
}

void rom_main(void) {
  static char line[128];
  started_ns = now_ns();
  has_console = console_start();
  has_disk = block_start(0);
  printf("\nDefault guest: %u MiB of RAM, %s, %s. Type help for the commands.\n", ram_bytes >> 20,
         has_console ? "console" : "no console", has_disk ? "disk" : "no disk");
  run_boot_commands();
  if (!has_console) {
    printf("Without a console there is nobody to talk to.\n");
    return;
  }
  for (;;) {
    printf("lguest> ");
    read_line(line, sizeof line);
    run_command(line);
  }
}
