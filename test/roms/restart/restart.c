/* SHUTDOWN with "restart": the machine starts again. Sector 0 of the disk counts the starts. */
#include "../lib/virtio.h"

static u32 survivor; /* must be zero again after a restart */

void rom_main(void) {
  static u8 sector[512] __attribute__((aligned(512)));
  check("disk", block_start(0) && block_request(BLOCK_IN, 0, sector, 512) == BLOCK_OK);
  check_equal("memory is as loaded", survivor, 0);
  survivor = 1;
  printf("start %u\n", sector[0] + 1u);
  if (++sector[0] < 3) {
    block_request(BLOCK_OUT, 0, sector, 512);
    restart();
  }
}
