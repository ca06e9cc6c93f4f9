/*
 * The lguest guest interface of Linux 3.10 as our own guests use it: call numbers, selectors, and the layouts that the
 * guest shares with the Host and with the Launcher's devices. Usable from C and from assembly.
 */
#ifndef LGUEST_H
#define LGUEST_H

/* Hypercalls: int $0x1f, number in eax, arguments in ebx, ecx, edx, esi. */
#define HC_FLUSH_ASYNC 0
#define HC_INIT 1
#define HC_SHUTDOWN 2
#define HC_NEW_PGTABLE 4
#define HC_FLUSH_TLB 5
#define HC_LOAD_IDT_ENTRY 6
#define HC_SET_STACK 7
#define HC_TS 8
#define HC_SET_CLOCKEVENT 9
#define HC_HALT 10
#define HC_SET_PMD 13
#define HC_SET_PTE 14
#define HC_SET_PGD 15
#define HC_LOAD_TLS 16
#define HC_NOTIFY 17
#define HC_LOAD_GDT_ENTRY 18
#define HC_SEND_INTERRUPTS 19

#define SHUTDOWN_POWEROFF 1
#define SHUTDOWN_RESTART 2

#define KERNEL_CS 0x61
#define KERNEL_DS 0x69
#define USER_CS 0x73
#define USER_DS 0x7b

/* The kernel is linked here; physical address + PAGE_OFFSET = virtual address. */
#define PAGE_OFFSET 0xc0000000
#define PAGE_SIZE 4096
#define SYSCALL_VECTOR 0x80

#define PTE_P 0x001
#define PTE_W 0x002
#define PTE_U 0x004
#define PTE_A 0x020
#define PTE_D 0x040
#define PTE_PSE 0x080

#define FLAG_CF 0x0001
#define FLAG_PF 0x0004
#define FLAG_AF 0x0010
#define FLAG_ZF 0x0040
#define FLAG_SF 0x0080
#define FLAG_TF 0x0100
#define FLAG_IF 0x0200
#define FLAG_DF 0x0400
#define FLAG_OF 0x0800
#define FLAG_NT 0x4000

/* Where the Launcher leaves its parameters in physical memory. */
#define BOOT_E820_SIZE 0x2d8
#define BOOT_CMD_LINE_PTR 0x228
#define BOOT_RAMDISK_IMAGE 0x218
#define BOOT_RAMDISK_SIZE 0x21c

#ifndef __ASSEMBLER__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define RING_SLOTS 64
#define SLOT_FREE 0xff
#define SLOT_READY 0

/* The page shared with the Host. */
struct lguest_data {
  volatile u32 irq_enabled; /* bit 9 counts, as in EFLAGS */
  volatile u32 blocked_interrupts;
  volatile u32 cr2;
  volatile u32 time_sec, time_nsec;
  volatile u32 irq_pending;
  volatile u8 hcall_status[RING_SLOTS];
  struct {
    volatile u32 number, arg1, arg2, arg3, arg4;
  } hcalls[RING_SLOTS];
  volatile u32 reserve_mem;
  volatile u32 tsc_khz;
  u32 noirq_start, noirq_end; /* no interrupt is delivered while eip is in here */
  u32 kernel_address;
  u32 syscall_vec;
};

/* Device bus: a descriptor is followed by its queues, features offered, features accepted and config, unaligned. */
struct device_descriptor {
  u8 type; /* virtio id; 0 ends the list */
  u8 queues;
  u8 feature_bytes;
  u8 config_bytes;
  u8 status;
} __attribute__((packed));

struct device_queue {
  u16 entries;
  u16 irq;
  u32 pfn;
} __attribute__((packed));

#define VIRTIO_NET 1
#define VIRTIO_BLOCK 2
#define VIRTIO_CONSOLE 3
#define VIRTIO_RNG 4

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FAILED 0x80

/* Split virtqueue (virtio 1.0, 2.4, legacy layout: used ring at the next multiple of 4096). */
#define VRING_NEXT 1
#define VRING_WRITE 2
struct vring_desc {
  volatile u32 address, address_high;
  volatile u32 length;
  volatile u16 flags;
  volatile u16 next;
};
struct vring_avail {
  volatile u16 flags;
  volatile u16 index;
  volatile u16 ring[];
};
struct vring_used {
  volatile u16 flags;
  volatile u16 index;
  struct {
    volatile u32 id, length;
  } ring[];
};
#endif
#endif
