#include "print.h"
#include "hypercalls.h"

void early_print(const char *text, u32 length) {
  /* The Host takes at most 16 characters a call, up to a NUL. */
  static char piece[17];
  while (length) {
    u32 n = length < 16 ? length : 16;
    memcpy(piece, text, n);
    piece[n] = 0;
    hcall1(HC_NOTIFY, (u32)piece - PAGE_OFFSET);
    text += n;
    length -= n;
  }
}

void (*print_sink)(const char *text, u32 length) = early_print;

u64 divide(u64 n, u32 d, u32 *remainder) {
  u32 high = (u32)(n >> 32), low = (u32)n, quotient_high = high / d, rest = high % d, quotient_low;
  asm("divl %4" : "=a"(quotient_low), "=d"(rest) : "0"(low), "1"(rest), "r"(d));
  if (remainder) *remainder = rest;
  return ((u64)quotient_high << 32) | quotient_low;
}

int vformat(char *out, u32 size, const char *f, va_list arguments) {
  u32 n = 0;
#define PUT(c)                          \
  do {                                  \
    char put_ = (c);                    \
    if (n + 1 < size) out[n++] = put_;  \
  } while (0)
  for (; *f; f++) {
    char digits[12], pad = ' ';
    const char *s = digits;
    u32 length, width = 0, left = 0;
    if (*f != '%') {
      PUT(*f);
      continue;
    }
    f++;
    if (*f == '-') left = 1, f++;
    if (*f == '0') pad = '0', f++;
    while (*f >= '0' && *f <= '9') width = width * 10 + (u32)(*f++ - '0');
    if (*f == 's') {
      s = va_arg(arguments, const char *);
      length = strlen(s);
    } else if (*f == 'c') {
      digits[0] = (char)va_arg(arguments, int);
      length = 1;
    } else if (*f == 'd' || *f == 'u' || *f == 'x' || *f == 'p') {
      u32 value = va_arg(arguments, u32), base = *f == 'x' || *f == 'p' ? 16 : 10, minus = 0, i = sizeof digits;
      if (*f == 'd' && (int)value < 0) minus = 1, value = -value;
      do {
        digits[--i] = "0123456789abcdef"[value % base];
        value /= base;
      } while (value);
      if (minus) digits[--i] = '-';
      s = digits + i;
      length = sizeof digits - i;
    } else {
      PUT(*f);
      continue;
    }
    for (u32 i = length; !left && i < width; i++) PUT(pad);
    for (u32 i = 0; i < length; i++) PUT(s[i]);
    for (u32 i = length; left && i < width; i++) PUT(' ');
  }
  if (size) out[n] = 0;
  return (int)n;
}

int format(char *out, u32 size, const char *f, ...) {
  va_list arguments;
  va_start(arguments, f);
  int n = vformat(out, size, f, arguments);
  va_end(arguments);
  return n;
}

void printf(const char *f, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, f);
  int n = vformat(line, sizeof line, f, arguments);
  va_end(arguments);
  print_sink(line, (u32)n);
}

void *memcpy(void *to, const void *from, __SIZE_TYPE__ n) {
  void *result = to;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return result;
}

void *memmove(void *to, const void *from, __SIZE_TYPE__ n) {
  if ((u32)to - (u32)from >= n) return memcpy(to, from, n);
  const char *source = (const char *)from + n - 1;
  char *target = (char *)to + n - 1;
  asm volatile("std; rep movsb; cld" : "+D"(target), "+S"(source), "+c"(n) : : "memory");
  return to;
}

void *memset(void *to, int byte, __SIZE_TYPE__ n) {
  void *result = to;
  asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
  return result;
}

int memcmp(const void *a, const void *b, __SIZE_TYPE__ n) {
  const u8 *x = a, *y = b;
  for (; n; n--, x++, y++)
    if (*x != *y) return *x - *y;
  return 0;
}

__SIZE_TYPE__ strlen(const char *s) {
  const char *end = s;
  while (*end) end++;
  return (u32)(end - s);
}

int strcmp(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (u8)*a - (u8)*b;
}

const char *after_prefix(const char *s, const char *prefix) {
  while (*prefix)
    if (*s++ != *prefix++) return 0;
  return s;
}

u32 parse_number(const char **s) {
  const char *p = *s;
  u32 value = 0, base = 10;
  if (p[0] == '0' && (p[1] | 0x20) == 'x') base = 16, p += 2;
  for (;; p++) {
    u32 digit = *p >= '0' && *p <= '9' ? (u32)(*p - '0') : ((u32)*p | 0x20) - 'a' + 10;
    if (digit >= base) break;
    value = value * base + digit;
  }
  *s = p;
  return value;
}
