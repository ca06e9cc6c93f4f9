/**
 * Where the architectural state of the guest CPU stands in memory: byte offsets ("slots") from the start of control
 * memory, little-endian. Slots that an instruction form may name through a one-byte field lie below 256.
 */

/** General registers: dword slot = REG + 4 × number (eax ecx edx ebx esp ebp esi edi). */
export const REG = 0;
export const EAX = 0;
export const ECX = 4;
export const EDX = 8;
export const EBX = 12;
export const ESP = 16;
export const EBP = 20;
export const ESI = 24;
export const EDI = 28;
/** Always zero: the "no index register" of address forms. */
export const ZERO = 32;
/** Offset of the instruction to execute next. True only outside the engine, and at faults. */
export const EIP = 36;

/**
 * Status flags, lazily: the result of the last flag-setting instruction, sign-extended to 32 bits, and a carry vector.
 * Of FLAG_AUX: bit 31 CF; bit 31 xor bit 30 OF; bit 3 AF; bit 0 is xored into SF (sign of FLAG_RESULT);
 * bits 8..15 are xored into the low byte of FLAG_RESULT before its parity gives PF. ZF is FLAG_RESULT == 0.
 * So `add` leaves its carry-out vector, narrow adds their vector shifted up, and a logical operation 0.
 */
export const FLAG_RESULT = 40;
export const FLAG_AUX = 44;
/** EFLAGS but CF PF AF ZF SF OF DF and the fixed bit 1: TF(8) IF(9) IOPL(12,13) NT(14) RF(16) VM(17) AC(18) ID(21). */
export const FLAGS_SYSTEM = 48;
/** +1 (DF clear) or -1 (DF set). */
export const DIRECTION = 52;

/** Segment registers in encoding order: ES CS SS DS FS GS. */
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
/** 16-bit selector: SELECTOR + 4 × segment (upper half zero). */
export const SELECTOR = 56;
/** Linear base: SEGMENT_BASE + 4 × segment. */
export const SEGMENT_BASE = 80;
/** Highest valid offset (byte granular): SEGMENT_LIMIT + 4 × segment. 0 with attributes 0 = null selector. */
export const SEGMENT_LIMIT = 104;
/**
 * Of a descriptor's second dword bits 8..23 (type, S, DPL, P, AVL, D/B, G) shifted down by 8, without the limit's four:
 * SEGMENT_ATTR + 4 × segment. 0 = unusable.
 */
export const SEGMENT_ATTR = 128;
export const SEGMENT_ATTR_MASK = 0xf0ff;

/** Current privilege level 0..3. */
export const CPL = 152;
/** Nonzero: CR0.TS is set; x87, MMX and SSE instructions raise #NM. */
export const CR0_TS = 156;
/** After `mov ss` / `pop ss`: eip of the instruction that must not be preceded by an interrupt; else 0xffffffff. */
export const INTERRUPT_SHADOW = 160;
/** Linear address of the last page fault. */
export const FAULT_ADDRESS = 164;
/** Control-memory address, and limit (bytes - 1), of the virtual GDT that segment loads read. */
export const GDT_ADDRESS = 168;
export const GDT_LIMIT = 172;
/** What `sgdt`/`sidt` report: base, limit. */
export const GDT_REPORTED_BASE = 176;
export const IDT_REPORTED_BASE = 180;
export const IDT_REPORTED_LIMIT = 184;
/** Selectors that `str` and `sldt` report. */
export const TR_SELECTOR = 188;
export const LDT_SELECTOR = 192;
/** CR0 as `smsw` reports it, without TS. */
export const CR0_REPORTED = 196;

/** What a run ended with; see `leave.ts`. Zero while running. */
export const EXIT_REASON = 200;
/** The detail of a leave, the vector of a fault. */
export const EXIT_DETAIL = 204;
/** Error code of a fault. */
export const EXIT_ERROR = 208;
/** eip of the next instruction, at a leave. */
export const EXIT_NEXT = 212;

/** x87. Physical register r: 64-bit mantissa at FPU_MANTISSA + 8r, sign and exponent (16 bits) at FPU_EXPONENT + 4r. */
export const FPU_MANTISSA = 256;
export const FPU_EXPONENT = 320;
/** Control word; status word without TOP; TOP 0..7; tag byte: bit r set = physical register r is in use. */
export const FPU_CONTROL = 352;
export const FPU_STATUS = 356;
export const FPU_TOP = 360;
export const FPU_TAGS = 364;
/** Last instruction's eip, cs; last operand's offset, selector; opcode (11 bits). */
export const FPU_LAST_EIP = 368;
export const FPU_LAST_CS = 372;
export const FPU_LAST_DATA = 376;
export const FPU_LAST_DS = 380;
export const FPU_LAST_OPCODE = 384;
/** Second result of x87 helper functions (the first is returned): sign/exponent, rounding information. */
export const FPU_SCRATCH = 392; // 8 dwords
/** SSE: 8 registers of 16 bytes, and MXCSR. */
export const XMM = 432;
export const MXCSR = 560;

/**
 * Direct traps: what an engine needs to enter the guest's handler of a system call or page fault by itself, as a
 * processor does. The owner keeps these, but DIRECT_ESP, which the engine may set too; it may as well leave for every trap.
 */
/** Nonzero: direct traps are allowed now. */
export const DIRECT_TRAPS = 564;
/** Vector of the system call; 0xffffffff = none. Its handler. Nonzero: it is entered with interrupts off. */
export const DIRECT_INT_VECTOR = 568;
export const DIRECT_INT_HANDLER = 572;
export const DIRECT_INT_MASKS = 576;
/** Handler of page faults, 0 = none. Nonzero: it is entered with interrupts off. */
export const DIRECT_FAULT_HANDLER = 580;
export const DIRECT_FAULT_MASKS = 584;
/**
 * Selectors of the handlers' CS and, after a change of privilege, SS; and ESP then: the kernel's stack, also where no trap
 * is direct.
 */
export const DIRECT_CS = 588;
export const DIRECT_SS = 592;
export const DIRECT_ESP = 596;
/** Guest-physical addresses of the guest's interrupt flag (bit 9 of a dword) and of where it reads fault addresses. */
export const DIRECT_IF_ADDRESS = 600;
export const DIRECT_CR2_ADDRESS = 604;

/**
 * The descriptor that an instruction loaded ES, DS, FS or GS from: SEGMENT_LOADED + 8 × segment. 0: none, or somebody else
 * has set the register since. Not the guest's: loads of what is there already find out by it that nothing changes.
 */
export const SEGMENT_LOADED = 608;

/**
 * Direct hypercalls: what an engine needs to perform the commonest by itself, where direct traps are allowed. The owner
 * tells from the guest's first hypercall on, and both keep RING_NEXT, RING_TURN and the counters. Numbers of those calls,
 * and byte offsets, in the general registers, of the first three arguments.
 */
export const SET_PTE_NUMBER = 656;
export const FLUSH_ASYNC_NUMBER = 660;
export const SET_PGD_NUMBER = 700;
export const NEW_PGTABLE_NUMBER = 704;
export const SET_STACK_NUMBER = 708;
export const LOAD_TLS_NUMBER = 716;
export const FLUSH_TLB_NUMBER = 728;
export const HYPERCALL_ARGUMENT_1 = 664;
export const HYPERCALL_ARGUMENT_2 = 668;
export const HYPERCALL_ARGUMENT_3 = 720;
/** The ring: guest-physical addresses of its status bytes and of its entries, an entry's size and offsets in it. */
export const RING_STATUS = 672;
export const RING_ENTRIES = 676;
export const RING_ENTRY_BYTES = 680;
export const RING_NUMBER = 684;
export const RING_ARGUMENT_1 = 688;
export const RING_ARGUMENT_2 = 692;
export const RING_ARGUMENT_3 = 724;
/** Entry that is performed next. */
export const RING_NEXT = 696;
/** Entries of the turn in progress that the engine performed before it left the rest to the owner. */
export const RING_TURN = 712;
/** Calls that the engine performed, a dword per number: made directly, and through the ring. */
export const DIRECT_CALLS = 768;
/** The numbers of hypercalls are less than this in every ABI. */
export const HYPERCALL_NUMBERS = 32;
export const RING_CALLS = DIRECT_CALLS + 4 * HYPERCALL_NUMBERS;
/** Entries of the ring, a power of 2; the status of a free one; the vector of hypercalls. */
export const RING_SIZE = 64;
export const RING_FREE = 0xff;
export const HYPERCALL_VECTOR = 0x1f;

/** Bytes of architectural state, from slot 0. Runtime state of the engine follows. */
export const CPU_STATE_BYTES = RING_CALLS + 4 * HYPERCALL_NUMBERS;

/** Flag bits in EFLAGS (Intel SDM vol. 1, 3.4.3). */
export const F_CF = 0x1;
export const F_PF = 0x4;
export const F_AF = 0x10;
export const F_ZF = 0x40;
export const F_SF = 0x80;
export const F_TF = 0x100;
export const F_IF = 0x200;
export const F_DF = 0x400;
export const F_OF = 0x800;
export const F_IOPL = 0x3000;
export const F_NT = 0x4000;
export const F_RF = 0x10000;
export const F_VM = 0x20000;
export const F_AC = 0x40000;
export const F_ID = 0x200000;
