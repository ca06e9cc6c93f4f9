#include "line.h"
#include "virtio.h"

void read_line(char *line, u32 size) {
  u32 n = 0, escape = 0;
  for (;;) {
    char c = (char)console_read();
    if (escape) { /* cursor keys and the like: ESC [ … letter */
      escape = escape == 1 && c == '[' ? 2 : escape == 2 && (c < '@' || c > '~') ? 2 : 0;
    } else if (c == 27) {
      escape = 1;
    } else if (c == '\r' || c == '\n') {
      printf("\n");
      break;
    } else if (c == 3) {
      printf("^C\n");
      n = 0;
      break;
    } else if ((c == 8 || c == 127) && n) {
      n--;
      printf("\b \b");
    } else if (c == 21) {
      for (; n; n--) printf("\b \b");
    } else if (c >= ' ' && c < 127 && n + 1 < size) {
      line[n++] = c;
      printf("%c", c);
    }
  }
  line[n] = 0;
}
