/** Which memory accesses of a block share a TLB check. */
import fc from 'fast-check';
import { Builder } from '../ir/builder.js';
import { PAGE } from '../frontend-x86/limits.js';
import { addressOf, groupAccesses, type GroupMember, onlyPage } from './access-groups.js';

const ESP = 16;
const EAX = 0;

function groupsOf(write: (b: Builder) => void): { ops: string[]; members: (GroupMember | undefined)[] } {
  const b = new Builder();
  b.mark(0, 1);
  write(b);
  b.jump(b.const32(0), 0);
  const block = b.block();
  const members = groupAccesses(block);
  const accesses = block.ops.map((op, i) => ({ op, i })).filter(({ op }) => /^(?:ld|st)\d/.test(op.name));
  return { ops: accesses.map(({ op }) => op.name), members: accesses.map(({ i }) => members.get(i)) };
}
const at = (b: Builder, slot: number, distance: number) =>
  b.pure('i32.add', b.get32(slot), b.const32(distance));

test('slots of a stack frame share one check, wide enough for all and for writing', () => {
  const { members } = groupsOf((b) => {
    const esp = b.get32(ESP);
    const slot = (n: number) => b.pure('i32.add', esp, b.const32(n));
    b.put32(EAX, b.ld32(slot(8)));
    b.st32(slot(-4), b.const32(1));
    b.put32(EAX, b.ld8(slot(20)));
  });
  const group = members[0]!.group;
  expect(members.map((m) => m!.group)).toEqual([group, group, group]);
  expect(members.map((m) => m!.offset)).toEqual([12, 0, 24]);
  expect(group).toMatchObject({ low: -4, span: 25, write: true });
});

test('a lone access, and one too far away, have checks of their own', () => {
  const { members } = groupsOf((b) => {
    const base = b.get32(EAX);
    const place = (n: number) => b.pure('i32.add', base, b.const32(n));
    b.put32(ESP, b.ld32(at(b, 4, 0)));
    b.put32(ESP, b.ld32(place(0)));
    b.put32(ESP, b.ld32(place(4)));
    b.put32(ESP, b.ld32(place(5000)));
  });
  expect(members.map((m) => m?.offset)).toEqual([undefined, 0, 4, undefined]);
});

test('the check never stands on one of two ways', () => {
  const { members } = groupsOf((b) => {
    const base = b.get32(EAX);
    const place = (n: number) => b.pure('i32.add', base, b.const32(n));
    b.if(b.get32(4), () => b.st32(place(0), b.const32(1)));
    b.st32(place(4), b.const32(2));
    b.if(b.get32(8), () => b.st32(place(8), b.const32(3)));
  });
  expect(members.map((m) => m?.offset)).toEqual([undefined, 0, 4]);
});

test('the only page of an access is that of its first and its last possible byte', () => {
  const within = fc.integer({ min: -0x80000000, max: 0x7fffffff });
  const atEnd = fc.tuple(fc.integer({ min: -4, max: 4 }), fc.integer({ min: 0, max: 1100 }));
  const base = fc.oneof(
    within,
    atEnd.map(([page, back]) => page * PAGE - back),
  );
  const property = fc.property(
    base,
    fc.constantFrom(0, 1, 0x7f, 0xff, 0x3ff),
    fc.nat(3),
    fc.constantFrom(1, 2, 4, 8),
    (base, mask, scale, bytes) => {
      const b = new Builder();
      b.mark(0, 1);
      const index = b.pure('i32.shl', b.pure('i32.and', b.get32(EAX), b.const32(mask)), b.const32(scale));
      const address = b.pure('i32.add', index, b.const32(base));
      const { root, distance } = addressOf(b.ops, address);
      const first = base >>> 0;
      const last = first + mask * 2 ** scale + bytes - 1;
      const [page, lastPage] = [first, last].map((at) => Math.floor(at / PAGE) * PAGE);
      expect(onlyPage(b.ops, root, distance, bytes)).toBe(page === lastPage ? page! | 0 : undefined);
    },
  );
  fc.assert(property, {
    examples: [
      [-4, 0xff, 2, 4],
      [0xd360, 0xff, 2, 4],
      [PAGE - 4, 0, 0, 4],
    ].map((e) => e as never),
  });
});

test('the page of a value that nothing is known of is not known', () => {
  const b = new Builder();
  b.mark(0, 1);
  const address = at(b, EAX, 0x1000);
  const { root, distance } = addressOf(b.ops, address);
  expect(onlyPage(b.ops, root, distance, 1)).toBeUndefined();
});
