import fc from 'fast-check';
import { EscapeKeys } from './escape-keys.js';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');

describe('keys of the terminal', () => {
  test.each([
    ['plain text', 'ls -l\r', 'ls -l\r', []],
    ['leave', 'a\x01x rest', 'a', ['leave']],
    ['help', '\x01hb', 'b', ['help']],
    ['a literal Ctrl-a', '\x01\x01x', '\x01x', []],
    ['an unknown sequence goes through', '\x01zq', '\x01zq', []],
    ['two Ctrl-C are the guest’s', '\x03\x03a\x03', '\x03\x03a\x03', []],
    ['three Ctrl-C', '\x03\x03\x03more', '\x03\x03\x03', ['leave']],
  ])('%s', (_, typed, forGuest, commands) => {
    const result = new EscapeKeys().feed(bytes(typed), 0);
    expect(text(result.forGuest)).toBe(forGuest);
    expect(result.commands).toEqual(commands);
  });

  test('three Ctrl-C count within one second only', () => {
    const leave = (times: number[]): boolean => {
      const keys = new EscapeKeys();
      return times.map((time) => keys.feed(bytes('\x03'), time).commands.length > 0).includes(true);
    };
    expect(leave([0, 500, 1000])).toBe(true);
    expect(leave([0, 500, 1001])).toBe(false);
    expect(leave([0, 900, 1800, 1900])).toBe(true);
    expect(leave([0, 1100, 2200, 3300])).toBe(false);
  });

  test('it does not matter how the input is cut into pieces', () => {
    const key = fc.constantFrom(0x01, 0x03, 0x61, 0x68, 0x78, 0x0d);
    fc.assert(
      fc.property(fc.array(key), fc.array(fc.nat(10)), (typed, cuts) => {
        const whole = new EscapeKeys().feed(Uint8Array.from(typed), 5);
        const keys = new EscapeKeys();
        const forGuest: number[] = [];
        const commands: string[] = [];
        let at = 0;
        for (const cut of [...cuts, typed.length]) {
          const result = keys.feed(Uint8Array.from(typed.slice(at, at + cut)), 5);
          at += cut;
          forGuest.push(...result.forGuest);
          commands.push(...result.commands);
          if (result.commands.includes('leave')) break;
        }
        expect(forGuest).toEqual([...whole.forGuest]);
        expect(commands).toEqual(whole.commands);
      }),
    );
  });
});
