/* virtio entropy. */
#include "../lib/virtio.h"

void rom_main(void) {
  static u8 a[64] __attribute__((aligned(64))), b[64] __attribute__((aligned(64)));
  u32 n = random_bytes(a, sizeof a);
  check("bytes come", n > 0 && n <= sizeof a);
  random_bytes(b, sizeof b);
  check("others the next time", memcmp(a, b, n) != 0);
  u32 bits = 0;
  for (u32 round = 0; round < 64; round++) {
    n = random_bytes(a, sizeof a);
    for (u32 i = 0; i < n; i++)
      for (u32 bit = 0; bit < 8; bit++) bits += a[i] >> bit & 1;
  }
  check("about half the bits are set", bits > 15000 && bits < 17800);
}
