/* The default guest: a small interactive system that shows what the machine can do. */
#ifndef DEFAULT_H
#define DEFAULT_H
#include "../lib/process.h"
#include "../lib/virtio.h"

extern int has_console, has_disk;

/* Runs benchmarks in ring 3; 1 if all went well. */
int bench_run(const char *name, u32 percent);
int page_fault_storm(u32 pages);
int modify_code(u32 times);
int system_call_storm(u32 times);
/* The self-test programme; prints TEST-OK or TEST-FAILED. */
void self_test(void);
void hex_dump(const u8 *data, u32 length, u32 address);
void print_date(u32 seconds);
/* Entry of bench-programs.c: pointers to name and percent, as text in the process. */
void bench_user_main(const char *name, const char *percent);
#endif
