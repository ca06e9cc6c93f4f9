/* What runs in ring 3. `argument` as given to process_start. */
#ifndef USER_PROGRAMS_H
#define USER_PROGRAMS_H
#include "../lib/lguest.h"

/* system calls: getpid `argument` times. */
void user_getpid(u32 argument);
/* Touches `argument` fresh pages. */
void user_touch(u32 argument);
/* Rewrites an instruction `argument` times and runs it each time; exits with 0 if all results were right. */
void user_modify(u32 argument);
/* Computes for a while and exits with 0 if the result, `argument` rounds, is right. */
void user_spin(u32 argument);
/* Issues a hypercall, which ring 3 may not. */
void user_hypercall(u32 argument);
/* Writes to the kernel. */
void user_trespass(u32 argument);
#endif
