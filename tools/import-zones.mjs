/**
 * ESLint rule: who may import whom. A folder of src/ imports only from the folders left of it in the way of the data
 * (docs/design.md); packages that belong to one file are imported there alone.
 */
import { dirname, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** Folder of src/ -> what it may import besides itself: a folder, or one file (without extension) of a folder. */
export const ZONES = {
  ir: [],
  'frontend-x86': ['ir'],
  'backend-wasm': ['ir', 'frontend-x86'],
  runtime: ['ir', 'frontend-x86', 'backend-wasm'],
  // No Wasm from here on: only the addresses that engine and Host agree on.
  lguest: ['ir', 'frontend-x86', 'runtime', 'backend-wasm/memory-layout'],
  launcher: ['ir', 'frontend-x86', 'runtime', 'backend-wasm/memory-layout', 'lguest'],
};

/** Package -> the only files of src/ (without extension) that import it. */
export const OWNED_PACKAGES = {
  binaryen: ['backend-wasm/binaryen'],
  commander: ['launcher/options'],
};

/** Path below src/ with slashes and without extension; undefined if it is elsewhere. */
function inSrc(path) {
  const below = relative(SRC, path).split(sep).join('/');
  return below.startsWith('..') ? undefined : below.replace(/\.[cm]?[jt]s$/, '');
}

/** Why `file` may not import `specifier`; undefined if it may. */
function objection(file, specifier) {
  const from = inSrc(file);
  if (from === undefined) return undefined;
  if (!specifier.startsWith('.')) {
    const owners = OWNED_PACKAGES[specifier.split('/')[0]];
    return owners && !owners.includes(from)
      ? `Only src/${owners.join(', src/')} may import ${specifier}.`
      : undefined;
  }
  const to = inSrc(resolve(dirname(file), specifier));
  const zone = from.split('/')[0];
  const allowed = ZONES[zone];
  if (!allowed) return undefined; // src/index.ts stands above all folders.
  if (to === undefined || !to.includes('/'))
    return `src/${zone} may not import ${specifier}, outside the folders.`;
  const target = to.split('/')[0];
  if (target === zone || allowed.includes(target) || allowed.includes(to)) return undefined;
  return `src/${zone} may not import from src/${target}: ${allowed.length ? `only ${allowed.join(', ')}` : 'nothing'}.`;
}

export default {
  meta: { type: 'problem', schema: [] },
  create(context) {
    const check = (node) => {
      const specifier = node.source?.value ?? node.source?.literal?.value;
      if (typeof specifier !== 'string') return;
      const message = objection(context.filename, specifier);
      if (message) context.report({ node, message });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
      TSImportType: check,
    };
  },
};
