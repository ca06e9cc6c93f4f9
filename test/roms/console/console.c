/* virtio console: a line of input is echoed, output of all sizes. */
#include "../lib/line.h"
#include "../lib/virtio.h"

void rom_main(void) {
  static char line[100];
  check("found", console_start());
  printf("say something\n");
  read_line(line, sizeof line);
  printf("you said <%s>\n", line);
  read_line(line, sizeof line);
  printf("and then <%s>\n", line);
  static char long_text[3001];
  for (u32 i = 0; i < 3000; i++) long_text[i] = i % 60 == 59 ? '\n' : (char)('a' + i % 60 % 26);
  print_sink(long_text, 3000);
  int good = 1;
  for (u32 i = 0; i < 300; i++) print_sink(".", 1);
  print_sink("\n", 1);
  check("output", good);
  check("no input is left", console_poll() < 0);
}
