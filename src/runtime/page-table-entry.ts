/** Bits of page table entries (Intel SDM vol. 3, tables 4-5, 4-6), and which of them an lguest guest may not have. */
export const PTE_PRESENT = 0x1;
export const PTE_WRITABLE = 0x2;
export const PTE_USER = 0x4;
export const PTE_ACCESSED = 0x20;
export const PTE_DIRTY = 0x40;
/** Directory entries: anything but P RW US A D (so no large pages) kills the guest. */
export const BAD_DIRECTORY_FLAGS = 0xf98;
/** Table entries: bit 7 kills the guest. */
export const BAD_TABLE_FLAGS = 0x80;
