/**
 * No engine runs bytes that were overwritten by anybody else than its own stores, or that are mapped no more: by the
 * Host, by devices, by remapping, by page walks.
 */
import { LEAVE } from '../frontend-x86/leave.js';
import {
  ADD_EAX,
  ALIAS,
  CALL,
  CODE,
  COPY,
  DATA,
  DIRECTORY,
  DRIVER,
  dword,
  Guest,
  HEAT,
  JMP,
  JZ,
  KINDS,
  MOV_EAX,
  NEW,
  NOP,
  OLD,
  OTHER_DIRECTORY,
  OTHER_TABLE,
  PAGE,
  PRESENT_WRITABLE,
  RET,
  STORE,
  TABLE,
  TEST_EBX,
} from './testing/code-guest.js';

describe.each(KINDS)('%s:', (kind) => {
  const CALLED = [...MOV_EAX(OLD), ...RET];
  function translated(code: readonly number[] = CALLED): Guest {
    const guest = new Guest(kind);
    guest.put(CODE, code);
    expect(guest.heat()).toBe(OLD);
    return guest;
  }

  test('a Host write of a dword', () => {
    const guest = translated();
    guest.engine.memory.write32(CODE + 1, NEW);
    expect(guest.call(1)).toBe(NEW);
  });

  test('a Host write of a byte, of a word, of bytes on two pages', () => {
    const guest = translated();
    guest.engine.memory.write8(CODE + 1, 0x33);
    expect(guest.heat()).toBe(0x11111133);
    guest.engine.memory.write16(CODE + 3, 0x4444);
    expect(guest.heat()).toBe(0x44441133);
    guest.engine.memory.write(CODE - 100, new Uint8Array(104).fill(0x90));
    guest.engine.memory.write(CODE, Uint8Array.from([...MOV_EAX(NEW), ...RET]));
    expect(guest.call(1)).toBe(NEW);
  });

  test('DMA into a view', () => {
    const guest = translated();
    const target = guest.engine.memory.writable(CODE - 8, 64);
    target.set(MOV_EAX(NEW), 8);
    guest.engine.memory.written(CODE - 8, 64);
    expect(guest.call(1)).toBe(NEW);
  });

  test('a Host write while the run is cut inside the block, as of an interrupt frame', () => {
    const guest = translated([...NOP, ...NOP, ...NOP, ...MOV_EAX(OLD), ...RET]);
    const { engine } = guest;
    engine.cpu.setReg(1, 1);
    engine.cpu.eip = DRIVER;
    // The call and two of the nops.
    expect(engine.run(3)).toBe(LEAVE.budget);
    expect(engine.cpu.eip).toBe(CODE + 2);
    engine.memory.write32(CODE + 4, NEW);
    guest.finish();
    expect(engine.cpu.reg(0)).toBe(NEW);
  });

  test('any budget gives the same', () => {
    const guest = translated([...STORE, ...MOV_EAX(OLD), ...RET]);
    const { engine } = guest;
    for (let budget = 1; budget < 9; budget++) {
      guest.put(CODE, [...STORE, ...MOV_EAX(OLD), ...RET]);
      expect(guest.call(50)).toBe(OLD);
      engine.cpu.setReg(1, 1);
      engine.cpu.setReg(2, CODE + 3);
      engine.cpu.setReg(3, NEW);
      engine.cpu.eip = DRIVER;
      let reason: number = LEAVE.budget;
      while (reason === LEAVE.budget) reason = engine.run(budget);
      expect(reason).toBe(LEAVE.int);
      expect(engine.cpu.reg(0)).toBe(NEW);
    }
  });

  test('remapping the page of the code', () => {
    const guest = new Guest(kind);
    guest.paging();
    guest.put(CODE, CALLED);
    guest.put(COPY, [...MOV_EAX(NEW), ...RET]);
    expect(guest.heat()).toBe(OLD);
    guest.map(CODE, COPY);
    expect(guest.heat()).toBe(NEW);
    guest.map(CODE, CODE);
    expect(guest.call(1)).toBe(OLD);
  });

  test('remapping the second page of an instruction on two, and of code that runs on', () => {
    for (const at of [CODE + PAGE - 2, CODE + PAGE - 8]) {
      const guest = new Guest(kind);
      guest.paging();
      guest.put(CODE, JMP(CODE, at));
      const filling = Array.from({ length: CODE + PAGE - 2 - at }, () => 0x90);
      if (at === CODE + PAGE - 2) guest.put(at, CALLED);
      else guest.put(at, [...filling, 0x90, 0x90, ...CALLED]);
      const rest = at === CODE + PAGE - 2 ? CALLED.slice(2) : CALLED;
      guest.put(CODE + PAGE, rest);
      guest.put(COPY, at === CODE + PAGE - 2 ? [0x22, 0x22, 0x22, 0xc3] : [...MOV_EAX(NEW), ...RET]);
      expect(guest.heat()).toBe(OLD);
      guest.map(CODE + PAGE, COPY);
      expect(guest.heat()).toBe(at === CODE + PAGE - 2 ? 0x22222211 : NEW);
      guest.map(CODE + PAGE, CODE + PAGE);
      expect(guest.call(1)).toBe(OLD);
    }
  });

  test('remapping the page that a computed jump of a region goes to', () => {
    const guest = new Guest(kind);
    guest.paging();
    const next = CODE + PAGE;
    // test ebx, ebx; jz +7; mov eax, next; jmp eax; call next; ret
    const computed = [...MOV_EAX(next), 0xff, 0xe0];
    const head = [...TEST_EBX, ...JZ(computed.length), ...computed];
    const code = [...head, ...CALL(CODE + head.length, next), ...RET];
    guest.put(CODE, code);
    guest.put(next, [...MOV_EAX(OLD), ...RET]);
    guest.put(COPY, [...MOV_EAX(NEW), ...RET]);
    // Both ways are known when the region is made, so that it has both pages.
    for (const ebx of [0, 1]) expect(guest.call(HEAT / 2 - 1, DATA, ebx)).toBe(OLD);
    guest.put(CODE, code);
    for (const ebx of [0, 1]) expect(guest.call(HEAT / 2 + 1, DATA, ebx)).toBe(OLD);
    guest.translations.finish();
    expect(guest.heat(DATA, 1)).toBe(OLD);
    guest.map(next, COPY);
    expect(guest.call(3, DATA, 1)).toBe(NEW);
    guest.map(next, next);
    expect(guest.call(3, DATA, 1)).toBe(OLD);
  });

  test('another address space with other code at the same place', () => {
    const guest = new Guest(kind);
    guest.paging();
    guest.put(CODE, CALLED);
    guest.put(COPY, [...MOV_EAX(NEW), ...RET]);
    guest.map(CODE, COPY, OTHER_DIRECTORY, OTHER_TABLE);
    for (let i = 0; i < 3; i++) {
      guest.engine.mmu.setPageTable(DIRECTORY, false);
      expect(guest.heat()).toBe(OLD);
      guest.engine.mmu.setPageTable(OTHER_DIRECTORY, false);
      expect(guest.heat()).toBe(NEW);
    }
  });

  test('a physical page at two addresses: eip is that of each', () => {
    const guest = new Guest(kind);
    guest.paging();
    guest.map(ALIAS, CODE);
    // call next; next: pop eax; ret
    guest.put(CODE, [0xe8, 0, 0, 0, 0, 0x58, ...RET]);
    expect(guest.heat()).toBe(CODE + 5);
    guest.put(DRIVER, CALL(DRIVER, ALIAS));
    expect(guest.heat()).toBe(ALIAS + 5);
  });

  test('the accessed bit in a page table whose bytes are run', () => {
    const guest = new Guest(kind);
    guest.paging();
    // mov eax, [page table entry of DATA]; ret: the entry in front is not present, the one behind is never used.
    const entry = TABLE + (DATA >>> 12) * 4;
    guest.put(entry - 4, [0, 0, 0, 0xb8]);
    guest.put(entry + 4, [0xc3]);
    guest.put(DRIVER, CALL(DRIVER, entry - 1));
    const value = (DATA | PRESENT_WRITABLE) >>> 0;
    expect(guest.heat()).toBe(value);
    // mov ebx, [DATA]; jmp to it
    guest.put(CODE, [0x8b, 0x1d, ...dword(DATA), ...JMP(CODE + 6, entry - 1)]);
    guest.put(DRIVER, CALL(DRIVER, CODE));
    expect(guest.call(1)).toBe(value | 0x20);
  });

  test('data beside code is written without dropping the code', () => {
    const data = CODE + 0x800;
    const guest = translated([...STORE, ...MOV_EAX(OLD), ...RET]);
    guest.call(10, data);
    const before = guest.engine.counters()['code invalidations'] ?? 0;
    expect(guest.heat(data)).toBe(OLD);
    expect(guest.engine.memory.read32(data)).toBe(NEW);
    expect(guest.engine.counters()['code invalidations'] ?? 0).toBe(before);
  });

  test('a guest that translates: new code at the same place again and again', () => {
    const guest = new Guest(kind);
    for (let i = 0; i < 40; i++) {
      // add eax, i, so often; then ret
      const code = MOV_EAX(0);
      for (let k = 0; k <= i % 7; k++) code.push(...ADD_EAX(i));
      guest.put(CODE, [...code, ...RET]);
      expect(guest.call(100 * (1 + (i % 3)))).toBe(i * (1 + (i % 7)));
    }
  });
});
