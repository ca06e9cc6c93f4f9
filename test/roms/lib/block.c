/* virtio block, one request at a time; virtio random numbers. */
#include "virtio.h"

static struct device disk, random_device;

int block_start(u32 index) {
  if (!device_find(&disk, VIRTIO_BLOCK, index)) return 0;
  device_start(&disk, ~0u);
  return 1;
}

u64 block_sectors(void) {
  u64 sectors;
  memcpy(&sectors, (const void *)disk.config, sizeof sectors);
  return sectors;
}

u32 block_request(u32 type, u32 sector, void *data, u32 length) {
  static struct {
    u32 type, priority, sector, sector_high;
    u8 status;
  } request __attribute__((aligned(32)));
  request.type = type;
  request.sector = sector;
  request.status = 0xff;
  struct piece pieces[3] = {{&request, 16, 0}, {data, length, type == BLOCK_IN ? VRING_WRITE : 0}};
  u32 count = 1 + (length != 0), head, used;
  pieces[count] = (struct piece){&request.status, 1, VRING_WRITE};
  queue_add(&disk.queues[0], pieces, count + 1);
  queue_kick(&disk.queues[0]);
  queue_wait(&disk.queues[0], &head, &used);
  return *(volatile u8 *)&request.status;
}

u32 random_bytes(void *data, u32 length) {
  u32 head, used;
  if (!random_device.descriptor) {
    if (!device_find(&random_device, VIRTIO_RNG, 0)) return 0;
    device_start(&random_device, 0);
  }
  struct piece piece = {data, length, VRING_WRITE};
  queue_add(&random_device.queues[0], &piece, 1);
  queue_kick(&random_device.queues[0]);
  queue_wait(&random_device.queues[0], &head, &used);
  return used;
}
