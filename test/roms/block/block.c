/* virtio block. The disk has 64 sectors; byte i of sector n is (n * 7 + i) & 255. */
#include "../lib/virtio.h"

static u8 a[4096] __attribute__((aligned(4096))), b[4096] __attribute__((aligned(4096)));

static int is_pattern(const u8 *data, u32 sector) {
  for (u32 i = 0; i < 512; i++)
    if (data[i] != (u8)(sector * 7 + i)) return 0;
  return 1;
}

static struct device disk;
static u32 request(u32 type, u32 sector, const struct piece *data, u32 count) {
  static struct {
    u32 type, priority, sector, sector_high;
    u8 status;
  } r __attribute__((aligned(32)));
  struct piece pieces[10] = {{&r, 16, 0}};
  r.type = type, r.sector = sector, r.status = 0xff;
  for (u32 i = 0; i < count; i++) pieces[1 + i] = data[i];
  pieces[1 + count] = (struct piece){&r.status, 1, VRING_WRITE};
  u32 head = queue_add(&disk.queues[0], pieces, count + 2), done, used;
  queue_kick(&disk.queues[0]);
  queue_wait(&disk.queues[0], &done, &used);
  check("the chain comes back", done == head);
  return *(volatile u8 *)&r.status;
}

static void through_the_driver(void) {
  check("found", block_start(0));
  check_equal("sectors", (u32)block_sectors(), 64);
  check("read", block_request(BLOCK_IN, 5, a, 512) == BLOCK_OK && is_pattern(a, 5));
  check("read of eight", block_request(BLOCK_IN, 8, a, 4096) == BLOCK_OK && is_pattern(a, 8) && is_pattern(a + 3584, 15));
  for (u32 i = 0; i < 1024; i++) b[i] = (u8)(i * 3);
  check("write", block_request(BLOCK_OUT, 20, b, 1024) == BLOCK_OK);
  memset(a, 0, sizeof a);
  check("read back", block_request(BLOCK_IN, 19, a, 2048) == BLOCK_OK && is_pattern(a, 19) &&
                         memcmp(a + 512, b, 1024) == 0 && is_pattern(a + 1536, 22));
  check("flush", block_request(BLOCK_FLUSH, 0, 0, 0) == BLOCK_OK);
  memset(a, 0x55, sizeof a);
  check("read beyond the end", block_request(BLOCK_IN, 64, a, 512) == BLOCK_IOERR);
  check("read across the end", block_request(BLOCK_IN, 63, a, 1024) == BLOCK_IOERR);
  check("write beyond the end", block_request(BLOCK_OUT, 0xffffffff, b, 512) == BLOCK_IOERR);
  check("nothing was read", a[0] == 0x55 && a[1023] == 0x55);
  check("an unknown request", block_request(77, 0, a, 512) == BLOCK_UNSUPPORTED);
  check("and it goes on", block_request(BLOCK_IN, 63, a, 512) == BLOCK_OK && is_pattern(a, 63));
}

static void in_pieces(void) {
  device_find(&disk, VIRTIO_BLOCK, 0);
  device_start(&disk, 0);
  memset(a, 0, sizeof a);
  struct piece three[3] = {{a + 1000, 100, VRING_WRITE}, {a, 1, VRING_WRITE}, {a + 2001, 411, VRING_WRITE}};
  u32 status = request(BLOCK_IN, 3, three, 3);
  u8 sector[512];
  memcpy(sector, a + 1000, 100), sector[100] = a[0], memcpy(sector + 101, a + 2001, 411);
  check("a read in three pieces", status == BLOCK_OK && is_pattern(sector, 3));
  check("and nothing beside them", !a[999] && !a[1100] && !a[1] && !a[2000] && !a[2412]);
  /* Many requests, so that the ring is gone around. */
  int good = 1;
  struct piece one = {a, 512, VRING_WRITE};
  struct queue *queue = &disk.queues[0];
  static struct {
    u32 type, priority, sector, sector_high;
    u8 status;
  } r __attribute__((aligned(32)));
  for (u32 i = 0; i < 600; i++) {
    u32 head, used;
    r.type = BLOCK_IN, r.sector = i % 19, r.status = 0xff;
    struct piece pieces[3] = {{&r, 16, 0}, one, {&r.status, 1, VRING_WRITE}};
    queue_add(queue, pieces, 3);
    queue_kick(queue);
    queue_wait(queue, &head, &used);
    good &= *(volatile u8 *)&r.status == BLOCK_OK && used == 513 && is_pattern(a, i % 19);
  }
  check("600 requests", good);
  irq_block(queue->irq);
  u32 before = irq_counts[queue->irq];
  queue->avail->flags = 1;
  r.status = 0xff;
  struct piece pieces[3] = {{&r, 16, 0}, one, {&r.status, 1, VRING_WRITE}};
  queue_add(queue, pieces, 3);
  queue_kick(queue);
  u32 head, used;
  while (!queue_take(queue, &head, &used)) asm volatile("pause");
  set_irq_handler(queue->irq, 0);
  hcall0(HC_SEND_INTERRUPTS);
  check("no interrupt if none is wanted", irq_counts[queue->irq] == before && r.status == BLOCK_OK);
  queue->avail->flags = 0;
}

/* What the device writes over code must run at once. */
static void code_from_disk(void) {
  typedef u32 (*function)(void);
  static u8 buffer[512] __attribute__((aligned(512)));
  int good = 1;
  block_start(0);
  for (u32 round = 0; round < 20; round++) {
    memset(buffer, 0, 512);
    buffer[0] = 0xb8, buffer[1] = (u8)round, buffer[5] = 0xc3; /* mov $round, %eax; ret */
    block_request(BLOCK_OUT, 40 + (round & 1), buffer, 512);
  }
  for (u32 round = 0; round < 2000; round++) {
    block_request(BLOCK_IN, 40 + (round & 1), buffer, 512);
    good &= ((function)buffer)() == 18 + (round & 1);
  }
  check("code read over code", good);
}

void rom_main(void) {
  through_the_driver();
  in_pieces();
  code_from_disk();
}
