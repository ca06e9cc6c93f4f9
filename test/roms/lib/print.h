/* Text: a small printf and the string functions that gcc may call for. */
#ifndef PRINT_H
#define PRINT_H
#include "lguest.h"
#include <stdarg.h>

/* Where text goes: the early console (NOTIFY) until a console driver takes over. */
extern void (*print_sink)(const char *text, u32 length);
void early_print(const char *text, u32 length);

/* %s %c %d %u %x %p %%, with 0, - and a width. */
void printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int vformat(char *out, u32 size, const char *format, va_list arguments);
int format(char *out, u32 size, const char *format, ...) __attribute__((format(printf, 3, 4)));

void *memcpy(void *to, const void *from, __SIZE_TYPE__ n);
void *memmove(void *to, const void *from, __SIZE_TYPE__ n);
void *memset(void *to, int byte, __SIZE_TYPE__ n);
int memcmp(const void *a, const void *b, __SIZE_TYPE__ n);
__SIZE_TYPE__ strlen(const char *s);
int strcmp(const char *a, const char *b);
/* The text after `prefix` in s, or 0. */
const char *after_prefix(const char *s, const char *prefix);
/* Decimal, or hexadecimal after 0x. Moves *s behind the number; no digits give 0 and leave it. */
u32 parse_number(const char **s);
/* n / d; *remainder gets the rest. d < 2^32 and the quotient may have 64 bits. */
u64 divide(u64 n, u32 d, u32 *remainder);
#endif
