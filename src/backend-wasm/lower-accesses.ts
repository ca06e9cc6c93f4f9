/**
 * Lowers memory accesses: the inline check of the TLB, which accesses may share, and what happens when it fails. An
 * instruction that has changed nothing yet is given up (`Target.miss`); any other access calls its slow path.
 */
import { EXIT_REASON } from '../frontend-x86/cpu-state.js';
import { PAGE } from '../frontend-x86/limits.js';
import type { Op, Value } from '../ir/ir.js';
import type { Type } from '../ir/ops.js';
import type { AccessGroup, GroupMember } from './access-groups.js';
import type { Emitter, Expr } from './binaryen.js';
import { addressOf, isAligned, onlyPage } from './known-addresses.js';
import { FOR_LOADS, FOR_STORES, INDEX_SHIFT, PLACEHOLDERS } from './data-tlb.js';
import { RAM, SLOW_PATH } from './memory-layout.js';
import type { Target } from './target.js';
import { widthOf } from './width.js';

/** The block that the accesses stand in, as it is being lowered. */
export interface BlockInProgress {
  readonly ops: readonly Op[];
  /** A local for a temporary. */
  take(type: Type): number;
  /** The value of an op as an expression. */
  value(v: Value): Expr;
  /** A local that holds the value of an op, so that it can be used more than once. */
  local(v: Value, out: Expr[]): number;
  /** Whether the current instruction can still be given up: it has changed nothing. */
  canGiveUp(): boolean;
}

/** What a local has instead of the guest-physical address of a group whose page was not found. */
const NOT_FOUND = -1;

/** How a group's accesses reach their bytes. */
interface GroupCheck {
  /** Holds a guest-physical address: with `offset` added, that of the group's lowest byte. */
  readonly local: number;
  readonly offset: number;
  /** It holds NOT_FOUND if the group's page was not found. */
  readonly maybe: boolean;
}

/** How an access reaches its bytes. */
interface Access {
  /** Whether the TLB does not have the page; undefined if it is known to have it. */
  readonly miss: Expr | undefined;
  /** Its guest-physical address, behind the check, and what to add to that. */
  readonly physical: Expr;
  readonly offset: number;
  readonly address: () => Expr;
}

/** A check of the TLB. */
interface Check {
  /** Whether it does not have the page. */
  readonly isMissing: Expr;
  /** The guest-physical address, if it does: behind the check; and what to add to that. */
  readonly physical: Expr;
  readonly offset: number;
}

/** Lowers the accesses of one block. */
export class AccessLowering {
  /** What is known of a group behind its check. */
  private readonly groupChecks = new Map<AccessGroup, GroupCheck>();

  constructor(
    private readonly e: Emitter,
    private readonly target: Target,
    private readonly block: BlockInProgress,
    /** Accesses that share a check, by op index. */
    private readonly groups: ReadonlyMap<number, GroupMember>,
  ) {}

  /** What the data TLB has for a linear address: the distance from it to the guest-physical one. */
  distance(address: Expr, write: boolean): Expr {
    const { e, target } = this;
    const entry = e.and(e.shru(address, e.i32(INDEX_SHIFT)), e.i32(target.dataTlb.indexMask));
    return e.load(32, e.add(entry, target.tlb()), write ? FOR_STORES : FOR_LOADS);
  }

  /**
   * The same for a known page: where its entry is needs no sum with the TLB's address, but where placeholders stand for the
   * TLB's numbers, from which nothing may be concluded.
   */
  private distanceAt(page: number, write: boolean): Expr {
    const { e, target } = this;
    const { dataTlb } = target;
    if (dataTlb === PLACEHOLDERS) return this.distance(e.i32(page), write);
    const entry = (page >>> INDEX_SHIFT) & dataTlb.indexMask;
    return e.load(32, target.tlb(), entry + (write ? FOR_STORES : FOR_LOADS));
  }

  /** Behind what may have raised a fault. */
  faultCheck(): Expr {
    const { e } = this;
    return e.if(e.load(32, e.i32(0), EXIT_REASON), this.target.fault());
  }

  /**
   * Looks the page of an access up: a hit is an access inside of one. `page`: the only one it can lie in, if that is known.
   * Its entry is looked up before there is an address, for which the access then waits the less. `span`: bytes from the address
   * to its last, 1 if they cannot lie in two pages. `constant`: the address, if it is one; then the local is not read.
   */
  private check(address: number, write: boolean, span: number, page?: number, constant?: number): Check {
    const { e } = this;
    const { ramEnd, outside } = this.target.dataTlb;
    const get = (): Expr => e.getLocal(address, 'i32');
    const local = this.block.take('i32');
    if (page !== undefined) {
      const distance = this.distanceAt(page, write);
      if (constant !== undefined) {
        // The page's guest-physical address serves all of it.
        const start = e.teeLocal(local, e.add(distance, e.i32(page)), 'i32');
        return {
          isMissing: e.pure('i32.le_u', [e.i32(ramEnd), start]),
          physical: e.getLocal(local, 'i32'),
          offset: constant & (PAGE - 1),
        };
      }
      const base = e.add(e.teeLocal(local, distance, 'i32'), e.i32(page));
      return {
        isMissing: e.pure('i32.le_u', [e.i32(ramEnd), base]),
        physical: e.add(get(), e.getLocal(local, 'i32')),
        offset: 0,
      };
    }
    const sum = e.teeLocal(local, e.add(get(), this.distance(get(), write)), 'i32');
    const isMissing =
      span === 1
        ? e.pure('i32.le_u', [e.i32(ramEnd), sum])
        : e.pure('i32.lt_u', [e.i32(PAGE - span), e.and(sum, e.i32(outside))]);
    return { isMissing, physical: e.getLocal(local, 'i32'), offset: 0 };
  }

  /** The way out of an access whose page the TLB does not have, if the instruction can be given up here. */
  private giveUp(): Expr | undefined {
    return this.block.canGiveUp() ? this.target.miss() : undefined;
  }

  /** Makes the check of a group at its first access. */
  private checkGroup(group: AccessGroup, out: Expr[]): GroupCheck {
    const { e } = this;
    const known = this.groupChecks.get(group);
    if (known !== undefined) return known;
    const { root, low, span, page, write } = group;
    const local = this.block.take('i32');
    const miss = this.giveUp();
    out.push(e.setLocal(local, root === undefined ? e.i32(low) : e.add(this.block.value(root), e.i32(low))));
    const constant = root === undefined ? low : undefined;
    const { isMissing, physical, offset } = this.check(local, write, span, page, constant);
    const check = { local, offset, maybe: miss === undefined };
    this.groupChecks.set(group, check);
    if (miss) out.push(e.if(isMissing, miss), e.setLocal(local, physical));
    else out.push(e.if(isMissing, e.setLocal(local, e.i32(NOT_FOUND)), e.setLocal(local, physical)));
    return check;
  }

  private access(i: Value, op: Op, out: Expr[], bytes: number, write: boolean): Access {
    const { e } = this;
    const member = this.groups.get(i);
    if (member) {
      const { local, offset, maybe } = this.checkGroup(member.group, out);
      return {
        miss: maybe ? e.eq(e.getLocal(local, 'i32'), e.i32(NOT_FOUND)) : undefined,
        physical: e.getLocal(local, 'i32'),
        offset: offset + member.offset,
        address: () => this.block.value(op.args[0]!),
      };
    }
    const address = this.block.local(op.args[0]!, out);
    const { ops } = this.block;
    const known = addressOf(ops, op.args[0]!);
    const span = isAligned(ops, known, bytes) ? 1 : bytes;
    const constant = known.root === undefined ? known.distance : undefined;
    const check = this.check(address, write, span, onlyPage(ops, known, bytes), constant);
    const { isMissing: miss, physical, offset } = check;
    return { miss, physical, offset, address: () => e.getLocal(address, 'i32') };
  }

  /** `fast` where the TLB has the page, else a way out, or `slow` where there is none. */
  private guarded(miss: Expr | undefined, fast: Expr, slow: () => Expr[]): Expr[] {
    const { e } = this;
    if (miss === undefined) return [fast];
    const givenUp = this.giveUp();
    if (givenUp) return [e.if(miss, givenUp), fast];
    return [e.if(miss, e.block(null, slow()), fast)];
  }

  /** Lowers a load; returns the local that holds its result. */
  load(i: Value, op: Op, out: Expr[]): number {
    const { e } = this;
    const width = widthOf(op.name);
    const type: Type = width === 64 ? 'i64' : 'i32';
    const forWrite = op.imm as number;
    const { miss, physical, offset, address } = this.access(i, op, out, width >> 3, forWrite !== 0);
    const result = this.block.take(type);
    const fast = e.setLocal(result, e.load(width, physical, RAM + offset));
    const slow = (): Expr[] => [
      e.setLocal(result, e.call(SLOW_PATH.load[width], [address(), e.i32(forWrite)], type)),
      this.faultCheck(),
    ];
    out.push(...this.guarded(miss, fast, slow));
    return result;
  }

  store(i: Value, op: Op, out: Expr[]): void {
    const { e } = this;
    const width = widthOf(op.name);
    const type: Type = width === 64 ? 'i64' : 'i32';
    const value = this.block.local(op.args[1]!, out);
    const { miss, physical, offset, address } = this.access(i, op, out, width >> 3, true);
    const fast = e.store(width, physical, e.getLocal(value, type), RAM + offset);
    const slow = (): Expr[] => [
      e.call(SLOW_PATH.store[width], [address(), e.getLocal(value, type)], 'void'),
      this.faultCheck(),
      ...this.target.afterSlowStore(),
    ];
    out.push(...this.guarded(miss, fast, slow));
  }

  probe(op: Op, out: Expr[]): void {
    const { e } = this;
    out.push(e.call(SLOW_PATH.probe, [this.block.value(op.args[0]!), e.i32(op.imm as number)], 'void'));
    out.push(this.faultCheck());
  }
}
