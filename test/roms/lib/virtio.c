#include "virtio.h"

#define RING_BYTES(n) ((16 * (n) + 6 + 2 * (n) + 4095) & ~4095u)

static void map_device_page(u32 physical) {
  map(kernel_directory, physical + PAGE_OFFSET, (physical & ~4095u) | PTE_P | PTE_W | PTE_A | PTE_D);
}

static void queue_find(struct queue *queue, const struct device_queue *info) {
  u32 n = queue->entries = info->entries, bytes = RING_BYTES(n) + 6 + 8 * n;
  queue->irq = info->irq;
  queue->physical = info->pfn << 12;
  for (u32 offset = 0; offset < bytes; offset += PAGE_SIZE) map_device_page(queue->physical + offset);
  queue->desc = virt_of(queue->physical);
  queue->avail = virt_of(queue->physical + 16 * n);
  queue->used = virt_of(queue->physical + RING_BYTES(n));
}

int device_find(struct device *device, u32 type, u32 index) {
  u32 physical = ram_bytes;
  map_device_page(physical);
  for (;;) {
    struct device_descriptor *d = virt_of(physical);
    if (!d->type) return 0;
    struct device_queue *queues = (void *)(d + 1);
    u8 *features = (u8 *)(queues + d->queues);
    if (d->type == type && index-- == 0) {
      memset(device, 0, sizeof *device);
      device->descriptor = d;
      device->physical = physical;
      device->features = features;
      device->accepted = features + d->feature_bytes;
      device->config = features + 2 * d->feature_bytes;
      device->queue_count = d->queues < 4 ? d->queues : 4;
      for (u32 i = 0; i < device->queue_count; i++) queue_find(&device->queues[i], &queues[i]);
      return 1;
    }
    physical += sizeof *d + 8u * d->queues + 2u * d->feature_bytes + d->config_bytes;
  }
}

void device_start(struct device *device, u32 feature_mask) {
  volatile struct device_descriptor *d = device->descriptor;
  d->status = 0;
  hcall1(HC_NOTIFY, device->physical);
  for (u32 i = 0; i < device->queue_count; i++) device->queues[i].next_free = device->queues[i].last_used = 0;
  d->status |= STATUS_ACKNOWLEDGE;
  d->status |= STATUS_DRIVER;
  for (u32 i = 0; i < d->feature_bytes && i < 4; i++)
    device->accepted[i] = device->features[i] & (u8)(feature_mask >> 8 * i);
  hcall1(HC_NOTIFY, device->physical);
  d->status |= STATUS_DRIVER_OK;
}

u32 queue_add(struct queue *queue, const struct piece *pieces, u32 count) {
  u32 mask = queue->entries - 1, head = queue->next_free & mask;
  for (u32 i = 0; i < count; i++) {
    u32 at = queue->next_free++ & mask;
    queue->desc[at].address = phys_of(pieces[i].data);
    queue->desc[at].address_high = 0;
    queue->desc[at].length = pieces[i].length;
    queue->desc[at].flags = (u16)(pieces[i].flags | (i + 1 < count ? VRING_NEXT : 0));
    queue->desc[at].next = (u16)((at + 1) & mask);
  }
  queue->avail->ring[queue->avail->index & mask] = (u16)head;
  queue->avail->index++;
  return head;
}

void queue_kick(struct queue *queue) { hcall1(HC_NOTIFY, queue->physical); }

int queue_take(struct queue *queue, u32 *head, u32 *length) {
  if (queue->used->index == queue->last_used) return 0;
  u32 at = queue->last_used++ & (queue->entries - 1);
  *head = queue->used->ring[at].id;
  *length = queue->used->ring[at].length;
  return 1;
}

void queue_wait(struct queue *queue, u32 *head, u32 *length) {
  u32 enabled = irq_save();
  lguest_data.blocked_interrupts &= ~(1u << queue->irq);
  while (!queue_take(queue, head, length)) {
    halt();
    lguest_data.irq_enabled = 0;
  }
  irq_restore(enabled);
}
