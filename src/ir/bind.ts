/** Turns the IR of an instruction form into that of one instruction of the form. */
import { Field, type Block, type Imm, type Op, type Operand } from './ir.js';

/** The block with every field replaced by the number (int32, uint32 or slot) that `valueOf` gives for it. */
export function bindFields(block: Block, valueOf: (field: Field) => number): Block {
  const bound = (o: Operand): number => (o instanceof Field ? valueOf(o) : o);
  const ops = block.ops.map((op): Op => {
    if (op.name === 'field') {
      return { name: 'i32.const', type: 'i32', args: [], imm: bound(op.imm as Field) | 0 };
    }
    let imm: Imm = op.imm;
    if (imm instanceof Field) imm = bound(imm);
    else if (op.name === 'branch') {
      const [taken, otherwise] = imm as readonly [Operand, Operand];
      imm = [bound(taken), bound(otherwise)];
    } else return op;
    return { name: op.name, type: op.type, args: op.args, imm };
  });
  return { ops, vars: block.vars, marks: block.marks };
}
