/**
 * MMX, SSE and SSE2 opcodes behind 0F (Intel SDM vol. 2, appendix A, table A-3). All are rare shapes.
 * `opcodes.ts` says how a row is written. V W U are XMM registers (modrm.reg; rm or memory; rm), P Q N the same of MMX.
 */

/** The same operation on MMX (no prefix) and XMM registers (66). */
const INTEGER = `
60 punpcklbw   61 punpcklwd   62 punpckldq   63 packsswb   64 pcmpgtb   65 pcmpgtw   66 pcmpgtd   67 packuswb
68 punpckhbw   69 punpckhwd   6a punpckhdq   6b packssdw   74 pcmpeqb   75 pcmpeqw   76 pcmpeqd
d1 psrlw   d2 psrld   d3 psrlq   d4 paddq   d5 pmullw   d8 psubusb   d9 psubusw   da pminub   db pand   dc paddusb
dd paddusw   de pmaxub   df pandn   e0 pavgb   e1 psraw   e2 psrad   e3 pavgw   e4 pmulhuw   e5 pmulhw   e8 psubsb
e9 psubsw   ea pminsw   eb por   ec paddsb   ed paddsw   ee pmaxsw   ef pxor   f1 psllw   f2 pslld   f3 psllq
f4 pmuludq   f5 pmaddwd   f6 psadbw   f8 psubb   f9 psubw   fa psubd   fb psubq   fc paddb   fd paddw   fe paddd
`
  .trim()
  .split(/\s{2,}|\n/)
  .map((entry) => {
    const [opcode, op] = entry.split(' ');
    // The low halves of MMX registers are all that these read.
    const source = op!.startsWith('punpckl') ? 'Qd' : 'Qq';
    return `np.${opcode} ${op} Pq,${source}\n66.${opcode} ${op} Vx,Wx`;
  })
  .join('\n');

/** Shifts by an immediate: group, modrm.reg. */
const SHIFTS = [
  '71/2 psrlw',
  '71/4 psraw',
  '71/6 psllw',
  '72/2 psrld',
  '72/4 psrad',
  '72/6 pslld',
  '73/2 psrlq',
  '73/6 psllq',
]
  .map((row) => `np.${row} Nq,uIb\n66.${row} Ux,uIb`)
  .join('\n');

/** Floating point on packed and scalar, single and double: prefixes none, 66, F3, F2. */
const FLOAT = ['51 sqrt', '58 add', '59 mul', '5c sub', '5d min', '5e div', '5f max']
  .map((row) => `np.${row}ps Vx,Wx\n66.${row}pd Vx,Wx\nf3.${row}ss Vx,Wd\nf2.${row}sd Vx,Wq`)
  .join('\n');

/** Whole registers, single and double: prefixes none, 66. */
const PACKED = ['14 unpcklp', '15 unpckhp', '54 andp', '55 andnp', '56 orp', '57 xorp']
  .map((row) => `np.${row}s Vx,Wx\n66.${row}d Vx,Wx`)
  .join('\n');

export const SSE = `
${INTEGER}
${SHIFTS}
${FLOAT}
${PACKED}
np.10     movups    Vx,Wx
66.10     movupd    Vx,Wx
f3.10     movss     Vx,Wd
f2.10     movsd     Vx,Wq
np.11     movups    Wx,Vx
66.11     movupd    Wx,Vx
f3.11     movss     Wd,Vx
f2.11     movsd     Wq,Vx
np.12     movlps    Vx,Mq
np.12     movhlps   Vx,Ux
66.12     movlpd    Vx,Mq
np.13     movlps    Mq,Vx
66.13     movlpd    Mq,Vx
np.16     movhps    Vx,Mq
np.16     movlhps   Vx,Ux
66.16     movhpd    Vx,Mq
np.17     movhps    Mq,Vx
66.17     movhpd    Mq,Vx
np.28     movaps    Vx,Wx
66.28     movapd    Vx,Wx
np.29     movaps    Wx,Vx
66.29     movapd    Wx,Vx
np.2a     cvtpi2ps  Vx,Qq
66.2a     cvtpi2pd  Vx,Qq
f3.2a     cvtsi2ss  Vx,Ed
f2.2a     cvtsi2sd  Vx,Ed
np.2b     movntps   Mx,Vx
66.2b     movntpd   Mx,Vx
np.2c     cvttps2pi Pq,Wq
66.2c     cvttpd2pi Pq,Wx
f3.2c     cvttss2si Gd,Wd
f2.2c     cvttsd2si Gd,Wq
np.2d     cvtps2pi  Pq,Wq
66.2d     cvtpd2pi  Pq,Wx
f3.2d     cvtss2si  Gd,Wd
f2.2d     cvtsd2si  Gd,Wq
np.2e     ucomiss   Vx,Wd
66.2e     ucomisd   Vx,Wq
np.2f     comiss    Vx,Wd
66.2f     comisd    Vx,Wq
np.50     movmskps  Gd,Ux
66.50     movmskpd  Gd,Ux
np.52     rsqrtps   Vx,Wx
f3.52     rsqrtss   Vx,Wd
np.53     rcpps     Vx,Wx
f3.53     rcpss     Vx,Wd
np.5a     cvtps2pd  Vx,Wq
66.5a     cvtpd2ps  Vx,Wx
f3.5a     cvtss2sd  Vx,Wd
f2.5a     cvtsd2ss  Vx,Wq
np.5b     cvtdq2ps  Vx,Wx
66.5b     cvtps2dq  Vx,Wx
f3.5b     cvttps2dq Vx,Wx
66.6c     punpcklqdq Vx,Wx
66.6d     punpckhqdq Vx,Wx
np.6e     movd      Pq,Ed
66.6e     movd      Vx,Ed
np.6f     movq      Pq,Qq
66.6f     movdqa    Vx,Wx
f3.6f     movdqu    Vx,Wx
np.70     pshufw    Pq,Qq,uIb
66.70     pshufd    Vx,Wx,uIb
f3.70     pshufhw   Vx,Wx,uIb
f2.70     pshuflw   Vx,Wx,uIb
66.73/3   psrldq    Ux,uIb
66.73/7   pslldq    Ux,uIb
np.77     emms      -
np.7e     movd      Ed,Pq
66.7e     movd      Ed,Vx
f3.7e     movq      Vx,Wq
np.7f     movq      Qq,Pq
66.7f     movdqa    Wx,Vx
f3.7f     movdqu    Wx,Vx
np.c2     cmpps     Vx,Wx,uIb
66.c2     cmppd     Vx,Wx,uIb
f3.c2     cmpss     Vx,Wd,uIb
f2.c2     cmpsd     Vx,Wq,uIb
np.c3     movnti    Md,Gd
np.c4     pinsrw    Pq,EdMw,uIb
66.c4     pinsrw    Vx,EdMw,uIb
np.c5     pextrw    Gd,Nq,uIb
66.c5     pextrw    Gd,Ux,uIb
np.c6     shufps    Vx,Wx,uIb
66.c6     shufpd    Vx,Wx,uIb
66.d6     movq      Wq,Vx
f3.d6     movq2dq   Vx,Nq
f2.d6     movdq2q   Pq,Ux
np.d7     pmovmskb  Gd,Nq
66.d7     pmovmskb  Gd,Ux
66.e6     cvttpd2dq Vx,Wx
f3.e6     cvtdq2pd  Vx,Wq
f2.e6     cvtpd2dq  Vx,Wx
np.e7     movntq    Mq,Pq
66.e7     movntdq   Mx,Vx
np.f7     maskmovq  Pq,Nq   string
66.f7     maskmovdqu Vx,Ux  string
`;
