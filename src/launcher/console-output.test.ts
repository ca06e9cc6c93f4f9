import { ConsoleInput } from './console-input.js';
import { ConsoleOutput } from './console-output.js';
import type { ConsoleDevice } from './virtio-console.js';

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe('console output', () => {
  test('partial writes and a full pipe lose and reorder nothing', async () => {
    let written = '';
    let calls = 0;
    const output = new ConsoleOutput(
      1,
      () => undefined,
      (_, bytes) => {
        if (++calls % 3 === 0) throw failure('EAGAIN');
        if (calls % 5 === 0) throw failure('EINTR');
        const count = Math.min(bytes.length, 3);
        written += Buffer.from(bytes.subarray(0, count)).toString();
        return count;
      },
    );
    let expected = '';
    for (let i = 0; i < 20; i++) {
      expected += `line ${i}\n`;
      await output.write(Buffer.from(`line ${i}\n`));
    }
    expect(written).toBe(expected);
    expect(output.atLineStart).toBe(true);
  });

  test('a reader that has gone is told once, and nothing is written any more', () => {
    let closed = 0;
    const output = new ConsoleOutput(
      1,
      () => closed++,
      () => {
        throw failure('EPIPE');
      },
    );
    expect(output.write(Buffer.from('a'))).toBeUndefined();
    expect(output.write(Buffer.from('b'))).toBeUndefined();
    expect(closed).toBe(1);
  });

  test('finish gives up on a reader that takes nothing', () => {
    const output = new ConsoleOutput(
      1,
      () => undefined,
      () => {
        throw failure('EAGAIN');
      },
    );
    void output.write(Buffer.from('a'));
    const began = performance.now();
    output.finish();
    expect(performance.now() - began).toBeLessThan(3000);
  });
});

describe('console input', () => {
  /** A console with buffers for `room` bytes in all. */
  function consoleWith(room: number): { device: ConsoleDevice; got: () => string } {
    let got = '';
    let left = room;
    const input = (bytes: Uint8Array): number => {
      const count = Math.min(left, bytes.length);
      left -= count;
      got += Buffer.from(bytes.subarray(0, count)).toString();
      return count;
    };
    return { device: { input } as unknown as ConsoleDevice, got: () => got };
  }

  test('what the guest has no buffers for waits', () => {
    const input = new ConsoleInput();
    input.push(Buffer.from('abc'));
    input.push(Buffer.from('def'));
    const first = consoleWith(4);
    expect(input.deliver(first.device)).toBe(4);
    expect(first.got()).toBe('abcd');
    const second = consoleWith(100);
    expect(input.deliver(second.device)).toBe(2);
    expect(second.got()).toBe('ef');
    expect(input.isEmpty).toBe(true);
  });

  test('lines come one at a time, also when they arrive in pieces', () => {
    const input = new ConsoleInput();
    for (const piece of ['on', 'e\ntwo', '\rth', 'ree']) input.push(Buffer.from(piece));
    const lines: string[] = [];
    while (!input.isEmpty) {
      const { device, got } = consoleWith(100);
      input.deliverLine(device);
      lines.push(got());
    }
    expect(lines).toEqual(['one\n', 'two\r', 'three']);
  });

  test('writers are asked to pause', () => {
    const input = new ConsoleInput();
    expect(input.push(new Uint8Array(1000))).toBe(true);
    expect(input.push(new Uint8Array(100_000))).toBe(false);
    input.deliver(consoleWith(1e6).device);
    expect(input.hasRoom).toBe(true);
  });
});
