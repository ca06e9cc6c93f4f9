/* Virtual interrupts: the timer, masking, when they are delivered and when not, HALT. */
#include "../lib/process.h"

static volatile u32 ticks;
static void tick(void) { ticks++; }
static void spin_us(u32 us) {
  u32 start = now_us();
  while (now_us() - start < us) continue;
}
/* Spins until the counter has the value, or long enough to call it missing. */
static void spin_until(volatile u32 *counter, u32 value) {
  u32 start = now_us();
  while (*counter < value && now_us() - start < 100000) continue;
}
static void sleep_until(volatile u32 *counter, u32 value) {
  u32 enabled = irq_save();
  while (*counter < value) {
    halt();
    lguest_data.irq_enabled = 0;
  }
  irq_restore(enabled);
}

static void timer(void) {
  u32 start = now_us();
  timer_once(500, tick);
  sleep_until(&ticks, 1);
  check("HALT ends with the timer", ticks == 1);
  check("not early", now_us() - start >= 500);
  spin_us(1000);
  check_equal("it fires once", ticks, 1);
  timer_once(500, tick);
  timer_once(0, 0);
  spin_us(1000);
  check_equal("0 takes it back", ticks, 1);
  timer_once(50000, tick);
  start = now_us();
  timer_once(500, tick);
  sleep_until(&ticks, 2);
  check("a second call replaces the first", now_us() - start < 50000);
  hcall1(HC_SET_CLOCKEVENT, 0);
  ticks = 0;
  timer_once(500, tick);
  spin_until(&ticks, 1);
  check_equal("it interrupts a running guest", ticks, 1);
  hcall1(HC_SET_CLOCKEVENT, 1); /* below the least: as soon as can be */
  ticks = 0;
  timer_once(1, tick);
  sleep_until(&ticks, 1);
  check_equal("a very short one", ticks, 1);
}

static void masking(void) {
  ticks = 0;
  u32 was = irq_save();
  timer_once(500, tick);
  spin_us(1000);
  check_equal("held back while interrupts are off", ticks, 0);
  spin_until(&lguest_data.irq_pending, FLAG_IF);
  check_equal("irq_pending tells", lguest_data.irq_pending & FLAG_IF, FLAG_IF);
  irq_restore(was);
  spin_until(&ticks, 1);
  check_equal("SEND_INTERRUPTS delivers it", ticks, 1);
  check_equal("irq_pending is taken back", lguest_data.irq_pending, 0);

  irq_save();
  timer_once(500, tick);
  spin_until(&lguest_data.irq_pending, FLAG_IF);
  /* As Linux's irq_enable: a plain store, and no call. */
  lguest_data.irq_enabled = FLAG_IF;
  for (u32 i = 0; i < 100000 && ticks == 1; i++) asm volatile("" : : : "memory");
  check_equal("enabled by a plain store: it comes soon", ticks, 2);

  irq_block(0);
  u32 before = irq_counts[0];
  hcall1(HC_SET_CLOCKEVENT, 500 * 1000);
  spin_us(1000);
  check_equal("blocked", irq_counts[0], before);
  set_irq_handler(0, tick);
  hcall0(HC_SEND_INTERRUPTS);
  spin_until(&irq_counts[0], before + 1);
  check_equal("unblocked: it comes", irq_counts[0], before + 1);

  was = irq_save();
  ticks = 0;
  set_irq_handler(0, tick);
  hcall1(HC_SET_CLOCKEVENT, 500 * 1000);
  halt();
  check("HALT with interrupts off still wakes", ticks == 1);
  check("and turns them on", (lguest_data.irq_enabled & FLAG_IF) != 0);
  lguest_data.irq_enabled = 0;
  hcall1(HC_SET_CLOCKEVENT, 500 * 1000);
  spin_until(&lguest_data.irq_pending, FLAG_IF);
  halt();
  check_equal("HALT with something pending does not sleep", ticks, 2);
  irq_restore(was);
}

static void during_work(void) {
  /* A value of irq_enabled that has other bits than IF, as Linux stores whole flag words. */
  ticks = 0;
  set_irq_handler(0, tick);
  lguest_data.irq_enabled = 0x46;
  hcall1(HC_SET_CLOCKEVENT, 500 * 1000);
  spin_us(1000);
  check_equal("flags without IF are off", ticks, 0);
  lguest_data.irq_enabled = 0x296;
  spin_until(&ticks, 1);
  check_equal("flags with IF are on", ticks, 1);

  /* Registers and string instructions survive any number of interrupts. */
  static u8 from[4096], to[4096];
  for (u32 i = 0; i < sizeof from; i++) from[i] = (u8)(i * 13);
  u32 good = 1, start = irq_counts[0];
  for (u32 round = 0; round < 300; round++) {
    hcall1(HC_SET_CLOCKEVENT, 5000);
    memset(to, 0, sizeof to);
    u32 a = 1, b = 2, c = 3, d = 4, left = sizeof from;
    const u8 *source = from;
    u8 *target = to;
    asm volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(left) : : "memory");
    for (u32 i = 0; i < 500; i++) asm volatile("add $1, %0; add $2, %1; add $3, %2; add $4, %3" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    good &= a == 501 && b == 1002 && c == 1503 && d == 2004 && left == 0;
    good &= memcmp(from, to, sizeof from) == 0;
  }
  check("300 rounds of work under interrupts", good);
  check("there were interrupts", irq_counts[0] - start > 100);
  hcall1(HC_SET_CLOCKEVENT, 0);
}

static void wall_clock(void) {
  u32 seconds = lguest_data.time_sec;
  u64 before = (u64)seconds * 1000000000 + lguest_data.time_nsec;
  ticks = 0;
  set_irq_handler(0, tick);
  hcall1(HC_SET_CLOCKEVENT, 1000 * 1000);
  sleep_until(&ticks, 1);
  u64 after = (u64)lguest_data.time_sec * 1000000000 + lguest_data.time_nsec;
  check("each interrupt refreshes the wall clock", after - before >= 500000);
  check("nanoseconds are below a second", lguest_data.time_nsec < 1000000000);
  u64 first = rdtsc();
  u32 grows = 1;
  for (u32 i = 0; i < 1000; i++) {
    u64 next = rdtsc();
    grows &= next >= first;
    first = next;
  }
  check("the time-stamp counter never goes back", grows);
}

void rom_main(void) {
  timer();
  masking();
  during_work();
  wall_clock();
}
