/**
 * x87 escapes D8..DF (Intel SDM vol. 2, appendix A.5), with the aliases that the processors have and the manual lacks.
 * All are rare shapes. `opcodes.ts` says how a row is written; `xx:c0+` is modrm C0..C7 with ST(i) in its low bits.
 */

/** D8 and DC, DA and DE share the order of their arithmetic; `fcom` and `fcomp` have no reversed twin. */
const ARITHMETIC = ['add', 'mul', 'com', 'comp', 'sub', 'subr', 'div', 'divr'];
const MODRM = ['c0', 'c8', 'd0', 'd8', 'e0', 'e8', 'f0', 'f8'];

const MEMORY = ARITHMETIC.map(
  (op, i) => `
d8/${i}    f${op}  m32
d8:${MODRM[i]}+  f${op}  ST0,STi
da/${i}    fi${op} m32
dc/${i}    f${op}  m64
de/${i}    fi${op} m16`,
).join('\n');

export const X87 = `
${MEMORY}
d9/0    fld     m32
d9/2    fst     m32
d9/3    fstp    m32
d9/4    fldenv  m28     sized
d9/5    fldcw   m16
d9/6    fnstenv m28     sized
d9/7    fnstcw  m16
d9:c0+  fld     STi
d9:c8+  fxch    STi
d9:d0   fnop    -
d9:d8+  fstp=fstpnce STi
d9:e0   fchs    -
d9:e1   fabs    -
d9:e4   ftst    -
d9:e5   fxam    -
d9:e8   fld1    -
d9:e9   fldl2t  -
d9:ea   fldl2e  -
d9:eb   fldpi   -
d9:ec   fldlg2  -
d9:ed   fldln2  -
d9:ee   fldz    -
d9:f0   f2xm1   -
d9:f1   fyl2x   -
d9:f2   fptan   -
d9:f3   fpatan  -
d9:f4   fxtract -
d9:f5   fprem1  -
d9:f6   fdecstp -
d9:f7   fincstp -
d9:f8   fprem   -
d9:f9   fyl2xp1 -
d9:fa   fsqrt   -
d9:fb   fsincos -
d9:fc   frndint -
d9:fd   fscale  -
d9:fe   fsin    -
d9:ff   fcos    -
da:c0+  fcmovcc=fcmovcc.2  ST0,STi
da:c8+  fcmovcc=fcmovcc.4  ST0,STi
da:d0+  fcmovcc=fcmovcc.6  ST0,STi
da:d8+  fcmovcc=fcmovcc.10 ST0,STi
da:e9   fucompp -
db/0    fild    m32
db/2    fist    m32
db/3    fistp   m32
db/5    fld     m80
db/7    fstp    m80
db:c0+  fcmovcc=fcmovcc.3  ST0,STi
db:c8+  fcmovcc=fcmovcc.5  ST0,STi
db:d0+  fcmovcc=fcmovcc.7  ST0,STi
db:d8+  fcmovcc=fcmovcc.11 ST0,STi
db:e0   fneni=fnnop   -
db:e1   fndisi=fnnop  -
db:e2   fnclex  -
db:e3   fninit  -
db:e4   fnsetpm=fnnop -
db:e8+  fucomi  ST0,STi
db:f0+  fcomi   ST0,STi
dc:c0+  fadd    STi,ST0
dc:c8+  fmul    STi,ST0
dc:d0+  fcom    ST0,STi
dc:d8+  fcomp   ST0,STi
dc:e0+  fsubr   STi,ST0
dc:e8+  fsub    STi,ST0
dc:f0+  fdivr   STi,ST0
dc:f8+  fdiv    STi,ST0
dd/0    fld     m64
dd/2    fst     m64
dd/3    fstp    m64
dd/4    frstor  m108    sized
dd/6    fnsave  m108    sized
dd/7    fnstsw  m16
dd:c0+  ffree   STi
dd:c8+  fxch    STi
dd:d0+  fst     STi
dd:d8+  fstp    STi
dd:e0+  fucom   STi
dd:e8+  fucomp  STi
de:c0+  faddp   STi,ST0
de:c8+  fmulp   STi,ST0
de:d0+  fcomp   ST0,STi
de:d9   fcompp  -
de:e0+  fsubrp  STi,ST0
de:e8+  fsubp   STi,ST0
de:f0+  fdivrp  STi,ST0
de:f8+  fdivp   STi,ST0
df/0    fild    m16
df/2    fist    m16
df/3    fistp   m16
df/4    fbld    m80
df/5    fild    m64
df/6    fbstp   m80
df/7    fistp   m64
df:c0+  ffreep  STi
df:c8+  fxch    STi
df:d0+  fstp    STi
df:d8+  fstp    STi
df:e0   fnstsw  AX
df:e8+  fucomip ST0,STi
df:f0+  fcomip  ST0,STi
`;
