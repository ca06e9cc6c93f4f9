/**
 * One-byte opcodes (Intel SDM vol. 2, appendix A, table A-2), and the groups behind them.
 * `opcodes.ts` says how a row is written.
 */

/** `cmp` does not write its first operand, so LOCK is not allowed with it. */
const ALU = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp']
  .map((op, i) => {
    const at = (offset: number): string => (8 * i + offset).toString(16).padStart(2, '0');
    const lock = op === 'cmp' ? '' : 'lock';
    return `
${at(0)}      ${op} Eb,Gb   ${lock}
${at(1)}      ${op} Ev,Gv   ${lock}
${at(2)}      ${op} Gb,Eb
${at(3)}      ${op} Gv,Ev
${at(4)}      ${op} AL,Ib
${at(5)}      ${op} eAX,Iz
80/${i}    ${op} Eb,Ib   ${lock}
81/${i}    ${op} Ev,Iz   ${lock}
82/${i}    ${op} Eb,Ib   ${lock}
83/${i}    ${op} Ev,sIb  ${lock}`;
  })
  .join('\n');

/** Group 2. /6 is an undocumented alias of /4. */
const SHIFTS = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'shl', 'sar']
  .map((op, i) => {
    const rare = op === 'rcl' || op === 'rcr' || op === 'rol' || op === 'ror' ? 'rare' : '';
    return `
c0/${i}    ${op} Eb,uIb  ${rare}
c1/${i}    ${op} Ev,uIb  ${rare}
d0/${i}    ${op} Eb,1    ${rare}
d1/${i}    ${op} Ev,1    ${rare}
d2/${i}    ${op} Eb,CL   ${rare}
d3/${i}    ${op} Ev,CL   ${rare}`;
  })
  .join('\n');

export const ONE_BYTE = `
${ALU}
${SHIFTS}
06      push    ES      sized stack
07      pop     ES      sized stack
0e      push    CS      sized stack
16      push    SS      sized stack
17      pop     SS      sized stack
1e      push    DS      sized stack
1f      pop     DS      sized stack
27      daa     -
2f      das     -
37      aaa     -
3f      aas     -
40+     inc     Zv
48+     dec     Zv
50+     push    Zv      stack
58+     pop     Zv      stack
60      pusha   -       sized stack
61      popa    -       sized stack
62      bound   Gv,Ma   rare
63      arpl    Ew,Gw   rare
68      push    Iz      stack
69      imul    Gv,Ev,Iz
6a      push    sIb     stack
6b      imul    Gv,Ev,sIb
6c      ins=privileged   b    string rep priv
6d      ins=privileged   v    string rep priv
6e      outs=privileged  b    string rep priv
6f      outs=privileged  v    string rep priv
70cc    jcc     Jb
84      test    Eb,Gb
85      test    Ev,Gv
86      xchg    Eb,Gb   lock
87      xchg    Ev,Gv   lock
88      mov     Eb,Gb
89      mov     Ev,Gv
8a      mov     Gb,Eb
8b      mov     Gv,Ev
8c      mov     EvMw,Sw  rare
8d      lea     Gv,M    nosegment
8e      mov     Sw,Ew   rare
8f/0    pop     Ev      stack rare
90+     xchg    Zv,eAX
90      nop     -
f3.90   pause=nop  -
98      cbw     -       sized
99      cwd     -       sized
9a      callf   Ap      stack
9b      fwait   -
9c      pushf   -       sized stack
9d      popf    -       sized stack
9e      sahf    -
9f      lahf    -
a0      mov     AL,Ob
a1      mov     eAX,Ov
a2      mov     Ob,AL
a3      mov     Ov,eAX
a4      movs    b       string rep
a5      movs    v       string rep
a6      cmps    b       string repz
a7      cmps    v       string repz
a8      test    AL,Ib
a9      test    eAX,Iz
aa      stos    b       string rep
ab      stos    v       string rep
ac      lods    b       string rep
ad      lods    v       string rep
ae      scas    b       string repz
af      scas    v       string repz
b0+     mov     Zb,Ib
b8+     mov     Zv,Iz
c2      ret     Iw      sized stack
c3      ret     -       sized stack
c4      les     Gv,Mp   rare
c5      lds     Gv,Mp   rare
c6/0    mov     Eb,Ib
c7/0    mov     Ev,Iz
c8      enter   Iw,Ib2  sized stack
c9      leave   -       sized stack
ca      retf    Iw      sized stack
cb      retf    -       sized stack
cc      int3    -
cd      int     uIb
ce      into    -
cf      iret    -       sized stack
d4      aam     uIb
d5      aad     uIb
d6      salc    -
d7      xlat    -       string
e0      loopne  Jb      address
e1      loope   Jb      address
e2      loop    Jb      address
e3      jecxz   Jb      address
e4      in=privileged   AL,uIb  priv
e5      in=privileged   eAX,uIb priv
e6      out=privileged  uIb,AL  priv
e7      out=privileged  uIb,eAX priv
e8      call    Jz      stack
e9      jmp     Jz
ea      jmpf    Ap
eb      jmp     Jb
ec      in=privileged   AL,DX   priv
ed      in=privileged   eAX,DX  priv
ee      out=privileged  DX,AL   priv
ef      out=privileged  DX,eAX  priv
f1      icebp   -
f4      hlt=privileged  -       priv
f5      cmc     -
f6/0    test    Eb,Ib
f6/1    test    Eb,Ib
f6/2    not     Eb      lock
f6/3    neg     Eb      lock
f6/4    mul     Eb      rare
f6/5    imul    Eb      rare
f6/6    div     Eb      rare
f6/7    idiv    Eb      rare
f7/0    test    Ev,Iz
f7/1    test    Ev,Iz
f7/2    not     Ev      lock
f7/3    neg     Ev      lock
f7/4    mul     Ev      rare
f7/5    imul    Ev      rare
f7/6    div     Ev      rare
f7/7    idiv    Ev      rare
f8      clc     -
f9      stc     -
fa      cli=privileged  -       priv
fb      sti=privileged  -       priv
fc      cld     -
fd      std     -
fe/0    inc     Eb      lock
fe/1    dec     Eb      lock
ff/0    inc     Ev      lock
ff/1    dec     Ev      lock
ff/2    call    Ev      stack
ff/3    callf   Mp      stack rare
ff/4    jmp     Ev
ff/5    jmpf    Mp rare
ff/6    push    Ev      stack
`;
