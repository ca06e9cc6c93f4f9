/**
 * Opcodes behind 0F (Intel SDM vol. 2, appendix A, table A-3), but for MMX and SSE (their state is here).
 * `opcodes.ts` says how a row is written.
 */
export const TWO_BYTE = `
00/0    sldt    EvMw    rare
00/1    str     EvMw    rare
00/2    lldt=privileged Ew      priv
00/3    ltr=privileged  Ew      priv
00/4    verr    Ew      rare
00/5    verw    Ew      rare
01/0    sgdt    Ms      rare sized
01/1    sidt    Ms      rare sized
01/2    lgdt=privileged Ms      priv
01/3    lidt=privileged Ms      priv
01/4    smsw    EvMw    rare
01/6    lmsw=privileged Ew      priv
01/7    invlpg=privileged M8    priv
01:c1   vmcall  -
02      lar     Gv,Ew   rare
03      lsl     Gv,Ew   rare
06      clts=privileged    -    priv
08      invd=privileged    -    priv
09      wbinvd=privileged  -    priv
0b      ud2=ud  -
0d/0    prefetch=nop      M8
0d/1    prefetchw=nop     M8
0d/2    prefetchwt1=nop   M8
0d      prefetch=nop      M8
18/0    prefetchnta=nop   M8
18/1    prefetcht0=nop    M8
18/2    prefetcht1=nop    M8
18/3    prefetcht2=nop    M8
18      nop     Ev      hint
19      nop     Ev      hint
1a      nop     Ev      hint
1b      nop     Ev      hint
1c      nop     Ev      hint
1d      nop     Ev      hint
1e      nop     Ev      hint
f3.1e:fa  endbr64=nop  -
f3.1e:fb  endbr32=nop  -
1f      nop     Ev      hint
20      mov=privileged   Rd,Cd  priv
21      mov=mov_dr       Rd,Dd
22      mov=privileged   Cd,Rd  priv
23      mov=mov_dr       Dd,Rd
30      wrmsr=privileged   -    priv
31      rdtsc   -
32      rdmsr=privileged   -    priv
33      rdpmc=privileged   -    priv
40cc    cmovcc  Gv,Ev   rare
80cc    jcc     Jz
90cc    setcc   Eb      rare
a0      push    FS      sized stack
a1      pop     FS      sized stack
a2      cpuid   -
a3      bt      Ev,Gv   rare
a4      shld    Ev,Gv,uIb  rare
a5      shld    Ev,Gv,CL   rare
a8      push    GS      sized stack
a9      pop     GS      sized stack
ab      bts     Ev,Gv   lock rare
ac      shrd    Ev,Gv,uIb  rare
ad      shrd    Ev,Gv,CL   rare
np.ae/0   fxsave    m512   rare
np.ae/1   fxrstor   m512   rare
np.ae/2   ldmxcsr   m32    rare
np.ae/3   stmxcsr   m32    rare
np.ae:e8+  lfence=nop  -
np.ae:f0+  mfence=nop  -
np.ae:f8+  sfence=nop  -
np.ae/7    clflush  M8  rare
af      imul    Gv,Ev
b0      cmpxchg Eb,Gb   lock rare
b1      cmpxchg Ev,Gv   lock
b2      lss     Gv,Mp   rare
b3      btr     Ev,Gv   lock rare
b4      lfs     Gv,Mp   rare
b5      lgs     Gv,Mp   rare
b6      movzx   Gv,Eb
b7      movzx   Gv,Ew
b9      ud1=ud  Gv,Ev
ba/4    bt      Ev,uIb
ba/5    bts     Ev,uIb  lock
ba/6    btr     Ev,uIb  lock
ba/7    btc     Ev,uIb  lock rare
bb      btc     Ev,Gv   lock rare
bc      bsf     Gv,Ev   rare
bd      bsr     Gv,Ev   rare
be      movsx   Gv,Eb
bf      movsx   Gv,Ew
c0      xadd    Eb,Gb   lock rare
c1      xadd    Ev,Gv   lock
c7/1    cmpxchg8b Mq    lock rare
c8+     bswap   Zv
ff      ud0=ud  Gv,Ev
`;
