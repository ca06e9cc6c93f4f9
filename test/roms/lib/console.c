/* virtio console: queue 0 input, queue 1 output. */
#include "virtio.h"

#define INPUT_BYTES 512
static struct device console;
static u8 input_buffer[64] __attribute__((aligned(64)));
static u8 input[INPUT_BYTES];
static volatile u32 input_in, input_out;

static void offer_input(void) {
  struct piece piece = {input_buffer, sizeof input_buffer, VRING_WRITE};
  queue_add(&console.queues[0], &piece, 1);
  queue_kick(&console.queues[0]);
}

static void on_input(void) {
  u32 head, length;
  while (queue_take(&console.queues[0], &head, &length)) {
    for (u32 i = 0; i < length && i < sizeof input_buffer; i++)
      if (input_in - input_out < INPUT_BYTES) input[input_in++ % INPUT_BYTES] = input_buffer[i];
    offer_input();
  }
}

static void print_to_console(const char *text, u32 length) {
  static char out[512] __attribute__((aligned(512)));
  struct queue *queue = &console.queues[1];
  u32 enabled = irq_save();
  while (length) {
    u32 n = 0, head, used;
    while (length && n + 2 <= sizeof out) {
      if (*text == '\n') out[n++] = '\r';
      out[n++] = *text++;
      length--;
    }
    struct piece piece = {out, n, 0};
    queue_add(queue, &piece, 1);
    queue_kick(queue);
    while (!queue_take(queue, &head, &used)) asm volatile("pause");
  }
  irq_restore(enabled);
}

int console_start(void) {
  if (!device_find(&console, VIRTIO_CONSOLE, 0)) return 0;
  device_start(&console, 0);
  set_irq_handler(console.queues[0].irq, on_input);
  offer_input();
  console.queues[1].avail->flags = 1; /* output is polled: no interrupts */
  print_sink = print_to_console;
  return 1;
}

int console_poll(void) {
  if (input_in == input_out) return -1;
  return input[input_out++ % INPUT_BYTES];
}

int console_read(void) {
  int c;
  u32 enabled = irq_save();
  while ((c = console_poll()) < 0) {
    halt();
    lguest_data.irq_enabled = 0;
  }
  irq_restore(enabled);
  return c;
}
