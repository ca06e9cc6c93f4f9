/** Which memory accesses of a block share a TLB check. */
import { Builder } from '../ir/builder.js';
import { groupAccesses, type GroupMember } from './access-groups.js';

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

test('what is known to lie in two pages has two checks', () => {
  const { members } = groupsOf((b) => {
    b.put32(EAX, b.ld32(b.const32(0x1ff8)));
    b.put32(ESP, b.ld32(b.const32(0x1ffc)));
    b.put32(4, b.ld32(b.const32(0x2000)));
    b.put32(8, b.ld8(b.const32(0x2004)));
  });
  expect(members.map((m) => m?.group.page)).toEqual([0x1000, 0x1000, 0x2000, 0x2000]);
  expect(members.map((m) => m?.offset)).toEqual([0, 4, 0, 4]);
});
