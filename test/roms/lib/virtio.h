/* The lguest device bus and its split virtqueues; drivers for console, block and random devices. */
#ifndef VIRTIO_H
#define VIRTIO_H
#include "kernel.h"

struct queue {
  u32 entries, irq, physical;
  volatile struct vring_desc *desc;
  volatile struct vring_avail *avail;
  volatile struct vring_used *used;
  u16 next_free, last_used;
};

struct device {
  volatile struct device_descriptor *descriptor;
  u32 physical; /* of the descriptor: what status NOTIFYs name */
  u32 queue_count;
  struct queue queues[4];
  volatile u8 *features, *accepted, *config;
};

/* One piece of a request. */
struct piece {
  void *data; /* in the kernel's mapping of RAM */
  u32 length;
  u32 flags; /* VRING_WRITE if the device writes it */
};

/* Finds the index'th device with the virtio id `type`; 0 if there is none. Maps what it needs. */
int device_find(struct device *device, u32 type, u32 index);
/* Reset, features (those in the mask), queues, DRIVER_OK. */
void device_start(struct device *device, u32 feature_mask);
/* Puts a chain into the ring (no NOTIFY); returns its head. At most `entries` descriptors may be in flight. */
u32 queue_add(struct queue *queue, const struct piece *pieces, u32 count);
void queue_kick(struct queue *queue);
/* 1 if the device has used a chain: its head and length. */
int queue_take(struct queue *queue, u32 *head, u32 *length);
/* Sleeps until a chain was used. */
void queue_wait(struct queue *queue, u32 *head, u32 *length);

/* Console. After console_start, printf goes there; \n is sent as \r\n. 0 if there is no console. */
int console_start(void);
/* The next input byte, or -1. */
int console_poll(void);
/* Sleeps for input. */
int console_read(void);

/* Block. */
int block_start(u32 index);
u64 block_sectors(void);
enum { BLOCK_IN = 0, BLOCK_OUT = 1, BLOCK_FLUSH = 4 };
enum { BLOCK_OK = 0, BLOCK_IOERR = 1, BLOCK_UNSUPPORTED = 2 };
/* Returns the status byte. */
u32 block_request(u32 type, u32 sector, void *data, u32 length);

/* Random numbers: bytes written, 0 without a device. */
u32 random_bytes(void *data, u32 length);
#endif
