import type { Rule } from 'eslint';

/** Folder of src/ -> what it may import besides itself. */
export const ZONES: Record<string, string[]>;
/** Package -> the only files of src/ that import it. */
export const OWNED_PACKAGES: Record<string, string[]>;
declare const rule: Rule.RuleModule;
export default rule;
