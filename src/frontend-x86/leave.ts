/** Why a run of guest code ended: values of EXIT_REASON and of the IR's `leave`. */
export const LEAVE = {
  /** Still running. */
  none: 0,
  /** The budget is used up; EIP is the next instruction. */
  budget: 1,
  /** An exception: EXIT_DETAIL vector, EXIT_ERROR code, FAULT_ADDRESS for #PF; EIP is the faulting instruction. */
  fault: 2,
  /** `int n`: EXIT_DETAIL = n. EIP on the instruction, EXIT_NEXT behind it. Not yet counted as executed. */
  int: 3,
  /** `int3` (detail 3) and `into` with OF (detail 4): gate privilege is checked as for `int`. */
  trap: 4,
  /** `icebp`: no gate privilege check. */
  icebp: 5,
  /** `cpuid`: the owner fills eax..edx. */
  cpuid: 6,
  /** `vmcall` (0F 01 C1). */
  vmcall: 7,
  /** `mov dr, r` / `mov r, dr` at CPL 1: detail = (direction to-dr 1) << 8 | dr << 4 | gpr. */
  debugRegister: 8,
  /** Something asked for attention outside the instruction stream (stop request, code pool full); go on when served. */
  attention: 9,
  /** A page table entry that kills the guest: EXIT_DETAIL = linear address, EXIT_ERROR = the entry. */
  badPageTable: 10,
} as const;
