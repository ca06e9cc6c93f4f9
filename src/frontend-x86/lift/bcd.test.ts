import * as S from '../cpu-state.js';
import { imm, instruction, Machine } from './fixture.js';

/** al, CF, AF before -> al, CF, AF after; from the pseudo-code of Intel SDM vol. 2. */
function daa(al: number, cf: boolean, af: boolean) {
  let v = al;
  let carry = false;
  let adjust = false;
  if ((al & 15) > 9 || af) {
    v += 6;
    carry = cf || v > 255;
    adjust = true;
  }
  if (al > 0x99 || cf) {
    v += 0x60;
    carry = true;
  } else {
    carry = false;
  }
  return { v: v & 255, carry, adjust };
}
function das(al: number, cf: boolean, af: boolean) {
  let v = al;
  let carry = false;
  let adjust = false;
  if ((al & 15) > 9 || af) {
    v -= 6;
    carry = cf || v < 0;
    adjust = true;
  }
  if (al > 0x99 || cf) {
    v -= 0x60;
    carry = true;
  }
  return { v: v & 255, carry, adjust };
}

test('daa and das for every al, CF and AF', () => {
  for (const [op, model] of [
    ['daa', daa],
    ['das', das],
  ] as const) {
    for (let al = 0; al < 256; al++) {
      for (let flags = 0; flags < 4; flags++) {
        const m = new Machine();
        m.set(S.EAX, 0x1200 | al);
        m.set(S.FLAG_AUX, (flags & 1 ? 0xc0000000 : 0) | (flags & 2 ? 8 : 0));
        m.run(instruction(op));
        const want = model(al, (flags & 1) !== 0, (flags & 2) !== 0);
        expect(m.get(S.EAX)).toBe(0x1200 | want.v);
        expect(m.status & (S.F_CF | S.F_AF | S.F_ZF | S.F_SF)).toBe(
          (want.carry ? S.F_CF : 0) |
            (want.adjust ? S.F_AF : 0) |
            (want.v === 0 ? S.F_ZF : 0) |
            (want.v & 0x80 ? S.F_SF : 0),
        );
      }
    }
  }
});

test('aaa, aas, aam, aad', () => {
  const run = (op: string, ax: number, base?: number) => {
    const m = new Machine();
    m.set(S.EAX, ax);
    const out = m.run(instruction(op, base === undefined ? [] : [imm(base, 1)]));
    return { ax: m.get(S.EAX), cf: (m.status & S.F_CF) !== 0, out };
  };
  expect(run('aaa', 0x010b)).toMatchObject({ ax: 0x0201, cf: true });
  expect(run('aaa', 0x01fb)).toMatchObject({ ax: 0x0301, cf: true });
  expect(run('aaa', 0x0139)).toMatchObject({ ax: 0x0109, cf: false });
  expect(run('aas', 0x020b)).toMatchObject({ ax: 0x0105, cf: true });
  expect(run('aam', 0x003f, 10)).toMatchObject({ ax: 0x0603 });
  expect(run('aam', 0x003f, 0).out).toMatchObject({ vector: 0 });
  expect(run('aad', 0x0603, 10)).toMatchObject({ ax: 0x003f });
});
