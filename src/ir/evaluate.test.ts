import { Builder, defineFunction } from './builder.js';
import { GuestFault, type Environment } from './environment.js';
import { evaluate, evaluateFunction } from './evaluate.js';
import { Field } from './ir.js';

class Fixture implements Environment {
  readonly control = new DataView(new ArrayBuffer(1024));
  readonly guest = new DataView(new ArrayBuffer(8192));
  readonly log: string[] = [];
  check(address: number, bytes: number, write: boolean): void {
    if (address + bytes > 8192) throw new GuestFault(14, write ? 2 : 0);
  }
  load(address: number, bytes: 1 | 2 | 4, forWrite: boolean): number {
    this.check(address, bytes, forWrite);
    return bytes === 1
      ? this.guest.getUint8(address)
      : bytes === 2
        ? this.guest.getUint16(address, true)
        : this.guest.getUint32(address, true);
  }
  load64(address: number, forWrite: boolean): bigint {
    this.check(address, 8, forWrite);
    return this.guest.getBigUint64(address, true);
  }
  store(address: number, bytes: 1 | 2 | 4, value: number): void {
    this.check(address, bytes, true);
    if (bytes === 1) this.guest.setUint8(address, value);
    else if (bytes === 2) this.guest.setUint16(address, value, true);
    else this.guest.setInt32(address, value, true);
  }
  store64(address: number, value: bigint): void {
    this.check(address, 8, true);
    this.guest.setBigUint64(address, value, true);
  }
  probe(address: number, bytes: number): void {
    this.check(address, bytes, true);
  }
  clock(): bigint {
    return 7n;
  }
  fuel(): number {
    return 5;
  }
  charge(n: number): void {
    this.log.push(`charge ${n}`);
  }
  completed(): void {
    this.log.push('completed');
  }
}

test('a block of two instructions: marks move pcrel, goto and the count', () => {
  const b = new Builder();
  b.mark(0, 2);
  b.put32(0, b.pcrel(1));
  b.mark(2, 3);
  b.put32(4, b.pcrel(1));
  b.goto(10);
  const env = new Fixture();
  const at = { eip: 0xfffffffe };
  expect(evaluate(b.block(), env, at)).toEqual({ kind: 'goto', eip: 10 });
  expect(env.control.getInt32(0, true)).toBe(-1);
  expect(env.control.getInt32(4, true)).toBe(1);
  expect(at.eip).toBe(0);
  expect(env.log).toEqual(['completed']);
});

test('a block without terminator goes on behind its last instruction', () => {
  const b = new Builder();
  b.mark(0, 2);
  b.mark(2, 3);
  expect(evaluate(b.block(), new Fixture(), { eip: 100 })).toEqual({ kind: 'next', eip: 105 });
});

test('a fault leaves the position on its instruction', () => {
  const b = new Builder();
  b.mark(0, 1);
  b.put32(0, b.const32(1));
  b.mark(1, 1);
  b.put32(0, b.ld32(b.const32(-1)));
  b.goto(1);
  const at = { eip: 100 };
  const env = new Fixture();
  expect(() => evaluate(b.block(), env, at)).toThrow(new GuestFault(14, 0));
  expect(at.eip).toBe(101);
  expect(env.control.getInt32(0, true)).toBe(1);
});

test('leave tells the next instruction, jump its hint', () => {
  const b = new Builder();
  b.mark(0, 2);
  b.leave(3, b.const32(0x80));
  expect(evaluate(b.block(), new Fixture(), { eip: 8 })).toEqual({
    kind: 'leave',
    reason: 3,
    detail: 0x80,
    next: 10,
  });
  const c = new Builder();
  c.jump(c.const32(-2), 2);
  expect(evaluate(c.block(), new Fixture(), { eip: 8 })).toEqual({ kind: 'jump', eip: 0xfffffffe, hint: 2 });
});

test('functions, loops and variables: a sum', () => {
  const sum = defineFunction('sum', ['i32'], 'i32', false, (b, n) => {
    const total = b.newVar('i32');
    const i = b.newVar('i32');
    b.varSet(total, b.const32(0));
    b.varSet(i, n);
    b.loopWhile(() => {
      b.varSet(total, b.pure('i32.add', b.varGet(total), b.varGet(i)));
      b.varSet(i, b.pure('i32.sub', b.varGet(i), b.const32(1)));
      return b.varGet(i);
    });
    b.return(b.varGet(total));
  });
  expect(evaluateFunction(sum, [10], new Fixture(), { eip: 0 })).toBe(55);
  const b = new Builder();
  const v = b.newVar('i64');
  b.if(
    b.get32(0),
    () => b.varSet(v, b.const64(1n)),
    () => b.varSet(v, b.pure('i64.extend_i32_u', b.call(sum, b.const32(4)))),
  );
  b.put64(8, b.varGet(v));
  b.goto(0);
  const env = new Fixture();
  evaluate(b.block(), env, { eip: 0 });
  expect(env.control.getBigUint64(8, true)).toBe(10n);
  env.control.setInt32(0, 1, true);
  evaluate(b.block(), env, { eip: 0 });
  expect(env.control.getBigUint64(8, true)).toBe(1n);
});

test('IR without meaning is refused', () => {
  const b = new Builder();
  b.put32(new Field('rm', 1), b.const32(0));
  expect(() => evaluate(b.block(), new Fixture(), { eip: 0 })).toThrow('field rm');
  const c = new Builder();
  const v = c.newVar('i32');
  c.put32(0, c.varGet(v));
  expect(() => evaluate(c.block(), new Fixture(), { eip: 0 })).toThrow('variable 0');
});
